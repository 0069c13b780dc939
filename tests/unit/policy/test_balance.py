from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.policy import balance
from nearcast.policy.balance import Group, Server, choose, faded, growth, leaving, weights
from nearcast.policy.hashing import key, preferred
from nearcast.policy.load import FULL


def group(*loads: float, weight: float = 1e9, growths: dict[int, float] | None = None) -> Group[Server]:
    servers = [Server(f"s{number}", weight) for number in range(len(loads))]
    for number, (server, load) in enumerate(zip(servers, loads, strict=True)):
        server.load = load
        server.growth = (growths or {}).get(number, 1.0)
    made = Group(servers)
    made.settle()
    return made


def test_the_usual_place_has_a_title_unless_it_is_clearly_fuller() -> None:
    assert choose(group(0.50, 0.45), (0, 1), 0, "s").id == "s0"  # type: ignore[union-attr]
    assert choose(group(0.60, 0.40), (0, 1), 0, "s").id == "s1"  # type: ignore[union-attr]
    assert choose(group(0.50, 0.45), (0, 1), 0, "s", home=1).id == "s1", "it stays where it went"  # type: ignore[union-attr]


def test_who_is_above_the_bound_is_passed_over() -> None:
    assert choose(group(0.9, 0.9, 0.2, 0.3), (0, 1, 2, 3), 0, "s").id == "s2"  # type: ignore[union-attr]
    assert choose(group(0.6, 0.6), (0, 1), 0, "s").id == "s0", "somebody has to take it"  # type: ignore[union-attr]


def test_who_is_not_able_is_never_chosen() -> None:
    made = group(0.1, 0.2, 0.3)
    made.servers[0].able = False
    assert choose(made, (0, 1, 2), 0, "s").id == "s1"  # type: ignore[union-attr]
    for each in made.servers:
        each.able = False
    assert choose(made, (0, 1, 2), 0, "s") is None
    assert choose(made, (0,), 0, "s") is None


def test_a_title_in_demand_is_spread_and_one_of_the_tail_is_not() -> None:
    made = group(*[0.5] * 20)
    made.asked = 1000.0
    order = tuple(preferred(key("t"), [key(each.id) for each in made.servers], [1.0] * 20))
    names = [f"session {number}" for number in range(500)]

    def places(demand: float) -> int:
        return len({found.id for name in names if (found := choose(made, order, demand, name))})

    assert places(1.0) == 1
    assert 7 <= places(50.0) <= 9, "a twentieth of the demand: eight times its share of the weight"
    assert places(900.0) == 20


def test_places_are_drawn_by_weight() -> None:
    servers = [Server("small", 1e9), Server("large", 3e9)]
    made = Group(servers)
    for each in servers:
        each.load = 0.5
    made.settle()
    made.asked = 1000.0
    counts: Counter[str] = Counter()
    for number in range(4000):
        found = choose(made, (0, 1), 900.0, f"session {number}")
        assert found is not None
        counts[found.id] += 1
    assert counts["large"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_what_was_given_counts_and_fills() -> None:
    made = group(0.90, 0.5, weight=100e6)
    made.give(made.servers[0])
    assert made.servers[0].load == pytest.approx(0.96)
    assert not made.servers[0].able
    assert made.mean == pytest.approx(0.73)
    unknown = Group([Server("a", 1e6, known=False)])
    unknown.give(unknown.servers[0])
    assert unknown.servers[0].able, "nobody knows what it can send"


def test_newcomers_get_a_growing_share() -> None:
    ages = [growth(age_s) for age_s in (0, 5, 20, 40, 60, 600, math.inf)]
    assert ages == sorted(ages)
    assert (ages[0], ages[1], ages[4]) == (balance.GROWTH_MIN, balance.GROWTH_MIN, 1.0)
    assert growth(600, heard=False) == balance.UNHEARD
    made = group(0.3, 0.2, growths={1: 0.2})
    assert choose(made, (1, 0), 0, "s").id == "s0", "at a fifth of its growth a fifth of the load is enough"  # type: ignore[union-attr]
    everybody = group(0.5, 0.1, growths={0: 0.05, 1: 0.05})
    assert [each.growth for each in everybody.servers] == [1.0, 1.0], "where all are new, none is"


def test_leaving() -> None:
    assert leaving(0.5) == 0
    assert leaving(1.0) == pytest.approx(0.15)
    assert leaving(5.0) == balance.LEAVING_MAX
    assert leaving(0.0) == balance.LEAVING_UNKNOWN
    assert 0.96 * (1 - leaving(0.96)) == pytest.approx(balance.AIM)


def test_given_fades() -> None:
    assert faded(10.0, 0.0) == 10.0
    assert faded(10.0, balance.GIVEN_FADES_S) == pytest.approx(10 / math.e)
    assert faded(10.0, -5.0) == 10.0


def test_who_tells_no_limit_counts_as_the_others() -> None:
    assert weights([1e9, 0, 3e9]) == [1e9, 2e9, 3e9]
    assert weights([0, 0]) == [balance.LIMIT_BPS] * 2
    assert weights([]) == []


@given(
    st.lists(st.tuples(st.floats(0, 1.2), st.floats(1e6, 1e12), st.booleans(), st.floats(0.05, 1)), min_size=1, max_size=12),
    st.floats(0, 500),
    st.floats(0, 5000),
    st.text(max_size=20),
    st.integers(0, 1),
)
def test_somebody_able_is_chosen_if_there_is_one(
    servers: list[tuple[float, float, bool, float]], demand: float, asked: float, name: str, home: int
) -> None:
    made = Group([Server(str(number), weight) for number, (_, weight, _, _) in enumerate(servers)])
    for server, (load, _, able, grown) in zip(made.servers, servers, strict=True):
        server.load, server.able, server.growth = load, able, grown
    made.settle()
    made.asked = asked + demand
    order = tuple(range(len(servers)))
    found = choose(made, order, demand, name, home)
    assert (found is not None) == any(able for _, _, able, _ in servers)
    assert found is None or found.able
    assert choose(made, order, demand, name, home) is found


@given(st.lists(st.integers(1, 30), min_size=2, max_size=10), st.integers(0, 1000))
def test_given_one_by_one_loads_stay_within_the_bound(sizes: list[int], seed: int) -> None:
    made = Group([Server(f"s{number}", size * 1e11) for number, size in enumerate(sizes)])
    made.settle()
    names, sized = [key(each.id) for each in made.servers], [each.weight for each in made.servers]
    for number in range(400):
        title = f"t{(seed + number * number) % 17}"
        found = choose(made, tuple(preferred(key(title), names, sized)), 0.0, f"{number}")
        assert found is not None
        made.give(found)
    assert made.mean < FULL
    for each in made.servers:
        assert each.load <= (1 + balance.EPSILON) * made.mean + (balance.SLACK + 1) * each.unit
