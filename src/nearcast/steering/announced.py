"""What ISPs announce and plan to announce, judged by filters that would be in force, and spread over the sites that serve it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from nearcast.base.errors import Conflict, NotFound
from nearcast.model.route import Announcement
from nearcast.model.services import Accepted, Refused
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
    """What ISPs announce now, judged anew."""

    taken: list[Announcement]
    refused: list[Refused]
    accepted: list[Accepted]


def changed(before: SteeringSettings, after: SteeringSettings) -> list[str]:
    """The ISPs of which other prefixes, or other sites, would be in the table."""

    def telling(isp: Isp | None) -> object:
        return isp and (isp.asn, isp.sites, isp.allow, isp.prefixes_max)

    known = {each.name: each for each in before.isps}
    renumbered = before.bgp.asn != after.bgp.asn
    return [each.name for each in after.isps if renumbered or telling(known.get(each.name)) != telling(each)]


def judged_again(table: Table, held: Sequence[Announcement], isp: Isp, own_asn: int) -> Heard:
    """What an ISP has in the table and what was ``held`` back of it, by its filter of now."""
    found = Heard([], [], [])
    if not own_asn:
        return found
    told = told_by(table.base, table.overlay.changed, isp.name)
    present = {prefix: replace(each, site="") for (prefix, _), each in told.items()}
    waiting = {each.prefix: each for each in held if each.source == isp.name and each.prefix not in present}
    room = isp.prefixes_max
    for each, reason in judge(isp, own_asn, [*present.values(), *waiting.values()]):
        reason = reason or (Reason.MAXIMUM if room < 1 else None)
        if reason is None:
            room -= 1
            found.taken.extend(replace(each, site=site, order=order) for order, site in enumerate(isp.sites))
            if isp.sites and each.prefix in waiting:
                found.accepted.append(Accepted(prefix=each.prefix, source=isp.name))
        elif each.prefix in present:
            found.refused.append(_refused(each, reason))
    return found


def judged(
    announcements: Sequence[Announcement], settings: SteeringSettings, table: Table, prefixes: Mapping[str, int]
) -> tuple[list[Announcement], list[Refused]]:
    """What the filters would take of planned announcements, and what they would refuse. ``prefixes``: how many each ISP has already.

    Raises NoIsp, BadPlan and BadRoute.
    """
    isps, of_isp = {each.name: each for each in settings.isps}, defaultdict[str, list[Announcement]](list)
    for told in announcements:
        isp = _isp(told, isps)
        of_isp[isp.name].append(replace(told, prefix=str(parse_prefix(told.prefix)), as_path=told.as_path or (isp.asn,)))
    taken: list[Announcement] = []
    refused: list[Refused] = []
    for name, mine in of_isp.items():
        room = isps[name].prefixes_max - prefixes.get(name, 0)
        for told, reason in judge(isps[name], settings.bgp.asn, mine):
            if reason is None and not any(each.source == name for each in table.entries(parse_prefix(told.prefix))):
                room -= 1
                reason = Reason.MAXIMUM if room < 0 else None
            if reason is not None:
                refused.append(_refused(told, reason))
            else:
                taken.append(told)
    return list(spread_over(taken, settings)), refused


def spread_over(announcements: Sequence[Announcement], settings: SteeringSettings) -> Iterator[Announcement]:
    """Each for the site that it names, else for all of the ISP's. Raises NoIsp, BadPlan and BadRoute."""
    isps, sites = {each.name: each for each in settings.isps}, {each.name for each in settings.sites}
    for told in announcements:
        isp, prefix = _isp(told, isps), str(parse_prefix(told.prefix))
        if told.site and told.site not in sites:
            raise BadPlan(f"there is no site {told.site!r}", hint=close_to(told.site, sorted(sites)))
        if not told.site and not isp.sites:
            raise BadPlan(f"no site serves what the ISP {isp.name} announces", hint="name them as its sites in [[steering.isps]]")
        for order, site in enumerate((told.site,) if told.site else isp.sites):
            yield replace(told, prefix=prefix, site=site, order=told.order or order)


def _isp(told: Announcement, isps: Mapping[str, Isp]) -> Isp:
    if told.source not in isps:
        raise NoIsp(f"there is no ISP {told.source!r}", hint=close_to(told.source, isps) if isps else "")
    return isps[told.source]


def _refused(told: Announcement, reason: Reason) -> Refused:
    return Refused(prefix=told.prefix, source=told.source, why=f"{told.prefix} {reason.sentence} ({reason.code})")
