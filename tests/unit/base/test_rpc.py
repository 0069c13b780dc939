"""Calls: the same over a socket and in process; deadlines, request ids, errors and secrets travel or are kept."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
from msgspec import Struct

from nearcast.base import context, rpc
from nearcast.base.cache import Cache
from nearcast.base.clock import VirtualClock
from nearcast.base.errors import BadInput, Conflict, DeadlineExceeded, Remote, Unavailable


class Question(Struct, frozen=True, kw_only=True):
    text: str = ""
    wait_s: float = 0.0


class Answer(Struct, frozen=True, kw_only=True):
    text: str
    request_id: str = ""
    deadline: bool = False


class Taken(Conflict):
    """For tests."""

    code = "NC9999"
    cure = "choose another"


class Overloaded(Unavailable):
    """For tests."""

    code = "NC9998"


class Echo(Protocol):
    async def echo(self, question: Question, /) -> Answer: ...
    async def refuse(self, question: Question, /) -> Answer: ...
    async def break_down(self, question: Question, /) -> Answer: ...
    async def sleep(self, question: Question, /) -> Answer: ...
    async def overload(self, question: Question, /) -> Answer: ...
    async def whoami(self, question: Question, /) -> Answer: ...


class EchoService:
    async def echo(self, question: Question) -> Answer:
        return Answer(text=question.text, request_id=context.request_id.get(), deadline=context.deadline_s.get() is not None)

    async def refuse(self, question: Question) -> Answer:
        raise Taken("it is taken", hint="try the next one")

    async def break_down(self, question: Question) -> Answer:
        raise ZeroDivisionError("secret detail")

    async def sleep(self, question: Question) -> Answer:
        await asyncio.sleep(30)
        raise AssertionError("unreachable")

    async def overload(self, question: Question) -> Answer:
        raise Overloaded("there is too much to do", hint="come back")

    async def whoami(self, question: Question) -> Answer:
        return Answer(text=" ".join(context.peer.get()))


@pytest.fixture
async def channels() -> AsyncIterator[rpc.Channels]:
    found = rpc.Channels(token="right")
    yield found
    await found.close()


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    found = f"unix:{tmp_path}/echo.sock"
    server = await rpc.serve({Echo: EchoService()}, found, token="right")
    yield found
    await server.stop(0)


def at(address: str, channels: rpc.Channels, timeout_s: float = 60.0) -> Echo:
    return rpc.connect(Echo, lambda: (address,), channels, timeout_s=timeout_s)


@pytest.mark.parametrize("told", [{}, {"GRPC_ENABLE_FORK_SUPPORT": "1"}])
def test_grpc_leaves_forks_alone(told: dict[str, str]) -> None:
    """Its handlers killed one new process in forty before its first instruction. They stay away whatever the environment says:
    gRPC reads it when it is loaded, so that it must be set before."""
    code = "import nearcast.base.rpc; from grpc._cython import cygrpc; print(cygrpc.is_fork_support_enabled())"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **told}, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_methods_of_a_protocol() -> None:
    assert [each.name for each in rpc.methods(Echo)] == ["echo", "refuse", "break_down", "sleep", "overload", "whoami"]
    assert rpc.methods(Echo)[0] == rpc.Method("echo", Question, Answer)


async def test_a_question_is_answered_and_the_request_id_travels(address: str, channels: rpc.Channels) -> None:
    token = context.request_id.set("r_1")
    try:
        answer = await at(address, channels).echo(Question(text="film ✓"))
    finally:
        context.request_id.reset(token)
    assert answer == Answer(text="film ✓", request_id="r_1", deadline=True)


async def test_an_error_keeps_code_status_and_hint(address: str, channels: rpc.Channels) -> None:
    with pytest.raises(Remote, match="it is taken") as caught:
        await at(address, channels).refuse(Question())
    assert (caught.value.code, caught.value.status, caught.value.hint) == ("NC9999", 409, "try the next one")
    assert Remote.code == "NC0011", "the class itself is as it was"


async def test_what_passes_by_itself_is_unavailable_here_too(address: str, channels: rpc.Channels) -> None:
    """Whoever rides out an Unavailable of their own process rides out that of another."""
    with pytest.raises(Unavailable, match="too much") as caught:
        await at(address, channels).overload(Question())
    assert isinstance(caught.value, Remote)
    assert (caught.value.code, caught.value.status, caught.value.exit_code) == ("NC9998", 503, 3)
    with pytest.raises(Remote) as refused:
        await at(address, channels).refuse(Question())
    assert not isinstance(refused.value, Unavailable)


async def test_an_old_answer_serves_while_another_process_is_overloaded(address: str, channels: rpc.Channels) -> None:
    client, clock = at(address, channels), VirtualClock()
    cache: Cache[str, Answer] = Cache(clock, fresh_s=3, entries_max=10, stale_s=60)
    first = await cache.get("a", lambda: client.echo(Question(text="x")))
    await clock.advance(4)
    assert await cache.get("a", lambda: client.overload(Question())) == first


async def test_a_defect_tells_no_detail(address: str, channels: rpc.Channels) -> None:
    with pytest.raises(Remote) as caught:
        await at(address, channels).break_down(Question())
    assert caught.value.code == "NC0010"
    assert "secret" not in caught.value.message


async def test_a_caller_without_the_secret_is_refused(address: str) -> None:
    channels = rpc.Channels(token="wrong")
    try:
        with pytest.raises(Unavailable, match="secret"):
            await at(address, channels).echo(Question())
    finally:
        await channels.close()


async def test_a_caller_without_a_token_is_refused(address: str) -> None:
    channels = rpc.Channels()
    try:
        with pytest.raises(Unavailable, match="secret"):
            await at(address, channels).echo(Question())
    finally:
        await channels.close()


async def test_no_answer_in_time(address: str, channels: rpc.Channels) -> None:
    began_s = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await at(address, channels, timeout_s=0.1).sleep(Question())
    assert time.monotonic() - began_s < 5


class Longer(Struct, frozen=True, kw_only=True):
    """What a later version might answer with."""

    new: int


async def test_an_answer_of_another_version_is_an_error_of_the_house(address: str, channels: rpc.Channels) -> None:
    """Background tasks outlive errors of the house only."""

    class Later(Protocol):
        async def echo(self, question: Question, /) -> Longer: ...

    Later.__name__ = "Echo"
    with pytest.raises(Unavailable, match="Echo speaks another version") as caught:
        await rpc.connect(Later, lambda: (address,), channels).echo(Question())
    assert "same version" in caught.value.hint


async def test_a_problem_of_another_version_is_an_error_of_the_house(
    address: str, channels: rpc.Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "Problem", Longer)
    with pytest.raises(Unavailable, match="Echo speaks another version"):
        await at(address, channels).refuse(Question())


async def test_channels_that_are_made_while_others_close_are_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = rpc.Channels()
    closed: list[str] = []

    class Slow:
        def __init__(self, address: str, **_: object) -> None:
            self.address = address

        async def close(self) -> None:
            if not closed:
                channels.at("unix:/late")
            closed.append(self.address)

    monkeypatch.setattr("grpc.aio.insecure_channel", Slow)
    for address in ("unix:/one", "unix:/two"):
        channels.at(address)
    await channels.close()
    assert sorted(closed) == ["unix:/late", "unix:/one", "unix:/two"]


async def test_the_callers_own_deadline_holds_too(address: str, channels: rpc.Channels) -> None:
    token = context.deadline_s.set(time.monotonic() + 0.1)
    try:
        with pytest.raises(DeadlineExceeded):
            await at(address, channels).sleep(Question())
        with pytest.raises(DeadlineExceeded):
            await rpc.local(Echo, EchoService()).sleep(Question())
    finally:
        context.deadline_s.reset(token)


async def test_nobody_there(tmp_path: Path, channels: rpc.Channels) -> None:
    with pytest.raises(Unavailable, match=r"^Echo does not answer$") as caught:
        await at(f"unix:{tmp_path}/nobody.sock", channels, timeout_s=1.0).echo(Question())
    assert str(tmp_path) not in f"{caught.value.message} {caught.value.hint}", "where it listens is nobody's business outside"
    with pytest.raises(Unavailable, match="no Echo service is known"):
        await rpc.connect(Echo, tuple, channels).echo(Question())


async def test_one_that_comes_back_is_found_again(tmp_path: Path, channels: rpc.Channels) -> None:
    address = f"unix:{tmp_path}/echo.sock"
    first = await rpc.serve({Echo: EchoService()}, address, token="right")
    client = at(address, channels)
    await client.echo(Question())
    await first.stop(0)
    with pytest.raises(Unavailable):
        await client.echo(Question())
    second = await rpc.serve({Echo: EchoService()}, address, token="right")
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    assert (await client.echo(Question(text="again"))).text == "again"
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)
    finally:
        await second.stop(0)


async def test_an_address_that_cannot_be_taken() -> None:
    with pytest.raises(Unavailable):
        await rpc.serve({Echo: EchoService()}, "unix:/nonexistent/folder/x.sock")


async def test_in_process_it_is_the_same() -> None:
    client = rpc.local(Echo, EchoService(), timeout_s=0.1)
    assert (await client.echo(Question(text="x"))).text == "x"
    with pytest.raises(Taken):
        await client.refuse(Question())
    with pytest.raises(DeadlineExceeded):
        await client.sleep(Question())
    with pytest.raises(BadInput):
        await client.echo(Answer(text="not a question"))  # type: ignore[arg-type]  # the point


async def test_a_long_poll_is_given_its_wait() -> None:
    client = rpc.local(Echo, EchoService(), timeout_s=0.05)
    began_s = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await client.sleep(Question(wait_s=0.2))
    assert time.monotonic() - began_s >= 0.2


async def test_the_balancer_chooses(address: str, channels: rpc.Channels) -> None:
    asked: list[tuple[str, ...]] = []

    def last(addresses: object) -> str:
        asked.append(tuple(addresses))  # type: ignore[arg-type]  # a sequence of texts
        return asked[-1][-1]

    client = rpc.connect(Echo, lambda: ("unix:/nobody", address), channels, balancer=last)
    assert (await client.echo(Question(text="x"))).text == "x"
    assert asked == [("unix:/nobody", address)]


async def test_channels_dialled_anew_let_calls_under_way_end_by_themselves(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'echo.sock'}"
    server = await rpc.serve({Echo: EchoService()}, address)
    channels = rpc.Channels()
    client, hasty = (rpc.connect(Echo, lambda: (address,), channels, timeout_s=each) for each in (60.0, 0.5))
    try:
        before = channels.at(address)
        under_way = asyncio.create_task(hasty.sleep(Question()))
        await asyncio.sleep(0.1)
        renewing = asyncio.create_task(channels.renew(5.0))
        await asyncio.sleep(0)
        assert (await client.echo(Question(text="hello"))).text == "hello", "later calls do not wait for it"
        assert channels.at(address) is not before
        with pytest.raises(DeadlineExceeded):
            await under_way
        await renewing
    finally:
        await channels.close()
        await server.stop(0)
