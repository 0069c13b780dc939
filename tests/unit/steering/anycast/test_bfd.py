"""Signs of life to BIRD's guard: they begin, go on, and are seen to end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nearcast.base.clock import SystemClock
from nearcast.steering.anycast import bfd
from nearcast.steering.anycast.bfd import BEAT_S, PATIENCE_S, Bfd
from nearcast.steering.anycast.settings import AnycastSettings, Router

from ...delivery.making import until

ROUTER = Router(address="127.0.0.1", asn=64500, local="127.0.0.2", bfd=True)
SETTINGS = AnycastSettings(asn=64512, addresses=("192.0.2.53",), routers=(ROUTER,))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bfd:
    """With a BIRD that sleeps."""
    program = tmp_path / "bird"
    program.write_text("#!/bin/sh\necho here\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(bfd, "find_program", lambda: str(program))
    monkeypatch.setattr(bfd, "_user", lambda: None)
    return Bfd(SETTINGS, tmp_path / "bfd", tmp_path / "log", SystemClock())


def begun(folder: Path) -> int:
    """How often BIRD was."""
    path = folder / "log"
    return path.read_text().split().count("here") if path.exists() else 0


async def test_bird_lives_while_we_do_and_not_when_we_are_silent(made: Bfd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = asyncio.create_task(made.run())
    await until(lambda: begun(tmp_path) == 1, 60.0)
    await asyncio.sleep(PATIENCE_S + 1.0)
    assert made.keeper.restarts == 0
    monkeypatch.setattr(bfd, "BEAT_S", 3600.0)
    await until(lambda: made.keeper.restarts, 60.0)
    assert "no sign of life" in (tmp_path / "log").read_text()
    await made.stop()
    await running
    assert not (tmp_path / "bfd.life").exists()


async def test_without_a_descriptor_for_the_signs_it_is_not_started_and_later_it_is(
    made: Bfd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., int] = os.open
    refused: list[str] = []

    def short(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith(".life") and not refused:
            refused.append(str(path))
            raise OSError(24, "Too many open files")
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", short)
    running = asyncio.create_task(made.run())
    await until(lambda: made.keeper.restarts, 60.0)
    assert made.keeper.last_exit == "cannot be started: Too many open files"
    assert begun(tmp_path) == 0
    await until(lambda: begun(tmp_path), 60.0)
    assert made.keeper.restarts == 1
    await made.stop()
    await running


async def test_its_channel_is_made_again_when_somebody_has_removed_it(made: Bfd, tmp_path: Path) -> None:
    running = asyncio.create_task(made.run())
    await until(lambda: begun(tmp_path) == 1, 60.0)
    (tmp_path / "bfd.life").unlink()
    made.keeper.restart("a test")
    await until(lambda: begun(tmp_path) == 2, 60.0)
    assert made.keeper.restarts == 1
    await made.stop()
    await running
    assert not (tmp_path / "bfd.life").exists()


async def test_signs_that_cannot_be_given_end_it_all(made: Bfd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = asyncio.create_task(made.run())
    await until(lambda: begun(tmp_path) == 1, 60.0)
    real = os.write

    def broken(descriptor: int, data: bytes) -> int:
        if data == b".":
            raise OSError(5, "Input/output error")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", broken)
    async with asyncio.timeout(60.0 + BEAT_S):
        with pytest.raises(ExceptionGroup, match="unhandled"):
            await running
    assert made.keeper.pid == 0
