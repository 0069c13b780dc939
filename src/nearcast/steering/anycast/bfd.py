"""BFD (RFC 5880, RFC 5881) with the site's routers, by a BIRD that does nothing else: a silent black hole is noticed in milliseconds.

ExaBGP has no BFD. The router ties its BGP session to the BFD session between the same two addresses; when packets stop, it drops the
routes without waiting for the hold time. A guard ends BIRD when we are frozen (guard.py). BIRD 2: https://bird.network.cz/?get_doc&f=bird-6.html#ss6.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import sys
from pathlib import Path

from nearcast.base.clock import Clock
from nearcast.base.errors import Unavailable
from nearcast.base.keep import Keeper
from nearcast.base.processes import write_atomically
from nearcast.steering.anycast import guard as guarding
from nearcast.steering.anycast.settings import AnycastSettings, Router

PATHS = ("/usr/sbin", "/usr/local/sbin")
CONF, CONTROL = "bird.conf", "bird.ctl"
USER = "bird"
ASK_S = 1.0
BEAT_S, PATIENCE_S = 0.2, 1.5
"""So often do we give a sign of life; so long without one, and BIRD is ended."""
STOP_S = 1.0
_SESSION = re.compile(r"^\s?(?P<address>[0-9a-fA-F.:]+)\s+(?P<interface>\S+)\s+(?P<state>Up|Down|Init|AdminDown)\s", re.MULTILINE)


class BirdMissing(Unavailable):
    """BIRD 2, which speaks BFD, is not installed."""

    code = "NC3083"
    cure = "install it (`apt-get install --no-install-recommends bird2`, and `systemctl disable --now bird`), or set bfd = false"


def configuration(settings: AnycastSettings) -> str:
    """bird.conf: the sessions with routers that speak BFD, and nothing of routes."""
    rate = f"interval {round(1000 * settings.bfd.interval_s)} ms; multiplier {settings.bfd.multiplier};"
    wanted = [each for each in settings.routers if each.bfd]
    neighbors = [_neighbor(each) for each in wanted]
    return "\n".join(
        [
            "# Written by Nearcast; changes by hand are overwritten.",
            "log stderr { warning, error, fatal, bug, auth };",
            f"router id {settings.identity};",
            "protocol device { }",
            "protocol bfd nearcast {",
            f'  interface "*" {{ {rate} }};',
            f"  multihop {{ {rate} }};",
            *(f"  {each}" for each in neighbors),
            "}",
            "",
        ]
    )


def _neighbor(router: Router) -> str:
    suffix = " multihop yes" if router.hops > 1 else ""
    return f"neighbor {router.address} local {router.local}{suffix};"


def sessions(text: str) -> dict[str, bool]:
    """From what `show bfd sessions` answers: whether each is up, by the router's address."""
    return {each["address"]: each["state"] == "Up" for each in _SESSION.finditer(text)}


def find_program() -> str:
    """The path of BIRD. Raises BirdMissing."""
    found = shutil.which("bird", path=os.pathsep.join((os.environ.get("PATH", ""), *PATHS)))
    if found is None:
        raise BirdMissing("BIRD is not installed")
    return found


class Bfd:
    """``run`` keeps BIRD; ``sessions`` asks it. Where we are root it is the user that Debian's package
    makes for it, in a folder of its own; where we are not, we need CAP_NET_ADMIN for it."""

    def __init__(self, settings: AnycastSettings, folder: Path, log: Path, clock: Clock) -> None:
        self._folder, self._text = folder, configuration(settings)
        # Names without a folder: another user may not come by way of the folders above.
        command = [find_program(), "-f", "-c", CONF, "-s", CONTROL, "-P", "bird.pid"]
        self._user = _user()
        self._clock = clock
        self._life = folder.with_name(f"{folder.name}.life")  # not where BIRD's user could put something else
        guard = [sys.executable, "-I", "-m", guarding.__name__, str(self._life), str(PATIENCE_S)]
        self._channel = -1
        self.keeper = Keeper("bird", [*guard, *_as(self._user), *command], log, clock, folder=folder, begin=self._begin)

    async def run(self) -> None:
        """Until cancelled or ``stop``."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self._folder / CONF, self._text.encode())
        if self._user:
            for each in (self._folder, self._folder / CONF):
                os.chown(each, self._user.pw_uid, self._user.pw_gid)
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat())
                await self.keeper.run()
                beating.cancel()
        finally:
            self._end_channel()

    def _begin(self) -> None:
        """A channel for each life of the guard: that of the last one may have been removed. Raises OSError: no guard, and no BIRD."""
        self._end_channel()
        os.mkfifo(self._life, 0o600)
        self._channel = os.open(self._life, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _end_channel(self) -> None:
        if self._channel >= 0:
            os.close(self._channel)
            self._channel = -1
        self._life.unlink(missing_ok=True)

    async def _beat(self) -> None:
        """Signs of life to the guard."""
        while True:
            if self._channel >= 0:
                with contextlib.suppress(BlockingIOError):  # nobody reads while BIRD is started again
                    os.write(self._channel, b".")
            await self._clock.sleep(BEAT_S)

    async def stop(self) -> None:
        """End it in order: it tells the routers that it goes (AdminDown), which is no reason to drop anything (RFC 5882, 3.2)."""
        await self.keeper.stop(STOP_S)

    async def sessions(self) -> dict[str, bool]:
        """Whether the session with each router is up; empty where BIRD does not tell."""
        folder = -1
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            async with asyncio.timeout(ASK_S):
                # By way of the folder: a socket's own address has room for but 107 bytes.
                reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{CONTROL}")
                with contextlib.closing(writer):
                    writer.write(b"show bfd sessions\n")
                    text = ""
                    while (line := await reader.readline()) and not line.startswith((b"0000", b"8", b"9")):
                        text += line.decode("ascii", "replace").removeprefix("1020-")
                    return sessions(text)
        except (OSError, TimeoutError):
            return {}
        finally:
            if folder >= 0:
                os.close(folder)


def _as(user: pwd.struct_passwd | None) -> list[str]:
    """The command in front of BIRD that makes it ``user``, with the one capability it needs (SO_PRIORITY), and has it die with us.

    BIRD's own ``-u`` would clear the signal at our death (prctl(2)).
    """
    if user is None:
        return []
    capability = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *capability, "--pdeathsig=KILL", "--"]


def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return None
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None
