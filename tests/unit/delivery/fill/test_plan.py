from __future__ import annotations

from nearcast.delivery.fill.plan import assign
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition
from nearcast.model.title import Metadata, Publication, TitleState


def file(letter: str, extension: str = "mp4", size_bytes: int = 10) -> File:
    return File(root=letter * 64, extension=extension, size_bytes=size_bytes)


def rendition(letter: str, bitrate_bps: int) -> Rendition:
    return Rendition(
        kind="video",
        file=file(letter),
        playlist=file(letter.upper(), "m3u8"),
        codec="avc1",
        bitrate_bps=bitrate_bps,
        peak_bitrate_bps=bitrate_bps,
        duration_s=1.0,
        init_range=(0, 1),
        index_range=(2, 3),
    )


def publication(title_id: str, state: TitleState, *renditions: Rendition) -> Publication:
    manifest = Manifest(
        title_id=title_id, generation=1, complete=True, duration_s=1.0, created_at=0.0, video=renditions, poster=file("e", "jpg")
    )
    return Publication(title_id=title_id, metadata=Metadata(name="A"), state=state, manifest=manifest if renditions else None)


def test_everything_published_in_the_manifests_order() -> None:
    titles = [
        publication("t_1", "playable", rendition("b", 2_000), rendition("a", 1_000)),
        publication("t_2", "unpublished", rendition("c", 1)),
        publication("t_3", "processing"),
        publication("t_4", "complete", rendition("d", 1)),
    ]
    made = assign(titles, "fra-1", 7)
    assert made.version == 7
    assert made.items is not None
    assert [(each.title_id, each.file.root[0]) for each in made.items] == [
        ("t_1", "e"),
        ("t_1", "A"),
        ("t_1", "a"),
        ("t_1", "B"),
        ("t_1", "b"),
        ("t_4", "e"),
        ("t_4", "D"),
        ("t_4", "d"),
    ]


def test_nothing_published_is_an_empty_assignment_and_not_no_answer() -> None:
    assert assign([], "fra-1", 0).items == ()
