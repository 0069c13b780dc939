"""From reports, our own looks and the votes of others to one state of each appliance. Pure: no clock, no socket.

Failure detectors are unreliable (Chandra and Toueg, 1996), so no single one decides:

- What an appliance tells of itself lately counts at once: down, draining.
- A fresh report is a witness from within, each trusted observer one from outside. More that fail than reach it: down, *cut off*.
- Silence alone kills nobody. While as many reach it as fail, it is up and not ``heard``; a tie is for the appliance.
- An observer that fails at more than half of what it looks at, though that reports or most others reach it, is itself cut off: it does
  not count.
- We are *blind* when nothing comes back from more than half of all appliances past this machine. Then neither we count, nor those on this
  machine, but for appliances at which somebody elsewhere fails, too.
- We are *isolated* when, besides, more than half of them are not heard either. Of whom nothing is known then, what was known stays.

So no observer by itself takes more than half of the map, and a majority of those that look at an appliance does take that one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from nearcast.model.site import ApplianceState
from nearcast.policy.sight import UNSEEN, Sight

OURSELVES = ""
"""The name of our own looks among those of others."""
LOST_MIN = 2
"""One appliance that is lost is that one's failure."""


class Evidence(NamedTuple):
    """What is known of one appliance. ``told``: its last word, ``fresh``: lately. ``sight``: our own; ``looked``: we do look at it.

    ``votes`` are those of others, by their ids. ``near``: on this machine. ``shut_out``: by order, unless it is heard. ``before``: its
    state until now; None: it is new.
    """

    told: ApplianceState
    fresh: bool
    sight: Sight = UNSEEN
    looked: bool = True
    votes: Mapping[str, bool] = {}
    near: bool = False
    shut_out: bool = False
    before: ApplianceState | None = None


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


def discredited(found: Mapping[str, Evidence]) -> frozenset[str]:
    """Observers that fail at more than half of what they look at, though it is there: it is they who are cut off."""
    looks: dict[str, int] = {}
    contradicted: dict[str, int] = {}
    for each in found.values():
        opinions = _opinions(each)
        reaches = sum(opinions.values())
        fails = len(opinions) - reaches
        for observer, good in opinions.items():
            looks[observer] = looks.get(observer, 0) + 1
            if not good and (each.fresh or reaches > fails - 1):
                contradicted[observer] = contradicted.get(observer, 0) + 1
    return frozenset(observer for observer, count in contradicted.items() if count >= LOST_MIN and 2 * count > looks[observer])


def _opinions(each: Evidence) -> dict[str, bool]:
    return {**each.votes, **({} if each.sight.reached is None else {OURSELVES: each.sight.reached})}


def counted(each: Evidence, name: str, distrusted: Collection[str], dark: bool, near: Collection[str]) -> tuple[int, int]:
    """How many trusted observers fail at the appliance ``name``, and how many reach it; it has no say on itself.

    ``dark``: we are blind. ``near``: observers on this machine, who are so with us.
    """
    doubted = {*near, OURSELVES} if dark else set[str]()
    fails = reaches = doubtful = 0
    for observer, good in _opinions(each).items():
        if observer in distrusted or observer == name:
            continue
        if good:
            reaches += 1
        elif observer in doubted:
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
    if each.before and (alone or (each.looked and each.sight.reached is None)):
        why = "nothing is heard of it, and little of any other: it is taken for what it was" if alone else "it was not looked at yet"
        return Verdict(each.before, why, heard=False, held=alone)
    return Verdict("down", "nothing is heard of it", heard=False)


def _of(some: int, others: int) -> str:
    return f"{some} of {some + others} who look at it"


def merge(found: Mapping[str, Evidence]) -> Merged:
    """The verdict on each appliance, by id."""
    dark, alone, distrusted = blind(found.values()), isolated(found.values()), discredited(found)
    near = frozenset(name for name, each in found.items() if each.near)
    verdicts = {name: judge(each, *counted(each, name, distrusted, dark, near), alone) for name, each in found.items()}
    return Merged(verdicts, dark, alone, distrusted)
