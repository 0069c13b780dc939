"""Publishing into object stores, and what is left behind."""

from __future__ import annotations

from pathlib import Path

import msgspec
import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore

from nearcast.base.errors import Unavailable
from nearcast.media import publish
from nearcast.media.blocks import hash_file
from nearcast.media.files import write_whole
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition, TextTrack
from nearcast.model.title import Metadata, Publication, TitleState


def made(out: Path, *contents: bytes, generation: int = 1, playable: bool = False) -> Manifest:
    """A manifest of text tracks, ``playable`` with a sound track besides, whose files are the same."""
    files = []
    for content in contents:
        write_whole(out / "x", content)
        file, blocks = hash_file(out / "x", "vtt")
        (out / "x").rename(out / file.name)
        (out / file.blocks_name).write_bytes(blocks)
        files.append(file)
    tracks = tuple(TextTrack(file=each, playlist=each, language="en", label="") for each in files)
    audio = (rendition_of(files[0]),) if playable else ()
    return Manifest(title_id="t_1", generation=generation, complete=True, duration_s=60.0, created_at=1.0, text=tracks, audio=audio)


def rendition_of(file: File) -> Rendition:
    return Rendition(
        kind="audio", file=file, playlist=file, codec="mp4a.40.2", bitrate_bps=1, peak_bitrate_bps=1, duration_s=60.0,
        init_range=(0, 1), index_range=(2, 3),
    )  # fmt: skip


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    (tmp_path / "origin").mkdir()
    return LocalStore(str(tmp_path / "origin"))


async def test_files_go_before_their_manifest_and_again_is_harmless(store: ObjectStore, tmp_path: Path) -> None:
    manifest = made(tmp_path, b"one", b"two")
    await publish.put_files(store, manifest, tmp_path)
    for file in manifest.files():
        assert bytes(obstore.get(store, f"titles/t_1/{file.name}").bytes()) in (b"one", b"two")
        assert len(obstore.get(store, f"titles/t_1/{file.blocks_name}").bytes()) == 32
    for each in tmp_path.glob("*.vtt"):
        each.unlink()
    await publish.put_files(store, manifest, tmp_path)
    await publish.put_manifest(store, manifest)
    kept = bytes(obstore.get(store, "titles/t_1/manifest-1.json").bytes())
    assert msgspec.json.decode(kept, type=Manifest) == manifest
    await publish.delete(store, "t_1", [*(publish.names(manifest) - {"manifest-1.json"}), "never-there"])
    assert [each["path"] for batch in obstore.list(store) for each in batch] == ["titles/t_1/manifest-1.json"]


async def test_a_file_that_is_not_there_is_told(store: ObjectStore, tmp_path: Path) -> None:
    manifest = made(tmp_path, b"one")
    for each in tmp_path.glob("*.vtt"):
        each.unlink()
    with pytest.raises(publish.StoreFailed) as told:
        await publish.put_files(store, manifest, tmp_path)
    assert isinstance(told.value, Unavailable)


def test_what_a_new_generation_leaves_behind_stays_until_the_last_token_ends(tmp_path: Path) -> None:
    before, after = made(tmp_path, b"one", b"two"), made(tmp_path, b"two", b"three", generation=2)
    gone = publish.retired(before, publish.names(after), 1000.0, 0.0)
    (old,) = [each for each in before.files() if each not in list(after.files())]
    assert {each.name for each in gone} == {old.name, old.blocks_name, "manifest-1.json"}
    assert {each.delete_at for each in gone} == {1000.0 + 120 + 6 * 3600}
    assert publish.retired(None, set(), 1000.0, 0.0) == []
    assert publish.retired(after, publish.names(after), 1000.0, 0.0) == []


def test_the_names_of_a_manifest(tmp_path: Path) -> None:
    (file,) = made(tmp_path, b"one").files()
    assert publish.names(made(tmp_path, b"one")) == {file.name, file.blocks_name, "manifest-1.json"}
    assert isinstance(file, File)


def publication(manifest: Manifest | None, state: TitleState) -> Publication:
    return Publication(title_id="t_1", metadata=Metadata(name="x"), state=state, manifest=manifest)


def test_what_is_withdrawn_goes_by_a_clock_of_its_own_and_what_is_shown_again_stays(tmp_path: Path) -> None:
    manifest = made(tmp_path, b"one")
    other = publish.Retired(title_id="t_2", name="x", delete_at=5.0)
    withdrawn = publish.relisted([other], publication(manifest, "unpublished"), 1000.0, 0.0)
    assert {each.name for each in withdrawn} == publish.names(manifest) | {"x"}
    assert {each.delete_at for each in withdrawn} == {5.0, 1000.0 + 120 + 6 * 3600}
    again = publish.relisted(withdrawn, publication(manifest, "unpublished"), 2000.0, 0.0)
    assert {each.delete_at for each in again} == {5.0, 2000.0 + 120 + 6 * 3600}, "shown in between: the last token is younger"
    assert publish.relisted(again, publication(manifest, "complete"), 3000.0, 0.0) == [other]
    assert publish.relisted(again, publication(None, "unpublished"), 3000.0, 0.0) == again
