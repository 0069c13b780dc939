"""From reports, our own looks and the votes of others to one state of each appliance. Pure: no clock, no socket.

Failure detectors are unreliable (Chandra and Toueg, 1996), so no single one decides:

- What an appliance tells of itself lately counts at once: down, draining.
- A fresh report is a witness from within, each trusted observer one from outside. More that fail than reach it: down, *cut off*.
- Silence alone kills nobody. While as many reach it as fail, it is up and not ``heard``; a tie is for the appliance.
- An observer that fails at more than half of what it looks at, though that reports or most others reach it, is itself cut off: it does
  not count.
- A site is *public* or its *ISP's* by its setting. Of a public one the looks from outside always count: a report does not contradict
  them, however many edges they find cut off, but those of one network are one voice, so that no network that is cut off takes more than its
  own. Where they would leave no public one at all, those that report stay, whatever is up at an ISP's: that serves its customers alone.
- Of one that only its ISP's customers reach nobody outside tells anything: reports and neighbours within the network decide, and silence.
  It may have no way out, either: where it reaches nothing past its network, what it fails at there tells nothing.
- We are *blind* when nothing comes back from more than half of all appliances past this machine. Then neither we count, nor those on this
  machine, but for appliances at which somebody elsewhere fails, too.
- We are *isolated* when, besides, more than half of them are not heard either. Of whom nothing is known then, what was known stays.

So no observer by itself takes more than half of the map, and a majority of those that look at an appliance does take that one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from nearcast.model.site import ApplianceState, ReachedBy
from nearcast.policy.sight import UNSEEN, Sight

OURSELVES = ""
"""The name of our own looks among those of others."""
LOST_MIN = 2
"""One appliance that is lost is that one's failure."""


class Evidence(NamedTuple):
    """What is known of one appliance. ``told``: its last word, ``fresh``: lately. ``sight``: our own; ``looked``: we do look at it.

    ``votes`` are those of others, by their ids. ``near``: on this machine. ``shut_out``: by order, unless it is heard. ``before``: its
    state until now; None: it is new. ``network``: in which it stands; one without a name is its own. ``silent``: discovery has answered
    for long enough without telling of it.
    """

    told: ApplianceState
    fresh: bool
    sight: Sight = UNSEEN
    looked: bool = True
    votes: Mapping[str, bool] = {}
    near: bool = False
    shut_out: bool = False
    before: ApplianceState | None = None
    network: str = ""
    reach: ReachedBy = "either"
    silent: bool = True


class Verdict(NamedTuple):
    """``why``: one sentence where it is not simply up. ``held``: nothing is known, and it is taken for what it was."""

    state: ApplianceState
    why: str = ""
    heard: bool = True
    held: bool = False


class Merged(NamedTuple):
    """``discredited``: observers that do not count (OURSELVES among them)."""

    verdicts: dict[str, Verdict]
    blind: bool
    isolated: bool
    discredited: frozenset[str]


def blind(found: Iterable[Evidence]) -> bool:
    """Whether nothing comes back to us from more than half of the appliances past this machine."""
    seen = [each.sight for each in found if not each.near and each.sight.reached is not None]
    lost = sum(not each.reached and each.lost for each in seen)
    return lost >= LOST_MIN and 2 * lost > len(seen)


def isolated(found: Collection[Evidence]) -> bool:
    """Whether we are blind, and deaf as well."""
    far = [each for each in found if not each.near]
    return blind(found) and 2 * sum(not each.fresh for each in far) > len(far)


def opinions(found: Mapping[str, Evidence]) -> dict[str, dict[str, bool]]:
    """What is found of each appliance, by observer, by those who may tell of it; none has a say on itself."""
    said = {name: _heeded(found, name, each) for name, each in found.items()}
    enclosed = _enclosed(found, said)
    if not enclosed:
        return said
    return {
        name: {one: good for one, good in those.items() if one not in enclosed or _network(found, one) == _network(found, name)}
        for name, those in said.items()
    }


def _enclosed(found: Mapping[str, Evidence], said: Mapping[str, Mapping[str, bool]]) -> set[str]:
    """Those that only their ISP's customers reach and that reach nothing past its network themselves."""
    inside = {name for name, each in found.items() if each.reach == "isp"}
    return inside - {
        one
        for name, those in said.items()
        for one, good in those.items()
        if good and one in inside and _network(found, one) != _network(found, name)
    }


def _heeded(found: Mapping[str, Evidence], name: str, each: Evidence) -> dict[str, bool]:
    said = dict(each.votes)
    said.pop(name, None)
    if each.sight.reached is not None:
        said[OURSELVES] = each.sight.reached
    if each.reach != "isp":
        return said
    return {one: good for one, good in said.items() if (each.near if one == OURSELVES else _network(found, one) == _network(found, name))}


def _network(found: Mapping[str, Evidence], name: str) -> str:
    return (found[name].network if name in found else "") or name


def discredited(found: Mapping[str, Evidence], said: Mapping[str, Mapping[str, bool]]) -> frozenset[str]:
    """Observers that fail at more than half of what they look at, though it is there: it is they who are cut off."""
    looks = Counter(observer for each in said.values() for observer in each)
    contradicted: Counter[str] = Counter()
    for name, each in found.items():
        failing = [observer for observer, good in said[name].items() if not good]
        if failing:
            fails, reaches = counted(found, said, name)
            if (each.fresh and each.reach != "public") or reaches > fails - 1:
                contradicted.update(failing)
    return frozenset(observer for observer, count in contradicted.items() if count >= LOST_MIN and 2 * count > looks[observer])


def counted(
    found: Mapping[str, Evidence],
    said: Mapping[str, Mapping[str, bool]],
    name: str,
    distrusted: Collection[str] = (),
    doubted: Collection[str] = (),
) -> tuple[int, int]:
    """How many fail at the appliance ``name``, and how many reach it: trusted observers, or of a public one networks of them.

    ``doubted`` observers count only where somebody else fails, too. Who reaches a public one from within is the witness that its report is:
    not one more.
    """
    each = found[name]
    if each.fresh and all(said[name].values()):
        return 0, sum(observer not in distrusted for observer in said[name])
    own = _network(found, name)
    voices: dict[str, list[tuple[str, bool]]] = {}
    for observer, good in said[name].items():
        if observer not in distrusted:
            voices.setdefault(_network(found, observer) if each.reach == "public" else observer, []).append((observer, good))
    fails = reaches = doubtful = 0
    for voice, members in voices.items():
        if 2 * sum(good for _, good in members) >= len(members):
            reaches += not (each.fresh and each.reach == "public" and voice == own)
        elif all(good or observer in doubted for observer, good in members):
            doubtful += 1
        else:
            fails += 1
    return fails + (doubtful if fails else 0), reaches


def judge(each: Evidence, fails: int, reaches: int, alone: bool = False) -> Verdict:
    """The state of one appliance, of which ``fails`` and ``reaches`` trusted observers tell. ``alone``: we are isolated."""
    if each.fresh and each.told == "down":
        return Verdict("down", "it says so itself")
    if fails > reaches + each.fresh:
        if each.fresh:
            return Verdict("down", f"cut off: it reports, but is out of reach for {_of(fails, reaches)}")
        return Verdict("down", f"it does not report, and is out of reach for {_of(fails, reaches)}", heard=False)
    if each.fresh:
        return Verdict(each.told, "it is to drain" if each.told == "draining" else "")
    if each.shut_out:
        return Verdict("down", "it was dismissed", heard=False)
    if reaches:
        state: ApplianceState = "draining" if each.told == "draining" else "up"
        return Verdict(state, f"it does not report, but answers {_of(reaches, fails)}", heard=False)
    if each.before and alone:
        return Verdict(each.before, "nothing is heard of it, and little of any other: it is taken for what it was", heard=False, held=True)
    if each.before and each.reach == "isp" and not each.silent:
        return Verdict(each.before, "nobody could be asked about it yet: it is taken for what it was", heard=False)
    if each.before and each.looked and each.sight.reached is None:
        return Verdict(each.before, "it was not looked at yet", heard=False)
    return Verdict("down", "nothing is heard of it", heard=False)


def _of(some: int, others: int) -> str:
    return f"{some} of {some + others} who look at it"


def merge(found: Mapping[str, Evidence]) -> Merged:
    """The verdict on each appliance, by id."""
    said = opinions(found)
    dark, alone, distrusted = blind(found.values()), isolated(found.values()), discredited(found, said)
    doubted = {OURSELVES, *(name for name, each in found.items() if each.near)} if dark else set[str]()
    verdicts = {name: judge(each, *counted(found, said, name, distrusted, doubted), alone) for name, each in found.items()}
    public = {name: each for name, each in found.items() if each.reach == "public"}
    if all(verdicts[name].state == "down" for name in public):
        verdicts |= {name: _left(each) for name, each in public.items() if each.fresh and each.told != "down"}
    return Merged(verdicts, dark, alone, distrusted)


def _left(each: Evidence) -> Verdict:
    """Of one that is cut off, as are all that anybody could reach: who asks for it may fare better than who looked."""
    return Verdict(each.told, "it reports, but is out of reach for most who look at it, and nothing else is left")
