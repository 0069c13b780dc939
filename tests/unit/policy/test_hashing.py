import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.policy.hashing import Bools, Floats, assign, bounded, first_fit, key, keys, preference, preferred

WEIGHTS = st.lists(st.floats(1, 20), min_size=2, max_size=12)


def zipf(count: int, exponent: float = 0.9) -> Floats:
    return 1.0 / np.arange(1.0, count + 1).astype(np.float64) ** exponent


def test_keys_are_the_same_everywhere() -> None:
    assert keys(["a", "b"]).tolist() == [3405396810240292928, 8453121595177857668]
    assert len(keys([])) == 0


def test_an_appliance_is_first_choice_in_proportion_to_its_weight() -> None:
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    first = preference(keys(f"t{n}" for n in range(40_000)), keys("abcd"), weights)[:, 0]
    assert np.bincount(first) / 40_000 == pytest.approx(weights / 10, abs=0.01)


@given(WEIGHTS)
@settings(max_examples=30)
def test_who_goes_moves_only_what_it_had(weights: list[float]) -> None:
    titles, appliances = keys(f"t{n}" for n in range(500)), keys(f"a{n}" for n in range(len(weights)))
    before = preference(titles, appliances, np.array(weights))
    after = preference(titles, appliances[:-1], np.array(weights[:-1]))
    kept = before != len(weights) - 1
    assert (before[kept].reshape(500, -1) == after).all()  # the order of all others is what it was


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 300))
def test_first_fit_is_taking_one_after_the_other(sizes: list[int], room: int) -> None:
    left, wanted = room, []
    for size in sizes:
        wanted.append(size <= left)
        left -= size if size <= left else 0
    assert first_fit(np.array([sizes], dtype=float), np.array([float(room)])).tolist() == wanted


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=60), st.integers(0, 300), st.integers(0, 300))
def test_first_fit_in_two_resources(sizes: list[tuple[int, int]], one: int, other: int) -> None:
    left, wanted = [one, other], []
    for size in sizes:
        fits = size[0] <= left[0] and size[1] <= left[1]
        wanted.append(fits)
        left = [left[0] - size[0], left[1] - size[1]] if fits else left
    loads = np.array(sizes, dtype=float).reshape(-1, 2).T
    assert first_fit(loads, np.array([float(one), float(other)])).tolist() == wanted


@given(WEIGHTS, st.integers(1, 4))
@settings(max_examples=40)
def test_assigning_keeps_to_rooms_and_copies(weights: list[float], copies: int) -> None:
    titles, appliances = keys(f"t{n}" for n in range(200)), keys(f"a{n}" for n in range(len(weights)))
    loads = zipf(200)
    rooms = 1.1 * copies * loads.sum() * np.array(weights) / sum(weights)
    held = assign(preference(titles, appliances, np.array(weights)), np.full(200, copies), loads[None], rooms[None])
    assert (held.sum(axis=1) <= min(copies, len(weights))).all()
    assert (loads @ held <= rooms * (1 + 1e-9)).all()


def test_what_is_held_already_is_not_given_twice() -> None:
    preferred = np.array([[0, 1, 2]])
    held = assign(preferred, np.array([2]), np.ones((1, 1)), np.ones((1, 3)), np.array([[True, False, False]]))
    assert held.tolist() == [[True, True, False]]


def spread(count: int, gone: int | None = None, exponent: float = 0.9, before: Bools | None = None) -> tuple[Bools, Floats]:
    """Holders of ``count`` titles over 100 unequal appliances (all but one), and each appliance's load over its fair share."""
    weights = np.array([1.0, 2.0, 4.0, 8.0] * 25)
    there = [n for n in range(100) if n != gone]
    loads = zipf(count, exponent)
    fair = loads.sum() * weights / weights.sum()
    copies = np.ceil(loads / fair.min()).astype(int)  # no copy is more than the smallest appliance's fair share
    titles, appliances = keys(f"t{n}" for n in range(count)), keys(f"edge-{n}" for n in there)
    was = None if before is None else before[:, there]
    held = np.zeros((count, 100), dtype=bool)
    held[:, there] = bounded(titles, appliances, weights[there], loads, copies, 1.2, was)
    return held, ((loads / held.sum(axis=1)) @ held) / fair


@pytest.mark.parametrize("exponent", [0.7, 0.9, 1.1])
def test_load_is_bounded_over_a_hundred_unequal_appliances(exponent: float) -> None:
    held, load = spread(10_000, exponent=exponent)
    assert held.any(axis=1).all()
    assert load.max() <= 1.25


@pytest.mark.parametrize("gone", [0, 3, 50, 99])
def test_few_titles_move_when_one_of_a_hundred_goes(gone: int) -> None:
    before, _ = spread(10_000)
    after, load = spread(10_000, gone, before=before)
    share = before[:, gone].sum() / before.sum()
    assert (before & ~after).sum() / before.sum() <= 1.5 * share
    assert load.max() <= 1.3


def test_who_comes_back_gets_its_share_again() -> None:
    before, _ = spread(10_000, 3)
    after, load = spread(10_000, before=before)
    assert (before & ~after).sum() / before.sum() <= 1.5 * 8 / 375
    assert load.max() <= 1.25


def test_without_a_memory_most_titles_stay_all_the_same() -> None:
    before, _ = spread(10_000)
    after, _ = spread(10_000, 3)
    assert (before & ~after).sum() / before.sum() <= 3 * 8 / 375


def test_a_title_beyond_every_bound_has_a_home() -> None:
    held = bounded(keys(["hit", "b"]), keys(["x", "y"]), np.ones(2), np.array([100.0, 1.0]), np.ones(2, dtype=int), 1.1)
    assert held.sum(axis=1).tolist() == [1, 1]


@given(st.integers(0, 2**64 - 1), st.lists(st.tuples(st.integers(0, 2**64 - 1), st.floats(1, 1e6)), min_size=1, max_size=40))
def test_one_row_is_what_arrays_give(title: int, appliances: list[tuple[int, float]]) -> None:
    names, weights = [each for each, _ in appliances], [each for _, each in appliances]
    whole = preference(np.array([title], dtype=np.uint64), np.array(names, dtype=np.uint64), np.array(weights))[0].tolist()
    assert preferred(title, names, weights) == whole
    assert key("a") == int(keys(["a"])[0])
