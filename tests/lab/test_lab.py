"""The lab as a guest of this machine: it builds what its file says, and leaves nothing behind however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast.base import config
from nearcast.base.processes import identify
from nearcast.operations.lab import reaper, record
from nearcast.operations.lab.commands import NAMESPACES
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.topology import Topology
from tests.e2e.harness import BIN, refused, wait_for
from tests.lab.scenarios import able

SMALL = """
[ours]
at = "ix"
[[exchanges]]
name = "ix"
[[isps]]
name = "north"
asn = 64601
exchanges = ["ix"]
prefixes = ["198.51.100.0/24"]
[[viewers]]
name = "anna"
isp = "north"
address = "198.51.100.10"
down_bps = 20e6
up_bps = 5e6
rtt_ms = 40
[[viewers]]
name = "bert"
isp = "north"
address = "198.51.100.11"
rtt_ms = 10
loss = 0.2
"""
KEEP = """
import sys, time
from pathlib import Path
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.topology import load
with Internet(sys.argv[1], load(Path(sys.argv[2]))) as net:
    sleeper = net.start("anna", ["sleep", "1000"], "sleeper")
    while sleeper.pid not in net.pids("anna"):
        time.sleep(0.01)
    print(sleeper.pid, flush=True)
    time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def _able() -> None:
    able()


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-{os.getpid()}"
    yield made
    left = record.read(made)
    if left:
        record.clean(left)


def namespaces(lab: str) -> list[str]:
    return sorted(each.name for each in NAMESPACES.glob(f"nc-{lab}-*")) if NAMESPACES.exists() else []


def gone(lab: str, pid: int) -> bool:
    """Namespaces, record, folder, and a process that ran in it."""
    process = identify(pid)
    ended = process is None or not process.alive  # init has not yet looked at it
    return ended and not namespaces(lab) and record.read(lab) is None and not Path(f"/tmp/nc-lab-{lab}").exists()


def round_trips_s(net: Internet, viewer: str, count: int) -> list[float]:
    """Times of datagrams to the main host and back; those lost are left out."""

    def udp() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    found = []
    with net.inside("core").call(udp) as server, net.inside(viewer).call(udp) as client:
        server.bind(("0.0.0.0", 7000))
        server.settimeout(0.1)
        client.settimeout(0.1)
        for number in range(count):
            began_s = time.monotonic()
            client.sendto(str(number).encode(), (net.plan.address("core"), 7000))
            with contextlib.suppress(TimeoutError):
                data, sender = server.recvfrom(100)
                server.sendto(data, sender)
                if client.recv(100) == str(number).encode():
                    found.append(time.monotonic() - began_s)
    return found


def test_lines_are_as_slow_and_as_lossy_as_the_file_says(name: str) -> None:
    with Internet(name, config.parse(Topology, SMALL)) as net:
        assert statistics.median(round_trips_s(net, "anna", 20)) >= 0.040
        arrived = len(round_trips_s(net, "bert", 100))
        assert 30 <= arrived <= 90, "a fifth is lost each way: 64 of 100 arrive in the mean"
        rates = [transfer_bps(net, "anna", 2_000_000) / 1e6]
        while rates[-1] < 12 and len(rates) < 20:  # a machine short of processor time sends less
            rates.append(transfer_bps(net, "anna", 2_000_000) / 1e6)
        assert 12 <= max(rates) < 20.5, "20 Mb/s less what headers take"


def transfer_bps(net: Internet, viewer: str, size: int) -> float:
    """Rate of one TCP transfer from the main host to the viewer."""
    with net.inside("core").call(lambda: socket.create_server(("0.0.0.0", 7001))) as server:
        client = net.inside(viewer).call(lambda: socket.create_connection((net.plan.address("core"), 7001), timeout=10))
        with client, server.accept()[0] as sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
            began_s = time.monotonic()
            pid = os.fork()
            if pid == 0:
                sender.sendall(bytes(size))
                os._exit(0)
            left = size
            while left > 0:
                left -= len(client.recv(1 << 16))
            os.waitpid(pid, 0)
            return 8 * size / (time.monotonic() - began_s)


def test_a_lab_whose_keeper_is_killed_is_gone_soon(name: str, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    with subprocess.Popen([sys.executable, "-c", KEEP, name, str(file)], stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout
        sleeper = int(keeper.stdout.readline())
        assert namespaces(name)
        keeper.kill()
    wait_for("all of it to be gone", lambda: gone(name, sleeper), timeout_s=20)


def test_what_keeper_and_reaper_left_is_removed_by_down_and_nothing_else_is(name: str, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    stranger = f"nc-{name}-stranger"
    subprocess.run(["ip", "netns", "add", stranger], check=True)
    try:
        with subprocess.Popen([sys.executable, "-c", KEEP, name, str(file)], stdout=subprocess.PIPE, text=True) as keeper:
            assert keeper.stdout
            sleeper = int(keeper.stdout.readline())
            for pid in reapers(name):
                os.kill(pid, signal.SIGKILL)
            keeper.kill()
        assert namespaces(name) != [stranger], "nobody is left to remove it"
        done = nearcast("lab", "down", name)
        assert done.returncode == 0, done.stderr
        assert f"{name} is gone, with 5 namespaces" in done.stderr
        wait_for("all of it to be gone but what is not its own", lambda: namespaces(name) == [stranger], timeout_s=5)
        assert not (process := identify(sleeper)) or not process.alive
    finally:
        subprocess.run(["ip", "netns", "del", stranger], check=True)


def reapers(name: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if reaper.__name__.encode() in command and name.encode() in command:
                    found.append(int(entry.name))
    assert found
    return found


def test_a_name_that_somebody_else_has_is_left_alone(name: str) -> None:
    stranger = f"nc-{name}-north"
    subprocess.run(["ip", "netns", "add", stranger], check=True)
    try:
        with pytest.raises(record.LabExists):
            Internet(name, config.parse(Topology, SMALL)).up()
        assert namespaces(name) == [stranger]
    finally:
        subprocess.run(["ip", "netns", "del", stranger], check=True)


def test_up_status_and_down(name: str, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    done = nearcast("lab", "up", str(file), "--name", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == namespaces(name)
    refused(nearcast("lab", "up", str(file), "--name", name), "already")
    answer = json.loads(nearcast("lab", "status", "--json").stdout)
    lab = next(each for each in answer["labs"] if each["name"] == name)
    assert answer["able"]
    assert lab["state"] == "up"
    assert sorted(lab["namespaces"]) == namespaces(name)
    keeper = lab["keeper"]
    os.kill(keeper, signal.SIGKILL)
    wait_for("it to be gone with its keeper", lambda: gone(name, keeper), timeout_s=20)
    refused(nearcast("lab", "down", name), "no lab")


def test_a_file_with_mistakes_makes_nothing(name: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(SMALL.replace('at = "ix"', 'at = "nowhere"'))
    refused(nearcast("lab", "up", str(file), "--name", name), "nowhere")
    refused(nearcast("lab", "run", "no-such-thing"), "no scenario")
    assert namespaces(name) == []


def nearcast(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "nearcast"), *arguments], capture_output=True, text=True, timeout=60)
