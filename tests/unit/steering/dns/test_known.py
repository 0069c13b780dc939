"""What is kept of clients while routes change: never what is wrong now, and not less than need be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.model.route import Announcement
from nearcast.steering.dns.finished import Heard
from nearcast.steering.dns.known import WIDE_MAX, Known, cell
from nearcast.steering.routes import Prefix, Table, parse_prefix
from tests.unit.steering.dns.making import NOW_S, ROUTES, SITES, TITLE, answerer, query

HEARD = Heard(1, 1232, 0, b"", b"")
PREFIXES = (
    "203.0.113.0/24",
    "203.0.113.128/25",
    "203.0.113.192/28",
    "203.0.0.0/16",
    "203.0.0.0/15",
    "192.0.0.0/4",
    "0.0.0.0/0",
    "198.51.100.0/24",
    "2001:db8:3::/48",
    "2001:db8::/32",
    "2001:db8::/33",
    "2000::/3",
)
CLIENTS = (
    "203.0.113.0/24",
    "203.0.113.200/32",
    "203.0.200.0/24",
    "203.1.0.0/24",
    "203.0.0.0/12",
    "203.0.0.0/15",
    "198.51.100.0/24",
    "8.8.8.0/24",
    "2001:db8:3::/56",
    "2001:db8:8000::/56",
    "2001:db9::/56",
    "2001::/20",
)
RESOLVERS = (bytes((203, 0, 113, 200)), bytes((203, 0, 1, 1)), bytes((8, 8, 8, 8)))


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[list[Announcement], list[Announcement]]]:
    ways = st.builds(
        Announcement,
        prefix=st.sampled_from(PREFIXES),
        site=st.sampled_from([each.name for each in SITES]),
        source=st.sampled_from(("acme", "other")),
        med=st.integers(0, 2),
    )
    return draw(st.lists(st.tuples(st.lists(ways, max_size=2), st.lists(ways, max_size=2)), min_size=1, max_size=4))


@settings(deadline=None, max_examples=40)
@given(batches())
def test_answers_are_those_of_a_server_that_knows_nothing_yet(told: list[tuple[list[Announcement], list[Announcement]]]) -> None:
    table = Table.of(ROUTES, SITES)
    made = answerer(table=table)
    asked = [query(f"{TITLE}.titles.cdn.example", subnet=each) for each in CLIENTS]
    plain = query("play.cdn.example")
    for announced, withdrawn in [([], []), *told]:
        table = table.changed(announced, withdrawn, table.version + 1)
        made.use(table, made._view, NOW_S)  # type: ignore[arg-type]  # one was used
        fresh = answerer(table=table)
        for _ in range(2):  # the careful way, and the fast one
            for each in asked:
                assert made.answer(each.to_wire(), RESOLVERS[0], NOW_S) == fresh.answer(each.to_wire(), RESOLVERS[0], NOW_S), each
            for source in RESOLVERS:
                assert made.answer(plain.to_wire(), source, NOW_S) == fresh.answer(plain.to_wire(), source, NOW_S), source


def test_a_change_costs_only_those_whom_it_touches() -> None:
    table = Table.of(ROUTES, SITES)
    made = answerer(table=table)
    for each in CLIENTS:
        made.answer(query("play.cdn.example", subnet=each).to_wire(), RESOLVERS[0], NOW_S)
        made.answer(query("play.cdn.example", subnet=each).to_wire(), RESOLVERS[0], NOW_S)
    assert len(made._heard) == len(CLIENTS) + 1
    table = table.changed([Announcement(prefix="198.51.100.0/25", site="dallas")], [], table.version + 1)
    made.use(table, made._view, NOW_S)  # type: ignore[arg-type]  # one was used
    # Gone are those of 198.51.0.0/16, and what is told shorter than a scope may be: 203.0.0.0/12 and /15.
    assert len(made._heard) == len(CLIENTS) + 1 - 3
    made.use(Table.of(ROUTES, SITES, version=table.version + 1), made._view, NOW_S)  # type: ignore[arg-type]  # one was used
    assert len(made._heard) == 1  # compiled anew: anything may be different


def kept(*clients: str) -> Known:
    known = Known()
    for each in clients:
        prefix = parse_prefix(each)
        known.hear(each.encode(), HEARD, cell(*prefix))
    known.hear(b"opt", HEARD, None)
    return known


def test_wide_prefixes_touch_all_that_they_hold() -> None:
    known = kept("10.1.0.0/24", "10.2.0.0/24", "11.1.0.0/24", "2001:db8::/56")
    known.meet(bytes((10, 3, 0, 1)), 1, cell(4, 0x0A030001))
    known.changed([Prefix(4, 10 << 24, 8)])
    assert set(known.heard) == {b"", b"opt", b"11.1.0.0/24", b"2001:db8::/56"}
    assert not known.sources
    known.changed([Prefix(6, 0, 0)])
    assert set(known.heard) == {b"", b"opt", b"11.1.0.0/24"}
    known.changed([Prefix(4, number << 28, 4) for number in range(1, WIDE_MAX + 2)])
    assert set(known.heard) == {b""}


def test_tables_tell_what_changed() -> None:
    first = Table.of(ROUTES, SITES, version=7)
    second = first.changed([Announcement(prefix="10.1.0.0/16", site="dallas")], [], 8)
    third = second.changed([], [Announcement(prefix="10.2.0.0/16", site="dallas")], 9)
    assert third.changes_since(third) == set()
    assert third.changes_since(first) == {Prefix(4, 0x0A010000, 16), Prefix(4, 0x0A020000, 16)}
    assert second.changes_since(first) == {Prefix(4, 0x0A010000, 16)}
    assert Table.of(ROUTES, SITES, version=9).changes_since(third) is None
    many = [Announcement(prefix=f"10.{number // 256}.{number % 256}.0/24", site="dallas") for number in range(300)]
    assert third.changed(many, [], 10).changes_since(third) is None
    last = third
    for number in range(300):
        last = last.changed(many[number : number + 1], [], last.version + 1)
    assert last.changes_since(third) is None
