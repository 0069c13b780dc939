"""Keeps the nginx of a door serving, and has it know who stands behind it now.

Like an edge's, the nginx outlives its agent, and the next agent takes it over. Who takes no new clients for a while is told to it by a name
below ``run/out``, which it looks for with each request; a reload, which closes idle connections, is only for who is new or gone for good.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import httpx
import structlog
from msgspec.structs import replace

from nearcast.base import ports
from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.door import nginx
from nearcast.delivery.door.members import Member, Standing
from nearcast.delivery.door.settings import DoorSettings
from nearcast.delivery.edge.conffile import BadFolder, check_paths, put, stamps
from nearcast.delivery.edge.parent import AUTHORITIES, BadParent, bundle, read_parent, resolve
from nearcast.delivery.edge.process import Nginx, build_of, end_orphans, find_program, open_files_max, said, until_answering
from nearcast.delivery.edge.server import next_backoff
from nearcast.delivery.edge.worker import Worker, choose, hand_over

LOOK_S = 0.2
"""So often are the members asked for, and nginx for a sign of life."""
RENEW_S = 30.0
"""So often are names resolved and certificates looked at again."""
ANSWER_S = 1.0
FROZEN_S = 10.0
STOP_S = 2.0
_log = structlog.get_logger("door")


class Door:
    """One door. ``standing`` tells who stands behind it now; ``ca`` is this system's own authority, in a PEM file."""

    def __init__(self, settings: DoorSettings, folder: Path, standing: Callable[[], Standing], clock: Clock, ca: str = "") -> None:
        self.settings = settings
        self.folder = folder.resolve()
        self.standing = Standing()
        self.restarts = self.reloads = 0
        self._ask, self._ca, self._clock = standing, ca, clock
        self._worker: Worker | None = None
        self._written: tuple[Member, ...] = ()
        program = find_program()
        self._build = build_of(program)
        self._module = nginx.read_stream(said(program), settings.stream_module) if settings.dns else ""
        self.nginx = Nginx(program, self.folder, self._build)
        check_paths(str(self.folder), self._module, *self._files)
        host = ports.authority(ports.dialled(settings.listen[0]), settings.port)
        # Our own process on this machine, whose certificate names the public address: nothing to verify. Each sign of life is asked for
        # over a connection of its own, as clients come.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=ANSWER_S, trust_env=False, verify=False, limits=limits)  # noqa: S501
        self._health_url = f"{'https' if settings.tls_certificate else 'http'}://{host}/healthz"

    async def start(self) -> None:
        """Have nginx answer at its port. Raises PortTaken, NginxRefused, BadFolder, BadParent."""
        await asyncio.to_thread(self._prepare)
        self._let(self._ask())
        if self.nginx.adopt():
            _log.info("adopted the running nginx", door=self.settings.id, pid=self.nginx.pid)
            await self._renew()
        else:
            await self._start()
        await until_answering(self.nginx, self._answers, self._clock)
        _log.info("door serves", door=self.settings.id, members=[each.id for each in self.standing.here])

    async def watch(self) -> None:
        """Look after members and nginx until cancelled."""
        started_s = renewed_s = answered_s = self._clock.monotonic_s()
        backoff_s = 0.0
        while True:
            await self._clock.sleep(LOOK_S)
            now_s = self._clock.monotonic_s()
            if not self.nginx.running():
                backoff_s = next_backoff(backoff_s, now_s - started_s)
                _log.error("nginx ended; starting it again", door=self.settings.id, wait_s=backoff_s, said=self.nginx.said())
                await self._clock.sleep(backoff_s)
                await self._restart()
                started_s = answered_s = self._clock.monotonic_s()
                continue
            self._let(self._ask())
            if self.standing.known != self._written or now_s - renewed_s > RENEW_S:
                renewed_s = now_s
                await self._renew_quietly()
            if await self._answers():
                answered_s = self._clock.monotonic_s()
            elif self._clock.monotonic_s() - answered_s > FROZEN_S:
                _log.error("nginx runs but does not answer; ending it", door=self.settings.id, pid=self.nginx.pid)
                await asyncio.to_thread(self.nginx.kill)

    def notice(self) -> None:
        """Something is known anew of who stands behind it: nginx has it at once, not at the next turn, which may wait for a sign of life.
        What cannot be written now is left to that turn, and so is a reload for who is new."""
        with contextlib.suppress(OSError):
            self._let(self._ask())

    async def stop(self) -> None:
        """End nginx: running answers get a moment. Nothing of it is left afterwards."""
        self.nginx.finish()
        deadline_s = self._clock.monotonic_s() + STOP_S
        while self.nginx.running() and self._clock.monotonic_s() < deadline_s:
            await self._clock.sleep(0.02)
        await asyncio.to_thread(self.nginx.kill)
        await self._client.aclose()

    async def leave(self) -> None:
        """Forget nginx without ending it: it serves on."""
        self.nginx.release()
        await self._client.aclose()

    def _let(self, found: Standing) -> None:
        """Have nginx know who is out. A name that cannot be written, for want of space, is written with the next look."""
        if found != self.standing:
            gone, come = set(self.standing.here) - set(found.here), set(found.here) - set(self.standing.here)
            names = {"gone": sorted(each.id for each in gone), "come": sorted(each.id for each in come)}
            _log.info("members change", door=self.settings.id, **names)
        self.standing = found
        wanted = {*found.out, *([] if found.here else [nginx.NOBODY])}
        there = {each.name for each in self._out.iterdir()}
        with contextlib.suppress(OSError):
            for name in there - wanted:
                (self._out / name).unlink()
            for name in wanted - there:
                (self._out / name).touch()

    async def _renew_quietly(self) -> None:
        try:
            await self._renew()
        except NearcastError as error:
            _log.error("the changed configuration is not taken; the old one stays", error=error.message, code=error.code)

    async def _renew(self) -> None:
        """Write the configuration anew where it has changed, and have nginx take it."""
        if await asyncio.to_thread(put, self.nginx, self._conf, await self._text()) and self.nginx.running():
            self.reloads += 1
            self.nginx.reload()

    async def _start(self) -> None:
        await end_orphans(self.nginx, self.settings.port, self._clock)
        for host in self.settings.listen:
            ports.check_free(host, self.settings.port)
        for each in (self.folder / "run").glob("*.sock"):  # of an nginx that was killed
            each.unlink(missing_ok=True)
        await asyncio.to_thread(put, self.nginx, self._conf, await self._text())
        self.nginx.start()

    async def _restart(self) -> None:
        self.restarts += 1
        self._let(self._ask())
        try:
            await self._start()
        except NearcastError as error:
            _log.error("nginx cannot be started", error=error.message, code=error.code, hint=error.hint)

    async def _text(self) -> str:
        self._written = self.standing.known
        behind = [each for each in [await self._behind(member) for member in self._written] if each is not None]
        assets = read_parent(self.settings.assets_url, self._trusted, plain=True) if self.settings.assets_url else None
        if assets is not None:
            assets = replace(assets, addresses=await resolve(assets.host, assets.port))
        files = self.settings.connections_max * nginx.FILES_PER_CONNECTION + nginx.FILES_RESERVED
        user = f"{self._worker.user} {self._worker.group}" if self._worker else ""
        machine = nginx.Machine(build=self._build, worker_user=user, open_files_max=open_files_max(files), stream_module=self._module)
        return nginx.configuration(self.settings, self.folder, tuple(behind), assets, machine) + stamps(self._files)

    async def _behind(self, member: Member) -> nginx.Behind | None:
        """None for one that cannot be reached now: its name does not resolve, or it is no address."""
        try:
            parent = read_parent(member.address, self._trusted, plain=True)
        except BadParent as error:
            _log.warning("a member cannot be asked", door=self.settings.id, member=member.id, error=error.message)
            return None
        addresses = await resolve(parent.host, parent.port)
        if not addresses:
            _log.warning("a member's name cannot be resolved", door=self.settings.id, member=member.id, host=parent.host)
            return None
        return nginx.Behind(id=member.id, address=member.address, parent=replace(parent, addresses=addresses))

    async def _answers(self) -> bool:
        """One sign of life: its own name, whether or not anybody is behind it."""
        try:
            return (await self._client.get(self._health_url)).text.startswith(self.settings.id)
        except httpx.HTTPError:
            return False

    @property
    def _out(self) -> Path:
        return self.folder / "run" / "out"

    @property
    def _conf(self) -> Path:
        return self.folder / "conf" / "nginx.conf"

    @property
    def _files(self) -> tuple[str, ...]:
        return (self.settings.tls_certificate, self.settings.tls_key, self.settings.ca)

    @property
    def _trusted(self) -> str:
        """What members on https are verified with."""
        return self.settings.ca or (str(self.folder / "conf" / "authorities.pem") if self._ca else AUTHORITIES)

    def _prepare(self) -> None:
        try:
            for name in ("conf", "logs", "run", "run/out", "cache/temporary", "cache/assets"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            for name in ("conf", "logs", "run"):
                (self.folder / name).chmod(0o700)
            if self._ca and not self.settings.ca:
                bundle(self.folder / "conf" / "authorities.pem", self._ca)
            self._worker = choose(self.folder, self.settings.user)
            if self._worker and self._worker.uid:
                self.folder.chmod(0o755)
                hand_over(self._worker, kept=[self.folder / "cache"], passed=[self.folder / "logs", self.folder / "run"])
            (self.folder / "logs" / "error.log").touch(mode=0o600)
        except OSError as error:
            raise BadFolder(f"{self.folder}: {error.strerror}", hint="give the door a folder that it may write to") from error
