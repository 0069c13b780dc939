"""What ISPs announce and plan to announce, judged by the filters that would be in force, for the sites that serve it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from nearcast.base.errors import Conflict, NotFound
from nearcast.model.route import Announcement
from nearcast.model.services import Accepted, PlannedIsp, Refused, RehearseQuestion
from nearcast.steering.routes import Table, parse_prefix
from nearcast.steering.routes.bgp import Reason
from nearcast.steering.routes.configured import close_to
from nearcast.steering.routes.rebuild import told_by
from nearcast.steering.routes.rib import judge
from nearcast.steering.routes.settings import Isp
from nearcast.steering.settings import SteeringSettings


class NoIsp(NotFound):
    """There is no ISP of this name."""

    code = "NC3033"
    cure = "`nearcast routes` lists the ISPs; [[steering.isps]] in the configuration declares them"


class BadPlan(Conflict):
    """What is planned does not fit the sites, ISPs and prefixes that there are."""

    code = "NC3034"
    exit_code = 2
    cure = "a plan has prefixes in CIDR notation, each once, and names sites that are in force, or that it brings along"


class Heard(NamedTuple):
    """What the table would be told of ISPs, withdrawals first; what is refused of what they announce or plan, and what is accepted that
    is held back now."""

    withdrawn: list[Announcement]
    taken: list[Announcement]
    refused: list[Refused]
    accepted: list[Accepted]

    def add(self, other: Heard) -> None:
        self.withdrawn.extend(other.withdrawn)
        self.taken.extend(other.taken)
        self.refused.extend(other.refused)
        self.accepted.extend(other.accepted)


class Plan(NamedTuple):
    """What an ISP would tell at once, by prefix, each with an announcement for every site that it is for."""

    isp: Isp
    announced: dict[str, list[Announcement]]
    withdrawn: dict[str, list[Announcement]]

    @property
    def gone(self) -> set[str]:
        """What the ISP would announce no more at all."""
        return {prefix for prefix, rows in self.withdrawn.items() if {each.site for each in rows}.issuperset(self.isp.sites)}


def changed(before: SteeringSettings, after: SteeringSettings) -> list[str]:
    """The ISPs of which other prefixes, or other sites, would be in the table."""
    known = {each.name: each for each in before.isps}
    return [each.name for each in after.isps if before.bgp.asn != after.bgp.asn or _telling(known.get(each.name)) != _telling(each)]


def concerned(settings: SteeringSettings, question: RehearseQuestion) -> dict[str, bool]:
    """The ISPs in force of which it counts what they announce beside the table: what waits, or what was refused, too."""
    found = dict.fromkeys((each.source for each in question.withdraw + question.announce), False)
    planned = settings.isps if question.isps is None else question.isps
    renumbered = question.asn is not None and question.asn != settings.bgp.asn
    known = {each.name: _telling(each) for each in settings.isps}
    found |= {each.name: True for each in planned if renumbered or known.get(each.name) != _telling(each)}
    return {name: refused for name, refused in found.items() if name in known}


def _telling(isp: Isp | PlannedIsp | None) -> object:
    return isp and (isp.asn, isp.sites, isp.allow, isp.prefixes_max)


def judged_again(table: Table, held: Iterable[Announcement], isp: Isp, own_asn: int, gone: Collection[str] = frozenset()) -> Heard:
    """What an ISP has in the table but for what is ``gone``, and what was ``held`` back of it, by its filter of now."""
    found = Heard([], [], [], [])
    if not own_asn:
        return found
    told = told_by(table.base, table.overlay.changed, isp.name)
    present = {prefix: replace(each, site="") for (prefix, _), each in told.items() if prefix not in gone}
    waiting = {each.prefix: each for each in held if each.prefix not in present and each.prefix not in gone}
    room = isp.prefixes_max
    for each, reason in judge(isp, own_asn, [*present.values(), *waiting.values()]):
        reason = reason or (Reason.MAXIMUM if room < 1 else None)
        if reason is None:
            room -= 1
            found.taken.extend(_for_all(isp, each))
            if isp.sites and each.prefix in waiting:
                found.accepted.append(_accepted(each))
        elif each.prefix in present:
            found.refused.append(_refused(each, reason))
    return found


def plans_of(announce: Iterable[Announcement], withdraw: Iterable[Announcement], settings: SteeringSettings) -> dict[str, Plan]:
    """By ISP. An announcement is for the site that it names, else for all of the ISP's. Raises NoIsp, BadPlan and BadRoute."""
    isps = {each.name: each for each in settings.isps}
    found: dict[str, Plan] = {}
    for verb, rows in (("announced", announce), ("withdrawn", withdraw)):
        for told in rows:
            plan = found.setdefault(told.source, Plan(_isp(told, isps), {}, {}))
            prefix = str(parse_prefix(told.prefix))
            known = (plan.announced if verb == "announced" else plan.withdrawn).setdefault(prefix, [])
            for order, site in enumerate(_sites(told, plan.isp)):
                if any(each.site == site for each in known):
                    raise BadPlan(f"{prefix} would be {verb} twice by {told.source} for the site {site}")
                if verb == "withdrawn" and any(each.site == site for each in plan.announced.get(prefix, ())):
                    hint = "leave one of them out: what is announced anew stands for what was"
                    raise BadPlan(f"{prefix} would be announced and withdrawn by {told.source} for the site {site}", hint=hint)
                path = told.as_path or (plan.isp.asn,)
                known.append(replace(told, prefix=prefix, site=site, as_path=path, order=told.order or order))
    return found


def judged(plan: Plan, own_asn: int, table: Table, prefixes: int, held: Iterable[Announcement]) -> Heard:
    """What comes of an ISP's plan, as ``Rib`` takes it in: what the filter refuses is withdrawn, what goes makes room, for what is planned
    first and then for what waits. ``prefixes``: how many the ISP has in the table."""
    isp, found = plan.isp, Heard([], [], [], [])
    reasons: dict[str, Reason | None] = {}
    for each, reason in judge(isp, own_asn, (row for rows in plan.announced.values() for row in rows)):
        reasons[each.prefix] = reasons.get(each.prefix) or reason
    going = {prefix: {each.site for each in rows} for prefix, rows in plan.withdrawn.items()}
    found.withdrawn.extend(row for rows in plan.withdrawn.values() for row in rows)
    for prefix in (prefix for prefix, reason in reasons.items() if reason):
        going.setdefault(prefix, set()).update(each.site for each in plan.announced[prefix])
        has = _has(table, isp, prefix)
        found.withdrawn.extend(each for each in plan.announced[prefix] if each.site in has)
    stays = {prefix for prefix, reason in reasons.items() if not reason}
    freed = sum(1 for prefix in going.keys() - stays if (has := _has(table, isp, prefix)) and has <= going[prefix])
    room = isp.prefixes_max - max(0, prefixes - freed)
    for prefix, reason in reasons.items():
        more = 0 if reason or _has(table, isp, prefix) else 1
        reason = reason or (Reason.MAXIMUM if more > room else None)
        if reason is None:
            room -= more
            found.taken.extend(plan.announced[prefix])
        else:
            found.refused.append(_refused(plan.announced[prefix][0], reason))
    if isp.sites and own_asn:
        _let_in(found, isp, own_asn, room, (each for each in held if each.prefix not in reasons and each.prefix not in going), table)
    return found


def _let_in(found: Heard, isp: Isp, own_asn: int, room: int, waiting: Iterable[Announcement], table: Table) -> None:
    if room < 1:
        return
    for each, reason in judge(isp, own_asn, waiting):
        if reason is None and not _has(table, isp, each.prefix):
            found.taken.extend(_for_all(isp, each))
            found.accepted.append(_accepted(each))
            room -= 1
            if room < 1:
                return


def _has(table: Table, isp: Isp, prefix: str) -> set[str]:
    """The sites for which the ISP has the prefix in the table."""
    return {each.site for each in table.entries(parse_prefix(prefix)) if each.source == isp.name}


def _for_all(isp: Isp, told: Announcement) -> Iterator[Announcement]:
    return (replace(told, site=site, order=order) for order, site in enumerate(isp.sites))


def _sites(told: Announcement, isp: Isp) -> tuple[str, ...]:
    if not isp.sites:
        raise BadPlan(f"no site serves what the ISP {isp.name} announces", hint="name them as its sites in [[steering.isps]]")
    if told.site and told.site not in isp.sites:
        hint = f"there are: {', '.join(isp.sites)}; rehearse it with a configuration that gives it others ([[steering.isps]] sites)"
        raise BadPlan(f"the site {told.site!r} is none of those that serve what the ISP {isp.name} announces", hint=hint)
    return (told.site,) if told.site else isp.sites


def _isp(told: Announcement, isps: Mapping[str, Isp]) -> Isp:
    if told.source not in isps:
        raise NoIsp(f"there is no ISP {told.source!r}", hint=close_to(told.source, isps) if isps else "")
    return isps[told.source]


def _refused(told: Announcement, reason: Reason) -> Refused:
    return Refused(prefix=told.prefix, source=told.source, why=f"{told.prefix} {reason.sentence} ({reason.code})")


def _accepted(told: Announcement) -> Accepted:
    return Accepted(prefix=told.prefix, source=told.source)
