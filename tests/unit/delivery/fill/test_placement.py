import random
from collections.abc import Mapping

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.delivery.fill.packing import falling
from nearcast.delivery.fill.placement import ApplianceRoom, FileValue, SiteRoom, TitleValue, World, place

GB = 10**9
Placed = Mapping[str, Mapping[str, tuple[str, ...]]]


def title(name: str, size_gb: float = 10.0, rungs: int = 4, pinned: bool = False) -> TitleValue:
    """A ladder whose rungs are asked for alike, the small ones denser, with a playlist beside."""
    files = [FileValue(f"{name}-{rung}", int(size_gb * GB * (rung + 1) * 2 / rungs / (rungs + 1)), 1 / rungs) for rung in range(rungs)]
    return TitleValue(name, (*files, FileValue(f"{name}-playlist", 1000, 0.0)), pinned)


def site(name: str, *capacity_gb: float, region: str = "r", limit_bps: float = 0.0, share: float = 1.0) -> SiteRoom:
    rooms = tuple(ApplianceRoom(f"{name}-{number}", int(each * GB), limit_bps) for number, each in enumerate(capacity_gb))
    return SiteRoom(name, region, rooms, share)


def world(titles: list[TitleValue], *sites: SiteRoom, demand: Mapping[str, float] | None = None) -> World:
    asked = {each.title_id: 100 * GB / (rank + 1) for rank, each in enumerate(titles)} if demand is None else demand
    return World(tuple(titles), sites, {"r": asked})


def run(world: World, before: Placed | None = None, *, copies_max: int = 1, balance: float = 1.2, churn: float = 0.1) -> Placed:
    return place(world, before or {}, copies_max=copies_max, balance=balance, churn=churn)


def bytes_of(world: World, held: Mapping[str, tuple[str, ...]]) -> int:
    size_bytes = {(each.title_id, file.name): file.size_bytes for each in world.titles for file in each.files}
    return sum(size_bytes[name, file] for name, files in held.items() for file in files)


def moved(world: World, before: Placed, after: Placed) -> int:
    return sum(
        bytes_of(world, {name: tuple(set(files) - set(before.get(each, {}).get(name, ()))) for name, files in held.items()})
        for each, held in after.items()
    )


def holders(placed: Placed, name: str) -> list[str]:
    return sorted(each for each, held in placed.items() if name in held)


def check(world: World, placed: Placed) -> None:
    """What holds of every placement."""
    files = {each.title_id: {file.name for file in each.files} for each in world.titles}
    for each in world.sites:
        at = {name: {tuple(sorted(placed[room.id][name])) for room in each.appliances if name in placed[room.id]} for name in files}
        for name, held in at.items():
            assert len(held) <= 1, "a title is the same on all of its holders"
            for names in held:
                assert set(names) <= files[name]
                assert f"{name}-playlist" in names
                assert len(names) > 1, "companions are never alone"
        for room in each.appliances:
            assert bytes_of(world, placed[room.id]) <= room.capacity_bytes


def test_a_small_library_ends_everywhere_complete() -> None:
    titles = [title(f"t{n}") for n in range(6)]
    everything = world(titles, site("a", 70, 70), site("b", 100, 50), demand={})
    placed = run(everything, copies_max=2)
    check(everything, placed)
    for each in titles:
        names = {file.name for file in each.files}
        assert all(set(placed[holder][each.title_id]) == names for holder in holders(placed, each.title_id))
        assert [name[0] for name in holders(placed, each.title_id)].count("a") == 2  # there is room for a second copy
        assert [name[0] for name in holders(placed, each.title_id)].count("b") >= 1


def test_copies_are_not_made_beyond_the_most() -> None:
    everything = world([title("t")], site("a", 100, 100, 100))
    assert len(holders(run(everything, copies_max=2), "t")) == 2
    assert len(holders(run(everything, copies_max=1), "t")) == 1


def test_a_title_moves_to_where_it_can_be_whole() -> None:
    """Two films grew by a rung that their appliance has no room for; beside it there is plenty."""
    small = [title(f"t{n}", 10, 4) for n in range(2)]
    before = {"a-0": {each.title_id: tuple(file.name for file in each.files if file.name[-1] != "3") for each in small}}
    grown = world(small, site("a", 16, 100))
    placed = run(grown, before)
    check(grown, placed)
    assert all(len(placed[holder][each.title_id]) == 5 for each in small for holder in holders(placed, each.title_id))
    assert all(holders(placed, each.title_id) for each in small)


def test_room_that_no_title_needs_is_used_for_copies_though_one_title_fits_nowhere() -> None:
    huge = world([title("small"), title("huge", 500, 1)], site("a", 50, 50))
    placed = run(huge, copies_max=2)
    assert holders(placed, "small") == ["a-0", "a-1"]
    assert holders(placed, "huge") == []


def test_what_serves_most_per_byte_is_held() -> None:
    few = world([title(f"t{n}") for n in range(10)], site("a", 35))
    placed = run(few)["a-0"]
    check(few, {"a-0": placed})
    assert "t0" in placed
    assert len(placed["t0"]) == 5
    assert "t9" not in placed or len(placed["t9"]) < 5
    counts = [len(placed.get(f"t{n}", ())) for n in range(10)]
    assert counts == sorted(counts, reverse=True)


def test_renditions_are_chosen_one_by_one() -> None:
    """Of a title that hardly anybody asks for only the dense rungs are worth their room."""
    two = world([title("hit"), title("tail")], site("a", 13.1), demand={"hit": 100 * GB, "tail": 5 * GB})
    placed = run(two)["a-0"]
    assert len(placed["hit"]) == 5
    assert set(placed["tail"]) == {"tail-0", "tail-1", "tail-playlist"}


def test_each_site_follows_its_region() -> None:
    titles = [title("a"), title("b")]
    two = World(tuple(titles), (site("x", 11, region="east"), site("y", 11, region="west")), {"east": {"a": 9.0}, "west": {"b": 9.0}})
    placed = run(two)
    assert set(placed["x-0"]) >= {"a"}
    assert len(placed["x-0"]["a"]) == 5
    assert len(placed["y-0"]["b"]) == 5


def test_pinned_titles_are_on_every_site_whole() -> None:
    titles = [*(title(f"t{n}") for n in range(20)), title("pinned", pinned=True)]
    full = world(titles, site("a", 12, 30), site("b", 15), site("c", 15, share=0.0))
    for before in ({}, run(world(titles[:-1], *full.sites))):
        placed = run(full, before)
        check(full, placed)
        found = holders(placed, "pinned")
        assert {each[0] for each in found} == {"a", "b", "c"}
        assert all(len(placed[each]["pinned"]) == 5 for each in found)


def test_a_popular_title_has_several_copies_where_the_limit_wants_them() -> None:
    peak_bps = 100 * GB * 8 * 2.5 / 86_400
    titles = [title(f"t{n}") for n in range(5)]
    roomy = [31.0] * 4
    assert len(holders(run(world(titles, site("a", *roomy, limit_bps=peak_bps)), copies_max=4), "t0")) == 4
    slow = world(titles, site("a", *roomy, limit_bps=peak_bps * 2.1), demand={each.title_id: 100 * GB for each in titles[:1]})
    assert len(holders(run(slow, copies_max=2), "t0")) == 2


def test_the_same_world_in_any_order_gives_the_same() -> None:
    titles = [title(f"t{n}", 5 + n % 7) for n in range(60)]
    sites = [site("a", 40, 60, 80), site("b", 100, 20)]
    first = world(titles, *sites)
    source = random.Random(3)
    before = run(first)
    for _ in range(3):
        other = World(
            tuple(source.sample(titles, len(titles))),
            tuple(msgspec.structs.replace(each, appliances=each.appliances[::-1]) for each in sites[::-1]),
            {"r": dict(source.sample(list(first.demand["r"].items()), len(titles)))},
        )
        shuffled = {each: dict(source.sample(list(held.items()), len(held))) for each, held in before.items()}
        assert run(other) == before
        assert run(other, shuffled) == run(first, before)


def test_nothing_moves_while_nothing_changes() -> None:
    titles = [title(f"t{n}", 5 + n % 7) for n in range(80)]
    for sites in ([site("a", 40, 60, 80)], [site("a", 400, 500, 300)]):
        same = world(titles, *sites)
        placed = run(same, copies_max=2)
        assert run(same, placed, copies_max=2) == placed


def test_what_does_not_pay_does_not_move() -> None:
    two = [title("old", rungs=1), title("new", rungs=1)]
    one_fits = world(two, site("a", 10.5), demand={"old": 10 * GB, "new": 10.5 * GB})
    before = {"a-0": {"old": tuple(file.name for file in two[0].files)}}
    assert set(run(one_fits, before, churn=0.5)["a-0"]) == {"old"}
    assert set(run(one_fits, before, churn=0.0)["a-0"]) == {"new"}


def test_when_an_appliance_goes_the_titles_of_the_others_stay() -> None:
    titles = [title(f"t{n}", 5 + n % 7, rungs=2) for n in range(60)]
    before = run(world(titles, site("a", 150, 150, 150, 150)))
    left = world(titles, site("a", 150, 150, 150, 150))
    left = msgspec.structs.replace(left, sites=(msgspec.structs.replace(left.sites[0], appliances=left.sites[0].appliances[:3]),))
    after = run(left, before)
    check(left, after)
    for each in ("a-0", "a-1", "a-2"):
        assert set(before[each]) <= set(after[each])
    assert {name for held in after.values() for name in held} == {each.title_id for each in titles}


def test_an_appliance_that_comes_takes_its_share_and_no_more_is_moved() -> None:
    titles = [title(f"t{n}", 5 + n % 7, rungs=2) for n in range(200)]
    small = world(titles, site("a", 200, 200, 200))
    before = run(small)
    large = world(titles, site("a", 200, 200, 200, 200))
    after = run(large, before)
    check(large, after)
    assert bytes_of(large, after["a-3"]) > 195 * GB
    assert moved(large, before, after) < 1.6 * 200 * GB


def test_load_is_balanced_over_unequal_appliances() -> None:
    titles = [title(f"t{n}", 5 + n % 7) for n in range(400)]
    demand = {each.title_id: 100 * GB / (rank + 10) for rank, each in enumerate(titles)}
    unequal = world(titles, site("a", 100, 200, 300, 400), demand=demand)
    placed = run(unequal, balance=1.1)
    loads = [sum(demand[name] * (len(files) - 1) / 4 for name, files in placed[f"a-{number}"].items()) for number in range(4)]
    for load, share in zip(loads, (0.1, 0.2, 0.3, 0.4), strict=True):
        assert load <= 1.3 * share * sum(loads)


def test_files_that_are_gone_and_appliances_without_disks_do_no_harm() -> None:
    odd = world([title("t")], site("a", 0, 100), site("b"))
    placed = run(odd, {"a-1": {"gone": ("x",), "t": ("renamed", "t-0")}, "elsewhere": {"t": ("t-0",)}})
    assert placed["a-0"] == {}
    assert len(placed["a-1"]["t"]) == 5
    assert run(world([], site("a", 10))) == {"a-0": {}}


def test_a_title_nobody_knows_the_shares_of_is_held_all_the_same() -> None:
    unknown = TitleValue("t", (FileValue("one", GB, 0.0), FileValue("two", 2 * GB, 0.0)))
    assert run(world([unknown], site("a", 10)))["a-0"] == {"t": ("one", "two")}


@given(
    st.lists(st.tuples(st.floats(0.5, 30), st.floats(0, 1e12), st.booleans()), min_size=1, max_size=40),
    st.lists(st.floats(1, 200), min_size=1, max_size=5),
    st.integers(1, 4),
    st.floats(0, 1e10),
    st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_world_placements_hold_together(
    films: list[tuple[float, float, bool]], capacity_gb: list[float], copies_max: int, limit_bps: float, seed: int
) -> None:
    titles = [title(f"t{number}", size, 1 + number % 4, pinned and number % 5 == 0) for number, (size, _, pinned) in enumerate(films)]
    demand = {f"t{number}": asked for number, (_, asked, _) in enumerate(films)}
    first = world(titles, site("a", *capacity_gb, limit_bps=limit_bps), demand=demand)
    placed = run(first, copies_max=copies_max)
    check(first, placed)
    source = random.Random(seed)
    later = world(titles, *first.sites, demand={name: asked * source.uniform(0.3, 3) for name, asked in demand.items()})
    again = run(later, placed, copies_max=copies_max)
    check(later, again)
    assert all(len(holders(again, each.title_id)) <= copies_max for each in titles)
    smallest = min(file.size_bytes for each in titles for file in each.files if file.share)
    lacking = [each.title_id for each in titles if not holders(again, each.title_id)]
    if lacking:  # then there was no room for its first file anywhere
        lead = min(min(file.size_bytes for file in each.files if file.share) for each in titles if each.title_id in lacking)
        left = max(int(each * GB) - bytes_of(later, again[f"a-{number}"]) for number, each in enumerate(capacity_gb))
        assert left < lead + 1000
        assert lead >= smallest


@given(st.lists(st.floats(0, 1e38) | st.sampled_from([0.0, -0.0, 1.0, float("inf")]), max_size=50))
def test_falling_is_a_stable_sort(values: list[float]) -> None:
    exact = np.array(values, dtype=np.float32).astype(np.float64)  # so far apart that none count as equal by their last bits
    assert falling(exact).tolist() == np.argsort(-exact, kind="stable").tolist()
