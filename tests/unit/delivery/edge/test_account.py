"""Traffic told to insight, and misses with their cause."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import BadInput, Unavailable
from nearcast.delivery.edge import account as module
from nearcast.delivery.edge.account import REPORT_S, Account, Sessions, gather, missed
from nearcast.delivery.edge.journal import Journal, left
from nearcast.delivery.edge.logs import MEMORY, Line
from nearcast.delivery.edge.misses import KNOWN_S, LINES_MAX, RETRY_S, Causes, Miss, MissLog, local_cause
from nearcast.model.fill import FillItem, FillSource
from nearcast.model.rendition import File
from nearcast.model.services import Causes as Answer
from nearcast.model.services import CausesQuestion
from nearcast.model.services.nothing import Nothing
from nearcast.model.traffic import Fetched, MissCause, Served, TrafficReport

from ..making import Books, Orders

FILE = "a" * 64 + ".mp4"
ITEM = FillItem(title_id="t_1", file=File(root="a" * 64, extension="mp4", size_bytes=100))
PEER, ORIGIN = FillSource(id="fra-2", kind="peer", url="x"), FillSource(id="origin", kind="origin")


def line(**fields: object) -> Line:
    known = {"at": 1.0, "status": 206, "bytes": 100, "request_time_s": 0.1, "title": "t_1", "file": FILE}
    return Line(**{**known, **fields})  # type: ignore[arg-type]  # checked by the constructor


PLACED: dict[str, object] = {}
KEPT: dict[str, object] = {"zone": "slices", "cache": "HIT"}
WINDOW: dict[str, object] = {"zone": "landing", "cache": "MISS", "parent": MEMORY}
MISSED: dict[str, object] = {"zone": "landing", "cache": "MISS", "parent": "origin"}


def make() -> tuple[Account, Books, VirtualClock]:
    clock, books = VirtualClock(), Books()
    return Account(books, "fra-1", "frankfurt", clock), books, clock


def test_bytes_by_where_they_came_from() -> None:
    lines = [
        line(**PLACED),
        line(bytes=7, **KEPT),
        line(bytes=5, **WINDOW),
        line(bytes=3, **MISSED),
        line(bytes=1000, door="held"),
        line(bytes=1000, title="", status=403),
        line(bytes=1000, status=503),
    ]
    batch = gather(lines, Sessions())
    assert list(batch) == [("t_1", FILE)]
    sent = batch["t_1", FILE]
    assert (sent.requests, sent.placed_bytes, sent.reactive_bytes, sent.missed_bytes) == (4, 100, 12, 3)
    assert [each.bytes for each in missed(lines)] == [3]


def test_a_session_begins_once_for_each_title() -> None:
    sessions = Sessions(most=2)
    lines = [line(session="s1"), line(session="s1"), line(title="t_2", session="s1"), line(), line(session="s2")]
    batch = gather(lines, sessions)
    assert (batch["t_1", FILE].starts, batch["t_2", FILE].starts) == (2, 1)
    assert sessions.begins("s1", "t_1"), "only so many are remembered"


async def test_a_report_comes_again_as_it_was_until_it_is_taken_in() -> None:
    account, books, _ = make()
    account.serve(gather([line(**MISSED)], Sessions()), {("t_1", FILE): "content"})
    books.failing = Unavailable("insight is away")
    await account.tell()
    await account.tell()
    account.serve(gather([line(bytes=9, **MISSED), line(bytes=1, **PLACED)], Sessions()), {("t_1", FILE): "health"})
    account.fetch(7, ITEM, PEER, 60)
    account.fetch(7, ITEM, PEER, 30)
    account.fetch(7, ITEM, ORIGIN, 10)
    account.parents({"origin": 500}, 300)
    assert not account.answered
    books.failing = None
    for _ in range(4):
        await account.tell()
    first, second = books.reports
    assert (first.sequence, second.sequence, first.run) == (0, 1, second.run)
    assert first.served == (Served("t_1", FILE, 1, 0, 0, 0, 100, "content"),)
    assert second.served == (Served("t_1", FILE, 2, 0, 1, 0, 9, "health"),)
    assert second.fetched == (
        Fetched(7, "t_1", ITEM.file.name, "fra-2", "peer", 90),
        Fetched(7, "t_1", ITEM.file.name, "origin", "origin", 10),
    )
    assert (second.parent_bytes, second.reactive_written_bytes) == ({"origin": 500}, 300)
    account.parents({"origin": 500}, 300)
    await account.tell()
    assert len(books.reports) == 2, "nothing new, nothing told"


async def test_an_answer_that_was_lost_makes_the_same_report_come_twice() -> None:
    account, books, _ = make()

    class Lossy(Books):
        async def record(self, question, /):  # type: ignore[no-untyped-def]
            await super().record(question)
            if len(self.reports) == 1:
                raise Unavailable("taken in, and then cut off")

    account._insight = books = Lossy()
    account.serve(gather([line()], Sessions()), {})
    await account.tell()
    account.serve(gather([line(bytes=5)], Sessions()), {})
    await account.tell()
    await account.tell()
    assert books.reports[0] == books.reports[1], "so that it is counted once"
    assert books.reports[2].served[0].placed_bytes == 5


@given(
    st.lists(st.tuples(st.sampled_from(["t_1", "t_2"]), st.sampled_from(["placed", "kept", "missed"]), st.integers(1, 99), st.booleans()))
)
async def test_whatever_insight_does_every_byte_is_told_once(steps: list[tuple[str, str, int, bool]]) -> None:
    account, books, _ = make()
    sent: Counter[tuple[str, str]] = Counter()
    kinds: dict[str, dict[str, object]] = {"placed": PLACED, "kept": KEPT, "missed": MISSED}
    for title, kind, size_bytes, answers in steps:
        books.failing = None if answers else Unavailable("away")
        account.serve(gather([line(title=title, bytes=size_bytes, **kinds[kind])], Sessions()), {})
        sent[title, kind] += size_bytes
        await account.tell()
    books.failing = None
    for _ in range(3):
        await account.tell()
    told: Counter[tuple[str, str]] = Counter()
    for report in books.reports:
        for each in report.served:
            told[each.title_id, "placed"] += each.placed_bytes
            told[each.title_id, "kept"] += each.reactive_bytes
            told[each.title_id, "missed"] += each.missed_bytes
    assert +told == sent
    assert [each.sequence for each in books.reports] == list(range(len(books.reports)))


async def test_memory_is_bounded_by_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_MAX", 3)
    account, books, _ = make()
    for each in range(50):
        account.serve(gather([line(file=f"{each:064x}.mp4")], Sessions()), {})
    await account.tell()
    assert len(books.reports[0].served) == 4
    assert books.reports[0].served[-1] == Served("t_1", "", 47, 0, 4700, 0, 0, "other")


# --- an agent that is killed -----------------------------------------------------------------------------------------------


def successor(folder: Path, books: Books) -> Account:
    """The next agent of the same appliance; the one before is left as it was."""
    return Account(books, "fra-1", "frankfurt", VirtualClock(), Journal(folder))


def totals(books: Books) -> tuple[int, int, int]:
    """Fetched, served and parents' bytes as insight counts them: of each run, numbers that only grow."""
    last: dict[str, int] = {}
    fetched = served = parents = 0
    for report in books.reports:
        if report.sequence > last.get(report.run, -1):
            last[report.run] = report.sequence
            fetched += sum(each.size_bytes for each in report.fetched)
            served += sum(each.placed_bytes for each in report.served)
            parents += sum(report.parent_bytes.values())
    return fetched, served, parents


async def test_what_was_not_told_is_left_to_the_next_agent(tmp_path: Path) -> None:
    books = Books()
    first = successor(tmp_path, books)
    first.fetch(7, ITEM, PEER, 60)
    books.failing = Unavailable("away")
    await first.tell()
    first.fetch(7, ITEM, PEER, 30)
    first.fetch(8, ITEM, ORIGIN, 5)
    with (tmp_path / "traffic-next.jsonl").open("ab") as torn:
        torn.write(b'[7,"t_1","')
    second = successor(tmp_path, books)
    books.failing = None
    second.fetch(7, ITEM, PEER, 1)
    await second.tell()
    await second.tell()
    waited, fresh = books.reports
    assert waited.run != fresh.run
    assert waited.fetched == (Fetched(7, "t_1", FILE, "fra-2", "peer", 60),)
    assert fresh.fetched == (Fetched(7, "t_1", FILE, "fra-2", "peer", 31), Fetched(8, "t_1", FILE, "origin", "origin", 5))
    await successor(tmp_path, books).tell()
    assert len(books.reports) == 2, "what was taken in is not left to anyone"


async def test_sums_of_what_was_served_are_kept_while_insight_is_away(tmp_path: Path) -> None:
    clock, books = VirtualClock(), Books()
    account = Account(books, "fra-1", "frankfurt", clock, Journal(tmp_path))
    books.failing = Unavailable("away")
    running = asyncio.create_task(account.run())
    for _ in range(3):
        account.serve(gather([line(), line(bytes=3, **MISSED)], Sessions()), {})
        account.parents({"origin": 500}, 300)
        await asyncio.sleep(0)
        await clock.advance(REPORT_S)
    running.cancel()
    books.failing = None
    after = successor(tmp_path, books)
    for _ in range(2):
        await after.tell()
    assert totals(books) == (0, 300, 500)
    assert sum(each.reactive_written_bytes for each in books.reports) == 300


@pytest.mark.parametrize("moment", ["wait", "begin", "told", "record"])
async def test_killed_at_any_moment_of_a_report_every_byte_counts_once(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before the report is written down, before the sums begin anew, before it is forgotten, or as soon as insight has it."""

    class Killed(BaseException):
        pass

    class Cut(Books):
        async def record(self, question: TrafficReport, /) -> Nothing:
            answer = await super().record(question)
            if moment == "record" and len(self.reports) == 1:
                raise Killed
            return answer

    def kill(*_: object) -> None:
        raise Killed

    books = Cut()
    first = successor(tmp_path, books)
    first.fetch(7, ITEM, PEER, 60)
    first.fetch(7, ITEM, ORIGIN, 7)
    with monkeypatch.context() as patched:
        if moment != "record":
            patched.setattr(Journal, moment, kill)
        with pytest.raises(Killed):
            await first.tell()
    for _ in range(3):
        after = successor(tmp_path, books)
        for _ in range(3):
            await after.tell()
    assert totals(books)[0] == 67


async def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    books = Books()
    account = Account(books, "fra-1", "frankfurt", VirtualClock(), Journal(tmp_path / "missing"))
    account.fetch(7, ITEM, PEER, 60)
    await account.tell()
    assert totals(books)[0] == 60
    (tmp_path / "missing").mkdir()
    account.keep()
    account.fetch(7, ITEM, PEER, 9)
    after = successor(tmp_path / "missing", books)
    await after.tell()
    assert totals(books)[0] == 69


async def test_what_insight_refuses_is_not_told_for_ever(tmp_path: Path) -> None:
    books = Books()
    account = successor(tmp_path, books)
    account.fetch(7, ITEM, PEER, 60)
    books.failing = BadInput("nonsense")
    await account.tell()
    books.failing = None
    account.fetch(7, ITEM, PEER, 9)
    await account.tell()
    assert totals(books)[0] == 9


def test_another_appliances_sums_are_not_ours(tmp_path: Path) -> None:
    Account(Books(), "fra-9", "frankfurt", VirtualClock(), Journal(tmp_path)).fetch(7, ITEM, PEER, 60)
    assert successor(tmp_path, Books())._taken() is None


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_the_files_hold_they_can_be_read(waiting: bytes, following: bytes) -> None:
    assert left(waiting, following)[2] == []


# --- causes ----------------------------------------------------------------------------------------------------------------


async def test_causes_are_asked_once_and_anew_when_they_are_old() -> None:
    clock, orders = VirtualClock(), Orders()
    causes = Causes(orders, "fra-1", clock)
    orders.known = {"t_1": "health"}
    await causes.learn({"t_1", "t_2"})
    await causes.learn({"t_1", "t_2"})
    assert orders.asked == [CausesQuestion(appliance="fra-1", title_ids=("t_1", "t_2"))]
    assert (causes.of("t_1", FILE), causes.of("t_2", FILE), causes.of("t_9", FILE)) == ("health", "other", "other")
    await clock.advance(KNOWN_S)
    orders.known = {"t_1": "overload"}
    await causes.learn({"t_1"})
    assert causes.of("t_1", FILE) == "overload"


def _known_here(title_id: str, file: str) -> MissCause | None:
    """One file of ``t_1`` is in repair, others of it are not placed; of other titles nothing is known."""
    return None if title_id != "t_1" else "health" if file == FILE else "content"


def test_what_the_appliance_itself_knows_of_a_cause() -> None:
    known = {
        (True, True, True): "health",  # damaged, whoever else has it
        (True, True, False): None,  # on its way, or just placed
        (True, False, False): "content",  # a rendition that no placement wanted here
        (False, False, False): None,
        (False, False, True): "health",  # damaged, and no longer assigned
    }
    for (title, file, repair), cause in known.items():
        assert local_cause(title_assigned=title, file_assigned=file, in_repair=repair) == cause


async def test_what_is_known_here_goes_before_what_the_fill_says(tmp_path: Path) -> None:
    orders = Orders()
    causes = Causes(orders, "fra-1", VirtualClock(), _known_here)
    orders.known = {"t_1": "other", "t_2": "overload"}
    await causes.learn({"t_1", "t_2"})
    log = MissLog(tmp_path / "misses.log", 10_000)
    log.write([line(**MISSED), line(title="t_2", **MISSED), line(file="b.mp4", **MISSED)], causes)
    assert log.requests == {"health": 1, "overload": 1, "content": 1}


async def test_a_fill_that_does_not_answer_is_left_alone_for_a_while() -> None:
    clock = VirtualClock()

    class Away(Orders):
        async def causes(self, question: CausesQuestion, /) -> Answer:
            self.asked.append(question)
            raise Unavailable("away")

    orders = Away()
    causes = Causes(orders, "fra-1", clock)
    await causes.learn({"t_1"})
    await causes.learn({"t_1"})
    assert (causes.of("t_1", FILE), len(orders.asked)) == ("other", 1)
    await clock.advance(RETRY_S)
    await causes.learn({"t_1"})
    assert len(orders.asked) == 2


async def test_misses_are_logged_with_their_cause_and_the_log_is_bounded(tmp_path: Path) -> None:
    orders = Orders()
    orders.known = {"t_1": "overload"}
    causes = Causes(orders, "fra-1", VirtualClock())
    await causes.learn({"t_1"})
    log = MissLog(tmp_path / "misses.log", 1000)
    log.write([line(range="bytes=0-9", **MISSED), line(title="t_2", **MISSED)], causes)
    written = [msgspec.json.decode(each, type=Miss) for each in (tmp_path / "misses.log").read_bytes().splitlines()]
    assert [(each.title, each.cause, each.parent, each.range) for each in written] == [
        ("t_1", "overload", "origin", "bytes=0-9"),
        ("t_2", "other", "origin", ""),
    ]
    assert log.requests == {"overload": 1, "other": 1}
    assert list(log.recent) == written
    for _ in range(20):
        log.write([line(**MISSED)], causes)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) < 1600


async def test_too_many_misses_at_once_are_counted_and_not_all_logged(tmp_path: Path) -> None:
    log = MissLog(tmp_path / "misses.log", 10**7)
    log.write([line(**MISSED)] * (LINES_MAX + 5), Causes(Orders(), "fra-1", VirtualClock()))
    written = [msgspec.json.decode(each, type=Miss) for each in (tmp_path / "misses.log").read_bytes().splitlines()]
    assert (len(written), written[-1].omitted, log.requests) == (LINES_MAX, 5, {"other": LINES_MAX + 5})
    MissLog(tmp_path / "no" / "folder", 10).write([line(**MISSED)], Causes(Orders(), "x", VirtualClock()))
