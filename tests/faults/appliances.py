"""Origin and appliances as processes of their own, each with its real nginx; what they are to hold lies in a file that tests write.

python -m tests.faults.appliances origin PORT FOLDER
python -m tests.faults.appliances agent SETTINGS FOLDER ORIGIN_URL ASSIGNMENT CLOCK_OFF_S DISCOVERY
python -m tests.faults.appliances discovery ADDRESS
python -m tests.faults.appliances watcher ADDRESS FOLDER

DISCOVERY is the ADDRESS of one (``unix:…``); empty: none listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
from obstore.store import LocalStore

from nearcast.base import rpc
from nearcast.base.clock import SystemClock
from nearcast.base.web import serve_asgi
from nearcast.delivery.edge.agent import EdgeAgent
from nearcast.delivery.edge.status import Status
from nearcast.delivery.fill.schedule import FillPeer
from nearcast.delivery.origin import application
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.fill import Assignment, FillItem, FillSource
from nearcast.model.services import Discovery, FillQuestion
from nearcast.model.services.nothing import Nothing
from nearcast.model.traffic import TrafficReport
from nearcast.policy import capability
from tests.ports import free_port
from tests.unit.delivery.making import ROOT, TITLE, TOKEN, Books, Orders, Registry, digests, film, item

HERE = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0
"""A start may take half a minute where the machine has ten times more to do than it can; only a failure waits so long."""


# --- the processes ---------------------------------------------------------------------------------------------------------


class ShiftedClock(SystemClock):
    """A machine's clock that is wrong."""

    def __init__(self, off_s: float) -> None:
        self._off_s = off_s

    def now_s(self) -> float:
        return super().now_s() + self._off_s


class FileOrders(Orders):
    """A fill whose answer lies in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def assignment(self, question: FillQuestion, /) -> Assignment:
        until_s = time.monotonic() + question.wait_s
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                found = msgspec.msgpack.decode(self._path.read_bytes(), type=Assignment)
                if found.version != question.after:
                    return found
            await asyncio.sleep(0.05)
        return Assignment(version=question.after, items=None)


class FileBooks(Books):
    """An insight that writes down what it is told, one report a line, and then answers."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def record(self, question: TrafficReport, /) -> Nothing:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(question) + b"\n")
        return Nothing()


async def _run_origin(port: int, folder: Path) -> None:
    await (await serve_asgi(application(LocalStore(folder), TOKEN), "127.0.0.1", port)).wait()


async def _run_agent(settings: EdgeSettings, folder: Path, origin_url: str, assignment: Path, off_s: float, address: str) -> None:
    agent = EdgeAgent(
        settings,
        folder,
        key=capability.edge_key(ROOT, settings.id),
        origin_token=TOKEN,
        parent_url=origin_url,
        discovery=_discovery_at(address) if address else Registry(),
        fill=FileOrders(assignment),
        insight=FileBooks(folder.with_suffix(".traffic")),
        clock=ShiftedClock(off_s),
    )
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await agent.start()
    working = asyncio.create_task(agent.wait())
    await asyncio.wait([working, asyncio.create_task(ending.wait())], return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
    await agent.stop()


def _discovery_at(address: str) -> Discovery:
    return rpc.connect(Discovery, lambda: (address,), rpc.Channels())


async def _run_discovery(address: str) -> None:
    from nearcast.control.discovery import DiscoveryService
    from nearcast.system.keyed import KeyedDiscovery

    server = await rpc.serve({Discovery: KeyedDiscovery(DiscoveryService(clock=SystemClock()), ROOT)}, address)
    await server.wait_for_termination()


async def _run_watcher(address: str, folder: Path) -> None:
    from nearcast.steering.health.watch import Watcher
    from nearcast.steering.settings import SteeringSettings

    watcher = Watcher(_discovery_at(address), None, SteeringSettings(), folder)
    await watcher.start()
    await watcher.wait()


# --- the tests' side of them -----------------------------------------------------------------------------------------------


def until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come about in time"
        time.sleep(0.03)


class Process:
    """One process and whatever it starts, ended with ``end``; what it says is kept in ``log``."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE / 'src'}"}
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.appliances", *arguments], env=environment, stdout=log, stderr=log, cwd=HERE
            )

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def ended(self) -> bool:
        return self._child is None or self._child.poll() is not None

    def kill(self) -> None:
        """kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def end(self) -> None:
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._child = None


class OriginProcess(Process):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "origin.log")
        self.folder = folder / "origin"
        self.folder.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        self.start("origin", str(self.port), str(self.folder))
        until(lambda: _answers(f"{self.url}/healthz"))

    def publish(self, size_bytes: int, title_id: str = TITLE, seed: int = 1) -> tuple[FillItem, bytes]:
        data = film(size_bytes, seed)
        made = item(data, title_id)
        folder = self.folder / "titles" / title_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / made.file.name).write_bytes(data)
        (folder / made.file.blocks_name).write_bytes(digests(data))
        return made, data


class Appliance(Process):
    """An agent and its nginx. ``folder`` outlives both."""

    def __init__(self, root: Path, origin: OriginProcess, name: str, folder: Path | None = None, **settings: object) -> None:
        super().__init__(root / f"{name}.log")
        self.folder = folder or root / name
        self.folder.mkdir(exist_ok=True)
        self._origin = origin
        self._discovery = str(settings.pop("discovery", ""))
        self._orders = root / f"{name}.assignment"
        self._nginx_pid = self.folder / "run" / "nginx.pid"
        self._version = 0
        fields = {"id": name, "site": "frankfurt", "port": free_port(), "admin_port": free_port(), "report_s": 0.2, "health_s": 0.1}
        fields |= {"linger_s": 0.0, "stop_grace_s": 0.5, "scrub_bps": 0.0, **settings}
        self.settings = EdgeSettings(**fields)  # type: ignore[arg-type]  # checked by the constructor
        self.key = capability.edge_key(ROOT, name)
        self.client = httpx.Client(trust_env=False, timeout=PATIENCE_S, base_url=self.settings.public_address)

    def up(self, clock_off_s: float = 0.0) -> None:
        settings = msgspec.json.encode(self.settings).decode()
        self.start("agent", settings, str(self.folder), self._origin.url, str(self._orders), str(clock_off_s), self._discovery)
        until(lambda: self.status is not None or self.ended)
        assert not self.ended, self.log.read_text()

    def hold(self, *items: FillItem, **more: object) -> None:
        """Assign these, without waiting for anything."""
        self._version += 1
        self.assign(Assignment(version=self._version, items=items, **more))  # type: ignore[arg-type]  # checked by the constructor

    def assign(self, assignment: Assignment) -> None:
        fresh = self._orders.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(assignment))
        fresh.replace(self._orders)

    @property
    def status(self) -> Status | None:
        """What its own page tells; None: it does not answer."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.settings.own_port}/status.json", trust_env=False, timeout=10.0)
            return msgspec.json.decode(answer.content, type=Status)
        except (httpx.HTTPError, msgspec.MsgspecError):
            return None

    def fetched(self) -> dict[str, int]:
        """Bytes that this agent's fill fetched, by kind of source."""
        status = self.status
        assert status is not None
        return status.filling.by_kind

    def told(self) -> int:
        """Bytes that all its agents told insight to have fetched, each report counted once."""
        path, last, total = self.folder.with_suffix(".traffic"), dict[str, int](), 0
        for line in path.read_bytes().splitlines() if path.exists() else []:
            report = msgspec.json.decode(line, type=TrafficReport)
            if report.sequence > last.get(report.run, -1):
                last[report.run] = report.sequence
                total += sum(each.size_bytes for each in report.fetched)
        return total

    def placed(self, each: FillItem) -> Path:
        return self.folder / "placed" / each.title_id / each.file.name

    def part_bytes(self, each: FillItem) -> int:
        path = self.folder / "filling" / f"{each.title_id}.{each.file.name}"
        return path.stat().st_size if path.exists() else 0

    def whole(self, *items: FillItem, timeout_s: float = PATIENCE_S) -> None:
        """Wait until all of these are placed."""
        until(lambda: all(self.placed(each).exists() for each in items), timeout_s)

    def source(self, kind: str = "peer", *, held_only: bool = True) -> FillSource:
        """This appliance, as others copy from it."""
        token = capability.fill_token(self.key)
        return FillSource(id=self.settings.id, kind=kind, url=self.settings.public_address, token=token, held_only=held_only)  # type: ignore[arg-type]

    def peer(self, **fields: object) -> FillPeer:
        """This appliance, as the schedule sees it."""
        known = {"id": self.settings.id, "site": self.settings.site, "url": self.settings.public_address}
        return FillPeer(**{**known, "token": capability.fill_token(self.key), **fields})  # type: ignore[arg-type]

    def get(self, each: FillItem, *, made_at_s: float | None = None) -> httpx.Response:
        """What a viewer is answered whose path was made at ``made_at_s``, for a film of ten minutes."""
        expires_at = capability.edge_expiry_s(made_at_s or time.time(), 600.0)
        return self.client.get(capability.edge_path(self.key, each.title_id, expires_at) + each.file.name)

    def nginx_pids(self) -> list[int]:
        """Master first. One that is just being started has not written its id yet."""
        until(lambda: self._nginx_pid.exists() and self._nginx_pid.read_text().strip())
        master = int(self._nginx_pid.read_text())
        with contextlib.suppress(FileNotFoundError):
            return [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
        return [master]

    def kill_nginx(self) -> None:
        for pid in self.nginx_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """As when its machine loses power."""
        self.kill()
        self.kill_nginx()

    def destroy(self) -> None:
        self.client.close()
        self.end()
        if self._nginx_pid.exists():  # it outlived its agent
            self.kill_nginx()


def flip(path: Path, seed: int = 3) -> None:
    """One wrong bit somewhere in a file."""
    at = random.Random(seed).randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=10.0).status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    os.umask(0o022)
    what, *rest = sys.argv[1:]
    if what == "origin":
        asyncio.run(_run_origin(int(rest[0]), Path(rest[1])))
    elif what == "discovery":
        asyncio.run(_run_discovery(rest[0]))
    elif what == "watcher":
        asyncio.run(_run_watcher(rest[0], Path(rest[1])))
    else:
        read = msgspec.json.decode(rest[0], type=EdgeSettings)
        asyncio.run(_run_agent(read, Path(rest[1]), rest[2], Path(rest[3]), float(rest[4]), rest[5]))
