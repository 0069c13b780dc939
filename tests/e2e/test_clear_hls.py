"""A title that was ingested with ``--clear`` plays in any player: ffprobe and ffmpeg read its HLS from the edges."""

from __future__ import annotations

import re
import subprocess
from urllib.parse import urlsplit

from tests.e2e import films
from tests.e2e.harness import System
from tests.e2e.library import Film


def hls_url(system: System, film: Film) -> str:
    with system.client() as client:
        answer = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "ffprobe"}})
        assert answer.status_code == 200, answer.text
        session = answer.json()
    assert session["clear"]
    url = str(session["hls_url"])
    return url if url.startswith("http") else system.url + url


def test_ffprobe_reads_the_hls_of_a_clear_title(system: System, clear_film: Film) -> None:
    url = hls_url(system, clear_film)
    kinds = films.probe(url, "stream=codec_type").split()
    assert {"video", "audio"} <= set(kinds)
    duration_s = float(films.probe(url, "format=duration"))
    assert abs(duration_s - clear_film.duration_s) < 0.5


def test_every_frame_of_it_can_be_decoded(system: System, clear_film: Film) -> None:
    """Of every pathway: a variant that is not mapped is dropped in the middle of a frame, of which ffmpeg then complains."""
    read = [films.FFMPEG, "-nostdin", "-v", "error", "-i", hls_url(system, clear_film), "-map", "0"]
    done = subprocess.run([*read, "-f", "null", "-stats", "-"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    errors = [line for line in done.stderr.splitlines() if line and not line.strip().startswith(("frame=", "size="))]
    assert not errors, errors
    frames = int(re.findall(r"frame=\s*(\d+)", done.stderr)[-1])
    assert abs(frames - 24 * clear_film.duration_s) <= 2


def test_its_segments_come_from_edges_alone(system: System, clear_film: Film) -> None:
    with system.client() as client:
        playlist = client.get(hls_url(system, clear_film)).text
    addresses = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    addresses += re.findall(r'[,:]URI="([^"]+)"', playlist)  # not SERVER-URI, which names the control plane
    assert addresses
    assert {urlsplit(each).port for each in addresses} <= set(system.edge_ports.values())
