from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nearcast.model.site import Site
from nearcast.policy import hashing
from nearcast.steering.standing import Standing, Title
from tests.unit.steering.fleets import health, view


def title(name: str, number: int = 0) -> Title:
    return Title(name, hashing.key(name), number)


def site(holdings: Mapping[str, Mapping[str, int]], count: int = 4, **more: Any) -> Standing:
    """``a`` with appliances a-0 and so on."""
    made = Standing(Site(name="a"))
    made.see(view([health(f"a-{number}", **more) for number in range(count)], holdings), 1, 1000.0)
    return made


@given(st.dictionaries(st.sampled_from(["a-0", "a-1", "a-2", "a-3"]), st.integers(0, 100)), st.text(min_size=1, max_size=5))
def test_holders_come_first_each_as_the_title_prefers_them(held: dict[str, int], name: str) -> None:
    made = site({each: {name: count} for each, count in held.items() if count})
    count, order = made.order(title(name))
    preferred = hashing.preferred(hashing.key(name), [hashing.key(f"a-{number}") for number in range(4)], [1.0] * 4)
    most = max(held.values(), default=0)
    holders = [index for index in preferred if most and held.get(f"a-{index}", 0) * 2 >= most]
    assert order[:count] == tuple(holders)
    assert order[count:] == tuple(index for index in preferred if index not in holders)
    assert made.order(title(name)) == (count, order), "as it is kept"
    assert made.has(title(name)) == bool(count)


def test_who_holds_a_little_counts_while_the_holders_cannot_serve() -> None:
    made = site({"a-0": {"t": 100}, "a-1": {"t": 10}})
    assert made.order(title("t"))[0] == 1
    made.server["a-0"].able = False
    assert made.has(title("t"))
    made.server["a-1"].able = False
    assert not made.has(title("t"))


def test_no_title_in_particular_is_held_by_everybody() -> None:
    made = site({})
    assert made.order(title(""))[0] == 4
    assert made.pick(title(""), "somebody")[1]


def test_many_titles_of_many_servers() -> None:
    made, fresh = site({"a-0": {"t7": 1}}, count=9), site({}, count=9)
    made.orders_max = 50
    first = [made.order(title(f"t{number}", number)) for number in range(200)]
    assert len(made._orders.by_number) <= 52
    assert [made.order(title(f"t{number}", number)) for number in range(200)] == first
    others = [*range(7), *range(8, 200)]
    assert [fresh.order(title(f"t{number}", number)) for number in reversed(others)] == [first[number] for number in reversed(others)]
    made.forget()
    assert (len(made._orders.by_number), len(made._numbers)) == (1, 0)


def test_titles_are_numbered_anew() -> None:
    made = site({"a-0": {"t": 1}, "a-1": {"u": 1}})
    before = made.order(title("t", 7))
    made.forget()
    assert made.order(title("u", 7)) != before
    assert made.order(title("t", 8)) == before


def test_what_was_asked_survives_a_change_of_holdings() -> None:
    fleet = [health(f"a-{number}") for number in range(8)]
    made = Standing(Site(name="a"))
    made.see(view(fleet, {}), 1, 1000.0)
    film = title("t")
    for number in range(900):
        server, _ = made.pick(film, str(number))
        made.give(server, film)
    spread = {made.pick(film, str(number))[0].id for number in range(200)}
    assert len(spread) == 8, "all the demand is for it"
    made.see(view(fleet, {each.id: {"t": 5} for each in fleet}), 2, 1000.1)
    picked = {made.pick(film, str(number)) for number in range(200)}
    assert {server.id for server, _ in picked} == spread
    assert all(holds for _, holds in picked)


def test_what_was_asked_fades_and_is_bounded() -> None:
    made = site({}, limit_bps=1e15)
    for number in range(20_000):
        film = title(f"t{number}", number)
        server, _ = made.pick(film, str(number))
        made.give(server, film)
    assert made.group.asked <= 1_001
    assert len(made._demands) <= 1_001
