"""Keeps one nginx serving: starts or adopts it, sees whether it answers, starts it anew when it died.

What changes often it is told without a new configuration, by names below ``run/`` that nginx looks for (signals.py). A new configuration
(other keys, other parents) means other workers: for some seconds before, each answer is the last one of its connection, so that no
connection is closed under a request. One that was idle all that time may be, and HTTP clients resend on their own then (RFC 9112,
9.3.1); nginx 1.27.4 and later spare even that (keepalive_min_timeout).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import structlog
from msgspec.structs import replace

from nearcast.base import ports
from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.edge import nginx
from nearcast.delivery.edge.conffile import BadFolder, ConfFile
from nearcast.delivery.edge.keys import EdgeKeys, KeyFile
from nearcast.delivery.edge.load import NORMAL, LoadState
from nearcast.delivery.edge.memory import Window, close_window, let_go, narrow, open_window
from nearcast.delivery.edge.parent import BadParent, read_parent, resolve
from nearcast.delivery.edge.process import Nginx, build_of, end_orphans, find_program, until_answering
from nearcast.delivery.edge.signals import Signals, connections_of
from nearcast.delivery.edge.worker import Worker, choose, hand_over
from nearcast.delivery.settings import REACTIVE_BYTES_MIN, EdgeSettings
from nearcast.model.fill import FillSource
from nearcast.policy import capability

BACKOFF_S = (0.1, 5.0)
STEADY_S = 10.0
"""An nginx that ran for so long is started anew without delay."""
MISSES = 2
REFRESH_S = 30.0
CLOSING_S = 2.5
"""For so long before an exchange of workers each answer is the last of its connection. Players ask for more often than that."""
EXCHANGE_S = 8.0
TIERS_MAX = 3
_log = structlog.get_logger("edge")


def next_backoff(previous_s: float, ran_s: float) -> float:
    """Seconds to wait before the next start: doubling, and back to the least after a steady run."""
    return BACKOFF_S[0] if ran_s >= STEADY_S else min(BACKOFF_S[1], max(BACKOFF_S[0], previous_s * 2))


class Server:
    """The nginx of one appliance. ``healthy`` says whether it answers; ``changed`` is set whenever that turns."""

    def __init__(
        self,
        settings: EdgeSettings,
        folder: Path,
        key: str,
        origin_token: str,
        parent_url: str,
        clock: Clock,
        reactive_bytes_max: int = REACTIVE_BYTES_MIN,
    ) -> None:
        """``key``: policy.capability.edge_key of generation 0. ``reactive_bytes_max``: the reactive partition (settings.partitions)."""
        self.settings = settings
        self.folder = folder.resolve()
        self.signals = Signals(self.folder / "run")
        self.healthy = False
        self.changed = asyncio.Event()
        self.restarts = 0
        self.fill_token = capability.fill_token(key)
        self._key_file = KeyFile(self.folder / "conf" / "keys.json", key)
        self.keys = self._key_file.load()
        self.load = NORMAL
        self._reactive_bytes = reactive_bytes_max
        self._origin = replace(
            read_parent(parent_url, settings.parent_ca),
            token=origin_token,
            name=settings.parent_name,
            certificate=settings.parent_certificate,
            key=settings.parent_key,
        )
        self._tiers: tuple[nginx.Parent, ...] = ()
        self.tiers_ca = settings.parent_ca
        self._changing = asyncio.Lock()
        self._clock = clock
        self._worker: Worker | None = None
        self._window: Window | None = None
        self._misses = 0
        self._sick_since_s: float | None = None
        program = find_program()
        build = build_of(program)
        self.nginx = Nginx(program, self.folder, build)
        self._conf = ConfFile(settings, self.folder, self.nginx, build)
        scheme, host = ("https" if settings.tls_certificate else "http"), ports.authority(settings.health_host, settings.port)
        self._health_url = f"{scheme}://{host}/healthz"
        # The certificate names the public address, and this is our own process on this machine: nothing to verify. Each sign of life is
        # asked for over a connection of its own: who takes no new ones is of no use to viewers.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=settings.health_timeout_s, trust_env=False, verify=False, limits=limits)  # noqa: S501

    async def start(self) -> None:
        """Have nginx answer at its port, an earlier agent's or a new one.

        Raises PortTaken naming the process that is in the way, NginxRefused, or what the constructor's checks raise.
        """
        await asyncio.to_thread(self._prepare)
        if self.nginx.adopt():
            _log.info("adopted the running nginx", pid=self.nginx.pid)
            await self.refresh()
        else:
            await self._start()
        await until_answering(self.nginx, self._answers, self._clock)
        self._turn(self._misses == 0)

    async def watch(self) -> None:
        """Look after nginx until cancelled."""
        backoff_s, started_s, refreshed_s = 0.0, self._clock.monotonic_s(), self._clock.monotonic_s()
        while True:
            now_s = self._clock.monotonic_s()
            if not self.nginx.running():
                self._turn(False)
                backoff_s = next_backoff(backoff_s, now_s - started_s)
                _log.error("nginx ended; starting it again", wait_s=backoff_s, said=self.nginx.said())
                await self._clock.sleep(backoff_s)
                await self._restart()
                started_s = self._clock.monotonic_s()
                continue
            answered = await self._answers()
            self._turn(answered or (self.healthy and self._misses < MISSES))
            if self._frozen():
                _log.error("nginx runs but does not answer; ending it", pid=self.nginx.pid)
                await asyncio.to_thread(self.nginx.kill)
                continue
            if now_s - refreshed_s > REFRESH_S:
                refreshed_s = now_s
                await self._refresh_quietly()
            self.signals.narrow = self._window is None or narrow(self._window)
            await self._clock.sleep(self.settings.health_s if answered else 0.05)

    async def refresh(self) -> None:
        """Write the configuration anew where it has changed (a parent's address, a certificate) and have nginx take it."""
        async with self._changing:
            if not await asyncio.to_thread(self._conf.write, await self._text()):
                return
            if not self.nginx.running():
                return  # whoever starts it takes the new one
            self.signals.close_connections(True)
            await self._clock.sleep(CLOSING_S)
            before = set(await asyncio.to_thread(self.nginx.workers))
            self.nginx.reload()
            await self._exchanged(before)
            self.signals.close_connections(False)
            _log.info("nginx takes a changed configuration", pid=self.nginx.pid)

    async def set_keys(self, keys: EdgeKeys) -> None:
        """Take paths under these MAC keys, and no others. Returns when nginx does; no request is dropped on the way.

        Raises BadFolder or NginxRefused, and the keys are as they were.
        """
        before = self.keys
        if keys == before:
            return
        try:
            await asyncio.to_thread(self._key_file.save, keys)
            self.keys = keys
            await self.refresh()
        except OSError as error:
            raise BadFolder(f"{self.folder}: {error.strerror}", hint="free or add space; see that the edge may write there") from error
        except NearcastError:
            self.keys = before
            await asyncio.to_thread(self._key_file.save, before)
            raise
        _log.info("MAC key rotated", generation=keys.current.generation)

    async def set_parents(self, parents: tuple[FillSource, ...]) -> None:
        """Ask these for what is absent, best first, and then the origin of the edge's own settings, which need not be among them."""
        tiers = []
        for each in parents:
            if not each.url:
                break
            try:
                found = read_parent(each.url, self.tiers_ca)
            except BadParent as error:
                _log.warning("a parent cannot be asked", parent=each.id, error=error.message, code=error.code)
                continue
            tiers.append(replace(found, id=each.id, token=each.token, door="held" if each.held_only else "titles"))
        if tuple(tiers[:TIERS_MAX]) != self._tiers:
            self._tiers = tuple(tiers[:TIERS_MAX])
            if self.nginx.running():
                await self.refresh()

    def set_load(self, load: LoadState) -> None:
        """Have nginx tell players of this load, and refuse as it says, from the next request on."""
        self.load = load
        self.signals.tell(load)

    async def connections(self) -> int | None:
        """Connections that are open to nginx now, idle ones too; None where it does not tell."""
        return await connections_of(self.folder / "run")

    @property
    def window(self) -> Window:
        """Where slices land, and where those are named that nginx is to keep on the disk (reactive.py)."""
        if self._window is None:
            self._window = open_window(self.folder)
        return self._window

    @property
    def passing_through(self) -> bool:
        return self.signals.full

    def pass_through(self, full: bool) -> None:
        """While the disk is ``full``, nginx passes on what it fetches without keeping it (a write that fails would end the answer)."""
        if full != self.signals.full:
            _log.warning("the disk is full: misses are passed through" if full else "misses are kept again", folder=str(self.folder))
            self.signals.full = full

    async def stop(self) -> None:
        """End nginx: running answers get ``stop_grace_s``. Nothing of it is left afterwards."""
        self.nginx.finish()
        deadline_s = self._clock.monotonic_s() + self.settings.stop_grace_s
        while self.nginx.running() and self._clock.monotonic_s() < deadline_s:
            await self._clock.sleep(0.02)
        await asyncio.to_thread(self.nginx.kill)
        self._turn(False)
        if self._window is not None:
            await asyncio.to_thread(close_window, self._window)
            self._window = None
        await self._client.aclose()

    async def leave(self) -> None:
        """Forget nginx without ending it: it serves on, and holds its window."""
        self.nginx.release()
        if self._window is not None:
            let_go(self._window)
            self._window = None
        await self._client.aclose()

    async def _start(self) -> None:
        await end_orphans(self.nginx, self.settings.port, self._clock)
        for host in self.settings.listen:
            ports.check_free(host, self.settings.port)
        await asyncio.to_thread(self.signals.clear_sockets)
        await asyncio.to_thread(self._conf.write, await self._text())
        self.nginx.start([held] if (held := self.window.held) >= 0 else [])

    async def _restart(self) -> None:
        self.restarts += 1
        try:
            await self._start()
        except NearcastError as error:
            _log.error("nginx cannot be started", error=error.message, code=error.code, hint=error.hint)
        self._sick_since_s = self._clock.monotonic_s()  # the new one has its own time to answer

    async def _exchanged(self, before: set[int]) -> None:
        """Wait until none of the workers of ``before`` takes connections any more."""
        deadline_s = self._clock.monotonic_s() + EXCHANGE_S
        while self._clock.monotonic_s() < deadline_s:
            now = set(await asyncio.to_thread(self.nginx.workers))
            if now and not now & before:
                return
            await self._clock.sleep(0.05)
        _log.warning("nginx still runs old workers", pid=self.nginx.pid)

    async def _text(self) -> str:
        origin, *tiers = [replace(each, addresses=await resolve(each.host, each.port)) for each in (self._origin, *self._tiers)]
        if not origin.addresses:
            _log.warning("the origin's name cannot be resolved; absent files get 502", host=origin.host)
        secrets = nginx.Secrets(keys=self.keys, fill_token=self.fill_token)
        content = nginx.Content(secrets=secrets, origin=origin, tiers=tuple(tiers), reactive_bytes=self._reactive_bytes)
        return await asyncio.to_thread(self._conf.text, content, self.window, self._worker)

    def _prepare(self) -> None:
        try:
            for each in nginx.folders(self.folder):
                each.mkdir(parents=True, exist_ok=True)
            for name in ("conf", "logs", "run"):
                (self.folder / name).chmod(0o700)
            window = self.window
            self.signals.tell(self.load)
            self._worker = choose(self.folder, self.settings.user)
            if self._worker and self._worker.uid:
                for each in (self.folder, self.folder / "placed"):
                    each.chmod(0o755)
                hand_over(self._worker, kept=[self.folder / "cache", window.landing], passed=[self.folder / "logs", self.folder / "run"])
            for name in ("access.log", "error.log"):  # before nginx makes them readable for everyone
                (self.folder / "logs" / name).touch(mode=0o600)
        except OSError as error:
            raise BadFolder(f"{self.folder}: {error.strerror}", hint="give the edge a folder that it may write to") from error

    async def _answers(self) -> bool:
        """One sign of life: our own appliance's name, in time."""
        try:
            response = await self._client.get(self._health_url)
            good = response.status_code == 200 and response.text.strip() == self.settings.id
        except httpx.TimeoutException:
            self._misses += 1
            return False
        except httpx.HTTPError:  # refused: there is nothing to wait for
            self._misses = MISSES
            return False
        self._misses = 0 if good else MISSES
        return good

    def _turn(self, healthy: bool) -> None:
        if healthy:
            self._sick_since_s = None
        elif self._sick_since_s is None:
            self._sick_since_s = self._clock.monotonic_s()
        if healthy != self.healthy:
            self.healthy = healthy
            self.changed.set()
            _log.info("nginx answers" if healthy else "nginx does not answer", pid=self.nginx.pid)

    def _frozen(self) -> bool:
        return self._sick_since_s is not None and self._clock.monotonic_s() - self._sick_since_s > self.settings.frozen_restart_s

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except NearcastError as error:
            _log.error("the changed configuration is not taken; the old one stays", error=error.message, code=error.code)
