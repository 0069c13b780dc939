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

SPEED_GROWS = 4
"""A line is hardly ever more than so many times as fast as it was the last time; if it is, the next session is offered the rest."""
ALWAYS_LINES = 720
"""What is no higher is offered to everybody: a viewer who comes home from a train is not held to what the train's line carried."""


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
    manifest: Manifest, key_labels: Collection[KeyLabel], max_height: int, past_bps: int = 0
) -> tuple[tuple[Rendition, ...], tuple[Rendition, ...]]:
    """Video (least bits first) and audio that a session with ``key_labels`` and ``max_height`` may have.

    Where every video is higher than ``max_height`` the lowest one is left in: a small screen shows it all the same. ``past_bps`` (0: not
    known) is what the device's line carried lately: a rendition of more than SPEED_GROWS times as many bits is left out, as it would
    cost keys and tries for nothing. Up to ALWAYS_LINES all are offered whatever the past, for a line may have become better.
    """
    video = sorted((each for each in manifest.video if _unlocked(each, key_labels)), key=lambda each: each.bitrate_bps)
    fitting = [each for each in video if lines(each) <= max_height and _within(each, past_bps)] or video[:1]
    return tuple(fitting), tuple(each for each in manifest.audio if _unlocked(each, key_labels))


def _within(rendition: Rendition, past_bps: int) -> bool:
    return past_bps <= 0 or lines(rendition) <= ALWAYS_LINES or rendition.bitrate_bps <= SPEED_GROWS * past_bps


def _unlocked(rendition: Rendition, key_labels: Collection[KeyLabel]) -> bool:
    return rendition.key_label is None or rendition.key_label in key_labels


def key_labels(manifest: Manifest, granted: Collection[KeyLabel], max_height: int, past_bps: int = 0) -> tuple[KeyLabel, ...]:
    """The keys that a session needs of those ``granted``: one for each rendition that it is shown, in a fixed order."""
    video, audio = renditions(manifest, granted, max_height, past_bps)
    needed = {each.key_label for each in (*video, *audio)}
    order: tuple[KeyLabel, ...] = ("AUDIO", "SD", "HD", "UHD")
    return tuple(label for label in order if label in needed)


def resume_s(bookmark: Bookmark | None, runtime_s: float, min_s: float) -> float:
    """Where to start: the bookmark, but 0 for a film that was seen to its end or hardly begun."""
    if bookmark is None or bookmark.finished or not min_s <= bookmark.position_s < runtime_s:
        return 0.0
    return bookmark.position_s


def steering_ttl_s(answer: SteerAnswer, *, ttl_s: int, degraded_ttl_s: int) -> int:
    """How soon to ask again: early while something is unsettled, or routes and health view are old."""
    return degraded_ttl_s if answer.unsettled or answer.source != "live" else ttl_s


def first_video(video: tuple[Rendition, ...], throughput_bps: int) -> int:
    """Index of the rendition to begin with: the best within 70 % of a known throughput, else the middle of the ladder."""
    if throughput_bps <= 0:
        return (len(video) - 1) // 2
    fitting = [index for index, each in enumerate(video) if each.peak_bitrate_bps <= 0.7 * throughput_bps]
    return fitting[-1] if fitting else 0
