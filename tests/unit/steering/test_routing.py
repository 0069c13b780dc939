"""The Routing service explains by the decision itself, and rehearses what the filter would take."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.base import context
from nearcast.base.clock import SystemClock
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.route import Announcement, Route
from nearcast.model.services import ExplainQuestion, Nothing, PlannedIsp, Rehearsal, RehearseQuestion, SourceStatus
from nearcast.model.site import Site
from nearcast.steering import routing
from nearcast.steering.announced import BadPlan, NoIsp
from nearcast.steering.decide import Decider
from nearcast.steering.routes import Table
from nearcast.steering.routes.reader import TableReader
from nearcast.steering.routes.settings import BgpSettings, GeographicSettings, Isp
from nearcast.steering.routes.store import TableWriter
from nearcast.steering.routing import PART, Abandoned, NoAddress, RoutingService, TooWide, address_of
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import View

ISP = Isp(name="riverbank", asn=64511, sites=("rack", "north"), allow=("20.0.0.0/12", "2a00:100::/24"), prefixes_max=2)
SETTINGS = SteeringSettings(
    sites=(Site(name="north", zone="n"), Site(name="south", zone="s"), Site(name="rack", zone="r", isp="riverbank")),
    routes=(Route(prefix="0.0.0.0/0", sites=("north", "south")), Route(prefix="30.0.0.0/8", sites=("south", "north"))),
    isps=(ISP,),
    bgp=BgpSettings(asn=64500),
    geographic=GeographicSettings(blocks={"DE": ("50.0.0.0/8",)}),
)
TOLD = (
    Announcement(prefix="20.1.0.0/16", site="rack", source="riverbank", as_path=(64511,), order=0),
    Announcement(prefix="20.1.0.0/16", site="north", source="riverbank", as_path=(64511,), order=1),
)


def appliance(site: str, **said: object) -> ApplianceHealth:
    return replace(ApplianceHealth(id=f"{site}-1", site=site, address=f"http://{site}", limit_bps=1e9, holdings_digest="x"), **said)


VIEW = View(
    HealthSnapshot(version=7, published_s=5.0, appliances=(appliance("north"), appliance("south", state="draining"), appliance("rack"))),
    {each: {"t": 100} for each in ("north-1", "south-1", "rack-1")},
)


COMPILED_AT = 1_700_000_000.0


class Sight:
    """A table and a view, as readers have them."""

    def __init__(self, view: View = VIEW) -> None:
        self._table, self._view = Table.of(SETTINGS.routes, SETTINGS.sites, TOLD, version=3), view

    def table(self) -> Table:
        return self._table

    def view(self) -> View:
        return self._view


def service(sight: Sight | None = None) -> RoutingService:
    sight = sight or Sight()
    isp = SourceStatus(name="riverbank", kind="bgp", state="up", prefixes=1, refused=4)
    return RoutingService(SETTINGS, sight, sight, lambda: (isp,), lambda: COMPILED_AT)


async def test_an_explanation_is_the_decision() -> None:
    sight = Sight()
    found = await service(sight).explain(ExplainQuestion(address="20.1.2.3", title_id="t"))
    decider = Decider(SETTINGS.sites)
    decider.use(sight.table(), sight.view())
    decided = decider.decide("20.1.2.3", "t")
    chosen = [each.appliance for each in found.considered if each.verdict == "chosen"]
    assert chosen == [each.id for each in decided.appliances]
    assert chosen[0] == "rack-1"
    assert (found.prefix, found.table_version, found.last_known) == ("20.1.0.0/16", 3, False)
    assert [(each.site, each.source) for each in found.candidates[:2]] == [("rack", "riverbank"), ("north", "riverbank")]
    assert all(each.why for each in found.considered)


async def test_who_is_rejected_is_told_with_the_reason() -> None:
    found = await service().explain(ExplainQuestion(address="30.1.2.3"))
    rejected = {each.appliance: each.why for each in found.considered if each.verdict == "rejected"}
    assert "rack-1" in rejected  # an ISP's site serves only what was announced to it
    assert "riverbank" in rejected["rack-1"]


async def test_ipv4_mapped_addresses_count_as_ipv4() -> None:
    found = await service().explain(ExplainQuestion(address="::ffff:20.1.2.3"))
    assert (found.address, found.counted_as, found.prefix) == ("::ffff:20.1.2.3", "20.1.2.3", "20.1.0.0/16")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        *(
            (each, "is not an IP address", "203.0.113.7")
            for each in ("", "nearcast.example", "20.1.2", "1.2.3.4.5", "::g", "[::g]", "a:443")
        ),
        ("20.1.2.0/24", "is a prefix", "alone: 20.1.2.0"),
        ("20.1.2.3:443", "with a port", "alone: 20.1.2.3"),
        ("[2a00::7]:443", "with a port", "alone: 2a00::7"),
        ("[2a00::7]", "in brackets", "alone: 2a00::7"),
        ("fe80::1%eth0", "with a zone", "alone: fe80::1"),
        ("[fe80::1%25eth0]", "in brackets", "alone: fe80::1"),
        (" 20.1.2.3", "white space", "alone: 20.1.2.3"),
    ],
)
def test_what_is_no_address_is_not_explained(text: str, said: str, hint: str) -> None:
    with pytest.raises(NoAddress, match=said) as caught:
        address_of(text)
    assert (caught.value.status, caught.value.exit_code) == (400, 2)
    assert hint in caught.value.hint


async def test_an_old_view_is_told() -> None:
    old = View(replace(VIEW.snapshot, source="last-known"), VIEW.holdings)
    assert (await service(Sight(old)).explain(ExplainQuestion(address="20.1.2.3"))).last_known


async def test_new_routes_move_those_below_them() -> None:
    routes = (SETTINGS.routes[0], Route(prefix="30.128.0.0/9", sites=("south", "north")))
    found = await service().rehearse(RehearseQuestion(routes=routes))
    assert [(each.prefix, each.addresses, each.before, each.after) for each in found.moved] == [
        ("30.0.0.0/9", 2.0**23, ("south", "north"), ("north", "south"))
    ]


async def test_the_routes_in_force_move_nobody() -> None:
    assert (await service().rehearse(RehearseQuestion(routes=SETTINGS.routes))).moved_total == 0


async def test_a_planned_announcement_goes_to_the_sites_of_the_isp() -> None:
    planned = Announcement(prefix="20.2.0.0/16", site="", source="riverbank")
    found = await service().rehearse(RehearseQuestion(announce=(planned,)))
    assert found.refused == ()
    assert [(each.prefix, each.before, each.after) for each in found.moved] == [
        ("20.2.0.0/16", ("north", "south"), ("rack", "north", "south"))
    ]


async def test_a_planned_withdrawal_moves_only_its_own() -> None:
    gone = Announcement(prefix="20.1.0.0/16", site="", source="riverbank")
    found = await service().rehearse(RehearseQuestion(withdraw=(gone,)))
    assert [(each.prefix, each.before, each.after) for each in found.moved] == [
        ("20.1.0.0/16", ("rack", "north", "south"), ("north", "south"))
    ]


async def test_what_the_filter_would_refuse_moves_nobody_and_is_told() -> None:
    planned = [
        Announcement(prefix=prefix, site="", source="riverbank", as_path=path)
        for prefix, path in (
            ("0.0.0.0/0", ()),
            ("99.0.0.0/16", ()),
            ("20.2.0.0/16", (64511, 64500)),
            ("20.3.0.0/16", ()),  # the second of two: taken
            ("20.4.0.0/16", ()),  # one too many
            ("20.1.0.0/16", ()),  # announced already: no more than before
        )
    ]
    found = await service().rehearse(RehearseQuestion(announce=tuple(planned)))
    assert [(each.prefix, each.why[-7:-1]) for each in found.refused] == [
        ("0.0.0.0/0", "NC3022"),
        ("99.0.0.0/16", "NC3025"),
        ("20.2.0.0/16", "NC3027"),
        ("20.4.0.0/16", "NC3029"),
    ]
    assert [each.prefix for each in found.moved] == ["20.3.0.0/16"]


async def test_what_waits_is_asked_for_where_it_counts_and_comes_in() -> None:
    asked: list[tuple[str, bool]] = []

    def held(isp: str, *, refused: bool) -> Iterator[Announcement]:
        asked.append((isp, refused))
        yield Announcement(prefix="20.9.0.0/16", site="", source=isp, as_path=(64511,))

    sight = Sight()
    full = replace(SETTINGS, isps=(replace(ISP, prefixes_max=1),))
    isp = SourceStatus(name="riverbank", kind="bgp", state="up", prefixes=1)
    made = RoutingService(full, sight, sight, lambda: (isp,), held=held)
    found = await made.rehearse(RehearseQuestion(withdraw=(Announcement(prefix="20.1.0.0/16", site="", source="riverbank"),)))
    assert [(each.prefix, each.source) for each in found.accepted] == [("20.9.0.0/16", "riverbank")]
    assert [(each.prefix, each.after[0]) for each in found.moved] == [("20.1.0.0/16", "north"), ("20.9.0.0/16", "rack")]
    assert asked == [("riverbank", False)]
    await made.rehearse(EVERYWHERE)
    same = PlannedIsp(name="riverbank", asn=64511, sites=ISP.sites, allow=ISP.allow, prefixes_max=1)
    await made.rehearse(RehearseQuestion(isps=(same,), asn=64500))
    assert asked[1:] == []
    await made.rehearse(RehearseQuestion(isps=(replace(same, prefixes_max=2), PlannedIsp(name="hillside", asn=64512))))
    await made.rehearse(RehearseQuestion(asn=0))
    assert asked[1:] == [("riverbank", True)] * 2


async def test_nonsense_is_refused_with_a_hint() -> None:
    asked = service()
    with pytest.raises(NoIsp) as caught:
        await asked.rehearse(RehearseQuestion(announce=(Announcement(prefix="20.2.0.0/16", site="", source="riverbnak"),)))
    assert "riverbank" in caught.value.hint
    with pytest.raises(BadPlan, match="no site 'rock'"):
        await asked.rehearse(RehearseQuestion(announce=(Announcement(prefix="20.2.0.0/16", site="rock", source="riverbank"),)))
    with pytest.raises(BadPlan, match="not a prefix"):
        await asked.rehearse(RehearseQuestion(announce=(Announcement(prefix="20.2.0", site="", source="riverbank"),)))
    with pytest.raises(BadPlan, match="does not exist"):
        await asked.rehearse(RehearseQuestion(routes=(Route(prefix="20.0.0.0/8", sites=("nowhere",)),)))


async def test_the_status_tells_where_routes_come_from() -> None:
    found = await service().status(Nothing())
    assert (found.version, found.prefixes_ipv4, found.prefixes_ipv6, found.overlay) == (3, 3, 0, 0)
    assert [(each.name, each.kind, each.state, each.prefixes) for each in found.sources] == [
        ("config", "config", "loaded", 2),
        ("blocks", "geographic", "down", 1),
        ("riverbank", "bgp", "up", 1),
    ]
    assert found.health is VIEW.snapshot
    assert found.compiled_at == COMPILED_AT


# --- while others write -----------------------------------------------------------------------------------------------

EVERYWHERE = RehearseQuestion(routes=(Route(prefix="0.0.0.0/0", sites=("south", "north")), SETTINGS.routes[1]))
PREFIXES, ROUNDS, PATIENCE_S = 1_000, 20, 120.0
GAP_S = 1e-4
"""Between two announcements: a reader that can never catch up would only be measured for its speed."""


async def test_questions_are_answered_while_an_isp_sends_its_table(tmp_path: Path) -> None:
    """It goes on until enough was answered; the deadline only ends a test in which nothing is answered at all."""
    writer = TableWriter(tmp_path, SETTINGS.sites, SETTINGS.routes, ["riverbank"], log_bytes_max=1 << 30)
    writer.start()
    enough, deadline_s = threading.Event(), time.monotonic() + PATIENCE_S

    def send() -> None:
        for turn in itertools.count():
            for number in range(PREFIXES):
                told = Announcement(
                    prefix=f"20.{number // 256}.{number % 256}.0/24", site="rack", source="riverbank", as_path=(64511,), med=turn
                )
                writer.announce([told])
                time.sleep(GAP_S)
                if turn and (enough.is_set() or time.monotonic() > deadline_s):
                    return

    sending = threading.Thread(target=send)
    asked = RoutingService(SETTINGS, TableReader(tmp_path), Sight(), tuple, lambda: writer.compiled_at)
    often_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns in the midst of everything
    sending.start()
    try:
        for _ in range(ROUNDS):
            assert not (await asked.rehearse(RehearseQuestion(routes=SETTINGS.routes))).moved_total
            assert (await asked.explain(ExplainQuestion(address="20.0.0.9"))).prefix in ("0.0.0.0/0", "20.0.0.0/24")
            assert sending.is_alive()
    finally:
        enough.set()
        sys.setswitchinterval(often_s)
        sending.join()
        writer.close()
    assert (await asked.status(Nothing())).overlay == PREFIXES
    assert (await asked.status(Nothing())).compiled_at == writer.compiled_at


# --- how long a rehearsal may take ------------------------------------------------------------------------------------


class Hasty(SystemClock):
    """Each look at it costs a second."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic_s(self) -> float:
        self._looks += 1
        return float(self._looks)


def limited(patience_s: float) -> RoutingService:
    sight = Sight()
    return RoutingService(SETTINGS, sight, sight, tuple, clock=Hasty(), patience_s=patience_s)


async def test_a_rehearsal_that_takes_too_long_is_given_up_with_a_hint() -> None:
    with pytest.raises(TooWide, match="were not compared in 2 s") as caught:
        await limited(2.0).rehearse(EVERYWHERE)
    assert (caught.value.code, caught.value.status) == ("NC3035", 413)
    assert "busy" in caught.value.hint
    assert (await limited(300.0).rehearse(EVERYWHERE)).moved_total


async def test_a_rehearsal_ends_in_time_for_its_caller_to_be_told() -> None:
    token = context.deadline_s.set(3.0)
    try:
        with pytest.raises(TooWide):
            await limited(300.0).rehearse(EVERYWHERE)
    finally:
        context.deadline_s.reset(token)


async def test_others_have_their_turn_while_what_waits_is_copied() -> None:
    turns, seen = 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def held(isp: str, *, refused: bool) -> Iterator[Announcement]:
        for number in range(20 * PART):
            seen.append(turns)
            yield Announcement(prefix=f"20.{number // 256}.{number % 256}.0/24", site="", source=isp, as_path=(64511,))

    sight, working = Sight(), asyncio.create_task(others())
    made = RoutingService(SETTINGS, sight, sight, tuple, held=held)
    more = PlannedIsp(name="riverbank", asn=64511, sites=ISP.sites, allow=ISP.allow, prefixes_max=100_000)
    found = await made.rehearse(RehearseQuestion(isps=(more,)))
    working.cancel()
    assert found.accepted_total == 16 * 256  # as many as the allow list holds
    assert max(seen.count(each) for each in set(seen)) <= PART
    seen.clear()
    await made.rehearse(RehearseQuestion(withdraw=(Announcement(prefix="20.1.0.0/16", site="", source="riverbank"),)))
    assert len(seen) == 2  # no more than could come of it


async def test_a_question_that_waits_has_copied_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, sight = threading.Semaphore(0), threading.Event(), Sight()
    looks: list[str] = []

    def slow(*_: object) -> Rehearsal:
        began.release()
        assert go.wait(PATIENCE_S)
        return Rehearsal(moved=(), moved_total=0)

    def held(isp: str, *, refused: bool) -> Iterator[Announcement]:
        looks.append(isp)
        return iter(())

    monkeypatch.setattr(routing, "rehearsed", slow)
    made = RoutingService(SETTINGS, sight, sight, tuple, held=held)
    both = [asyncio.create_task(made.rehearse(RehearseQuestion(asn=0))) for _ in range(2)]
    try:
        assert await asyncio.to_thread(began.acquire, timeout=PATIENCE_S)
        for _ in range(10):
            await asyncio.sleep(0)
        assert looks == ["riverbank"]
    finally:
        go.set()
        await asyncio.gather(*both)
    assert looks == ["riverbank"] * 2


async def test_who_leaves_no_time_is_told_so_at_once() -> None:
    token = context.deadline_s.set(-2.0)
    try:
        with pytest.raises(TooWide, match="not compared in 0 s"):
            await limited(300.0).rehearse(EVERYWHERE)
    finally:
        context.deadline_s.reset(token)


class Endless:
    """A rehearsal that goes on until it may end, whether anybody wants it or not; how many go on at once."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.going, self.most = 0, 0

    def __call__(self, *_: object) -> Rehearsal:
        self.going += 1
        self.most = max(self.most, self.going)
        self.began.release()
        assert self.may_end.acquire(timeout=PATIENCE_S)
        self.going -= 1
        return Rehearsal(moved=(), moved_total=self.most)


async def test_the_next_rehearsal_begins_when_the_thread_of_the_last_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless()
    monkeypatch.setattr(routing, "rehearsed", endless)
    asked = service()
    first = asyncio.create_task(asked.rehearse(EVERYWHERE))
    assert await asyncio.to_thread(endless.began.acquire, timeout=PATIENCE_S)
    second = asyncio.create_task(asked.rehearse(EVERYWHERE))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first  # at once, though its thread goes on
    for _ in range(20):
        await asyncio.sleep(0)
    assert not endless.began.acquire(blocking=False)
    endless.may_end.release(2)
    assert (await second).moved_total == 1


async def test_who_waits_too_long_for_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    endless, sight = Endless(), Sight()
    monkeypatch.setattr(routing, "rehearsed", endless)
    asked = RoutingService(SETTINGS, sight, sight, tuple, patience_s=0.2)
    first = asyncio.create_task(asked.rehearse(EVERYWHERE))
    assert await asyncio.to_thread(endless.began.acquire, timeout=PATIENCE_S)
    with pytest.raises(TooWide, match="others are rehearsed"):
        await asked.rehearse(EVERYWHERE)
    endless.may_end.release(2)
    assert (await first).moved_total == 1
    assert (await asked.rehearse(EVERYWHERE)).moved_total == 1  # and it is free again


async def test_a_rehearsal_ends_with_its_caller_and_the_next_one_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended, walking = threading.Semaphore(0), threading.Semaphore(0), []

    def endless(*given: object) -> Rehearsal:
        wanted: Callable[[], None] = given[-1]  # type: ignore[assignment]
        walking.append(1)
        began.release()
        try:
            while True:
                wanted()
        except Abandoned:
            ended.release()
            raise

    monkeypatch.setattr(routing, "rehearsed", endless)
    asked = service()
    first = asyncio.create_task(asked.rehearse(EVERYWHERE))
    await asyncio.to_thread(began.acquire)
    second = asyncio.create_task(asked.rehearse(EVERYWHERE))
    await asyncio.sleep(0.05)
    assert len(walking) == 1
    for each in (first, second):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    assert await asyncio.to_thread(ended.acquire, timeout=10.0)
