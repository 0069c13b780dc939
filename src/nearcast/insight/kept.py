"""What players measured in the last minutes, as it is kept in insight's store, so that a restart does not forget it.

A row is a minute as it stood, and one row tells of the appliances which report of theirs was the last: both are written in one
transaction, so that what an edge tells again afterwards counts once. What was measured since the last write is lost with the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from nearcast.insight.belief import Claim, Proof
from nearcast.insight.tables import measures

T = TypeVar("T")

MINUTE, APPLIANCES = "minute", "appliances"
_log = structlog.get_logger("insight")


class Minute(Struct, frozen=True, array_like=True):
    """``began_at``: Unix time. Claims and proofs by appliance and session; of ``share`` of the sessions."""

    began_at: float
    share: float
    claims: list[tuple[str, str, Claim]]
    proofs: list[tuple[str, str, Proof]]


class Told(Struct, array_like=True):
    """The last report of an appliance, and where it stands."""

    appliance: str
    site: str
    run: str
    sequence: int


class Kept(Struct, frozen=True):
    """``minutes``: the oldest first."""

    minutes: list[Minute]
    appliances: list[Told]


def save(connection: Connection, kept: Kept, since: float) -> None:
    """Put these minutes in the place of what was kept of them, and forget those that began before ``since`` (Unix time)."""
    rows = [(MINUTE, each.began_at, msgspec.msgpack.encode(each)) for each in kept.minutes]
    rows.append((APPLIANCES, 0.0, msgspec.msgpack.encode(kept.appliances)))
    fresh = insert(measures)
    connection.execute(
        fresh.on_conflict_do_update(index_elements=["part", "began_at"], set_={"body": fresh.excluded.body}),
        [dict(zip(("part", "began_at", "body"), row, strict=True)) for row in rows],
    )
    connection.execute(delete(measures).where(measures.c.part == MINUTE, measures.c.began_at < since))


def load(connection: Connection, since: float, now: float) -> Kept:
    """Minutes that began from ``since`` to ``now`` (Unix times): of others nobody knows how old they are."""
    wanted = (measures.c.part == APPLIANCES) | measures.c.began_at.between(since, now)
    rows = connection.execute(select(measures.c.part, measures.c.body).where(wanted).order_by(measures.c.began_at)).all()
    minutes = _read((body for part, body in rows if part == MINUTE), Minute)
    appliances = _read((body for part, body in rows if part == APPLIANCES), list[Told])
    return Kept(minutes, [told for each in appliances for told in each])


def _read(bodies: Iterable[bytes], kind: type[T]) -> list[T]:
    found = []
    for body in bodies:
        try:
            found.append(msgspec.msgpack.decode(body, type=kind))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            _log.warning("a part of what players measured is left out: it was written by another version", problem=str(error))
    return found
