"""The collector with real BGP: ExaBGP takes the sessions, another ExaBGP (and BIRD, where it is installed) is the ISP's router."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from nearcast.base.processes import die_with_parent, family, identify, wait_gone
from nearcast.steering.routes import collector as collector_module
from nearcast.steering.routes.bgp import Reason
from nearcast.steering.routes.collector import LINE_BYTES_MAX, REFUSALS_S, Collector, Lines, Refusals
from nearcast.steering.routes.sessions import Refusal
from nearcast.steering.routes.settings import BgpSettings
from tests.unit.steering.routes.collecting import ONE, PATIENCE_S, House, Told, until
from tests.unit.steering.routes.routers import Router


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path / "a folder")
    made.log.parent.mkdir()
    await made.collector.start()
    yield made
    await made.collector.stop()
    assert made.collector.keeper.pid == 0


@pytest.fixture
def router(house: House, tmp_path: Path) -> Iterator[Router]:
    made = Router(tmp_path / "isp", house.port)
    made.start()
    yield made
    made.close()


async def test_an_isp_announces_is_filtered_and_withdraws(house: House, router: Router) -> None:
    await until(lambda: house.state == "up")
    with capture_logs() as logs:
        router.announce("0.0.0.0/0")
        router.announce("8.8.8.0/24")
        router.announce("20.1.0.0/16", "med 5 as-path [ 64511 64999 ]")
        router.announce("2a00:100:1::/48")
        await until(lambda: house.told.prefixes == {"20.1.0.0/16", "2a00:100:1::/48"})
    assert house.told.rows["20.1.0.0/16", "rack"].as_path == (64511, 64999)
    assert house.told.rows["20.1.0.0/16", "rack"].med == 5
    assert {(each["code"], each["prefix"]) for each in logs if "prefix" in each} == {("NC3022", "0.0.0.0/0"), ("NC3025", "8.8.8.0/24")}
    assert house.collector.sources()[0].refused == 2
    router.withdraw("20.1.0.0/16")
    await until(lambda: house.told.prefixes == {"2a00:100:1::/48"})


def ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


OVER_IPV6 = pytest.param("::1", "::1", marks=pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6 on loopback"))


@pytest.mark.parametrize(("listen", "address"), [("127.0.0.1", "127.0.0.11"), OVER_IPV6])
async def test_a_router_that_is_killed_is_withdrawn_after_a_grace(tmp_path: Path, listen: str, address: str) -> None:
    """Over IPv4 and over IPv6, each with prefixes of both."""
    house = House(tmp_path, replace(ONE, routers=(address,)), listen=listen)
    router = Router(tmp_path / "isp", house.port, address=address)
    await house.collector.start()
    router.start()
    try:
        router.announce("20.1.0.0/16")
        router.announce("2a00:100:1::/48")
        await until(lambda: house.told.prefixes == {"20.1.0.0/16", "2a00:100:1::/48"})
        router.signal(signal.SIGKILL)
        await until(lambda: house.state == "down")
        assert len(house.told.prefixes) == 2
        await until(lambda: not house.told.rows)
        assert house.collector.sources()[0].problem.startswith(f"{address}: ")
    finally:
        router.close()
        await house.collector.stop()


async def test_a_killed_speaker_is_started_anew_and_nobody_is_moved(house: House, router: Router) -> None:
    router.announce("20.1.0.0/16")
    router.announce("20.2.0.0/16")
    await until(lambda: len(house.told.prefixes) == 2)
    first = house.collector.keeper.pid
    everyone = [found for pid in family(first) if (found := identify(pid))]
    assert len(everyone) >= 2  # ExaBGP and its helper
    os.kill(first, signal.SIGKILL)
    assert all(wait_gone(each, PATIENCE_S) for each in everyone)
    await until(lambda: house.state == "down")
    assert len(house.told.prefixes) == 2
    router.withdraw("20.2.0.0/16")
    await until(lambda: house.state == "up")
    assert house.collector.keeper.pid not in (0, first)
    await until(lambda: house.told.prefixes == {"20.1.0.0/16"})  # its End-of-RIB told that the other is gone


async def test_a_frozen_router_is_gone_when_the_hold_timer_expires(house: House, router: Router) -> None:
    router.announce("20.1.0.0/16")
    await until(lambda: bool(house.told.rows))
    router.signal(signal.SIGSTOP)
    await until(lambda: not house.told.rows)
    assert "notification sent (4,0)" in house.collector.sources()[0].problem


async def test_a_frozen_speaker_is_ended_and_started_anew(house: House, router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "SILENT_S", 4.0)  # keepalives come every 3 s
    router.announce("20.1.0.0/16")
    await until(lambda: bool(house.told.rows))
    first = house.collector.keeper.pid
    os.kill(first, signal.SIGSTOP)
    await until(lambda: house.collector.keeper.pid not in (0, first))
    await until(lambda: house.state == "up")
    assert house.told.prefixes == {"20.1.0.0/16"}


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    with socket.create_server(("127.0.0.1", house.port)), capture_logs() as logs:
        await house.collector.start()
        await until(lambda: "already be in use" in house.collector.sources()[0].problem)
        await until(lambda: any(each.get("code") == "NC3021" for each in logs))
        await house.collector.stop()


async def test_a_stranger_is_not_let_in(house: House, tmp_path: Path) -> None:
    stranger = Router(tmp_path / "stranger", house.port, address="127.0.0.66")
    stranger.start()
    stranger.announce("20.1.0.0/16")
    mine = Router(tmp_path / "isp", house.port)
    mine.start()
    mine.announce("20.2.0.0/16")
    try:
        await until(lambda: house.told.prefixes == {"20.2.0.0/16"})
        assert "127.0.0.66" not in house.log.read_text()  # nobody fills the disk by knocking
    finally:
        stranger.close()
        mine.close()


def md5_signatures() -> bool:
    """Whether this kernel signs TCP segments (RFC 2385, CONFIG_TCP_MD5SIG)."""
    peer = struct.pack("HH4s120xBBHi80s", socket.AF_INET, 0, socket.inet_aton("127.0.0.11"), 0, 0, 1, 0, b"k")
    with socket.socket() as tried:
        try:
            tried.setsockopt(socket.IPPROTO_TCP, 14, peer)
        except OSError:
            return False
    return True


@pytest.mark.skipif(not md5_signatures(), reason="this kernel has no TCP MD5 signatures")
async def test_a_password_lets_in_only_who_has_it(tmp_path: Path) -> None:
    house = House(tmp_path, replace(ONE, password="s3cret"))
    await house.collector.start()
    stranger = Router(tmp_path / "stranger", house.port)
    right = Router(tmp_path / "right", house.port, password="s3cret")
    try:
        stranger.start()
        stranger.announce("20.1.0.0/16")
        await asyncio.sleep(3.0)
        assert house.state == "down"
        stranger.signal(signal.SIGKILL)
        right.start()
        right.announce("20.2.0.0/16")
        await until(lambda: house.told.prefixes == {"20.2.0.0/16"})
    finally:
        stranger.close()
        right.close()
        await house.collector.stop()


def test_no_speaker_outlives_a_killed_collector(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from nearcast.base import log\n"
        "from tests.unit.steering.routes.test_collector import House\n"
        "log.configure('collector')\n"
        "async def main():\n"
        "    house = House(pathlib.Path(sys.argv[1]))\n"
        "    await house.collector.start()\n"
        "    while not house.collector.keeper.pid: await asyncio.sleep(0.01)\n"
        "    print(house.collector.keeper.pid, flush=True)\n"
        "    await house.collector.wait()\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, preexec_fn=die_with_parent) as collector:
        try:
            assert collector.stdout is not None
            speaker = identify(int(collector.stdout.readline()))
        finally:
            collector.kill()
    assert speaker is not None
    assert wait_gone(speaker, PATIENCE_S)


BIRD = """\
router id 127.0.0.11;
protocol device {{}}
protocol static {{ ipv4; route 20.1.0.0/16 blackhole; route 20.2.0.0/16 blackhole; route 9.9.9.0/24 blackhole; }}
protocol bgp upstream {{
  local 127.0.0.11 as 64511; neighbor 127.0.0.1 port {port} as 64500; multihop;
  connect delay time 1; ipv4 {{ import none; export all; next hop self; }};
}}
"""


@pytest.mark.skipif(shutil.which("bird", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="bird is not installed")
async def test_bird_of_an_isp_is_understood(house: House, tmp_path: Path) -> None:
    (tmp_path / "bird.conf").write_text(BIRD.format(port=house.port))
    program = shutil.which("bird", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program
    command = [program, "-f", "-c", str(tmp_path / "bird.conf"), "-s", str(tmp_path / "ctl"), "-P", str(tmp_path / "pid")]
    with subprocess.Popen(command, preexec_fn=die_with_parent, stderr=subprocess.DEVNULL) as bird:  # noqa: ASYNC220  (it starts at once)
        try:
            await until(lambda: house.told.prefixes == {"20.1.0.0/16", "20.2.0.0/16"})
            assert house.collector.sources()[0].refused == 1
            bird.send_signal(signal.SIGTERM)  # it says so: a NOTIFICATION (6, 3)
            await until(lambda: not house.told.rows)
            assert "notification received" in house.collector.sources()[0].problem
        finally:
            bird.kill()


async def test_without_sessions_what_was_told_before_is_cleared(tmp_path: Path) -> None:
    told = Told()
    collector = Collector(BgpSettings(), (ONE,), told, tmp_path, tmp_path / "log")
    await collector.start()
    assert told.replaced == ["riverbank"]
    assert "asn is 0" in collector.sources()[0].problem
    await collector.stop()


# --- lines and logs ---------------------------------------------------------------------------------------------------


def test_lines_are_whole_however_they_come() -> None:
    lines = Lines()
    assert [each for byte in b"one\ntwo\n\nthree" for each in lines.feed(bytes([byte]))] == [b"one", b"two", b""]
    assert lines.feed(b"\n") == [b"three"]


def test_a_line_without_end_costs_no_memory_and_only_itself() -> None:
    lines = Lines()
    assert lines.feed(b"x" * LINE_BYTES_MAX) == []
    assert lines.feed(b"y") == []
    assert lines.feed(b"z" * 10) == []
    assert lines.feed(b"\nnext\n") == [b"next"]


def test_refusals_are_said_once_in_a_while_with_their_count() -> None:
    refusals = Refusals()
    with capture_logs() as logs:
        for number in range(5):
            refusals.say(Refusal("riverbank", "127.0.0.11", f"8.8.{number}.0/24", Reason.FOREIGN), float(number))
        refusals.say(Refusal("riverbank", "127.0.0.11", "0.0.0.0/0", Reason.DEFAULT), 4.0)
        refusals.say(Refusal("riverbank", "127.0.0.11", "9.9.9.0/24", Reason.FOREIGN), REFUSALS_S)
    assert [(each["code"], each["prefix"], each["more_before"]) for each in logs] == [
        ("NC3025", "8.8.0.0/24", 0),
        ("NC3022", "0.0.0.0/0", 0),
        ("NC3025", "9.9.9.0/24", 4),
    ]
