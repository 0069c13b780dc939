"""What the log has of each session, bounded, whatever names players make up."""

from __future__ import annotations

from pathlib import Path

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.delivery.edge import delivered as module
from nearcast.delivery.edge.account import Account
from nearcast.delivery.edge.delivered import Deliveries, delivered
from nearcast.delivery.edge.journal import Journal
from nearcast.model.traffic import SESSIONS_MAX, Delivered
from nearcast.policy.sessions import tag

from ..making import Books
from .test_account import line

S1, S2 = tag("s1"), tag("s2")


def test_bytes_time_and_failures_of_each_session() -> None:
    lines = [
        line(session="s1", completion="OK", request_time_s=0.5),
        line(session="s1", bytes=7, request_time_s=1.5),
        line(session="s1", status=503, bytes=9, completion="OK"),
        line(session="s2", completion="OK", request_time_s=0.25),
        line(session="s2", status=499, bytes=0, request_time_s=0.5),
        line(session="s2", status=403, bytes=1, completion="OK"),
        line(session="s2", door="held", completion="OK"),
        line(completion="OK"),
    ]
    found = delivered(lines)
    assert found == {"s1": Delivered(S1, 116, 2.1, 2), "s2": Delivered(S2, 100, 0.75, 1)}


def test_names_that_are_made_up_do_not_displace_who_is_sent_a_film() -> None:
    deliveries = Deliveries()
    deliveries.add({"s1": Delivered(S1, 10**8, 1.0, 0)})
    deliveries.add({f"x{number}": Delivered(f"x{number}", 1, 0.1, 0) for number in range(2 * module.KEPT_MAX)})
    deliveries.add({"s1": Delivered(S1, 1, 1.0, 1)})
    found = deliveries.take()
    assert len(found) == SESSIONS_MAX
    assert found[0] == Delivered(S1, 10**8 + 1, 2.0, 1)
    assert deliveries.take() == ()


async def test_a_report_carries_them_once(tmp_path: Path) -> None:
    books = Books()
    account = Account(books, "fra-1", "frankfurt", VirtualClock(), Journal(tmp_path))
    account.deliveries.add(delivered([line(session="s1", status=500)]))
    books.failing = Unavailable("insight is away")
    await account.tell()
    account.deliveries.add(delivered([line(session="s2", status=500)]))
    books.failing = None
    await account.tell()
    await account.tell()
    await account.tell()
    assert [[each.session for each in told.sessions] for told in books.reports] == [[S1], [S2]]
    account.close()


async def test_they_are_not_left_to_the_next_agent(tmp_path: Path) -> None:
    books = Books()
    books.failing = Unavailable("insight is away")
    account = Account(books, "fra-1", "frankfurt", VirtualClock(), Journal(tmp_path))
    account.deliveries.add(delivered([line(session="s1", status=500)]))
    await account.tell()
    account.close()
    books.failing = None
    heir = Account(books, "fra-1", "frankfurt", VirtualClock(), Journal(tmp_path))
    await heir.tell()
    assert [told.sessions for told in books.reports] == [()], "the report it left is told, so that its number is counted"
    heir.close()
