"""ExaBGP against ExaBGP on loopback: announced, changed, withdrawn, and gone whoever falls."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nearcast.base.clock import SystemClock
from nearcast.base.processes import family
from nearcast.delivery.edge.process import alive
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.speaker import Speaker
from tests.ports import free_port

from .announcing import OUR_ASN, settings
from .router import ASN, Router

BOTH = {"192.0.2.0/24", "2001:db8:53::53/128"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket's path, and without letters that ExaBGP does not take."""
    with tempfile.TemporaryDirectory(prefix="nc") as made:
        yield Path(made)


async def until(condition: Callable[[], object], tries: int = 1500) -> None:
    for _ in range(tries):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about")


def members(pid: int, word: str) -> list[int]:
    """Processes below ``pid`` whose command line has ``word``."""
    found = []
    for each in family(pid)[1:]:
        try:
            if word.encode() in Path(f"/proc/{each}/cmdline").read_bytes():
                found.append(each)
        except OSError:
            continue
    return found


@asynccontextmanager
async def speaking(folder: Path) -> AsyncIterator[tuple[Speaker, Router]]:
    port = free_port()
    router = Router(folder / "router", port, OUR_ASN)
    speaker = Speaker(settings(port), folder, folder / "exabgp.log", SystemClock())
    running = asyncio.create_task(speaker.run())
    try:
        yield speaker, router
    finally:
        await speaker.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        router.stop()


async def test_announced_changed_and_withdrawn(folder: Path) -> None:
    async with speaking(folder) as (speaker, router):
        speaker.tell(Offer(med=100, prepends=0))
        await until(lambda: set(router.look()) == BOTH)
        assert speaker.sessions == {"127.0.0.1": True}
        four, six = router.routes["192.0.2.0/24"], router.routes["2001:db8:53::53/128"]
        assert (four.next_hop, four.med, four.path) == ("127.0.0.2", 100, [OUR_ASN])
        assert (six.next_hop, six.med, six.path) == ("2001:db8::2", 100, [OUR_ASN])
        speaker.tell(Offer(med=300, prepends=2))
        await until(lambda: router.look()["192.0.2.0/24"].med == 300)
        await until(lambda: router.look()["2001:db8:53::53/128"].path == [OUR_ASN] * 3)
        assert router.withdrawn == [], "what changes is not withdrawn meanwhile"
        speaker.tell(None)
        await until(lambda: not router.look())
        assert set(router.withdrawn) == BOTH
        assert router.sessions == 1
        exabgp = speaker.keeper.pid
        helpers = members(exabgp, "anycast.relay")
        assert len(helpers) == 1
    assert not any(map(alive, [exabgp, *helpers])), "nothing is left"


async def test_exabgp_killed_or_frozen_and_its_helper_killed_or_frozen(folder: Path) -> None:
    async with speaking(folder) as (speaker, router):
        speaker.tell(Offer(med=100, prepends=0))
        await until(lambda: set(router.look()) == BOTH)
        for count, (word, number) in enumerate(
            [("exabgp", signal.SIGKILL), ("anycast.relay", signal.SIGKILL), ("exabgp", signal.SIGSTOP), ("anycast.relay", signal.SIGSTOP)],
            1,
        ):
            exabgp = speaker.keeper.pid
            (victim,) = [exabgp] if word == "exabgp" else members(exabgp, word)
            os.kill(victim, number)
            await until(lambda count=count: router.look() is not None and router.sessions == count + 1)  # type: ignore[misc]
            await until(lambda: set(router.look()) == BOTH)
            assert speaker.keeper.pid != exabgp
            assert speaker.keeper.restarts == count
            assert not alive(exabgp)


async def test_frozen_exabgp_is_ended_when_something_is_to_be_withdrawn(folder: Path) -> None:
    async with speaking(folder) as (speaker, router):
        speaker.tell(Offer(med=100, prepends=0))
        await until(lambda: set(router.look()) == BOTH)
        os.kill(speaker.keeper.pid, signal.SIGSTOP)
        speaker.tell(None)
        await until(lambda: not router.look())
        await until(lambda: speaker.connected and speaker.sessions["127.0.0.1"])
        assert not router.look()


async def test_the_announcer_frozen_or_killed(folder: Path) -> None:
    port = free_port()
    router = Router(folder / "router", port, OUR_ASN)
    command = [sys.executable, "-m", "tests.unit.steering.anycast.announcing", str(folder), str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[4])
    try:
        await until(lambda: set(router.look()) == BOTH)
        process.send_signal(signal.SIGSTOP)
        await until(lambda: not router.look())
        assert set(router.withdrawn) == BOTH, "withdrawn by the relay, in the session that goes on"
        process.send_signal(signal.SIGCONT)
        await until(lambda: set(router.look()) == BOTH)
        assert router.sessions == 1
        below = family(process.pid)[1:]
        assert len(below) == 2
        process.kill()
        await process.wait()
        await until(lambda: not router.look())
        await until(lambda: not any(map(alive, below)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        router.stop()


async def test_a_router_that_comes_later_is_told(folder: Path) -> None:
    port = free_port()
    speaker = Speaker(settings(port), folder, folder / "exabgp.log", SystemClock())
    running = asyncio.create_task(speaker.run())
    speaker.tell(Offer(med=200, prepends=1))
    try:
        await until(lambda: speaker.connected)
        router = Router(folder / "router", port, OUR_ASN)
        try:
            await until(lambda: set(router.look()) == BOTH)
            assert router.routes["192.0.2.0/24"].path == [OUR_ASN, OUR_ASN]
            assert ASN not in router.routes["192.0.2.0/24"].path
        finally:
            router.stop()
    finally:
        await speaker.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert members(os.getpid(), str(folder)) == []
