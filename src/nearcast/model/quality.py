"""What players measured at appliances, and what is believed of it."""

from __future__ import annotations

from msgspec import Struct


class Measured(Struct, frozen=True, array_like=True):
    """What one session's heartbeats said of one appliance since the last report."""

    appliance: str
    session: str
    account_id: str
    watched_s: float
    stalled_s: float
    failures: int
    throughput_bps: float


class QualityReport(Struct, frozen=True, kw_only=True):
    """From history to insight, every few seconds."""

    measured: tuple[Measured, ...]


class ApplianceQuality(Struct, frozen=True, kw_only=True):
    """What is believed of one appliance over the last minutes: each account weighs at most as much as any other, and only sessions
    that the edge's own log knows count. ``stalled_share`` is stalled over stalled and watched time; ``failed_share`` of the accounts.
    """

    appliance: str
    site: str
    accounts: int
    stalled_share: float
    failed_share: float
    throughput_bps: float
