"""From what has been made so far to a manifest. Pure."""

from __future__ import annotations

import base64

import msgspec
from msgspec import Struct

from nearcast.media.plan import Plan
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition, TextTrack, Thumbnails


class Made(Struct, kw_only=True):
    """What a job has finished, by name. It grows while the job runs."""

    renditions: dict[str, Rendition] = {}
    text: list[TextTrack] = []
    poster: File | None = None
    thumbnails: Thumbnails | None = None


def build(plan: Plan, made: Made, title_id: str, generation: int, now_s: float, pssh: bytes, latest: Manifest | None) -> Manifest:
    """Renditions in order of height, tracks in the order of the plan. What ``latest`` has measured stays measured."""
    known = {each.file.root: each for each in (*latest.video, *latest.audio)} if latest else {}
    video_names = [each.name for each in plan.rungs]
    audio_names = [each.name for each in plan.audio]

    def chosen(names: list[str]) -> tuple[Rendition, ...]:
        return tuple(_with_quality(made.renditions[name], known) for name in names if name in made.renditions)

    video, audio = chosen(video_names), chosen(audio_names)
    return Manifest(
        title_id=title_id,
        generation=generation,
        complete=len(video) == len(video_names) and len(audio) == len(audio_names),
        duration_s=max((each.duration_s for each in (*video, *audio)), default=0.0),
        created_at=now_s,
        video=video,
        audio=audio,
        text=tuple(made.text),
        poster=made.poster,
        thumbnails=made.thumbnails,
        pssh=base64.b64encode(pssh).decode(),
    )


def _with_quality(rendition: Rendition, known: dict[str, Rendition]) -> Rendition:
    """A measured rendition stays measured when its manifest is made again."""
    before = known.get(rendition.file.root)
    if rendition.vmaf is None and before and before.vmaf:
        return msgspec.structs.replace(rendition, vmaf=before.vmaf)
    return rendition
