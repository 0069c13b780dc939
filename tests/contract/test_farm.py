"""The farm: any executor may carry encoding tasks, threads and processes alike."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from nearcast.base.errors import NearcastError
from nearcast.media import encode
from nearcast.media.plan import Chunk, make_plan
from nearcast.media.probe import probe
from nearcast.media.settings import EncodeSettings, MediaSettings
from tests.unit.media import films


@pytest.fixture(params=["threads", "processes"])
def farm(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        with ThreadPoolExecutor(2) as threads:
            yield threads
    else:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
            yield processes


def test_tasks_travel_and_their_answers_and_errors_come_back(farm: encode.Farm, tmp_path: Path) -> None:
    film = films.film(tmp_path / "film.mp4", duration_s=2)
    settings = MediaSettings(encode=EncodeSettings(segment_s=1.0, chunk_s=1.0, preset="ultrafast"))
    plan = make_plan(probe(film, settings), (), settings.encode, 2)
    tasks = [
        encode.chunk_task(plan, plan.rungs, chunk, "ultrafast", tmp_path / f"c-{chunk.index}", settings.encode, settings.limits)
        for chunk in plan.starter_chunks
    ]
    sound = encode.AudioTask(track=plan.audio[0], folder=str(tmp_path / "sound"), limits=settings.limits)
    futures = [farm.submit(encode.encode_chunk, each) for each in tasks]
    heard = farm.submit(encode.encode_audio, sound)
    assert [each.result(timeout=240) for each in futures] == [24, 24]
    heard.result(timeout=240)
    assert (tmp_path / "sound" / "audio-und.mp4").exists()
    beyond = encode.chunk_task(plan, plan.rungs, Chunk(9, 2400, None), "ultrafast", tmp_path / "c-9", settings.encode, settings.limits)
    with pytest.raises(NearcastError):
        farm.submit(encode.encode_chunk, beyond).result(timeout=240)
