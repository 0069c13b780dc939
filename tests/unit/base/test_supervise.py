"""Supervision: pure decisions, and real processes that fall, hang, outlive their supervisor and are adopted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base import supervise, vital
from nearcast.base.errors import Internal
from nearcast.base.processes import AlreadyRunning, Identity, Lock, end, family, held, identify, memory_bytes, rotate, wait_gone
from nearcast.base.supervise import (
    Command,
    ProcessStatus,
    Supervisor,
    SystemStatus,
    adoptable,
    backoff_s,
    exit_text,
    failures_after,
    notify_ready,
    read_status,
    start_order,
)

READY = (
    "import os,socket,sys,time,signal;"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0));"
    "s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);s.connect(os.environ['NOTIFY_SOCKET']);"
    "s.send(b'READY=1\\nMAINPID=%d\\n'%os.getpid());"
)


def command(name: str, then: str = "time.sleep(60)", needs: tuple[str, ...] = (), **settings: object) -> Command:
    arguments = (sys.executable, "-S", "-c", READY + then)
    return Command(name=name, arguments=arguments, needs=needs, **settings)  # type: ignore[arg-type]  # settings are the test's


async def until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in other processes)
            await asyncio.sleep(0.01)


def status(folder: Path) -> SystemStatus:
    found = read_status(folder / "status.json")
    assert found is not None
    return found


def one(folder: Path, name: str) -> ProcessStatus:
    return next(each for each in status(folder).processes if each.name == name)


def ready(folder: Path) -> Callable[[], bool]:
    def check() -> bool:
        found = read_status(folder / "status.json")
        return found is not None and found.supervisor.pid == os.getpid() and found.ready

    return check


@asynccontextmanager
async def running(folder: Path, *commands: Command) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(commands, folder, folder)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        supervisor.stop()
        await asyncio.wait_for(task, 90.0)


# --- decisions --------------------------------------------------------------------------------------------------------


def test_the_order_follows_the_needs() -> None:
    assert start_order({"a": ["b", "c"], "b": ["c"], "c": [], "d": []}) == [["c", "d"], ["b"], ["a"]]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_every_name_comes_once_and_after_its_needs(pairs: list[tuple[int, int]]) -> None:
    needs: dict[str, set[str]] = {str(number): set() for number in range(10)}
    for high, low in pairs:
        if low < high:
            needs[str(high)].add(str(low))
    order = start_order(needs)
    place = {name: position for position, group in enumerate(order) for name in group}
    assert sorted(place) == sorted(needs)
    assert all(place[need] < place[name] for name, each in needs.items() for need in each)


@pytest.mark.parametrize("needs", [{"a": ["a"]}, {"a": ["b"], "b": ["a"], "c": []}, {"a": ["x"]}])
def test_circles_and_unknown_names_are_refused(needs: dict[str, list[str]]) -> None:
    with pytest.raises(Internal):
        start_order(needs)


def test_backoff_doubles_up_to_its_end() -> None:
    assert [backoff_s(failures, 1.0, 10.0) for failures in range(7)] == [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff_s(10_000) == 30.0


def test_a_stable_run_resets_the_backoff() -> None:
    assert failures_after(7, ran_s=1.0) == 8
    assert failures_after(7, ran_s=60.0) == 1


def test_adoptable_only_when_alive_ready_and_the_same() -> None:
    fits = command("a")
    recorded = ProcessStatus(name="a", state="ready", since=0.0, identity=Identity(1, 1), fingerprint=fits.fingerprint)
    assert adoptable(recorded, fits, True)
    assert not adoptable(recorded, fits, False)
    assert not adoptable(recorded, command("a", "time.sleep(61)"), True)
    assert not adoptable(ProcessStatus(name="a", state="starting", since=0.0, fingerprint=fits.fingerprint), fits, True)


def test_how_a_process_ended() -> None:
    assert [exit_text(code) for code in (None, 3, -9)] == ["ended", "exit status 3", "killed by SIGKILL"]


# --- real processes ---------------------------------------------------------------------------------------------------


async def test_starts_in_order_is_ready_and_stops_clean(tmp_path: Path) -> None:
    async with running(tmp_path, command("gateway", needs=("store",)), command("store")):
        await until(ready(tmp_path))
        identities = {each.name: each.identity for each in status(tmp_path).processes}
        gateway, store = one(tmp_path, "gateway"), one(tmp_path, "store")
        assert store.started_at < gateway.started_at
        assert held(tmp_path / "supervisor.lock")
    assert not any(identity and identity.alive for identity in identities.values())
    assert [each.state for each in status(tmp_path).processes] == ["stopped", "stopped"]
    assert one(tmp_path, "gateway").last_exit == "exit status 0"
    assert not held(tmp_path / "supervisor.lock")


async def test_a_killed_process_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path, command("a")):
        await until(ready(tmp_path))
        first = one(tmp_path, "a").identity
        assert first
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: one(tmp_path, "a").state == "ready" and one(tmp_path, "a").identity != first)
        assert one(tmp_path, "a").restarts == 1
        assert one(tmp_path, "a").last_exit == "killed by SIGKILL"


LIVELY = """
import pathlib
from nearcast.base.vital import Sign
sign = Sign(pathlib.Path({path!r}))
while True:
    sign.give()
    time.sleep(0.02)
"""


async def test_a_frozen_process_that_gave_signs_of_life_is_killed_and_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "a.alive")
    lively = Command(name="a", arguments=(sys.executable, "-c", READY + LIVELY.format(path=path)), sign=path)
    async with running(tmp_path, lively, command("mute")):
        await until(ready(tmp_path))
        await until(lambda: Path(path).exists() and any(Path(path).read_bytes()))
        await asyncio.sleep(2 * vital.LOOK_S * vital.SILENT_LOOKS)
        assert one(tmp_path, "a").restarts == 0
        before, mute = one(tmp_path, "a").identity, one(tmp_path, "mute").identity
        assert before is not None
        assert mute is not None
        os.kill(mute.pid, signal.SIGSTOP)  # nobody watches it
        os.kill(before.pid, signal.SIGSTOP)
        await until(lambda: (found := one(tmp_path, "a").identity) is not None and found.pid != before.pid)
        await until(ready(tmp_path))
        assert one(tmp_path, "a").restarts == 1
        assert "SIGKILL" in one(tmp_path, "a").last_exit
        assert one(tmp_path, "mute").identity == mute


async def test_what_falls_at_once_is_tried_again_with_pauses_and_its_words_are_logged(tmp_path: Path) -> None:
    falls = Command(name="falls", arguments=(sys.executable, "-S", "-c", "import sys; sys.exit('it fell')"))
    async with running(tmp_path, falls, command("stands")):
        await until(lambda: (tmp_path / "status.json").exists() and one(tmp_path, "falls").restarts >= 2)
        assert one(tmp_path, "stands").restarts == 0
    assert (tmp_path / "falls.log").read_text().count("it fell") >= 2


async def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, Command(name="x", arguments=("/nonexistent/program",))):
        await until(lambda: (tmp_path / "status.json").exists() and "cannot be started" in one(tmp_path, "x").last_exit)


async def test_a_full_disk_is_no_reason_to_end_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the status file nor a log can be written: processes are kept running all the same, and told of again later."""

    refused: list[object] = []

    def full(path: object, *_: object) -> None:
        refused.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(supervise, "ROTATE_S", 0.01)
    async with running(tmp_path, command("a")):
        await until(ready(tmp_path))
        first = one(tmp_path, "a").identity
        assert first
        with monkeypatch.context() as patched:
            patched.setattr(supervise, "write_atomically", full)
            patched.setattr(supervise, "rotate", full)
            os.kill(first.pid, signal.SIGKILL)
            await until(lambda: [pid for pid in family(os.getpid()) if pid not in (os.getpid(), first.pid)] != [])
            await until(lambda: {tmp_path / "status.json", tmp_path / "a.log"} <= set(refused))
            assert one(tmp_path, "a").identity == first, "the status file is the old one"
        await until(lambda: one(tmp_path, "a").state == "ready" and one(tmp_path, "a").restarts == 1)


async def test_one_that_never_gets_ready_is_ended_and_tried_again(tmp_path: Path) -> None:
    mute = Command(name="mute", arguments=(sys.executable, "-S", "-c", "import time; time.sleep(60)"), ready_timeout_s=0.2)
    async with running(tmp_path, mute):
        await until(lambda: (tmp_path / "status.json").exists() and one(tmp_path, "mute").restarts >= 1)
        assert one(tmp_path, "mute").last_exit in ("killed by SIGTERM", "")


async def test_one_that_will_not_go_is_killed(tmp_path: Path) -> None:
    async with running(
        tmp_path, command("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN);print(1,flush=True);time.sleep(60)", stop_timeout_s=0.3)
    ):
        await until(lambda: (tmp_path / "deaf.log").exists() and "1" in (tmp_path / "deaf.log").read_text() and ready(tmp_path)())
    assert one(tmp_path, "deaf").last_exit == "killed by SIGKILL"


async def test_a_second_supervisor_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, command("a")):
        await until(ready(tmp_path))
        with pytest.raises(AlreadyRunning):
            await Supervisor([command("a")], tmp_path, tmp_path).run()
        assert ready(tmp_path)()


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
import msgspec
from nearcast.base.supervise import Command, Supervisor
folder = Path(sys.argv[1])
commands = msgspec.json.decode(sys.argv[2], type=list[Command])
asyncio.run(Supervisor(commands, folder, folder).run())
"""


async def test_processes_outlive_a_killed_supervisor_and_are_adopted(tmp_path: Path) -> None:
    same, changed, gone_from_table = command("same"), command("changed"), command("gone")
    raw = msgspec.json.encode([same, changed, gone_from_table]).decode()
    first = await asyncio.create_subprocess_exec(sys.executable, "-c", SUPERVISOR, str(tmp_path), raw, stdout=-3, stderr=-3)
    await until(lambda: (tmp_path / "status.json").exists() and status(tmp_path).ready)
    before = {each.name: each.identity for each in status(tmp_path).processes}
    first.kill()
    await first.wait()
    assert all(identity and identity.alive for identity in before.values())
    async with running(tmp_path, same, command("changed", "time.sleep(59)")):
        await until(ready(tmp_path))
        after = {each.name: each.identity for each in status(tmp_path).processes}
        assert after["same"] == before["same"]
        assert after["changed"] != before["changed"]
        assert before["changed"]
        assert not before["changed"].alive
        assert before["gone"]
        assert not before["gone"].alive
        assert before["same"]
        os.kill(before["same"].pid, signal.SIGKILL)
        await until(lambda: one(tmp_path, "same").state == "ready" and one(tmp_path, "same").identity != before["same"])
    assert not any(identity and identity.alive for identity in after.values())


@asynccontextmanager
async def supervised_elsewhere(folder: Path, *commands: Command) -> AsyncIterator[asyncio.subprocess.Process]:
    """A supervisor in a process of its own, all ready; ended with what it runs."""
    raw = msgspec.json.encode(commands).decode()
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", SUPERVISOR, str(folder), raw, stdout=-3, stderr=-3)
    try:
        await until(lambda: (found := read_status(folder / "status.json")) is not None and found.supervisor.alive and found.ready)
        yield supervisor
    finally:
        found = read_status(folder / "status.json")
        with contextlib.suppress(ProcessLookupError):
            supervisor.kill()
        await supervisor.wait()
        for each in found.processes if found else ():
            if each.identity:
                await end(each.identity, 10.0)


def copied(folder: Path, to: Path) -> Path:
    """As ``cp -a`` does it, sockets left out."""
    shutil.copytree(folder, to, ignore=lambda _, names: [each for each in names if each.endswith(".sock")])
    return to


@pytest.mark.parametrize("killed", [False, True])
async def test_what_runs_in_a_folder_is_not_for_a_supervisor_in_a_copy_of_it(tmp_path: Path, killed: bool) -> None:
    original = tmp_path / "original"
    original.mkdir()
    same, other = command("same"), command("other")
    async with supervised_elsewhere(original, same, other) as supervisor:
        before = {each.name: each.identity for each in status(original).processes}
        copy = copied(original, tmp_path / "copy")
        if killed:
            supervisor.kill()
            await supervisor.wait()
        assert read_status(copy / "status.json") is None
        async with running(copy, same):
            await until(ready(copy))
            assert one(copy, "same").identity != before["same"]
            assert all(identity and identity.alive for identity in before.values())
        assert all(identity and identity.alive for identity in before.values())


async def test_a_folder_that_was_exchanged_for_its_copy_leaves_the_living_supervisor_what_it_runs(tmp_path: Path) -> None:
    """The path is the old one, but the lock is free: whoever is named works in the folder that was moved away."""
    original = tmp_path / "original"
    original.mkdir()
    same = command("same")
    async with supervised_elsewhere(original, same):
        before = one(original, "same").identity
        copy = copied(original, tmp_path / "copy")
        original.rename(tmp_path / "moved")
        copy.rename(original)
        async with running(original, same):
            await until(ready(original))
            assert one(original, "same").identity != before
        assert before
        assert before.alive
        await until(lambda: one(tmp_path / "moved", "same").identity == before)
        (tmp_path / "moved").rename(original.with_name("original-again"))
        shutil.rmtree(original)
        original.with_name("original-again").rename(original)


async def test_a_folder_that_was_renamed_keeps_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    same = command("same")
    async with supervised_elsewhere(first, same) as supervisor:
        before = one(first, "same").identity
        supervisor.kill()
        await supervisor.wait()
        second = first.rename(tmp_path / "second")
        async with running(second, same):
            await until(ready(second))
            assert one(second, "same").identity == before


async def test_end_wakes_what_is_stopped(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "import time; time.sleep(60)")
    identity = identify(child.pid)
    assert identity
    os.kill(child.pid, signal.SIGSTOP)
    await end(identity, 10.0)
    assert await child.wait() == -signal.SIGTERM


def test_notify_without_a_listener_is_silent(tmp_path: Path) -> None:
    notify_ready({})
    notify_ready({"NOTIFY_SOCKET": str(tmp_path / "nobody.sock")})


# --- processes --------------------------------------------------------------------------------------------------------


async def test_identity_family_and_memory() -> None:
    me = identify(os.getpid())
    assert me
    assert me.alive
    assert not Identity(me.pid, me.started_ticks + 1).alive
    assert identify(2**22 + 1) is None
    child = await asyncio.create_subprocess_exec("sleep", "60")
    assert child.pid in family(os.getpid())
    assert memory_bytes(os.getpid()) > 1_000_000
    found = identify(child.pid)
    assert found
    assert not await asyncio.to_thread(wait_gone, found, 0.05)
    child.kill()
    await child.wait()
    assert await asyncio.to_thread(wait_gone, found, 5.0)


def test_the_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "x"), Lock(tmp_path / "x")
    first.take()
    with pytest.raises(AlreadyRunning):
        second.take()
    first.free()
    second.take()
    second.free()


def test_a_log_past_its_size_is_turned_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("ab", buffering=0) as writer:
        for number in range(4):
            writer.write(f"line {number}\n".encode() * 10)
            assert rotate(path, 50, keep=2)
        writer.write(b"last\n")
    assert path.read_text() == "last\n"
    assert not rotate(path, 50, keep=2)
    assert "line 3" in (tmp_path / "a.log.1").read_text()
    assert "line 2" in (tmp_path / "a.log.2").read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert not rotate(tmp_path / "none.log", 50, keep=2)
