"""What players measured at appliances, and what is believed of it."""

from __future__ import annotations

from msgspec import Struct


class Measured(Struct, frozen=True, array_like=True):
    """What one session's heartbeats said of one appliance since the last report.

    ``session`` and ``network`` (of the client's address) as policy.sessions makes them.
    """

    appliance: str
    session: str
    account_id: str
    watched_s: float
    stalled_s: float
    failures: int
    throughput_bps: float
    network: str = ""


class QualityReport(Struct, frozen=True, kw_only=True):
    """From history to insight, every few seconds."""

    measured: tuple[Measured, ...]


class ApplianceQuality(Struct, frozen=True, kw_only=True):
    """What is believed of one appliance over the last minutes: only sessions that the edge's own log knows count, and only as far as
    it bears them out. Each account weighs 1 at a site, all appliances there together; ``accounts`` is the sum of these weights here.

    ``stalled_share`` is stalled over stalled and watched time, ``failed_share`` of the accounts. ``suffering`` (0 to 1) is both in
    one figure, by account, so that no account counts for more than its weight. ``elsewhere``: how the viewers of the same networks
    fare at other sites, over the share ``compared`` of the accounts for which that can be told.
    """

    appliance: str
    site: str
    accounts: float
    stalled_share: float
    failed_share: float
    throughput_bps: float
    suffering: float = 0.0
    elsewhere: float = 0.0
    compared: float = 0.0
