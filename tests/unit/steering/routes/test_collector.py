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
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from io import FileIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from nearcast.base.errors import Unavailable
from nearcast.base.processes import die_with_parent, family, identify, wait_gone
from nearcast.model.route import Announcement
from nearcast.steering.routes import collector as collector_module
from nearcast.steering.routes import pace as pace_module
from nearcast.steering.routes.bgp import Reason
from nearcast.steering.routes.collector import LINE_BYTES_MAX, REFUSALS_S, Collector, Lines, Refusals
from nearcast.steering.routes.pace import BATCH_MAX, BULKS, BULKS_PER_S, TABLES, TURNS, TURNS_PER_S
from nearcast.steering.routes.sessions import Refusal
from nearcast.steering.routes.settings import BgpSettings, Isp
from tests.unit.steering.routes.routers import Router
from tests.unit.steering.routes.telling import ISP, OURS, announce, end_of_rib, state, withdraw

PATIENCE_S = 30.0
ONE = replace(ISP, routers=("127.0.0.11",))


class Told:
    """What of a TableWriter the collector needs, kept in a dict."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Announcement] = {}
        self.replaced: list[str] = []

    def change(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement]) -> None:
        for each in withdrawn:
            del self.rows[each.prefix, each.site]
        for each in announced:
            self.rows[each.prefix, each.site] = each

    def replace(self, source: str, announcements: Iterable[Announcement]) -> None:
        self.replaced.append(source)
        self.rows = {key: each for key, each in self.rows.items() if each.source != source}
        self.change(announcements, ())

    @property
    def prefixes(self) -> set[str]:
        return {prefix for prefix, _ in self.rows}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110  (what is waited for lies in other processes)
            await asyncio.sleep(0.01)


class House:
    def __init__(self, folder: Path, *isps: Isp, told: Told | None = None, listen: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.told = told or Told()
        self.log = folder / "exabgp.log"
        self.pipe = folder / "bgp.pipe"
        self.mouth: FileIO | None = None
        settings = BgpSettings(asn=OURS, router_id="127.0.0.1", listen=(listen,), port=self.port)
        self.collector = Collector(settings, isps or (ONE,), self.told, folder, self.log)

    async def hear(self, *lines: bytes) -> None:
        """As the speaker's helper writes them. The pipe stays open: its end would be the speaker's."""
        if self.mouth is None:
            self.mouth = await asyncio.to_thread(self.pipe.open, "wb", 0)
        await asyncio.to_thread(self.mouth.write, b"".join(each + b"\n" for each in lines))

    @property
    def state(self) -> str:
        return self.collector.sources()[0].state


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


# --- who changes much -------------------------------------------------------------------------------------------------

MANY = [f"20.{number // 256}.{number % 256}.0/24" for number in range(1_200)]
LARGE = replace(ONE, prefixes_max=10_000)
CALM = Isp(name="north", asn=64511, routers=("127.0.0.12",), sites=("exchange",), allow=("30.0.0.0/8",))


@pytest.fixture
async def crowded(tmp_path: Path) -> AsyncIterator[House]:
    """Two ISPs; what the first one changes takes the writer as long as ``go`` is not set."""
    made = House(tmp_path, LARGE, CALM, told=Slow())
    await made.collector.start()
    await until(made.pipe.exists)
    ended = [end_of_rib(version, router) for version in (4, 6) for router in ("127.0.0.11", "127.0.0.12")]
    await made.hear(state("up"), state("up", router="127.0.0.12"), *ended)
    await until(lambda: sorted(made.told.replaced) == ["north", "riverbank"])  # whose tables are empty so far
    yield made
    await made.collector.stop()
    assert made.mouth is not None
    made.mouth.close()


class Slow(Told):
    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.sizes: list[int] = []
        self.failing = 0

    def change(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement]) -> None:
        announced, withdrawn = tuple(announced), tuple(withdrawn)
        if self.failing:
            self.failing -= 1
            raise Unavailable("the disk is full")
        if any(each.source == "riverbank" for each in (*announced, *withdrawn)):
            self.sizes.append(len(announced) + len(withdrawn))
            assert self.go.wait(PATIENCE_S)
        super().change(announced, withdrawn)


async def test_an_isp_that_flaps_is_followed_within_bounds_and_in_the_end(crowded: House) -> None:
    told = crowded.told
    assert isinstance(told, Slow)
    began_s = time.monotonic()
    with capture_logs() as logs:
        for med in range(1, 30):
            await crowded.hear(announce(*MANY, med=med))
            await asyncio.sleep(0.02)
        took_s = time.monotonic() - began_s
        assert sum(size > BATCH_MAX for size in told.sizes) <= BULKS + took_s * BULKS_PER_S + TABLES
        assert len(told.sizes) <= TURNS + took_s * TURNS_PER_S + TABLES
        assert "it changes much" in crowded.collector.sources()[1].problem
        assert crowded.collector.sources()[0].problem == ""
    flapping = [each for each in logs if "on and on" in each["event"]]
    assert [each["isp"] for each in flapping[:1]] == ["riverbank"]
    await crowded.hear(withdraw(*MANY[10:]))
    await until(lambda: {each.med for each in told.rows.values()} == {29} and told.prefixes == set(MANY[:10]))


async def test_a_table_that_is_told_in_many_parts_is_not_called_flapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "TURNS", 1.0)
    monkeypatch.setattr(pace_module, "TURNS_PER_S", 1e-6)  # however slow this machine is
    house = House(tmp_path, LARGE, told=Slow())
    await house.collector.start()
    await until(house.pipe.exists)
    try:
        with capture_logs() as logs:
            await house.hear(state("up"), end_of_rib(4), end_of_rib(6))
            await until(lambda: house.told.replaced == ["riverbank"])  # all of nothing: it begins anew
            await house.hear(state("down", "it was lost"), state("up"), announce(MANY[0]))
            await until(lambda: house.told.prefixes == {MANY[0]})
            await house.hear(announce(*MANY[1:]))
            await until(lambda: house.collector.sources()[0].problem == "it tells its table: 2,398 changes wait for the rest of it")
            await house.hear(end_of_rib(4), end_of_rib(6))
            await until(lambda: house.told.prefixes == set(MANY))
        assert [each for each in logs if "on and on" in each["event"]] == []
    finally:
        await house.collector.stop()
        assert house.mouth is not None
        house.mouth.close()


async def test_nobody_waits_for_an_isp_that_changes_much(crowded: House) -> None:
    told = crowded.told
    assert isinstance(told, Slow)
    await crowded.hear(announce("30.1.0.0/16", router="127.0.0.12"))
    await until(lambda: told.prefixes == {"30.1.0.0/16"})
    told.go.clear()
    await crowded.hear(announce(*MANY))
    await until(lambda: bool(told.sizes))  # and there it stays
    await crowded.hear(withdraw("30.1.0.0/16", router="127.0.0.12"))
    await until(lambda: not told.rows)
    told.go.set()
    await until(lambda: len(told.prefixes) == len(MANY))


async def test_what_the_table_cannot_take_now_it_is_told_again(crowded: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "RETRY_S", 0.05)
    told = crowded.told
    assert isinstance(told, Slow)
    told.failing = 3
    with capture_logs() as logs:
        await crowded.hear(announce("20.1.0.0/16"))
        await until(lambda: told.prefixes == {"20.1.0.0/16"})
    assert [each["isp"] for each in logs if "not in the table yet" in each["event"]] == ["riverbank"]


async def test_a_router_that_is_nobodys_is_told_of_once(crowded: House) -> None:
    with capture_logs() as logs:
        await crowded.hear(state("up", router="127.0.0.99"), announce("20.9.0.0/16", router="127.0.0.99"), announce("20.1.0.0/16"))
        await until(lambda: crowded.told.prefixes == {"20.1.0.0/16"})
    assert [each["router"] for each in logs if "none of ours" in each["event"]] == ["127.0.0.99"]


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
