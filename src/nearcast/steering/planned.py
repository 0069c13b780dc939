"""From a plan (other sites, ISPs, routes; announcements) to the table that would be in force, and what of it the filter would refuse.

Where routes alone change, they lie over the table that there is. Sites that move and ISPs that may tell other prefixes change every
row of theirs: then the table is compiled in memory, as the writer would compile it. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from nearcast.base.config import Unfitting
from nearcast.base.errors import Conflict
from nearcast.model.route import Announcement
from nearcast.model.services import PlannedGeography, PlannedIsp, Rehearsal, RehearseQuestion
from nearcast.model.site import Site
from nearcast.steering.announced import BadPlan, Heard, changed, judged, judged_again, plans_of
from nearcast.steering.changes import isp_changes, site_changes
from nearcast.steering.rehearse import ALL, World, difference, movement
from nearcast.steering.routes import BadRoute, Table, parse_prefix
from nearcast.steering.routes.base import CONFIG
from nearcast.steering.routes.configured import spread
from nearcast.steering.routes.geographic import Geography
from nearcast.steering.routes.overlay import BadAnnouncement, Overlay
from nearcast.steering.routes.places import geography_of
from nearcast.steering.routes.rows import arrays_of, base_of, by_name, joined, rows_of, rows_of_base
from nearcast.steering.routes.settings import Isp
from nearcast.steering.settings import SteeringSettings


class NotRehearsed(Conflict):
    """The plan depends on something that is known only once it is in force."""

    code = "NC3036"
    exit_code = 2
    cure = "leave it as it is in force, and rehearse the rest; what it changes is seen by `nearcast routes explain` afterwards"


class Present(NamedTuple):
    """What is in force. By ISP, ``prefixes``: how many it has in the table; ``held``: what it announces beside them (see ``concerned``)."""

    settings: SteeringSettings
    table: Table
    prefixes: Mapping[str, int]
    held: Mapping[str, Sequence[Announcement]] = {}


def rehearsed(present: Present, question: RehearseQuestion, limit: int, wanted: Callable[[], None] = lambda: None) -> Rehearsal:
    """Who would move. ``wanted`` is called now and then; what it raises ends the work. Raises NoIsp, BadPlan and NotRehearsed."""
    try:
        settings = settings_of(present.settings, question)
        return _rehearsed(present, settings, question, limit, wanted)
    except (BadRoute, BadAnnouncement) as error:
        raise BadPlan(error.message, hint="" if error.hint in (BadRoute.cure, BadAnnouncement.cure) else error.hint) from error


def _rehearsed(
    present: Present, settings: SteeringSettings, question: RehearseQuestion, limit: int, wanted: Callable[[], None]
) -> Rehearsal:
    before = World(present.table, {each.name: each for each in present.settings.sites})
    sites = {each.name: each for each in settings.sites}
    heard = Heard([], [], [], [])
    prefixes = dict(present.prefixes)
    plans = plans_of(question.announce, question.withdraw, settings)
    compiles = _compiles(present.settings, settings)
    if compiles:
        isps = {each.name: each for each in settings.isps}
        for name in changed(present.settings, settings):
            wanted()
            gone = plans[name].gone if name in plans else ()
            found = judged_again(present.table, present.held.get(name, ()), isps[name], settings.bgp.asn, gone)
            heard.add(found)
            prefixes[name] = len({each.prefix for each in found.taken})
        table = _compiled(present, settings, heard.taken)
        wanted()
        changes = difference((), ())
    else:
        table, changes = present.table, difference(spread(present.settings.routes, sites), spread(settings.routes, sites))
    told = Heard([], [], [], [])
    for name, plan in plans.items():
        told.add(judged(plan, settings.bgp.asn, table, prefixes.get(name, 0), present.held.get(name, ())))
    announce, withdraw = (*changes.announce, *told.taken), (*changes.withdraw, *told.withdrawn)
    after = World(table.altered(announce, withdraw), sites)
    everywhere = compiles or _placing(present.settings.sites) != _placing(settings.sites)
    touched = ALL if everywhere else {parse_prefix(each.prefix) for each in (*announce, *withdraw)}
    moved = movement(before, after, touched, limit, wanted)
    refused, accepted = heard.refused + told.refused, heard.accepted + told.accepted
    return Rehearsal(
        moved=moved.moved,
        moved_total=moved.total,
        refused=tuple(refused[:limit]),
        refused_total=len(refused),
        accepted=tuple(accepted[:limit]),
        accepted_total=len(accepted),
        changes=(
            *site_changes(present.settings.sites, settings.sites),
            *isp_changes(present.settings, settings, plans),
            *unknown(before, after),
        ),
    )


def unknown(before: World, after: World) -> Iterator[str]:
    """Sites that come, go, or stand elsewhere, and serve somebody in a way that no table tells."""
    one, other = (_placing(world.sites.values()) for world in (before, after))
    sites = {name: name not in after.sites for name in sorted({*one, *other}) if one.get(name) != other.get(name)}
    named = [_named(world.table) if sites else set() for world in (before, after)]
    for name, goes in sites.items():
        world = before if goes else after
        site = world.sites[name]
        near = world.table.geography is not None and site.latitude is not None and site.longitude is not None
        if not site.isp and not near and name not in named[not goes]:
            yield f"no route names the site {name}: whom it serves as a last resort is decided by loads, and not compared"


def _named(table: Table) -> set[str]:
    """The sites that routes and ISPs name somewhere."""
    base, changed = table.base, table.overlay.changed
    counts = np.bincount(np.asarray(base.arrays["site"]), minlength=len(base.sites))
    over = Counter(entry.site for prefix in changed for entry in base.entries(base.find(prefix)))
    found = {each.name for each, count in zip(base.sites, counts.tolist(), strict=True) if count > over[each.name]}
    return found | {entry.site for each in changed.values() for entry in each.entries}


# --- what is planned --------------------------------------------------------------------------------------------------


def settings_of(settings: SteeringSettings, question: RehearseQuestion) -> SteeringSettings:
    """Those that would be in force, checked as a configuration is. Raises BadPlan and NotRehearsed."""
    wanted: dict[str, object] = {}
    if question.sites is not None:
        wanted["sites"] = question.sites
    if question.isps is not None:
        known = {each.name: each for each in settings.isps}
        wanted["isps"] = tuple(_isp(each, known.get(each.name)) for each in question.isps)
    if question.asn is not None:
        wanted["bgp"] = replace(settings.bgp, asn=question.asn)
    if question.geographic is not None:
        wanted["geographic"] = replace(settings.geographic, **_geographic(settings, question.geographic))
    if question.routes is not None:
        wanted["routes"] = question.routes
    if not wanted:
        return settings
    try:
        found = replace(settings, **wanted)
        msgspec.convert(msgspec.to_builtins(found), SteeringSettings)  # bounds and patterns, too
    except Unfitting as error:
        raise BadPlan(f"{_path(error.path)}: {error.text}", hint=error.hint) from error
    except (msgspec.ValidationError, ValueError) as error:
        raise BadPlan(str(error)) from error
    return found


def _isp(planned: PlannedIsp, known: Isp | None) -> Isp:
    """Its routers and password move nobody by themselves: they stay as they are."""
    told = {name: getattr(planned, name) for name in PlannedIsp.__struct_fields__}
    return replace(known, **told) if known else Isp(**told)


def _geographic(settings: SteeringSettings, planned: PlannedGeography) -> dict[str, object]:
    if planned.mmdb not in ("", settings.geographic.mmdb):
        raise NotRehearsed(f"the file {planned.mmdb} was not read: what it tells is not known before it is in force")
    return {"mmdb": planned.mmdb, "blocks": planned.blocks}


def _path(path: Iterable[str | int]) -> str:
    """As ``sites[2].parents``."""
    text = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return text.removeprefix(".")


def _placing(sites: Iterable[Site]) -> dict[str, object]:
    """What of the sites decides who is given to whom: in which order they are named does not."""
    return {each.name: (each.isp, each.zone, each.latitude, each.longitude) for each in sites}


def _telling(settings: SteeringSettings) -> object:
    """What decides which prefixes ISPs have in the table, and for which sites."""
    return settings.bgp.asn, {each.name: (each.asn, each.sites, each.allow, each.prefixes_max) for each in settings.isps}


def _compiles(before: SteeringSettings, after: SteeringSettings) -> bool:
    """Whether rows of the table would be others, but for the routes."""

    def rows(settings: SteeringSettings) -> object:
        placed = {each.name: (each.isp, each.latitude, each.longitude) for each in settings.sites}
        return placed, _telling(settings), settings.geographic

    return rows(before) != rows(after)


def _compiled(present: Present, settings: SteeringSettings, told: Iterable[Announcement]) -> Table:
    """The table with the sites, routes and ISPs of ``settings``; ``told``: what ISPs announce that are others now."""
    table, sites = present.table, by_name(settings.sites)
    names = {each.name for each in sites}
    stays = {each.name for each in settings.isps}.difference(changed(present.settings, settings))
    gone = [each for each in table.base.sources if each not in stays]
    over = (each for each in table.overlay.announcements() if each.source in stays and each.site in names)
    fresh = [*spread(settings.routes, names), *over, *told]
    sources = (CONFIG, *sorted({each.source for each in fresh} - {CONFIG}))
    geography = _geography(present, settings)
    rows = joined([rows_of_base(table.base, sites, gone, [each.prefix for each in table.overlay]), rows_of(fresh, sites, sources)])
    return Table(base_of(*arrays_of(rows, sites, geography)), Overlay(), geography, table.version + 1)


def _geography(present: Present, settings: SteeringSettings) -> Geography | None:
    if settings.geographic == present.settings.geographic or settings.geographic.mmdb:
        return present.table.geography
    return geography_of(settings.geographic.blocks)
