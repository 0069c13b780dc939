"""The nginx process of one edge: found, started, adopted after the agent's own death, reloaded, ended.

nginx runs in a session of its own and leaves its pid in a file, so that it outlives its agent and the next one finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path

import structlog

from nearcast.base import ports
from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Unavailable
from nearcast.delivery.edge.nginx import Build, command

_PROC = Path("/proc")
PATHS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/homebrew/bin")
WORKER = "nginx: worker process"
READY_S = 8.0
NEEDED = {"http_secure_link_module": "secure_link", "http_slice_module": "slice", "http_stub_status_module": "stub_status"}
_log = structlog.get_logger("edge")


class NginxMissing(Unavailable):
    """nginx, which serves the films, is not installed."""

    code = "NC2001"
    cure = "install it: `apt-get install nginx` (as root), or give its folder in PATH"


class NginxUnfit(Unavailable):
    """The nginx that was found lacks something that an edge needs."""

    code = "NC2002"
    cure = (
        "install Debian's or Ubuntu's: `apt-get install nginx`; an own build needs --with-http_secure_link_module "
        "--with-http_slice_module --with-http_stub_status_module"
    )


class NginxRefused(BadInput):
    """nginx does not accept the configuration that was written for it."""

    code = "NC2003"
    cure = "correct the setting that nginx names (a certificate, an address, a folder)"


def find_program(search: str | None = None) -> str:
    """The path of nginx: on PATH (or ``search``), or where distributions put it. Raises NginxMissing."""
    path = os.environ.get("PATH", "") if search is None else search
    found = shutil.which("nginx", path=os.pathsep.join((path, *PATHS) if search is None else (path,)))
    if found is None:
        raise NginxMissing("nginx is not installed")
    return found


def read_build(text: str) -> Build:
    """What ``nginx -V`` says, or NginxUnfit where a needed module is missing."""
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", text)
    if version is None:
        raise NginxUnfit("this nginx does not tell its version")
    missing = [name for option, name in NEEDED.items() if f"--with-{option}" not in text]
    if missing:
        raise NginxUnfit(f"this nginx was built without {' and '.join(missing)}")
    major, minor, patch = (int(each) for each in version.groups())
    if (major, minor, patch) < (1, 18, 0):
        raise NginxUnfit(f"nginx {major}.{minor}.{patch} is too old: 1.18 or newer is needed")
    return Build(version=(major, minor, patch), threads="--with-threads" in text)


def build_of(program: str) -> Build:
    return read_build(said(program))


def said(program: str) -> str:
    """What ``nginx -V`` says."""
    done = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10, check=False)
    return done.stderr + done.stdout


def open_files_max(wanted: int) -> int:
    """How many files nginx may hold open. Even root may not raise the hard limit everywhere (containers)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)


class Nginx:
    """One nginx over one folder. Blocking and quick, apart from ``end``; call it from one thread."""

    def __init__(self, program: str, folder: Path, build: Build) -> None:
        self.folder = folder
        self.adopted = False
        self._command = command(program, folder, build)
        self._child: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The master process, 0 when none is known."""
        return self._pid

    def check(self, path: Path) -> None:
        """Let nginx judge a configuration. Raises NginxRefused with its words."""
        command = [*self._command[:-1], str(path), "-t", "-q"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=self.folder)
        if done.returncode:
            said = (
                [line for line in done.stderr.splitlines() if "[emerg]" in line] or done.stderr.splitlines()[-1:] or ["it did not say why"]
            )
            raise NginxRefused(f"nginx refuses its configuration: {re.sub(r'^.*?[0-9]+#[0-9]+: |^nginx: ', '', said[0])}")

    def adopt(self) -> bool:
        """Take over the nginx that an earlier agent left running over this folder."""
        try:
            pid = int((self.folder / "run" / "nginx.pid").read_text())
        except (OSError, ValueError):
            return False
        if not alive(pid) or f" {self.folder}/conf/nginx.conf" not in _command_line(pid):
            return False
        self._pid, self._child, self.adopted = pid, None, True
        return True

    def start(self, held: Collection[int] = ()) -> None:
        """Start a new one. What it says before its own log is open goes to ``logs/start.log``. ``held``: descriptors that it inherits."""
        with (self.folder / "logs" / "start.log").open("wb") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                pass_fds=tuple(held),
            )
        self._pid, self.adopted = self._child.pid, False

    def said(self) -> str:
        """The last thing that it said on starting."""
        try:
            lines = (self.folder / "logs" / "start.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return bool(self._pid) and alive(self._pid)

    def reload(self) -> None:
        """Take the new configuration; running answers end under the old one."""
        self._signal(signal.SIGHUP)

    def reopen_logs(self) -> None:
        self._signal(signal.SIGUSR1)

    def finish(self) -> None:
        """Stop listening, let running answers end, then exit."""
        self._signal(signal.SIGQUIT)

    def kill(self) -> None:
        """End master and workers at once, frozen or not."""
        for pid in (self._pid, *self.processes()):
            if pid:
                _send(pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait()
        self._pid, self._child = 0, None

    def release(self) -> None:
        """Forget the process without ending it. Somebody else will wait for its end, so Popen must not complain about it."""
        if self._child is not None:
            self._child.returncode = 0
        self._pid, self._child = 0, None

    def workers(self) -> list[int]:
        """Processes that take connections; not those that only finish their answers."""
        return [pid for pid in self.processes() if _command_line(pid).strip() == WORKER]

    def processes(self) -> list[int]:
        """Every nginx process that has this folder's logs open: master, workers, and orphans of a killed master."""
        logs = f"{self.folder}/logs/"
        return [pid for pid in _pids_named("nginx") if any(each.startswith(logs) for each in _open_paths(pid))]

    def orphans(self) -> list[int]:
        """Workers whose master was killed: they serve on, but nobody can tell them anything, and they hold the port."""
        return [] if self.running() else self.processes()

    def _signal(self, number: signal.Signals) -> None:
        if self._pid and self.running():
            _send(self._pid, number)


async def until_answering(nginx: Nginx, answers: Callable[[], Awaitable[bool]], clock: Clock) -> None:
    """Wait until ``answers``, READY_S at most: who looks after it goes on from there. Raises NginxRefused for one that has ended."""
    deadline_s = clock.monotonic_s() + READY_S
    while not await answers():
        if not nginx.running():
            raise NginxRefused(f"nginx ended at once: {nginx.said()}")
        if clock.monotonic_s() > deadline_s:
            _log.warning("nginx does not answer yet", folder=str(nginx.folder), pid=nginx.pid)
            return
        await clock.sleep(0.02)


def end_processes(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        _send(pid, number)


async def end_orphans(nginx: Nginx, port: int, clock: Clock) -> None:
    """Let workers without a master finish their answers; end those that do not listen to that (a frozen one) and keep ``port``."""
    found = await asyncio.to_thread(nginx.orphans)
    if not found:
        return
    end_processes(found, signal.SIGQUIT)
    for _ in range(25):
        if ports.holder_of(port) is None:
            return
        await clock.sleep(0.02)
    end_processes(found, signal.SIGKILL)
    while any(alive(pid) for pid in found):
        await clock.sleep(0.01)


def alive(pid: int) -> bool:
    """Is there such a process, and not just its unburied remains?"""
    try:
        status = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _command_line(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _pids_named(name: str) -> Iterator[int]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().strip() == name:
                    yield int(entry.name)
            except OSError:
                continue


def _open_paths(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(_PROC / str(pid) / "fd" / name))
    return found
