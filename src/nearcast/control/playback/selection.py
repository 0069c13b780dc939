"""Which of a title's files one session gets, from where the film resumes, and whether it is refused. All pure.

Keys belong to heights (``model.rendition.video_key_label``), so what an account or a device may not show needs no other lock
than leaving out its renditions here and its keys in the licence.
"""

from __future__ import annotations

from collections.abc import Collection

from nearcast.model.account import Entitlement
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import KeyLabel, Rendition
from nearcast.model.services import SteerAnswer
from nearcast.model.session import Bookmark
from nearcast.model.title import VISIBLE, Publication


def refusal(entitlement: Entitlement, publication: Publication) -> str:
    """Why there is no session: empty (there is one), ``lapsed``, ``revoked`` or ``processing``."""
    if not entitlement.allowed:
        return "lapsed" if entitlement.reason == "lapsed" else "revoked"
    return "" if playable(publication) else "processing"


def playable(publication: Publication) -> bool:
    manifest = publication.manifest
    return publication.state in VISIBLE and manifest is not None and bool(manifest.video or manifest.audio)


def lines(rendition: Rendition) -> int:
    """What people call its height: the shorter side, so that an upright phone film of 1080 x 1920 counts as 1080."""
    return min(rendition.width, rendition.height) if rendition.width and rendition.height else rendition.height


def renditions(
    manifest: Manifest, key_labels: Collection[KeyLabel], max_height: int
) -> tuple[tuple[Rendition, ...], tuple[Rendition, ...]]:
    """Video (least bits first) and audio that a session with ``key_labels`` and ``max_height`` may have.

    Where every video is higher than ``max_height`` the lowest one is left in: a small screen shows it all the same.
    """
    video = sorted((each for each in manifest.video if _unlocked(each, key_labels)), key=lambda each: each.bitrate_bps)
    fitting = [each for each in video if lines(each) <= max_height] or video[:1]
    return tuple(fitting), tuple(each for each in manifest.audio if _unlocked(each, key_labels))


def _unlocked(rendition: Rendition, key_labels: Collection[KeyLabel]) -> bool:
    return rendition.key_label is None or rendition.key_label in key_labels


def key_labels(manifest: Manifest, granted: Collection[KeyLabel], max_height: int) -> tuple[KeyLabel, ...]:
    """The keys that a session needs of those ``granted``: one for each rendition that it is shown, in a fixed order."""
    video, audio = renditions(manifest, granted, max_height)
    needed = {each.key_label for each in (*video, *audio)}
    order: tuple[KeyLabel, ...] = ("AUDIO", "SD", "HD", "UHD")
    return tuple(label for label in order if label in needed)


def resume_s(bookmark: Bookmark | None, runtime_s: float, min_s: float) -> float:
    """Where to start: the bookmark, but 0 for a film that was seen to its end or hardly begun."""
    if bookmark is None or bookmark.finished or not min_s <= bookmark.position_s < runtime_s:
        return 0.0
    return bookmark.position_s


def steering_ttl_s(answer: SteerAnswer, *, edges: int, last_pathway: str, ttl_s: int, degraded_ttl_s: int) -> int:
    """How soon to ask again: early while edges are missing, the health view is stale, or the player is on an edge no longer chosen."""
    pathways = [each.pathway for each in answer.edges]
    settled = len(pathways) >= edges and answer.source == "live" and (not last_pathway or last_pathway in pathways)
    return ttl_s if settled else degraded_ttl_s


def first_video(video: tuple[Rendition, ...], throughput_bps: int) -> int:
    """Index of the rendition to begin with: the best within 70 % of a known throughput, else the middle of the ladder."""
    if throughput_bps <= 0:
        return (len(video) - 1) // 2
    fitting = [index for index, each in enumerate(video) if each.peak_bitrate_bps <= 0.7 * throughput_bps]
    return fitting[-1] if fitting else 0
