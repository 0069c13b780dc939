"""Starting and ending: ports that are taken, words of a log, leftovers of a killed supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nearcast.base.paths import Home, UnusableHome
from nearcast.base.ports import PortTaken
from nearcast.base.processes import Identity, Lock, identify, wait_gone
from nearcast.base.supervise import Command, ProcessStatus, SystemStatus
from nearcast.system import settings, start
from tests.ports import free_ports


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    start.prepare(found)
    return found


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        yield process
        process.kill()


def one_port(port: int) -> settings.Settings:
    upload, origin = free_ports(2)
    return settings.Settings(network=settings.NetworkSettings(gateway_port=port, upload_port=upload, origin_port=origin), appliances=())


def write_status(home: Home, *processes: ProcessStatus, supervisor: Identity | None = None) -> None:
    status = SystemStatus(supervisor=supervisor or Identity(2**22, 1), started_at=0.0, processes=processes)
    (home.run / "status.json").write_bytes(msgspec.json.encode(status))


def test_a_port_that_is_taken_names_the_process(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(PortTaken, match=str(os.getpid())):
        start.check_ports(home, one_port(holder.getsockname()[1]))


def test_what_an_earlier_start_left_keeps_its_port(home: Home) -> None:
    me = identify(os.getpid())
    write_status(home, ProcessStatus(name="gateway", state="ready", since=0.0, identity=me))
    with socket.create_server(("127.0.0.1", 0)) as holder:
        start.check_ports(home, one_port(holder.getsockname()[1]))


def test_no_system_no_status(home: Home) -> None:
    assert start.status(home) is None
    assert start.running(home) is None
    assert start.left_over(home) == []
    assert start.stop(home) == 0


def test_a_dead_supervisor_does_not_run(home: Home) -> None:
    write_status(home, ProcessStatus(name="gateway", state="ready", since=0.0, identity=Identity(2**22 + 1, 1)))
    assert start.running(home) is None
    assert start.left_over(home) == []


async def test_stop_ends_what_a_dead_supervisor_left(home: Home, child: subprocess.Popen[bytes]) -> None:
    write_status(home, ProcessStatus(name="gateway", state="ready", since=0.0, identity=identify(child.pid)))
    assert [each.name for each in start.left_over(home)] == ["gateway"]
    assert await asyncio.to_thread(start.stop, home) == 1
    assert child.wait() == -15


async def test_stop_ends_a_supervisor_that_has_not_written_a_status_yet(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down, a second after up: whoever was launched would go on to start everything."""
    write_status(home, supervisor=Identity(2**22, 1))  # of the run before
    monkeypatch.setattr(sys, "executable", "/bin/sleep")
    monkeypatch.setattr(start, "LAUNCH", ("60",))
    child = start.launch(home, {})
    assert start.running(home) is None
    stopping = asyncio.create_task(asyncio.to_thread(start.stop, home))
    assert await asyncio.to_thread(child.wait) == -15
    assert await stopping == 1
    assert start.stop(home) == 0


SUPERVISE = """
import asyncio, signal, sys
from pathlib import Path
import msgspec
from nearcast.base.supervise import Command, Supervisor

async def main(folder):
    supervisor = Supervisor(msgspec.json.decode(sys.argv[2], type=list[Command]), folder, folder)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, supervisor.stop)
    await supervisor.run()

asyncio.run(main(Path(sys.argv[1])))
"""
LISTENS = """
import os, socket, sys, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
notify.connect(os.environ["NOTIFY_SOCKET"])
notify.send(b"READY=1\\nMAINPID=%d\\n" % os.getpid())
time.sleep(600)
"""


@pytest.fixture
def two_homes() -> Iterator[tuple[Home, Home]]:
    """A home in which a supervisor runs a gateway, and a copy of it. Their paths are short: sockets lie in them."""
    with tempfile.TemporaryDirectory(prefix="nc-") as folder:
        home, copy = Home(Path(folder) / "home"), Home(Path(folder) / "copy")
        start.prepare(home)
        port = free_ports(1)[0]
        gateway = Command(name="gateway", arguments=(sys.executable, "-S", "-c", LISTENS, str(port)))
        raw = msgspec.json.encode([gateway]).decode()
        with subprocess.Popen([sys.executable, "-c", SUPERVISE, str(home.run), raw], start_new_session=True) as supervisor:
            try:
                start.note_start(home, supervisor.pid)
                start.wait_ready(home, 90.0)
                subprocess.run(["cp", "-a", str(home.root), str(copy.root)], check=True)
                yield home, copy
            finally:
                start.stop(home)
                supervisor.kill()


def gateway_of(home: Home) -> Identity:
    found = start.status(home)
    assert found is not None
    assert found.processes[0].identity
    return found.processes[0].identity


def port_of(home: Home) -> int:
    return int(Path(f"/proc/{gateway_of(home).pid}/cmdline").read_bytes().split(b"\0")[4])


def test_a_copy_of_a_home_does_not_end_what_runs_in_the_original(two_homes: tuple[Home, Home]) -> None:
    home, copy = two_homes
    assert (copy.run / "status.json").exists()
    assert (copy.run / "starting.json").exists()
    before = start.running(home)
    assert start.status(copy) is None
    assert start.running(copy) is None
    assert start.left_over(copy) == []
    assert start.stop(copy) == 0
    assert start.running(home) == before


def test_a_copy_of_a_home_does_not_take_the_originals_ports_for_its_own(two_homes: tuple[Home, Home]) -> None:
    home, copy = two_homes
    with pytest.raises(PortTaken, match=str(gateway_of(home).pid)):
        start.check_ports(copy, one_port(port_of(home)))


def test_a_copy_of_a_home_whose_supervisor_was_killed_leaves_the_original_what_it_left(two_homes: tuple[Home, Home]) -> None:
    home, copy = two_homes
    found = start.running(home)
    assert found
    os.kill(found.supervisor.pid, signal.SIGKILL)
    assert wait_gone(found.supervisor, 90.0)
    assert start.left_over(copy) == []
    assert start.stop(copy) == 0
    assert [each.name for each in start.left_over(home)] == ["gateway"]
    assert start.stop(home) == 1


def test_a_home_that_was_exchanged_for_its_copy_leaves_the_original_alone(two_homes: tuple[Home, Home]) -> None:
    home, copy = two_homes
    before = start.running(home)
    moved = Home(home.root.with_name("moved"))
    home.root.rename(moved.root)
    copy.root.rename(home.root)
    try:
        assert start.running(home) is None
        assert start.left_over(home) == []
        assert start.stop(home) == 0
        assert start.running(moved) == before, "it is found where it lies now"
    finally:
        home.root.rename(copy.root)
        moved.root.rename(home.root)


def test_a_copy_leaves_an_nginx_alone_whose_path_only_ends_like_its_own(home: Home) -> None:
    folder = home.edges / "fra-1"
    (folder / "run").mkdir(parents=True)
    code = "import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", code, f"/mnt{folder}/conf/nginx.conf"]) as server:
        (folder / "run" / "nginx.pid").write_text(f"{server.pid}\n")
        while not Path(f"/proc/{server.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        assert start.stop(home) == 0
        assert server.poll() is None
        server.kill()


def test_stop_ends_an_nginx_without_its_agent(home: Home) -> None:
    folder = home.edges / "fra-1"
    (folder / "run").mkdir(parents=True)
    code = "import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", code, f"{folder}/conf/nginx.conf"]) as server:
        (folder / "run" / "nginx.pid").write_text(f"{server.pid}\n")
        while not Path(f"/proc/{server.pid}/cmdline").read_bytes():  # for a moment after exec the kernel shows none
            time.sleep(0.001)
        assert start.stop(home) == 1
        assert server.wait() == -15


def test_stop_leaves_a_stranger_with_an_old_process_id_alone(home: Home, child: subprocess.Popen[bytes]) -> None:
    (home.edges / "fra-1" / "run").mkdir(parents=True)
    (home.edges / "fra-1" / "run" / "nginx.pid").write_text(str(child.pid))
    assert start.stop(home) == 0
    assert child.poll() is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"level": "error", "event": "cannot run", "error": "port 80 is taken"}, {"level": "info", "event": "x"}], "port 80 is taken"),
        ([{"level": "error", "event": "defect", "exception": [{"exc_type": "KeyError", "exc_value": "'x'"}]}], "KeyError: 'x'"),
        ([{"level": "error", "event": "alone"}], "alone"),
        (["plain words"], "plain words"),
        ([], ""),
    ],
)
def test_last_words(tmp_path: Path, lines: list[object], words: str) -> None:
    path = tmp_path / "x.log"
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
    assert start.last_words(path) == words
    assert start.last_words(tmp_path / "none.log") == ""


def test_waiting_for_one_that_keeps_falling_says_why(home: Home) -> None:
    log = home.log("play")
    log.write_text(json.dumps({"level": "error", "error": "the disk is full"}) + "\n")
    write_status(home, ProcessStatus(name="play", state="backoff", since=0.0, restarts=3, log=str(log)), supervisor=identify(os.getpid()))
    with pytest.raises(start.NotReady, match=r"play does not get ready: the disk is full") as caught:
        start.wait_ready(home, 5.0)
    assert str(log) in caught.value.hint


def test_a_supervisor_that_ends_at_once_is_told(home: Home) -> None:
    home.log("supervisor").write_text("no good\n")
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process, pytest.raises(start.NotReady, match="no good"):
        start.wait_ready(home, 10.0, process)


def test_a_home_on_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_home: Home, _options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(start, "remember", full)
    with pytest.raises(UnusableHome, match="No space left"):
        start.prepare(Home(tmp_path))


def test_another_start_that_was_quicker_is_no_failure(home: Home) -> None:
    lock = Lock(home.run / "supervisor.lock")
    lock.take()
    ready = ProcessStatus(name="play", state="ready", since=0.0, identity=identify(os.getpid()))
    write_status(home, ready, supervisor=identify(os.getpid()))
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
        assert start.wait_ready(home, 5.0, process).ready
    lock.free()
