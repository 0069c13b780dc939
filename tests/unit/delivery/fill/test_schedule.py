"""Routes, order, pace and windows, worked out for small fleets whose answers can be told by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.delivery.fill.schedule import DOWN_WAIT_S, FillPeer, NotInFleet, assignment, ranked, urgent_pins
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import Assignment, FillItem, Pin, Placement
from nearcast.model.rendition import File

NIGHT, DAY = datetime(2026, 6, 1, 3, tzinfo=UTC), datetime(2026, 6, 1, 15, tzinfo=UTC)
SETTINGS = FillSettings(peer_wait_s=100, tier_wait_s=1000)


def file(seed: int, size_bytes: int = 1000) -> File:
    return File(root=f"{seed:064x}", extension="mp4", size_bytes=size_bytes)


FILES = {f"t_{title}": {file(10 * title + each).name: file(10 * title + each) for each in range(3)} for title in range(6)}
EVERYTHING = {title: tuple(names) for title, names in FILES.items()}


def peer(name: str, site: str, **fields: object) -> FillPeer:
    return FillPeer(**{"id": name, "site": site, "url": f"https://{name}", "token": f"of {name}", **fields})  # type: ignore[arg-type]


EDGES = [peer(f"fra-{each}", "frankfurt", parents=("de-cix", "ams-ix")) for each in (1, 2, 3)]
EXCHANGE = [peer(f"cix-{each}", "de-cix", tier="exchange") for each in (1, 2)]
FLEET = [*EDGES, *EXCHANGE]


def placed(*ids: str) -> Placement:
    return Placement(generation=7, made_at=0, holdings=dict.fromkeys(ids, EVERYTHING))


def made(appliance: str, fleet: Sequence[FillPeer] = FLEET, placement: Placement | None = None, **more: object) -> Assignment:
    whole = placement or placed(*(each.id for each in fleet))
    return assignment(appliance, whole, FILES, fleet, SETTINGS, NIGHT, **more)  # type: ignore[arg-type]


def route(of: Assignment, title_id: str) -> list[tuple[str, str, bool, float]]:
    """Kind, id, whether held only, and delay, of the hops of a title's first file."""
    item = next(each for each in of.items or () if each.title_id == title_id)
    hops = [(of.sources[hop.source], hop.after_s) for hop in of.routes[item.route]]
    return [(source.kind, source.id, source.held_only, after_s) for source, after_s in hops]


def test_the_master_asks_the_tier_and_the_others_ask_it() -> None:
    first, second, third = ranked("t_1", [each.id for each in EDGES])
    above = ranked("t_1", [each.id for each in EXCHANGE])
    tier = [("tier", each, True) for each in above]
    assert route(made(first), "t_1") == [
        ("peer", second, True, 0),
        ("peer", third, True, 0),
        *[(*each, 0) for each in tier],
        ("origin", "origin", False, 1000),
    ]
    assert route(made(second), "t_1")[:2] == [("peer", first, True, 0), ("peer", third, True, 0)]
    assert route(made(second), "t_1")[2:] == [*[(*each, 100) for each in tier], ("origin", "origin", False, 1100)]
    assert route(made(third), "t_1")[-1] == ("origin", "origin", False, 1200)


def test_the_exchange_asks_its_peers_and_then_the_origin() -> None:
    first, second = ranked("t_1", [each.id for each in EXCHANGE])
    assert route(made(first), "t_1") == [("peer", second, True, 0), ("origin", "origin", False, 0)]
    assert route(made(second), "t_1") == [("peer", first, True, 0), ("origin", "origin", False, 100)]


def test_what_the_exchange_does_not_hold_passes_through_it_by_title() -> None:
    placement = placed(*(each.id for each in EDGES))
    for title_id in FILES:
        master = ranked(title_id, [each.id for each in EDGES])[0]
        found = [each for each in route(made(master, placement=placement), title_id) if each[0] == "tier"]
        assert found == [("tier", each, False, 0) for each in ranked(title_id, [each.id for each in EXCHANGE])]


def test_without_a_tier_the_origin_is_asked_at_once() -> None:
    alone = made("fra-1", [EDGES[0]])
    assert [route(alone, title_id) for title_id in FILES] == [[("origin", "origin", False, 0)]] * len(FILES)
    assert alone.parents == ()


def test_an_exchange_that_is_down_does_not_open_the_origin() -> None:
    down = [*EDGES, *(replace(each, state="down") for each in EXCHANGE)]
    master = ranked("t_1", [each.id for each in EDGES])[0]
    assert [each for each in route(made(master, down), "t_1") if each[0] != "peer"] == [("origin", "origin", False, 1000)]
    assert made("fra-1", down).parents == ()


def test_who_is_down_or_stuck_gives_only_what_it_has() -> None:
    first, second, _ = ranked("t_1", [each.id for each in EDGES])
    for fields in ({"state": "down"}, {"stuck": True}):
        for held_bytes, asked in ((0, False), (2999, False), (3000, True)):
            changed = [replace(each, holdings={"t_1": held_bytes}, **fields) if each.id == first else each for each in FLEET]
            assert (first in [hop[1] for hop in route(made(second, changed), "t_1")]) is asked


def test_who_is_to_have_a_file_first_is_awaited() -> None:
    first, second, third = ranked("t_1", [each.id for each in EDGES])
    above = ranked("t_1", [each.id for each in EXCHANGE])

    def awaited(appliance: str, fleet: Sequence[FillPeer] = FLEET, placement: Placement | None = None) -> list[str]:
        of = made(appliance, fleet, placement)
        item = next(each for each in of.items or () if each.title_id == "t_1")
        return [of.sources[hop.source].id for hop in of.routes[item.route] if hop.awaited]

    assert awaited(first) == above
    assert awaited(second) == [first, *above]
    assert awaited(third) == [first, second, *above]
    assert awaited(second, placement=placed(first, second)) == [first], "what passes through the exchange is not there beforehand"
    stuck = [replace(each, stuck=True, holdings={"t_1": 3000}) if each.id == first else each for each in FLEET]
    assert awaited(second, stuck) == above
    assert route(made(second, stuck), "t_1")[0] == ("peer", first, True, 0), "it is asked all the same"


def test_who_is_down_and_has_nothing_is_hardly_waited_for() -> None:
    first, second, third = ranked("t_1", [each.id for each in EDGES])

    def outward_s(appliance: str, urgent: bool, **fields: object) -> float:
        changed = [replace(each, **fields) if each.id == first else each for each in FLEET]
        return next(hop[3] for hop in route(made(appliance, changed, urgent={"t_1"} if urgent else ()), "t_1") if hop[0] == "tier")

    for urgent, waits_s in ((True, 0.0), (False, DOWN_WAIT_S)):
        assert outward_s(second, urgent) == 100
        assert outward_s(second, urgent, state="down") == waits_s
        assert outward_s(third, urgent, state="down") == waits_s + 100, "who is up is waited for"
        assert outward_s(second, urgent, state="down", holdings={"t_1": 1000}) == 100, "it has begun, and will go on"
        assert outward_s(second, urgent, state="down", holdings={"t_2": 1000}) == waits_s
        assert outward_s(second, urgent, state="draining") == outward_s(second, urgent, stuck=True) == 100


def test_who_drains_is_asked_last() -> None:
    first, second, third = ranked("t_1", [each.id for each in EDGES])
    changed = [replace(each, state="draining") if each.id == first else each for each in FLEET]
    assert [hop[1] for hop in route(made(third, changed), "t_1") if hop[0] == "peer"] == [second, first]


def test_order_urgent_first_then_by_value_a_titles_files_as_given() -> None:
    items = made("fra-1", order=("t_4", "t_2", "t_0"), urgent={"t_2", "t_5"}).items
    assert items is not None
    assert list(dict.fromkeys(each.title_id for each in items)) == ["t_2", "t_5", "t_4", "t_0", "t_1", "t_3"]
    assert [each.title_id for each in items if each.urgent] == ["t_2"] * 3 + ["t_5"] * 3
    assert [each.file.name for each in items[:3]] == list(FILES["t_2"])


def test_an_appliance_that_no_placement_names_keeps_what_it_has() -> None:
    found = made("fra-3", placement=placed("fra-1", "fra-2"))
    assert found.items is None
    assert [each.id for each in found.parents] == [*ranked("frankfurt", ["cix-1", "cix-2"]), "origin"]
    with pytest.raises(NotInFleet):
        made("fra-9")


def test_parents_are_those_that_are_up() -> None:
    fleet = [*EDGES, EXCHANGE[0], replace(EXCHANGE[1], state="draining"), peer("ams-1", "ams-ix", tier="exchange")]
    assert [(each.id, each.kind, each.held_only) for each in made("fra-1", fleet).parents] == [
        ("cix-1", "tier", False),
        ("ams-1", "tier", False),
        ("origin", "origin", False),
    ]
    assert made("cix-1", fleet).parents == ()


def test_a_second_exchange_comes_after_the_first() -> None:
    fleet = [*FLEET, peer("ams-1", "ams-ix", tier="exchange")]
    master = ranked("t_1", [each.id for each in EDGES])[0]
    after = {hop[1]: hop[3] for hop in route(made(master, fleet), "t_1") if hop[0] != "peer"}
    assert after == {"cix-1": 0, "cix-2": 0, "ams-1": 1000, "origin": 2000}


def test_the_pace_is_the_appliances_cap_or_its_part_of_the_sites() -> None:
    settings = replace(SETTINGS, appliance_max_bps=60e6, site_max_bps=90e6)
    busy = [replace(each, generation=7, missing_bytes=1) for each in EDGES]
    idle = [replace(each, generation=7) for each in EDGES]

    def rate(*fleet: FillPeer, caps: FillSettings = settings) -> float:
        return assignment("fra-1", placed("fra-1"), FILES, fleet, caps, NIGHT).rate_bps

    assert rate(*busy) == 30e6
    assert rate(busy[0], busy[1], idle[2]) == 45e6
    assert rate(busy[0], *idle[1:]) == rate(*idle) == 60e6
    assert rate(busy[0], busy[1], replace(busy[2], state="down")) == 45e6
    assert rate(*(replace(each, generation=6) for each in idle)) == 30e6, "who has not told of this generation may lack all of it"
    assert rate(*busy, caps=SETTINGS) == 0


def test_the_window_is_the_sites_own() -> None:
    chicago = [replace(each, timezone="America/Chicago") for each in FLEET]
    at_night = assignment("fra-1", placed("fra-1"), FILES, FLEET, SETTINGS, NIGHT)
    assert (at_night.window_open, at_night.window_turns_s) == (True, 11 * 3600)
    elsewhere = assignment("fra-1", placed("fra-1"), FILES, chicago, SETTINGS, NIGHT)
    assert (elsewhere.window_open, elsewhere.window_turns_s) == (False, 4 * 3600)


def test_the_version_names_what_is_acted_on() -> None:
    first = made("fra-1")
    later = assignment("fra-1", placed(*(each.id for each in FLEET)), FILES, FLEET, SETTINGS, NIGHT.replace(minute=30))
    assert first.version == later.version == made("fra-1", list(reversed(FLEET))).version
    assert 0 <= first.version < 1 << 63
    others = [
        assignment("fra-1", placed(*(each.id for each in FLEET)), FILES, FLEET, SETTINGS, DAY),
        made("fra-1", urgent={"t_1"}),
        made("fra-1", placement=placed("fra-1")),
        made("fra-2"),
        made("fra-1", [*EDGES[:2], replace(EDGES[2], state="draining"), *EXCHANGE]),
    ]
    assert len({first.version, *(each.version for each in others)}) == 6


@given(st.integers(1, 5), st.integers(0, 3), st.data())
def test_a_file_enters_a_site_by_one_appliance_and_leaves_the_origin_for_one(edges: int, exchanges: int, data: st.DataObject) -> None:
    """At time 0 exactly one holder of each file at a site may look outside it, and with an exchange none of an edge's asks the origin."""
    fleet = [peer(f"e-{each}", "edge", parents=("cix",)) for each in range(edges)]
    fleet += [peer(f"x-{each}", "cix", tier="exchange") for each in range(exchanges)]
    subset = st.dictionaries(st.sampled_from(sorted(FILES)), st.sets(st.integers(0, 2), min_size=1))
    holdings = {
        each.id: {title: tuple(list(FILES[title])[index] for index in sorted(wanted)) for title, wanted in data.draw(subset).items()}
        for each in fleet
    }
    placement = Placement(generation=1, made_at=0, holdings=holdings)
    made_by = {each.id: assignment(each.id, placement, FILES, fleet, SETTINGS, NIGHT) for each in fleet}

    def outward(site: str, name: str) -> list[str]:
        """What the holders of a file at a site may ask outside of it at once."""
        found = []
        for each in fleet:
            of = made_by[each.id]
            for item in of.items or ():
                if each.site == site and item.file.name == name:
                    asked = {of.sources[hop.source].kind for hop in of.routes[item.route] if hop.after_s == 0}
                    found += ["/".join(sorted(asked - {"peer"}))] if asked - {"peer"} else []
        return found

    for each in fleet:
        of = made_by[each.id]
        assert {(item.title_id, item.file.name) for item in of.items or ()} == {
            (title, name) for title, names in holdings[each.id].items() for name in names
        }
        for item in of.items or ():
            hops = of.routes[item.route]
            assert [hop.after_s for hop in hops] == sorted(hop.after_s for hop in hops)
            assert of.sources[hops[-1].source].kind == "origin"
            assert outward(each.site, item.file.name) == (["tier"] if each.site == "edge" and exchanges else ["origin"])


def test_pins() -> None:
    settings = FillSettings(appliance_max_bps=80e6, site_max_bps=800e6)
    sizes = {"t_1": 10_000_000_000, "t_2": 10_000_000_000}
    # 10 GB at 80 Mb/s take 1000 s, twice for the two hops.
    assert urgent_pins([Pin(title_id="t_1", release_at=4001)], sizes, settings, 0) == set()
    assert urgent_pins([Pin(title_id="t_1", release_at=4000)], sizes, settings, 0) == {"t_1"}
    assert urgent_pins([Pin(title_id="t_1", release_at=-50)], sizes, settings, 0) == {"t_1"}, "late is more urgent still"
    both = [Pin(title_id="t_2", release_at=8000), Pin(title_id="t_1", release_at=5000)]
    assert urgent_pins(both, sizes, settings, 0) == {"t_1", "t_2"}, "together they need all the time to the second release"
    assert urgent_pins([Pin(title_id="t_2", release_at=8001), both[1]], sizes, settings, 0) == set()
    assert urgent_pins([Pin(title_id="t_1", release_at=3200)], sizes, FillSettings(), 0) == {"t_1"}
    assert urgent_pins([Pin(title_id="t_1", release_at=3201)], sizes, FillSettings(), 0) == set()


def test_items_carry_their_file() -> None:
    items = made("fra-1").items
    assert items is not None
    assert isinstance(items[0], FillItem)
    assert items[0].file == next(iter(FILES[items[0].title_id].values()))
