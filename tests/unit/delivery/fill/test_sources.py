"""Which source is asked when, told by hand; and a whole fleet that fills itself in virtual time, from which bytes are counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.delivery.fill.blocks import CorruptBlocks
from nearcast.delivery.fill.schedule import FillPeer, assignment
from nearcast.delivery.fill.source import CorruptSource, OtherLength, SourceDown, UnsafeSource
from nearcast.delivery.fill.sources import AWAY_S, BLOCK_TRIES, PATIENCE, WRONG_S, Book, Standing, Wish, choose
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import ORIGIN, Assignment, FillItem, FillSource, Hop, Placement
from nearcast.model.rendition import File

PEER = FillSource(id="fra-2", kind="peer", url="http://127.0.0.1:1", held_only=True)
TIER = FillSource(id="cix-1", kind="tier", url="http://127.0.0.1:2", held_only=True)
SOURCES = (PEER, TIER, ORIGIN)
ROUTE = (Hop(0, awaited=True), Hop(1, 100, awaited=True), Hop(2, 500))
FILE = File(root="a" * 64, extension="mp4", size_bytes=10)
ITEM = FillItem(title_id="t_1", file=FILE)


def chosen(now_s: float, wish: Wish, route: tuple[Hop, ...] = ROUTE, **standings: Standing) -> tuple[str, float]:
    known = {"fra-2": Standing(), "cix-1": Standing(), "origin": Standing()} | {
        key.replace("_", "-"): each for key, each in standings.items()
    }
    found = choose(route, SOURCES, wish, lambda source: known[source.id], now_s)
    return (found.source.id if found.source else "", found.due_s)


def test_the_nearest_is_asked_first_and_again_and_again_while_it_says_not_yet() -> None:
    assert chosen(0, Wish(0))[0] == "fra-2"
    waiting = Wish(0, again_at_s={PEER: 5.0})
    assert chosen(1, waiting) == ("", 5.0)
    assert chosen(5, waiting)[0] == "fra-2"
    later = Wish(0, again_at_s={PEER: 2000.0})
    assert chosen(1999, later) == ("", 2000.0), "it answers, so that nobody further away is asked"
    assert chosen(100 * PATIENCE, Wish(0, again_at_s={PEER: 9999.0}))[0] == "cix-1", "but not for ever"
    assert chosen(100 * PATIENCE, Wish(0, again_at_s={PEER: 9999.0}), fra_2=Standing(gave_at_s=100.0))[0] == "", "it gave others meanwhile"


def test_a_source_that_fails_opens_the_next_after_the_delay() -> None:
    failed = Standing(silent_since_s=10, rests_until_s=1000)
    assert chosen(109, Wish(0), fra_2=failed) == ("", 110.0)
    assert chosen(110, Wish(0), fra_2=failed)[0] == "cix-1"
    assert chosen(510, Wish(0), fra_2=failed, cix_1=Standing(silent_since_s=0, rests_until_s=1000))[0] == "origin"
    assert chosen(510, Wish(0, again_at_s={TIER: 600.0}), fra_2=failed) == ("", 600.0), "the tier answers"


def test_who_is_not_awaited_holds_nobody_up() -> None:
    route = (Hop(0), Hop(2, 50))
    assert chosen(49, Wish(0, again_at_s={PEER: 99.0}), route) == ("", 50.0)
    assert chosen(50, Wish(0, again_at_s={PEER: 99.0}), route)[0] == "origin"


def test_who_gave_it_wrongly_comes_last() -> None:
    route = (Hop(0), Hop(1), Hop(2))
    assert chosen(0, Wish(0, wrong={PEER: 1}), route)[0] == "cix-1"
    assert chosen(0, Wish(0, wrong={PEER: 2, TIER: 1, ORIGIN: 2}), route)[0] == "cix-1"
    assert chosen(0, Wish(0, wrong={PEER: 1}), (Hop(0),))[0] == "fra-2"


async def test_the_book_leaves_a_source_alone_for_what_it_did() -> None:
    clock = VirtualClock()
    book = Book(clock)
    book.take(Assignment(version=1, items=(ITEM,), sources=SOURCES, routes=((Hop(0), Hop(1), Hop(2)),)))
    other = replace(ITEM, title_id="t_2")

    def asked(item: FillItem = ITEM) -> str:
        source = book.choose(item).source
        return source.id if source else ""

    book.blame(ITEM, PEER, OtherLength("x"))
    assert (asked(), asked(other)) == ("cix-1", "fra-2"), "another length is wrong with the file, not with the source"
    book.blame(ITEM, TIER, CorruptBlocks("x"))
    assert (asked(), asked(other)) == ("origin", "fra-2")
    for _ in range(BLOCK_TRIES):
        assert asked() == "origin"
        book.blame(ITEM, ORIGIN, CorruptSource("x"))
    assert (asked(), book.choose(ITEM).due_s) == ("", clock.monotonic_s() + WRONG_S)
    await clock.advance(WRONG_S)
    assert asked() == "fra-2"
    book.blame(ITEM, PEER, SourceDown("x"))
    assert (asked(), asked(other)) == ("cix-1", "cix-1")
    await clock.advance(0.5)
    assert asked() == "fra-2"
    book.blame(ITEM, PEER, SourceDown("x"))
    await clock.advance(0.5)
    assert asked() == "cix-1", "twice as long the second time"
    await clock.advance(0.5)
    book.gave(PEER)
    assert asked() == "fra-2"
    book.blame(ITEM, PEER, UnsafeSource("x"))
    await clock.advance(1e6)
    assert asked() == "cix-1"
    assert book.choose(ITEM, leaving=TIER).source == ORIGIN


async def test_who_goes_down_is_given_the_time_of_a_restart() -> None:
    """However long the file was waited for already."""
    clock = VirtualClock()
    book = Book(clock)
    before = Assignment(version=1, items=(ITEM,), sources=SOURCES, routes=((Hop(0, awaited=True), Hop(1, 100), Hop(2, 500)),))
    book.take(before)
    book.not_yet(ITEM, PEER)
    await clock.advance(90.0)
    shorter = replace(before, version=2, sources=(TIER, ORIGIN), routes=((Hop(0, 10), Hop(1, 500)),))
    book.take(shorter)
    assert book.choose(ITEM).due_s == clock.monotonic_s() + AWAY_S
    await clock.advance(AWAY_S / 2)
    book.take(replace(shorter, version=3))
    await clock.advance(AWAY_S / 2)
    assert book.choose(ITEM).source == TIER, "another assignment does not begin the wait anew"
    book.take(before)
    book.take(replace(shorter, version=4, routes=((Hop(0), Hop(1, 500)),)))
    assert book.choose(ITEM).source == TIER, "what is urgent does not wait"


# --- a fleet in virtual time -----------------------------------------------------------------------------------------------

STEP_S, COPY_S, LEASE_S = 1.0, 3.0, 2.0


def simulated(
    fleet: list[FillPeer],
    placement: Placement,
    files: dict[str, dict[str, File]],
    dead: dict[str, tuple[float, float]],
    urgent: bool = False,
    first_s: dict[str, float] | None = None,
) -> Counter[str]:
    """Each appliance copies one file at a time in COPY_S. ``dead``: seconds from and to which an appliance does nothing, which the fill
    hears of LEASE_S later. ``first_s`` is filled with when each file was first asked for outside a site (``site/file``).

    Returns how often each file entered each site from outside (``site/file``) or left the origin (``origin/file``)."""
    at_s = 0.0
    settings = FillSettings(peer_wait_s=300, tier_wait_s=60)
    known_down: frozenset[str] = frozenset()

    def made_for(appliance: str) -> Assignment:
        seen = [replace(each, state="down" if each.id in known_down else "up") for each in fleet]
        now = datetime(2026, 6, 1, 3, tzinfo=UTC)
        return assignment(appliance, placement, files, seen, settings, now, urgent=files if urgent else ())

    class Now(VirtualClock):
        def monotonic_s(self) -> float:
            return at_s

    made = {each.id: made_for(each.id) for each in fleet}
    books = {each.id: Book(Now()) for each in fleet}
    held: dict[str, set[str]] = {each.id: set() for each in fleet}
    busy: dict[str, tuple[float, FillItem, FillSource]] = {}
    entered: Counter[str] = Counter()
    site = {each.id: each.site for each in fleet}
    for appliance, book in books.items():
        book.take(made[appliance])

    def alive(appliance: str) -> bool:
        begin_s, end_s = dead.get(appliance, (0.0, 0.0))
        return not begin_s <= at_s < end_s

    def ask(appliance: str, item: FillItem, source: FillSource) -> None:
        if source.kind != "origin" and not alive(source.id):
            books[appliance].blame(item, source, SourceDown("dead"))
        elif source.held_only and item.file.name not in held[source.id]:
            books[appliance].not_yet(item, source)
        else:
            busy[appliance] = (at_s + COPY_S, item, source)
            if source.kind != "peer":
                entered[f"{site[appliance]}/{item.file.name}"] += 1
                if first_s is not None:
                    first_s.setdefault(f"{site[appliance]}/{item.file.name}", at_s)
            if source.kind == "origin":
                entered[f"origin/{item.file.name}"] += 1

    while at_s < 40_000 and any(len(held[each]) < len(made[each].items or ()) for each in held):
        heard_down = frozenset(each for each, (begin_s, end_s) in dead.items() if begin_s + LEASE_S <= at_s < end_s)
        if heard_down != known_down:
            known_down = heard_down
            made = {each.id: made_for(each.id) for each in fleet}
            for appliance, book in books.items():
                book.take(made[appliance])
        for appliance in held:
            if not alive(appliance):
                busy.pop(appliance, None)
            elif appliance in busy and busy[appliance][0] <= at_s:
                _, item, source = busy.pop(appliance)
                held[appliance].add(item.file.name)
                books[appliance].gave(source)
            if alive(appliance) and appliance not in busy:
                for item in made[appliance].items or ():
                    choice = books[appliance].choose(item) if item.file.name not in held[appliance] else None
                    if choice and choice.source:
                        ask(appliance, item, choice.source)
                        if appliance in busy:
                            break
        at_s += STEP_S
    assert all(len(held[each]) == len(made[each].items or ()) for each in held), "everybody has everything in the end"
    return entered


def fleet_of(edges: int, exchanges: int) -> list[FillPeer]:
    found = [FillPeer(id=f"e-{each}", site=f"edge-{each % 2}", parents=("cix",), url="https://x", token="") for each in range(edges)]
    return found + [FillPeer(id=f"x-{each}", site="cix", tier="exchange", url="https://x", token="") for each in range(exchanges)]


def library(titles: int) -> dict[str, dict[str, File]]:
    found = {}
    for title in range(titles):
        made = [File(root=f"{title * 2 + each:064x}", extension="mp4", size_bytes=10) for each in range(2)]
        found[f"t_{title}"] = {each.name: each for each in made}
    return found


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 12), st.data())
def test_every_byte_enters_a_site_once_and_leaves_the_origin_once(edges: int, exchanges: int, titles: int, data: st.DataObject) -> None:
    fleet, files = fleet_of(edges, exchanges), library(titles)
    holdings = {}
    for each in fleet:  # what an edge holds the exchange holds too; each appliance a part of it, some titles on several
        wanted = data.draw(st.sets(st.sampled_from(sorted(files)))) if each.site != "cix" else set(files)
        holdings[each.id] = {title: tuple(files[title]) for title in wanted}
    entered = simulated(fleet, Placement(generation=1, made_at=0, holdings=holdings), files, {})
    assert max(entered.values()) == 1
    assert sum(count for key, count in entered.items() if key.startswith("origin/")) == 2 * titles


@pytest.mark.parametrize("dead", ["e-0", "e-2", "x-0"])
def test_a_death_in_the_middle_holds_nobody_up_for_long(dead: str) -> None:
    fleet, files = fleet_of(4, 2), library(10)
    everything = {title: tuple(names) for title, names in files.items()}
    placement = Placement(generation=1, made_at=0, holdings={each.id: everything for each in fleet})
    entered = simulated(fleet, placement, files, {dead: (10.0, 500.0)})
    twice = [key for key, count in entered.items() if count > 1]
    assert max(entered.values()) == 2
    assert 0 < len(twice) < len(entered), "what the dead one had not got yet came by another, and once more for itself at most"


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.integers(1, 8), st.integers(1, 40), st.integers(1, 9), st.data())
def test_a_short_absence_makes_nobody_fetch_twice(edges: int, titles: int, begin_s: int, lasts_s: int, data: st.DataObject) -> None:
    """Of an edge, for up to AWAY_S: only what it was itself in the middle of enters its site once more."""
    fleet, files = fleet_of(edges, 2), library(titles)
    dead = data.draw(st.sampled_from([each.id for each in fleet if each.site != "cix"]))
    everything = {title: tuple(names) for title, names in files.items()}
    placement = Placement(generation=1, made_at=0, holdings={each.id: everything for each in fleet})
    entered = simulated(fleet, placement, files, {dead: (begin_s, begin_s + lasts_s)})
    assert sum(count - 1 for key, count in entered.items() if not key.startswith("origin/")) <= 1
    assert max(count for key, count in entered.items() if key.startswith("origin/")) == 1


def test_a_launch_does_not_wait_for_who_is_down() -> None:
    fleet, files = fleet_of(4, 1), library(6)
    everything = {title: tuple(names) for title, names in files.items()}
    placement = Placement(generation=1, made_at=0, holdings={each.id: everything for each in fleet})
    waited_s = {}
    for urgent in (True, False):
        first_s: dict[str, float] = {}
        simulated(fleet, placement, files, {"e-0": (0.0, 5000.0)}, urgent, first_s)
        waited_s[urgent] = max(at_s for key, at_s in first_s.items() if key.startswith("edge-0/"))
    busy_s = 12 * COPY_S + 12 * COPY_S + LEASE_S + 20  # twelve files to the exchange and on; asked again within 15 s
    assert waited_s[True] <= busy_s
    assert waited_s[False] <= busy_s + AWAY_S
