"""What players measured: told by history, believed by insight, asked for by steering."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from nearcast.model.quality import ApplianceQuality, QualityReport
from nearcast.model.services.nothing import Nothing


class QualityList(Struct, frozen=True, kw_only=True):
    appliances: tuple[ApplianceQuality, ...]


class Quality(Protocol):
    async def measured(self, question: QualityReport, /) -> Nothing: ...
    async def quality(self, question: Nothing, /) -> QualityList: ...
