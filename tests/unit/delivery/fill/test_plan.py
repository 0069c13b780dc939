"""From publications, demand, pins and appliances to holdings: what goes in is taken for what it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from nearcast.delivery.fill import plan
from nearcast.delivery.fill.members import Member
from nearcast.delivery.fill.planner import NONE_YET
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Pin
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition
from nearcast.model.services import Demand
from nearcast.model.site import Site
from nearcast.model.title import Metadata, Publication, TitleState
from nearcast.model.traffic import DemandDay


def file(letter: str, extension: str = "mp4", size_bytes: int = 10) -> File:
    return File(root=letter * 64, extension=extension, size_bytes=size_bytes)


def rendition(letter: str, bitrate_bps: int) -> Rendition:
    return Rendition(
        kind="video",
        file=file(letter),
        playlist=file(letter.upper(), "m3u8"),
        codec="avc1",
        bitrate_bps=bitrate_bps,
        peak_bitrate_bps=bitrate_bps,
        duration_s=1.0,
        init_range=(0, 1),
        index_range=(2, 3),
    )


def publication(title_id: str, state: TitleState, *renditions: Rendition, created_at: float = 0.0) -> Publication:
    manifest = Manifest(
        title_id=title_id, generation=1, complete=True, duration_s=1.0, created_at=created_at, video=renditions, poster=file("e", "jpg")
    )
    return Publication(title_id=title_id, metadata=Metadata(name="A"), state=state, manifest=manifest if renditions else None)


TODAY = 20_000
NOW_S = TODAY * plan.DAY_S + 12 * 3600.0
EU, US = "eu", "us"
SITES = {"paris": Site(name="paris", region=EU), "london": Site(name="london", region=EU), "dallas": Site(name="dallas", region=US)}


def member(name: str, site: str, capacity_bytes: int) -> Member:
    return Member(id=name, site=site, url=f"http://{name}", capacity_bytes=capacity_bytes)


def members(capacity_bytes: int) -> dict[str, Member]:
    return {f"{site}-1": member(f"{site}-1", site, capacity_bytes) for site in SITES}


def film(number: int, size_bytes: int = 100) -> Publication:
    letter = "abcdef"[number]
    large = replace(rendition(letter, 1), file=file(letter, "mp4", size_bytes), playlist=file(letter.upper(), "m3u8", 1))
    return publication(f"t_{number}", "complete", large)


def asked(region: str, title_id: str, size_bytes: float, day: int = TODAY - 1) -> DemandDay:
    return DemandDay(day, region, title_id, size_bytes, size_bytes / 10)


def demand(*days: DemandDay, today_share: float = 0.5, rungs: dict[str, dict[str, float]] | None = None) -> Demand:
    return Demand(days=days, today=TODAY, today_share=today_share, rungs=rungs or {})


def decided(
    titles: dict[str, Publication], capacity_bytes: int, of: Demand | None, *pins: Pin, beyond: plan.ByRegion | None = None
) -> plan.Wanted:
    return plan.decide(titles, members(capacity_bytes), SITES, of, pins, NONE_YET, FillSettings(), NOW_S, beyond)


FILMS = {f"t_{number}": film(number) for number in range(4)}


def test_only_what_viewers_may_see() -> None:
    titles = [film(0), replace(film(1), state="unpublished"), replace(film(2), manifest=None), replace(film(3), state="processing")]
    assert list(plan.visible(titles)) == ["t_0"]


def test_what_fits_is_everywhere_and_whole_whatever_is_known() -> None:
    """The demo: a film that nobody has asked for yet is on every edge at once, all of its files."""
    for of in (None, demand(), demand(asked(EU, "t_1", 1e9))):
        found = decided(FILMS, 10_000, of)
        for appliance in members(0):
            assert {title: set(names) for title, names in found.holdings[appliance].items()} == {
                title: {each.name for each in plan.files_of(one).values()} for title, one in FILMS.items()
            }


def test_what_does_not_fit_goes_by_what_each_region_asks_for() -> None:
    history = [asked(EU, "t_0", 1e9), asked(EU, "t_1", 1e3), asked(US, "t_0", 1e3), asked(US, "t_1", 1e9)]
    titles = {name: FILMS[name] for name in ("t_0", "t_1")}
    found = decided(titles, 130, demand(*history))
    assert {name: list(held) for name, held in found.holdings.items()} == {"paris-1": ["t_0"], "london-1": ["t_0"], "dallas-1": ["t_1"]}
    surprised = decided(titles, 130, demand(*history), beyond={US: {"t_0": 1e12}})
    assert list(surprised.holdings["dallas-1"]) == ["t_0"]
    assert surprised.order[0] == "t_0"
    pinned = decided(titles, 130, demand(*history), Pin(title_id="t_1", release_at=NOW_S + 60))
    assert all(list(held) == ["t_1"] for held in pinned.holdings.values())
    assert pinned.order[0] == "t_1"
    over = decided(titles, 130, demand(*history), Pin(title_id="t_1", release_at=NOW_S - plan.PINNED_S - 1))
    assert over == found, "a release that is long over binds nobody"


def test_an_exchange_holds_what_those_below_it_do_not() -> None:
    """Whatever is asked for in its own region: the edges below it are its viewers."""
    sites = {
        "paris": Site(name="paris", region=EU, parents=("ix",)),
        "dallas": Site(name="dallas", region=US, parents=("ix",)),
        "ix": Site(name="ix", tier="exchange", region="nobody"),
    }
    fleet = {each: member(each, each, 130) for each in sites}
    history = [asked(EU, "t_0", 1e9), asked(EU, "t_1", 5e8), asked(US, "t_0", 1e9), asked(US, "t_2", 6e8), asked("nobody", "t_3", 1e6)]

    def wanted(room_bytes: int) -> dict[str, set[str]]:
        of = fleet | {"ix": member("ix", "ix", room_bytes)}
        found = plan.decide(FILMS, of, sites, demand(*history), (), NONE_YET, FillSettings(), NOW_S)
        return {name: set(held) for name, held in found.holdings.items()}

    assert wanted(130) == {"paris": {"t_0"}, "dallas": {"t_0"}, "ix": {"t_2"}}
    assert wanted(240)["ix"] == {"t_1", "t_2"}
    assert wanted(10_000)["ix"] == set(FILMS), "what fits is there, too"
    alone = plan.decide(FILMS, {"ix": member("ix", "ix", 130)}, sites, demand(*history), (), NONE_YET, FillSettings(), NOW_S)
    assert set(alone.holdings["ix"]) == {"t_3"}, "with nobody below it, it goes by its own region"


def test_renditions_are_asked_for_as_the_viewers_did() -> None:
    video = [replace(rendition(letter, 1), height=height) for letter, height in (("a", 360), ("b", 1080), ("c", 1080), ("d", 2160))]
    audio = replace(rendition("f", 1), kind="audio")
    manifest = publication("t_1", "complete", *video).manifest
    assert manifest is not None
    shares = {
        each.name[0]: each.share for each in plan.file_values(replace(manifest, audio=(audio,)), {"360p": 0.2, "1080p": 0.7, "audio": 0.1})
    }
    assert {letter: share for letter, share in shares.items() if share == 0} == {"e": 0, "A": 0, "B": 0, "C": 0, "D": 0, "F": 0}
    assert [round(shares[letter], 2) for letter in "abcf"] == [0.2, 0.35, 0.35, 0.1]
    assert 0 < shares["d"] < 0.01, "what nobody asked for yet is still no companion of the others"
    unknown = {each.name[0]: each.share for each in plan.file_values(manifest, {})}
    assert [unknown[letter] for letter in "abcdeA"] == [0.25, 0.25, 0.25, 0.25, 0, 0], "where nothing is known, sizes tell"


def test_a_day_that_has_just_begun_says_little_of_the_next() -> None:
    days = [asked(EU, "t_0", 1e6, TODAY - 1), asked(EU, "t_0", 1e3, TODAY)]
    assert plan.expected(demand(*days, today_share=0.02), FILMS, [EU]).day == TODAY
    assert plan.expected(demand(*days, today_share=0.6), FILMS, [EU]).day == TODAY + 1


def test_a_title_beyond_all_expectation_surprises() -> None:
    steady = [asked(EU, f"t_{number}", 1e9, TODAY - back) for number in range(4) for back in range(1, 10)]
    today = [asked(EU, f"t_{number}", 3e8, TODAY) for number in range(3)]
    assert plan.surprising(demand(*steady, *today, asked(EU, "t_3", 3e8, TODAY)), FILMS, [EU, US], 4.0) == {}
    found = plan.surprising(demand(*steady, *today, asked(EU, "t_3", 9e9, TODAY)), FILMS, [EU, US], 4.0)
    assert {region: list(titles) for region, titles in found.items()} == {EU: ["t_3"]}


@pytest.mark.parametrize(("now", "due"), [("2026-06-01 00:29", "2026-05-31 00:30"), ("2026-06-01 00:30", "2026-06-01 00:30")])
def test_the_hour_of_the_plan(now: str, due: str) -> None:
    at, expected = (datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp() for each in (now, due))
    assert plan.last_due("00:30", at) == expected


def test_launches_hurry_for_a_day() -> None:
    titles = {"t_new": publication("t_new", "complete", rendition("a", 1), created_at=NOW_S - 60), "t_0": FILMS["t_0"]}
    assert plan.launches(titles, NOW_S) == {"t_new"}
    assert plan.launches(titles, NOW_S + plan.LAUNCH_S) == frozenset()
