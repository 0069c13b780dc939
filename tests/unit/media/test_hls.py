"""Playlists."""

from __future__ import annotations

import base64

from nearcast.media.boxes import Index, Reference
from nearcast.media.hls import media_playlist, target_duration_s, text_playlist

INDEX = Index((0, 999), (1000, 1067), (Reference(1068, 2068, 4.004), Reference(2068, 2568, 1.5)))


def test_a_playlist_names_byte_ranges_of_one_file() -> None:
    lines = media_playlist(INDEX, "abc.mp4", None).splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert '#EXT-X-MAP:URI="abc.mp4",BYTERANGE="1000@0"' in lines
    assert [each for each in lines if "BYTERANGE:" in each] == ["#EXT-X-BYTERANGE:1000@1068", "#EXT-X-BYTERANGE:500@2068"]
    assert lines.count("abc.mp4") == 2
    assert "#EXT-X-TARGETDURATION:4" in lines
    assert not any("KEY" in each for each in lines)


def test_an_encrypted_one_names_the_key_and_does_not_tell_it() -> None:
    key_id = bytes(range(16))
    (line,) = [each for each in media_playlist(INDEX, "abc.mp4", key_id).splitlines() if each.startswith("#EXT-X-KEY")]
    assert "METHOD=SAMPLE-AES" in line
    assert base64.b64encode(key_id).decode() in line


def test_targets_round_as_the_rfc_says() -> None:
    assert [target_duration_s(each) for each in (0.01, 3.4, 3.5, 4.0, 4.49)] == [1, 3, 4, 4, 4]


def test_subtitles_are_one_segment() -> None:
    assert "#EXTINF:12.500000,\nabc.vtt\n#EXT-X-ENDLIST\n" in text_playlist(12.5, "abc.vtt")
    assert "#EXT-X-TARGETDURATION:13" in text_playlist(12.5, "abc.vtt")
