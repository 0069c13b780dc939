"""The DASH manifest, read back by an XML parser and held against the rules of ISO/IEC 23009-1."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.playback import mpd
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import Vmaf
from tests.fakes import LADDER, PSSH, film, key_id, rendition
from tests.unit.control.playback.helpers import STEERING, all_of, edges, manifest_of

DASH = "{urn:mpeg:dash:schema:mpd:2011}"
CENC = "{urn:mpeg:cenc:2013}"
ORDER = {
    "MPD": ("BaseURL", "ContentSteering", "Period"),
    "Period": ("AdaptationSet",),
    "AdaptationSet": (
        "AudioChannelConfiguration",
        "ContentProtection",
        "SupplementalProperty",
        "Label",
        "Role",
        "Representation",
    ),
    "Representation": ("SupplementalProperty", "BaseURL", "SegmentBase"),
    "SegmentBase": ("Initialization",),
}
"""Children in the order in which the schema's sequences want them."""


def parsed(manifest: Manifest, *names: str) -> ElementTree.Element:
    video, audio = all_of(manifest)
    text = mpd.mpd(manifest, video, audio, edges(*(names or ("fra-1", "dal-1"))), STEERING)
    return ElementTree.fromstring(text)  # noqa: S314  (we have just written it)


def sets(root: ElementTree.Element, kind: str = "") -> list[ElementTree.Element]:
    found = root.findall(f"{DASH}Period/{DASH}AdaptationSet")
    return [each for each in found if kind in ("", each.get("contentType"))]


def in_order(element: ElementTree.Element) -> None:
    name = element.tag.removeprefix(DASH)
    if name in ORDER:
        places = [ORDER[name].index(child.tag.removeprefix(DASH)) for child in element]
        assert places == sorted(places), f"{name}: {[child.tag for child in element]}"
    for child in element:
        in_order(child)


def test_the_schema_order_is_kept() -> None:
    in_order(parsed(manifest_of(film())))
    in_order(parsed(manifest_of(film(clear=True))))


def test_what_the_presentation_says() -> None:
    root = parsed(manifest_of(film()))
    assert root.tag == f"{DASH}MPD"
    assert root.get("type") == "static"
    assert root.get("mediaPresentationDuration") == "PT60.000S"
    assert root.get("profiles") == "urn:mpeg:dash:profile:isoff-on-demand:2011"
    found = [(each.get("serviceLocation"), each.text) for each in root.findall(f"{DASH}BaseURL")]
    assert found == [(name, f"http://{name}.example.org/v1/mac/9/t_film/") for name in ("fra-1", "dal-1")]
    steering = root.find(f"{DASH}ContentSteering")
    assert steering is not None
    assert steering.text == STEERING
    assert steering.get("queryBeforeStart") == "false"


def test_every_rendition_names_its_file_and_where_its_index_lies() -> None:
    manifest = manifest_of(film())
    root = parsed(manifest)
    found = {
        (each.findtext(f"{DASH}BaseURL"), base.get("indexRange"), initialization.get("range"))
        for each in root.iter(f"{DASH}Representation")
        if (base := each.find(f"{DASH}SegmentBase")) is not None and (initialization := base.find(f"{DASH}Initialization")) is not None
    }
    assert found == {(each.file.name, "1000-1499", "0-999") for each in (*manifest.video, *manifest.audio)}
    ids = [each.get("id") for each in root.iter(f"{DASH}Representation")]
    assert len(set(ids)) == len(ids)
    numbers = [each.get("id") for each in sets(root)]
    assert numbers == [str(number) for number in range(len(numbers))]


def test_each_key_has_a_set_of_its_own_and_all_share_the_pssh() -> None:
    root = parsed(manifest_of(film()))
    low, high = sets(root, "video")
    assert [each.get("height") for each in low.findall(f"{DASH}Representation")] == ["240", "360", "480"]
    assert [each.get("height") for each in high.findall(f"{DASH}Representation")] == ["720", "1080"]
    for group, label in ((low, "SD"), (high, "HD"), (sets(root, "audio")[0], "AUDIO")):
        common, clear = group.findall(f"{DASH}ContentProtection")
        assert common.get("value") == "cbcs"
        assert (common.get(f"{CENC}default_KID") or "").replace("-", "") == key_id("t_film", label)
        assert clear.get("schemeIdUri") == mpd.CLEAR_KEY
        assert clear.findtext(f"{CENC}pssh") == PSSH


def test_sets_between_which_a_player_may_switch_name_each_other() -> None:
    root = parsed(manifest_of(film()))
    switching = {
        each.get("id"): found.get("value") for each in sets(root) if (found := each.find(f"{DASH}SupplementalProperty")) is not None
    }
    assert switching == {"0": "1", "1": "0"}, "the two video sets; languages are not switched between"


def test_each_rendition_that_was_measured_tells_its_vmaf() -> None:
    manifest = manifest_of(film())
    low, *others = manifest.video
    measured = msgspec.structs.replace(low, vmaf=Vmaf(model="vmaf_v0.6.1", harmonic_mean=87.126, percentile_1=70.0, percentile_5=75.0))
    root = parsed(msgspec.structs.replace(manifest, video=(measured, *others)))
    in_order(root)
    told = {
        each.get("id"): found.get("value")
        for each in root.iter(f"{DASH}Representation")
        if (found := each.find(f"{DASH}SupplementalProperty[@schemeIdUri='{mpd.VMAF}']")) is not None
    }
    assert told == {low.file.root[:16]: "87.13"}


def test_tracks() -> None:
    root = parsed(manifest_of(film(languages=("en", "fr"), subtitles=("en", "de"))))
    audio = [(each.get("lang"), each.findtext(f"{DASH}Label"), _role(each)) for each in sets(root, "audio")]
    assert audio == [("en", "EN", "main"), ("fr", "FR", "alternate")]
    text = [(each.get("lang"), each.findtext(f"{DASH}Label"), _role(each), each.get("mimeType")) for each in sets(root, "text")]
    assert text == [("en", "en (CC)", "subtitle", "text/vtt"), ("de", "de (CC)", "subtitle", "text/vtt")]


def _role(element: ElementTree.Element) -> str | None:
    role = element.find(f"{DASH}Role")
    return role.get("value") if role is not None else None


def test_a_clear_film_has_no_protection() -> None:
    root = parsed(manifest_of(film(clear=True)))
    assert not list(root.iter(f"{DASH}ContentProtection"))
    assert len(sets(root, "video")) == 1, "nothing parts the ladder"


def test_audio_alone_and_video_alone() -> None:
    assert not sets(parsed(manifest_of(film(ladder=()))), "video")
    assert not sets(parsed(manifest_of(film(languages=()))), "audio")


def test_two_tracks_of_one_language_stay_apart() -> None:
    manifest = manifest_of(film(languages=("en",)))
    comment = rendition("t_film", "comment", 96_000, language="en", label="Commentary", channels=2)
    root = parsed(msgspec.structs.replace(manifest, audio=(*manifest.audio, comment)))
    assert [each.findtext(f"{DASH}Label") for each in sets(root, "audio")] == ["EN", "Commentary"]


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_label_and_language_leave_it_well_formed(label: str, language: str) -> None:
    manifest = manifest_of(film(languages=("en",)))
    odd = rendition("t_film", "odd", 96_000, language=language, label=label, channels=2)
    root = parsed(msgspec.structs.replace(manifest, audio=(*manifest.audio, odd)))
    languages = [each.get("lang") or "" for each in sets(root, "audio")]
    assert all(re.fullmatch(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*", each) for each in languages), languages


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (25.0, "25"),
        (30000 / 1001, "30000/1001"),
        (23.976, "24000/1001"),
        (29.97, "30000/1001"),
        (59.94, "60000/1001"),
        (60.0, "60"),
        (12.5, "25/2"),
    ],
)
def test_frame_rates(rate: float, text: str) -> None:
    assert mpd.frame_rate(rate) == text


@given(st.floats(0.01, 500, allow_nan=False))
def test_any_frame_rate_fits_the_schema_and_is_near(rate: float) -> None:
    text = mpd.frame_rate(rate)
    assert re.fullmatch(r"[0-9]+(/[1-9][0-9]*)?", text)
    whole, _, part = text.partition("/")
    assert abs(int(whole) / int(part or 1) - rate) < 0.01


@given(st.integers(1, len(LADDER)), st.integers(1, 4))
def test_all_renditions_are_offered_once(rungs: int, edge_count: int) -> None:
    manifest = manifest_of(film(ladder=LADDER[:rungs]))
    root = parsed(manifest, *(f"e-{number}" for number in range(edge_count)))
    assert len(root.findall(f"{DASH}BaseURL")) == edge_count
    files = [each.findtext(f"{DASH}BaseURL") for each in root.iter(f"{DASH}Representation")]
    wanted = [each.file.name for each in (*manifest.video, *manifest.audio)] + [each.file.name for each in manifest.text]
    assert sorted(files) == sorted(wanted)  # type: ignore[type-var]  # none is None where the lists are alike
