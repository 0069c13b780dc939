"""The one health view of a host: what the watcher of steering makes of reports, probes and votes, and every layer reads."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.model.site import ApplianceState, Load

ViewSource = Literal["live", "last-known"]


class ApplianceHealth(Struct, frozen=True, kw_only=True):
    """One appliance as it is believed to be. ``why``: one sentence for people, where it is not simply up.

    ``state`` is whether it serves at all; ``load`` is apart from it and has hysteresis: ``full`` takes no new session while another
    can. ``share`` is what it sends over its limit (0 where it has none). ``up_since_s`` (monotonic clock of the host) is when it last
    became up: newcomers start slowly. ``address`` is the origin that players are given; ``addresses`` are its IP addresses, for DNS.
    ``heard`` is False when its own reports are missing and others vouch for it.
    """

    id: str
    site: str
    address: str
    addresses: tuple[str, ...] = ()
    state: ApplianceState = "up"
    why: str = ""
    load: Load = "normal"
    share: float = 0.0
    sent_bps: float = 0.0
    limit_bps: float = 0.0
    key_generation: int = 0
    up_since_s: float = 0.0
    heard: bool = True
    holdings_digest: str = ""


class HealthSnapshot(Struct, frozen=True, kw_only=True):
    """``version`` counts up with each change; ``published_s`` is on the host's monotonic clock and renewed even without a change.

    ``demoted``: share (0 to 0.2) of each site's viewers that go elsewhere because of what players measured there.
    """

    version: int
    published_s: float
    appliances: tuple[ApplianceHealth, ...] = ()
    demoted: dict[str, float] = {}
    source: ViewSource = "live"
