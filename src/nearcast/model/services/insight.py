"""What insight can be asked: what was watched, from where it was served, and how much the origin was spared."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from nearcast.model.services.nothing import Nothing
from nearcast.model.traffic import DemandDay, OffloadReport, TrafficReport


class DemandQuestion(Struct, frozen=True, kw_only=True):
    """Days of demand from ``since_day`` on (days since 1970-01-01 UTC), today's part included."""

    since_day: int


class Demand(Struct, frozen=True, kw_only=True):
    """``today``: the day that is not over yet, ``today_share`` how much of it is. ``rungs``: share of bytes by region and rendition
    (``1080p``, ``audio``), those of all regions under the empty name."""

    days: tuple[DemandDay, ...]
    today: int
    today_share: float
    rungs: dict[str, dict[str, float]]


class OffloadQuestion(Struct, frozen=True, kw_only=True):
    days: int = 1


class Insight(Protocol):
    async def record(self, question: TrafficReport, /) -> Nothing: ...
    async def demand(self, question: DemandQuestion, /) -> Demand: ...
    async def offload(self, question: OffloadQuestion, /) -> OffloadReport: ...
