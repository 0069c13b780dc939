"""The HLS multivariant playlist, read back line by line and held against RFC 8216bis."""

from __future__ import annotations

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.playback import hls
from nearcast.model.manifest import Manifest
from tests.fakes import film, rendition
from tests.unit.control.playback.helpers import STEERING, all_of, edges, manifest_of

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')
NAMES = ("fra-1", "dal-1", "sin-1")


def text(manifest: Manifest, *names: str, first: int = 0) -> str:
    video, audio = all_of(manifest)
    return hls.multivariant(manifest, video, audio, edges(*(names or NAMES)), STEERING, first=first)


def attributes(line: str) -> dict[str, str]:
    rest = line.partition(":")[2]
    found = _ATTRIBUTE.findall(rest)
    assert ",".join(f"{key}={value}" for key, value in found) == rest, f"not an attribute list: {rest}"
    assert len({key for key, _ in found}) == len(found)
    return {key: value.strip('"') for key, value in found}


def tags(playlist: str, name: str) -> list[dict[str, str]]:
    return [attributes(line) for line in playlist.splitlines() if line.startswith(f"#{name}:")]


def variants(playlist: str) -> list[tuple[dict[str, str], str]]:
    lines = playlist.splitlines()
    return [(attributes(line), lines[index + 1]) for index, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")]


def test_head_and_steering() -> None:
    playlist = text(manifest_of(film()))
    assert playlist.startswith("#EXTM3U\n")
    assert tags(playlist, "EXT-X-CONTENT-STEERING") == [{"SERVER-URI": STEERING, "PATHWAY-ID": "fra-1"}]


def test_a_variant_for_each_rendition_and_edge() -> None:
    manifest = manifest_of(film())
    found = variants(text(manifest))
    assert len(found) == len(manifest.video) * len(NAMES)
    by_name = {each.playlist.name: each for each in manifest.video}
    for given_, uri in found:
        base, _, name = uri.rpartition("/")
        video = by_name[name]
        assert base == f"http://{given_['PATHWAY-ID']}.example.org/v1/mac/9/t_film"
        assert given_["RESOLUTION"] == f"{video.width}x{video.height}"
        assert given_["FRAME-RATE"] == "29.970"
        assert given_["CODECS"] == "avc1.64001f,mp4a.40.2"
        assert int(given_["BANDWIDTH"]) == video.peak_bitrate_bps + 192_000
        assert int(given_["AVERAGE-BANDWIDTH"]) == video.bitrate_bps + 128_000


def test_groups_are_there_on_every_pathway() -> None:
    playlist = text(manifest_of(film()))
    media = tags(playlist, "EXT-X-MEDIA")
    groups = {(each["TYPE"], each["GROUP-ID"]) for each in media}
    for given_, _ in variants(playlist):
        assert ("AUDIO", given_["AUDIO"]) in groups
        assert ("SUBTITLES", given_["SUBTITLES"]) in groups
        assert given_["AUDIO"].endswith(given_["PATHWAY-ID"])
    for _, group in groups:
        names = [each["NAME"] for each in media if each["GROUP-ID"] == group]
        assert len(set(names)) == len(names)
        assert [each["DEFAULT"] for each in media if each["GROUP-ID"] == group].count("YES") == (1 if group.startswith("audio") else 0)


def test_stable_ids_are_alike_on_every_pathway_and_differ_within_one() -> None:
    found = variants(text(manifest_of(film())))
    by_pathway = {name: [given_["STABLE-VARIANT-ID"] for given_, _ in found if given_["PATHWAY-ID"] == name] for name in NAMES}
    assert len({tuple(ids) for ids in by_pathway.values()}) == 1
    assert len(set(by_pathway["fra-1"])) == len(by_pathway["fra-1"])


def test_the_variant_to_begin_with_stands_first() -> None:
    playlist = text(manifest_of(film()), first=3)
    assert variants(playlist)[0][0]["RESOLUTION"] == "1280x720"
    assert len(variants(playlist)) == 15


def test_audio_alone() -> None:
    manifest = manifest_of(film(ladder=()))
    found = variants(text(manifest, "fra-1"))
    assert len(found) == 1
    given_, uri = found[0]
    assert "RESOLUTION" not in given_
    assert given_["CODECS"] == "mp4a.40.2"
    assert uri.endswith(manifest.audio[0].playlist.name)
    assert len(tags(text(manifest, "fra-1"), "EXT-X-MEDIA")) == 3


def test_video_alone() -> None:
    found = variants(text(manifest_of(film(languages=(), subtitles=())), "fra-1"))
    assert all("AUDIO" not in given_ and "SUBTITLES" not in given_ and given_["CODECS"] == "avc1.64001f" for given_, _ in found)


def test_codecs_of_audio_stand_in_groups_of_their_own() -> None:
    manifest = manifest_of(film(languages=("en",)))
    surround = rendition("t_film", "surround", 384_000, codec="ec-3", language="en", label="Surround", channels=6)
    found = variants(text(msgspec.structs.replace(manifest, audio=(*manifest.audio, surround)), "fra-1"))
    assert len(found) == 2 * len(manifest.video)
    assert {given_["CODECS"] for given_, _ in found} == {"avc1.64001f,mp4a.40.2", "avc1.64001f,ec-3"}
    assert len({given_["STABLE-VARIANT-ID"] for given_, _ in found}) == len(found)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_label_keeps_every_line_an_attribute_list(labels: list[str]) -> None:
    manifest = manifest_of(film(languages=()))
    tracks = tuple(rendition("t_film", f"a{index}", 96_000, language="en", label=label) for index, label in enumerate(labels))
    playlist = text(msgspec.structs.replace(manifest, audio=tracks), "fra-1")
    media = [each for each in tags(playlist, "EXT-X-MEDIA") if each["TYPE"] == "AUDIO"]
    assert len(media) == len(labels)
    assert all(line.startswith(("#EXT", "http://")) for line in playlist.splitlines())


def test_a_clone_names_every_address_of_the_pathway_that_a_playlist_lacks() -> None:
    """It tells a player what a playlist with that pathway in it would have told."""
    manifest = manifest_of(film())
    video, audio = all_of(manifest)
    (lacking,) = edges("bom-1")
    made = msgspec.json.decode(msgspec.json.encode(hls.clone(manifest, video, audio, "fra-1", lacking)))
    whole = text(manifest, "bom-1")
    assert (made["BASE-ID"], made["ID"], set(made)) == ("fra-1", "bom-1", {"BASE-ID", "ID", "URI-REPLACEMENT"})
    assert made["URI-REPLACEMENT"]["PER-VARIANT-URIS"] == {given_["STABLE-VARIANT-ID"]: uri for given_, uri in variants(whole)}
    media = {each["STABLE-RENDITION-ID"]: each["URI"] for each in tags(whole, "EXT-X-MEDIA")}
    assert made["URI-REPLACEMENT"]["PER-RENDITION-URIS"] == media
    assert {each["STABLE-VARIANT-ID"] for each, _ in variants(text(manifest))} == set(made["URI-REPLACEMENT"]["PER-VARIANT-URIS"])


def test_a_clone_of_sound_alone() -> None:
    manifest = manifest_of(film())
    _, audio = all_of(manifest)
    (lacking,) = edges("bom-1")
    whole = hls.multivariant(manifest, (), audio, (lacking,), STEERING)
    made = hls.clone(manifest, (), audio, "fra-1", lacking)
    assert made.uri_replacement.variants == {given_["STABLE-VARIANT-ID"]: uri for given_, uri in variants(whole)}
