"""No tool opens a file that nobody vouches for without its guard, and the guard holds in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.base.clock import SystemClock
from nearcast.media import encode, pictures, probe, tools
from nearcast.media.pipeline import Pipeline
from nearcast.media.plan import AudioTrack
from nearcast.media.settings import LimitSettings, MediaSettings, QualitySettings
from nearcast.media.workspace import WorkRequest, Workspace
from nearcast.model.ingest import SideTrack, Submission
from nearcast.model.title import Metadata
from tests.unit.media import films
from tests.unit.media.fleet import QUICK


def inputs(argv: Sequence[str]) -> list[list[str]]:
    """What stands before each input of a command line, from the one before it on."""
    found: list[list[str]] = [[]]
    for each in argv:
        if each == "-i":
            found.append([])
        found[-1].append(each)
    return found[:-1]


def test_every_tool_of_an_ingest_is_guarded(tmp_path: Path, small_film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    run = tools.run

    def watched(argv: Sequence[str | Path], **options: Any) -> tools.Finished:
        seen.append([str(each) for each in argv])
        return run(argv, **options)

    monkeypatch.setattr(tools, "run", watched)
    own, film, dub, poster = tmp_path / "own.srt", tmp_path / "film.mkv", tmp_path / "dub.m4a", tmp_path / "p.png"
    own.write_text("1\n00:00:00,500 --> 00:00:01,000\nHello\n\n")
    films.ffmpeg("-i", small_film, "-i", own, "-c:v", "copy", "-c:a", "copy", film)
    films.ffmpeg(*films.tone(3), "-c:a", "aac", dub)
    films.ffmpeg(*films.picture(duration_s=0.1), "-frames:v", "1", poster)
    submission = Submission(path=str(film), metadata=Metadata(name="x"), audio=(SideTrack(path=str(dub), language="fr"),))
    settings = msgspec.structs.replace(QUICK, quality=QualitySettings(frames_max=24))
    for number, each in enumerate((submission, msgspec.structs.replace(submission, poster=str(poster)))):
        request = WorkRequest(title_id="t_1", submission=each, first_generation=1, settings=settings, at_once=2)
        with ThreadPoolExecutor(2) as farm:
            Pipeline(Workspace(tmp_path / f"job-{number}"), request, None, farm, SystemClock(), lambda _: None).run()
    kinds = set()
    for argv in seen:
        for before in inputs(argv) if argv[0] != tools.packager() else ():
            assert "-protocol_whitelist" in before, argv
            assert "-format_whitelist" in before, argv
            kinds.add(Path(argv[0]).name.split("-")[0])
    assert len(kinds) == 2, "ffmpeg and ffprobe both"
    assert len(seen) > 15


@pytest.mark.parametrize("kind", ["playlist", "script"])
def test_a_list_of_files_is_read_by_no_tool(tmp_path: Path, small_film: Path, kind: str) -> None:
    """What ffprobe takes for a film, ffmpeg, being another build, may take for a playlist: it must not read on."""
    path = tmp_path / "list.mp4"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3,\n{small_film}\n#EXT-X-ENDLIST\n"
    path.write_text(playlist if kind == "playlist" else f"ffconcat version 1.0\nfile '{small_film}'\n")
    track = AudioTrack(name="x", path=str(path), stream=1, language="en", label="", channels=2, bitrate_bps=64_000, duration_s=3.0)
    with pytest.raises(tools.ToolFailed):
        encode.encode_audio(encode.AudioTask(track=track, folder=str(tmp_path / "audio"), limits=LimitSettings()))
    with pytest.raises(tools.ToolFailed):
        pictures.poster_time_s(path, 3.0, tools.Limits())
    with pytest.raises(tools.ToolFailed):
        pictures.make_sprite(path, pictures.sheet(3.0, 640, 360), tmp_path / "sprite.jpg", tools.Limits())


@pytest.mark.parametrize(("name", "codec"), [("x.h264", "libx264"), ("x.hevc", "libx265"), ("x.m4v", "mpeg4")])
def test_a_bare_stream_is_refused_with_what_to_do(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    films.ffmpeg(*films.picture(duration_s=1), "-c:v", codec, *(["-f", "m4v"] if codec == "mpeg4" else ["-preset", "ultrafast"]), path)
    with pytest.raises(probe.NotMedia, match="bare") as told:
        probe.probe(path, MediaSettings())
    assert "mkvmerge" in told.value.hint
    assert path.name in told.value.hint
