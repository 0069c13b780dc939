"""Faults while copies are being made, and afterwards, on real processes: nothing is served wrong, and everything comes to its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nearcast.delivery.fill.schedule import FillPeer, assignment, ranked
from nearcast.delivery.settings import FillSettings
from nearcast.model.fill import ORIGIN, Assignment, FillItem, FillSource, Hop, Placement
from nearcast.model.rendition import BLOCK_BYTES
from tests.unit.delivery.making import digests

from .appliances import Appliance, OriginProcess, flip, until

SIZE = 10 * BLOCK_BYTES + 12_345
SLOW_BPS = 4e6
"""At this pace a film takes twenty seconds, so that it is still under way when a fault befalls it, whoever else wants the processor."""
LONG_BYTES, LONG_BPS = 60 * BLOCK_BYTES + 12_345, 20e6
"""More than the kernel keeps of a stream for a reader that is slow, and still gives when the sender was killed or frozen (tcp(7): tcp_rmem,
tcp_wmem); the film takes twenty-five seconds at this pace."""
AT_NIGHT = datetime(2026, 6, 1, 3, tzinfo=UTC)
Maker = Callable[..., Appliance]


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[OriginProcess]:
    made = OriginProcess(tmp_path)
    made.up()
    yield made
    made.end()


@pytest.fixture
def make(tmp_path: Path, origin: OriginProcess) -> Iterator[Maker]:
    """Makes appliances, not yet started, and ends them."""
    with contextlib.ExitStack() as stack:

        def new(name: str = "fra-1", folder: Path | None = None, **settings: object) -> Appliance:
            found = Appliance(tmp_path, origin, name, folder, **settings)
            stack.callback(found.destroy)
            return found

        yield new


def midway(appliance: Appliance, item: FillItem) -> None:
    """Wait until a part of the film is there, and not all of it."""
    until(lambda: appliance.part_bytes(item) >= 2 * BLOCK_BYTES)
    assert not appliance.placed(item).exists()


def test_the_agent_is_killed_during_a_fill(origin: OriginProcess, make: Maker) -> None:
    edge, (item, data) = make(), origin.publish(SIZE)
    edge.up()
    edge.hold(item, rate_bps=SLOW_BPS)
    midway(edge, item)
    edge.kill()
    kept_bytes = edge.part_bytes(item) // BLOCK_BYTES * BLOCK_BYTES
    assert edge.get(item).content == data, "nginx serves on, by way of the origin"
    edge.hold(item)
    edge.up()
    edge.whole(item)
    assert edge.placed(item).read_bytes() == data
    assert edge.fetched() == {"origin": SIZE - kept_bytes}, "what was whole did not come again"
    assert edge.get(item).content == data
    edge.end()
    assert SIZE - BLOCK_BYTES <= edge.told() <= SIZE, "all but the block that was just written, at most, is counted, and none twice"


def test_nginx_is_killed_during_a_fill(origin: OriginProcess, make: Maker) -> None:
    edge, (item, data) = make(), origin.publish(SIZE)
    edge.up()
    edge.hold(item, rate_bps=SLOW_BPS)
    midway(edge, item)
    before = edge.nginx_pids()[0]
    edge.kill_nginx()
    edge.hold(item)
    edge.whole(item)
    until(lambda: edge.nginx_pids()[0] != before)
    until(lambda: (status := edge.status) and status.report.state == "up")
    assert edge.get(item).content == data
    assert edge.fetched() == {"origin": SIZE}


def test_the_source_is_killed_during_a_fill(origin: OriginProcess, make: Maker) -> None:
    """First the peer, whose place the origin takes at once; then the origin, which is waited for."""
    peer, edge = make("fra-1"), make("fra-2")
    first, second = origin.publish(LONG_BYTES), origin.publish(LONG_BYTES, "t_second", 2)
    peer.up()
    peer.hold(first[0], second[0])
    peer.whole(first[0], second[0])
    edge.up()
    routes = ((Hop(0, awaited=True), Hop(1)),)
    edge.hold(first[0], rate_bps=LONG_BPS, sources=(peer.source(), ORIGIN), routes=routes)
    midway(edge, first[0])
    peer.kill_all()
    edge.hold(first[0], sources=(peer.source(), ORIGIN), routes=routes)
    edge.whole(first[0])
    assert edge.placed(first[0]).read_bytes() == first[1]
    fetched = edge.fetched()
    assert sum(fetched.values()) == LONG_BYTES
    assert min(fetched["peer"], fetched["origin"]) >= BLOCK_BYTES

    edge.hold(first[0], second[0], rate_bps=LONG_BPS, sources=(peer.source(), ORIGIN), routes=routes)
    midway(edge, second[0])
    origin.kill()
    until(lambda: (status := edge.status) and status.report.problem.startswith("NC2013"))
    assert edge.get(first[0]).content == first[1], "what is held is served with every source dead"
    origin.up()
    edge.hold(first[0], second[0], sources=(peer.source(), ORIGIN), routes=routes)
    edge.whole(second[0])
    assert edge.placed(second[0]).read_bytes() == second[1]
    assert sum(edge.fetched().values()) == 2 * LONG_BYTES, "no byte came twice"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes rights that are not there")
def test_the_disk_is_full(origin: OriginProcess, make: Maker, tmp_path: Path) -> None:
    """Of 30 MB at least 16 MiB are for what comes on misses, and 1 MiB is kept free."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        edge = make(folder=small / "edge", disk_reserve_bytes=1 << 20, reactive_share=0.01)
        films = [origin.publish(4 * BLOCK_BYTES, f"t_{seed}", seed) for seed in range(4)]
        items = [item for item, _ in films]
        edge.up()
        edge.hold(*items)
        until(lambda: (status := edge.status) and status.report.problem.startswith(("NC2011", "NC2043")))
        placed = [each for each in items if edge.placed(each).exists()]
        status = edge.status
        assert status is not None
        assert 0 < len(placed) < len(items)
        assert status.report.held_bytes <= status.report.capacity_bytes
        assert shutil.disk_usage(small).free >= 1 << 20, "the reserve is left alone"
        for item, data in films:
            assert edge.get(item).content == data, "what has no room comes from the origin"
        edge.hold(*[each for each in items if each not in placed])
        edge.whole(*[each for each in items if each not in placed][: len(placed)])
        edge.end()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_flipped_byte_is_healed_from_a_peer(origin: OriginProcess, make: Maker) -> None:
    peer, edge, (item, data) = make("fra-1"), make("fra-2", scrub_bps=1e10), origin.publish(SIZE)
    peer.up()
    peer.hold(item)
    peer.whole(item)
    routes = ((Hop(0, awaited=True), Hop(1, 3600.0)),)
    edge.hold(item, sources=(peer.source(), ORIGIN), routes=routes, window_open=True)
    edge.up()
    edge.whole(item)
    origin.kill()
    edge.end()
    flip(edge.placed(item))
    (edge.folder / "scrub.json").unlink(missing_ok=True)
    edge.up()
    until(lambda: (status := edge.status) and status.scrub.repaired == 1)
    assert edge.placed(item).read_bytes() == data
    assert edge.fetched() == {"peer": BLOCK_BYTES} or edge.fetched() == {"peer": SIZE % BLOCK_BYTES}
    assert edge.get(item).content == data
    status = edge.status
    assert status is not None
    assert (status.scrub.damaged, status.troubles) == (1, ())


# --- a tier that does not do its duty --------------------------------------------------------------------------------------


class BadTier:
    """Has the right digests, and answers for a film with ``garbage`` of its length, ``shorter``, ``silent``ly, or not at all."""

    def __init__(self, how: str, size_bytes: int, digests: dict[str, bytes]) -> None:
        self._how, self._size_bytes, self._digests = how, size_bytes, digests
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.asked = 0
        if how == "dead":
            self._server.close()
        else:
            threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            text = connection.recv(65536).decode("latin-1")
            raw = self._digests.get(text.split()[1].rpartition("/")[2])
            if raw is not None:
                connection.sendall(f"HTTP/1.1 200 x\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n\r\n".encode() + raw)
                return
            self.asked += 1
            if self._how == "silent":
                self._ended.wait(60)
                return
            first, last = 0, self._size_bytes - 1
            for line in text.split("\r\n"):
                if line.lower().startswith("range: bytes="):
                    low, _, high = line.partition("=")[2].partition("-")
                    first, last = int(low), min(int(high), last) if high else last
            total = self._size_bytes - 1 if self._how == "shorter" else self._size_bytes
            last = min(last, total - 1)
            root = text.split()[1].rpartition("/")[2].partition(".")[0]
            head = f'HTTP/1.1 {206 if "range:" in text.lower() else 200} x\r\ncontent-length: {last - first + 1}\r\netag: "{root}"\r\n'
            connection.sendall(f"{head}content-range: bytes {first}-{last}/{total}\r\nconnection: close\r\n\r\n".encode())
            connection.sendall(b"\xa5" * (last - first + 1))


@pytest.mark.parametrize("how", ["dead", "silent", "garbage", "shorter"])
def test_a_parent_that_fails_is_replaced(origin: OriginProcess, make: Maker, how: str) -> None:
    """For the fill, which gets the film whole, and for a viewer of a film that is not held, whom no wrong byte is kept for."""
    edge, (item, data), (absent, absent_data) = make(), origin.publish(SIZE), origin.publish(SIZE, "t_absent", 2)
    tier = BadTier(how, SIZE, {item.file.blocks_name: digests(data), absent.file.blocks_name: digests(absent_data)})
    try:
        source = FillSource(id="cix-1", kind="tier", url=tier.url, token="x")
        edge.up()
        edge.hold(item, sources=(source, ORIGIN), routes=((Hop(0), Hop(1)),), parents=(source, ORIGIN))
        edge.whole(item)
        assert edge.placed(item).read_bytes() == data
        assert edge.fetched() == {"origin": SIZE}
        until(lambda: tier.url.rpartition(":")[2] in (edge.folder / "conf" / "nginx.conf").read_text())
        if how in ("dead", "silent"):
            until(lambda: edge.get(absent).content == absent_data)
        else:
            until(lambda: tier.asked and edge.get(absent).status_code in (200, 502))
    finally:
        tier.close()
    until(lambda: edge.get(absent).content == absent_data)


# --- clocks, an origin that is away, who comes and goes --------------------------------------------------------------------


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0])
def test_a_clock_that_is_wrong_by_an_hour(origin: OriginProcess, make: Maker, off_s: float) -> None:
    edge, (item, data) = make(scrub_bps=1e10), origin.publish(SIZE)
    edge.hold(item)
    edge.up(clock_off_s=off_s)
    edge.whole(item)
    assert edge.get(item, made_at_s=time.time() + off_s).content == data, "a path that was made by such a clock is good"
    until(lambda: (status := edge.status) and status.scrub.done and status.scrub.read_bytes == SIZE)
    edge.end()
    edge.up(clock_off_s=-off_s)
    assert edge.get(item).content == data
    until(lambda: (status := edge.status) and status.scrub.damaged == 0 and status.report.state == "up")


def test_the_origin_is_away_for_all_of_it(origin: OriginProcess, make: Maker) -> None:
    edge, (item, data), (absent, _) = make(), origin.publish(SIZE), origin.publish(SIZE, "t_absent", 2)
    edge.hold(item)
    edge.up()
    edge.whole(item)
    origin.kill()
    edge.end()
    edge.up()
    assert edge.get(item).content == data
    edge.kill_all()
    edge.up()
    assert edge.get(item).content == data
    assert edge.get(absent).status_code == 502
    edge.hold(item, absent)
    until(lambda: (status := edge.status) and status.report.problem.startswith("NC2013"))
    assert edge.get(item).content == data


def test_an_appliance_is_added_and_removed_and_comes_back(origin: OriginProcess, make: Maker) -> None:
    """By the schedule's own assignments. Whoever is added copies from its site; whoever comes back has what it had."""
    old, new = make("fra-1"), make("fra-2")
    films = [origin.publish(3 * BLOCK_BYTES + seed, f"t_{seed}", seed) for seed in range(1, 5)]
    items = [item for item, _ in films]
    assert {ranked(each.title_id, ["fra-1", "fra-2"])[0] for each in items} == {"fra-1", "fra-2"}, "the new one is master of some"
    files = {each.title_id: {each.file.name: each.file} for each in items}
    everything: dict[str, tuple[str, ...]] = {each.title_id: (each.file.name,) for each in items}

    def assign(appliance: Appliance, generation: int, *members: FillPeer) -> Assignment:
        placement = Placement(generation=generation, made_at=0, holdings={each.id: everything for each in members})
        made = assignment(appliance.settings.id, placement, files, [old.peer(), new.peer()], FillSettings(), AT_NIGHT)
        appliance.assign(made)
        return made

    assign(old, 1, old.peer())
    old.up()
    old.whole(*items)
    assign(new, 2, old.peer(), new.peer())
    new.up()
    new.whole(*items)
    assert new.fetched() == {"peer": sum(each.file.size_bytes for each in items)}, "no byte of them entered the site again"
    assert assign(new, 3, old.peer()).items is None
    until(lambda: (status := new.status) and status.report.generation == 3)
    assert all(new.placed(each).exists() for each in items), "what it has stays until it is wanted elsewhere"
    new.kill_all()
    assign(new, 4, old.peer(), new.peer())
    new.up()
    until(
        lambda: (
            (status := new.status) and status.report.generation == 4 and status.filling.assigned_bytes and not status.filling.files_missing
        )
    )
    assert new.fetched() == {}
    for item, data in films:
        assert new.get(item).content == data


def test_a_frozen_source_is_left_for_another(origin: OriginProcess, make: Maker) -> None:
    """SIGSTOP of a peer's nginx: its connections stay open and give nothing."""
    peer, edge, (item, data) = make("fra-1"), make("fra-2"), origin.publish(LONG_BYTES)
    peer.up()
    peer.hold(item)
    peer.whole(item)
    edge.up()
    edge.hold(item, rate_bps=LONG_BPS, sources=(peer.source(), ORIGIN), routes=((Hop(0, awaited=True), Hop(1)),))
    midway(edge, item)
    frozen = peer.nginx_pids()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        edge.hold(item, sources=(peer.source(), ORIGIN), routes=((Hop(0, awaited=True), Hop(1)),))
        edge.whole(item)
        assert edge.placed(item).read_bytes() == data
        assert sum(edge.fetched().values()) == LONG_BYTES
    finally:
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
