"""How far, and how long still."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from nearcast.media import encode
from nearcast.media.progress import Meter, Work, eta_s


def running(tmp_path: Path, name: str, out_s: float) -> Work:
    folder = tmp_path / name
    part = tmp_path / f"{name}.part"
    part.mkdir(exist_ok=True)
    (part / encode.PROGRESS).write_text(f"out_time_us=1\nprogress=continue\nout_time_us={int(out_s * 1e6)}\nspeed=1x\n")
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return Work(("720p", "1080p"), folder, 10.0, future)


def test_time_left() -> None:
    assert eta_s(done=10, total=30, before=0, elapsed_s=5) == pytest.approx(10)
    assert eta_s(done=10, total=30, before=9, elapsed_s=5) == pytest.approx(100)
    assert eta_s(done=10, total=30, before=10, elapsed_s=5) is None
    assert eta_s(done=10, total=30, before=0, elapsed_s=0.1) is None
    assert eta_s(done=31, total=30, before=0, elapsed_s=9) == 0.0


def test_a_line_for_each_rendition_that_moved(tmp_path: Path) -> None:
    meter = Meter(0.0)
    waiting = Work(("720p", "1080p"), tmp_path / "w", 10.0, Future())
    before = Work(("720p", "1080p"), tmp_path / "b", 10.0, None)
    lines = meter.lines([running(tmp_path, "a", 2.5), waiting, before], 0.0)
    assert [(each.item, each.done, each.total, each.eta_s) for each in lines] == [("720p", 12.5, 30.0, None), ("1080p", 12.5, 30.0, None)]
    assert meter.lines([running(tmp_path, "a", 2.5), waiting, before], 1.0) == [], "nothing new"
    (first, _) = meter.lines([running(tmp_path, "a", 7.5), waiting, before], 10.0)
    assert first.eta_s == pytest.approx(12.5 * 10 / 5), "what an earlier run has done does not count as speed"


def test_what_is_done_is_done(tmp_path: Path) -> None:
    finished: Future[Any] = Future()
    finished.set_result(1)
    (line,) = Meter(0.0).lines([Work(("720p",), tmp_path / "x", 4.0, finished)], 9.0)
    assert (line.done, line.total, line.eta_s) == (4.0, 4.0, 0.0)


def test_a_task_that_has_written_nothing_is_at_its_beginning(tmp_path: Path) -> None:
    assert encode.progress_s(tmp_path / "none") == 0.0
    (tmp_path / "odd.part").mkdir()
    (tmp_path / "odd.part" / encode.PROGRESS).write_text("out_time_us=N/A\n")
    assert encode.progress_s(tmp_path / "odd") == 0.0
