"""From what is known to the next placement: publications, demand, pins and appliances go in, who is to hold what comes out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from nearcast.delivery.fill.members import Members, rooms, site_of
from nearcast.delivery.fill.placement import FileValue, SiteRoom, TitleValue, World, place
from nearcast.delivery.fill.schedule import Files
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Pin, Placement
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File
from nearcast.model.services import Demand
from nearcast.model.site import Site
from nearcast.model.title import VISIBLE, Publication
from nearcast.policy.popularity import Forecast, forecast, surprises

DAY_S = 86_400
LAUNCH_S = 24 * 3600.0
"""For so long a title that was just published does not wait for the quiet hours."""
PINNED_S = 48 * 3600.0
"""For so long after its release a pinned title stays everywhere; then its popularity is known."""
SHARE_MIN = 0.001
"""Of a rendition that nobody has asked for yet: more than nothing, which only pictures and texts have."""
EARLY = 0.25
"""So much of a day must be over before it tells something of the next."""

LEFT_MIN = 0.02

Titles = Mapping[str, Publication]
Holdings = Mapping[str, Mapping[str, tuple[str, ...]]]
ByRegion = Mapping[str, Mapping[str, float]]


class Wanted(Struct, frozen=True):
    """The next placement's holdings, and the titles by value, best first."""

    holdings: dict[str, dict[str, tuple[str, ...]]]
    order: tuple[str, ...]


def visible(publications: Iterable[Publication]) -> dict[str, Publication]:
    """What viewers may see and edges hold."""
    return {each.title_id: each for each in publications if each.manifest is not None and each.state in VISIBLE}


def files_of(publication: Publication) -> dict[str, File]:
    """A title's files by name, in the order in which to fetch them."""
    return {each.name: each for each in publication.manifest.files()} if publication.manifest else {}


def sizes(files: Files) -> dict[str, int]:
    return {title_id: sum(each.size_bytes for each in found.values()) for title_id, found in files.items()}


def launched_at(publication: Publication) -> float:
    """When the manifest was made. A title whose better renditions came later was launched with the first: hours make no difference here."""
    return publication.manifest.created_at if publication.manifest else 0.0


def launches(titles: Titles, now_s: float) -> frozenset[str]:
    """Titles that were published just now."""
    return frozenset(name for name, each in titles.items() if launched_at(each) > now_s - LAUNCH_S)


def pinned(pins: Iterable[Pin], now_s: float) -> tuple[Pin, ...]:
    """Those that still bind."""
    return tuple(each for each in pins if each.release_at > now_s - PINNED_S)


def file_values(manifest: Manifest, rungs: Mapping[str, float]) -> tuple[FileValue, ...]:
    """What is asked of each file. ``rungs``: shares by rendition name; where none is known renditions are alike, byte for byte."""
    renditions = (*manifest.video, *manifest.audio)
    names = {each.file.name: each.name if each.kind == "video" else "audio" for each in renditions}
    alike = list(names.values())
    weights = {file: max(SHARE_MIN, rungs.get(rung, 0.0)) / alike.count(rung) for file, rung in names.items()}
    if not rungs:
        weights = {each.file.name: float(max(1, each.file.size_bytes)) for each in renditions}
    whole = sum(weights.values())
    return tuple(
        FileValue(each.name, each.size_bytes, weights[each.name] / whole if each.name in weights else 0.0) for each in manifest.files()
    )


def title_values(titles: Titles, rungs: Mapping[str, float], pins: Collection[str]) -> tuple[TitleValue, ...]:
    return tuple(
        TitleValue(title_id, file_values(each.manifest, rungs), title_id in pins)
        for title_id, each in sorted(titles.items())
        if each.manifest is not None
    )


def expected(demand: Demand, titles: Titles, regions: Iterable[str], *, of_today: bool = False) -> Forecast:
    """The forecast of the next day; early in a day, or ``of_today``, of this day, by the days before it alone."""
    early = of_today or demand.today_share < EARLY
    return forecast(
        [each for each in demand.days if each.day < demand.today or not early],
        day=demand.today if early else demand.today + 1,
        titles=titles,
        launch_days={title_id: int(launched_at(each) // DAY_S) for title_id, each in titles.items()},
        regions=regions,
        today=None if early else demand.today,
    )


def surprising(demand: Demand, titles: Titles, regions: Iterable[str], factor: float) -> dict[str, dict[str, float]]:
    """Region → title id → bytes of the whole day, of those that are asked for beyond all expectation."""
    today = [each for each in demand.days if each.day == demand.today]
    return surprises(expected(demand, titles, regions, of_today=True), today, surprise_factor=factor)


def raised(expected: ByRegion, beyond: ByRegion) -> dict[str, dict[str, float]]:
    """``expected`` with what is asked for beyond it."""
    found = {region: dict(by_title) for region, by_title in expected.items()}
    for region, by_title in beyond.items():
        for title_id, size in by_title.items():
            into = found.setdefault(region, {})
            into[title_id] = max(size, into.get(title_id, 0.0))
    return found


def decide(
    titles: Titles,
    members: Members,
    sites: Mapping[str, Site],
    demand: Demand | None,
    pins: Iterable[Pin],
    previous: Placement,
    settings: FillSettings,
    now_s: float,
    beyond: ByRegion | None = None,
) -> Wanted:
    """``demand`` None: nothing is known of it, and all titles are alike. ``beyond``: what surprised, by region and title.

    Edges are placed first: an exchange is asked for what those below it are not to hold.
    """
    found = rooms(members, sites)
    regions = {each.region for each in found}
    bound = {each.title_id for each in pinned(pins, now_s)}
    asked: ByRegion = {region: dict.fromkeys(titles, 1.0) for region in regions}
    if demand is not None:
        asked = raised(expected(demand, titles, regions).bytes, beyond or {})
    values = title_values(titles, demand.rungs.get("", {}) if demand else {}, bound)
    before = {name: held for name, held in previous.holdings.items() if name in members}
    placed = partial(place, previous=before, copies_max=settings.copies_max, balance=settings.balance, churn=settings.churn)
    exchanges = {each.name for each in found if site_of(each.name, sites).tier == "exchange"}
    edges = tuple(each for each in found if each.name not in exchanges)
    holdings = placed(World(values, edges, asked))
    if exchanges:
        left = left_over(edges, sites, holdings, values, asked)
        above = tuple(below(each, left) for each in found if each.name in exchanges)
        holdings |= placed(World(values, above, {**asked, **left}))
    total: dict[str, float] = {}
    for by_title in asked.values():
        for title_id, size in by_title.items():
            total[title_id] = total.get(title_id, 0.0) + size
    return Wanted(holdings, tuple(sorted(total, key=lambda each: (each not in bound, -total[each], each))))


def left_over(
    edges: Iterable[SiteRoom], sites: Mapping[str, Site], holdings: Holdings, values: Iterable[TitleValue], asked: ByRegion
) -> dict[str, dict[str, float]]:
    """Exchange → title id → bytes that the edge sites below it (whose first parent it is) will ask it for: what is asked of them, less
    the share that they are to hold; of that LEFT_MIN, for the hours when a disk of theirs fails."""
    shares = {each.title_id: {file.name: file.share for file in each.files} for each in values}
    found: dict[str, dict[str, float]] = {}
    for edge in edges:
        parents = site_of(edge.name, sites).parents
        if not parents:
            continue
        held: dict[str, set[str]] = {}
        for appliance in edge.appliances:
            for title_id, names in holdings[appliance.id].items():
                held.setdefault(title_id, set()).update(names)
        into = found.setdefault(parents[0], {})
        for title_id, size in asked.get(edge.region, {}).items():
            missing = 1 - sum(shares.get(title_id, {}).get(name, 0.0) for name in held.get(title_id, ()))
            into[title_id] = into.get(title_id, 0.0) + size * edge.demand_share * max(LEFT_MIN, missing)
    return found


def below(exchange: SiteRoom, left: Mapping[str, object]) -> SiteRoom:
    """The exchange with the demand of those below it; with its own region's where there is nobody."""
    return replace(exchange, region=exchange.name, demand_share=1.0) if exchange.name in left else exchange


def last_due(plan_at: str, now_s: float) -> float:
    """When the day's placement was to be worked out last (Unix seconds). ``plan_at``: hours and minutes, UTC."""
    now = datetime.fromtimestamp(now_s, UTC)
    due = datetime.combine(now.date(), time.fromisoformat(plan_at), UTC)
    return (due if due <= now else due - timedelta(days=1)).timestamp()
