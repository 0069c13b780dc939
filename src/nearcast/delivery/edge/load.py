"""How loaded an appliance is, what it tells players of it, and whom it refuses. Pure: figures in, decision out.

Players hear of it by CMSD-Dynamic (CTA-5006): ``etp``, the throughput that one of them can count on, and ``mb``, the highest bitrate
that it should play, both in kbit/s; ``du`` says that the server is under duress. So they come down before anyone has to be refused.
"""

from __future__ import annotations

from msgspec import Struct

from nearcast.model.site import Load

HIGH, FULL = 0.80, 0.98
"""Utilisations at which a level begins."""
HIGH_ENDS, FULL_ENDS = 0.70, 0.90
"""And at which it ends: well below, so that players who came down do not go up again at once."""
AIM = 0.92
"""While full, so much of the limit is to be used: the rest is refused."""
SHARES = 16
"""Playbacks are refused by sixteenths."""
STEP_MAX = 4
"""A quarter of all playbacks at most begins or ceases to be refused in one step."""
BITRATE_KBPS_MIN = 300
"""No player is asked to play less: it is about what the lowest rendition of a ladder takes."""
CONNECTIONS_PER_PLAYBACK = 2
"""A player on HTTP/1.1 fetches picture and sound side by side."""
RETRY_AFTER_S = 10


class LoadState(Struct, frozen=True, kw_only=True):
    """A decision. ``etp_kbps`` and ``mb_kbps`` are 0 where nothing is to be said; ``refused`` of SHARES playbacks are sent elsewhere."""

    level: Load = "normal"
    etp_kbps: int = 0
    mb_kbps: int = 0
    refused: int = 0
    utilisation: float = 0.0


NORMAL = LoadState()


def decide(sent_bps: float, limit_bps: float, connections: int, connections_max: int, before: LoadState = NORMAL) -> LoadState:
    """The state after ``before``, once a second or so: the level by what would be sent if nobody were refused.

    A limit of 0 is not known, and no figures are told then. Utilisation is the larger one of throughput and connections. ``mb`` is the
    fair share of AIM x the limit between playbacks, taken as CONNECTIONS_PER_PLAYBACK connections each: an idle connection counts as
    one that will be used.
    """
    throughput = sent_bps / limit_bps if limit_bps > 0 else 0.0
    crowd = connections / connections_max if connections_max > 0 else 0.0
    utilisation = max(throughput, crowd)
    offered = utilisation * SHARES / (SHARES - before.refused)
    level = _level(offered, before.level)
    if level == "normal":
        return LoadState(utilisation=utilisation)
    etp_kbps, mb_kbps = _share(limit_bps, connections)
    refused = _refused(offered, before.refused) if level == "full" else 0
    return LoadState(level=level, etp_kbps=etp_kbps, mb_kbps=mb_kbps, refused=refused, utilisation=utilisation)


def _level(offered: float, before: Load) -> Load:
    if offered >= FULL or (before == "full" and offered > FULL_ENDS):
        return "full"
    if offered >= HIGH or (before != "normal" and offered > HIGH_ENDS):
        return "high"
    return "normal"


def _share(limit_bps: float, connections: int) -> tuple[int, int]:
    if limit_bps <= 0:
        return 0, 0
    share_kbps = AIM * limit_bps / max(1.0, connections / CONNECTIONS_PER_PLAYBACK) / 1000
    mb_kbps = max(BITRATE_KBPS_MIN, int(share_kbps))
    return max(1, -int(-share_kbps // 1)), mb_kbps - mb_kbps % 50


def _refused(offered: float, before: int) -> int:
    """So that of what is offered (as a share of the limit) AIM is let in, in steps; at least one sixteenth."""
    wanted = round(SHARES * (1 - AIM / offered)) if offered > AIM else 0
    step = max(-STEP_MAX, min(STEP_MAX, wanted - before))
    return max(1, min(SHARES - 1, before + step))
