"""A whole Nearcast for tests: its home in a short temporary folder, its own ports, the real command line, and an end for all of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from nearcast.base.paths import Home
from nearcast.base.processes import Identity, family, identify, wait_gone
from nearcast.base.supervise import ProcessStatus, SystemStatus, read_status
from tests.ports import free_ports

T = TypeVar("T")

APPLIANCES = (("fra-1", "frankfurt"), ("bom-1", "mumbai"), ("sin-1", "singapore"), ("dal-1", "dallas"))
BIN = Path(sys.executable).parent
CONTROL = ("play", "browse", "record", "fleet", "gateway", "origin")
PATIENCE_S = 90.0
"""For anything that must come about. A busy machine takes its time; how long a thing takes is for bench/ to say."""


def wait_for(what: str, ask: Callable[[], T | None], *, timeout_s: float = PATIENCE_S, pause_s: float = 0.1) -> T:
    """The first true answer of ``ask``. Fails the test after ``timeout_s``."""
    until_s = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < until_s, f"waited {timeout_s:.0f} s for {what}; last answer: {answer!r}"
        time.sleep(pause_s)


def mentions(pid: int, text: str) -> bool:
    """Whether a process's command line or environment names ``text``."""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):
            if text.encode() in Path(f"/proc/{pid}/{name}").read_bytes():
                return True
    return False


class System:
    """One system on this machine. ``demo``: with its demo film, which ``up`` then fetches.

    ``appliances`` with their sites, in place of the demo's; ``more``: further lines of its configuration. ``own_hosts``: each appliance
    has an address of its own (127.0.0.2, …), as machines have: some players leave a host, not a port.
    """

    def __init__(
        self,
        root: Path,
        *,
        demo: bool = False,
        appliances: Sequence[tuple[str, str]] = APPLIANCES,
        more: Sequence[str] = (),
        own_hosts: bool = False,
    ) -> None:
        self.home = Home(root)
        self._token = ""
        self.gateway_port, self.upload_port, self.origin_port, *edges = free_ports(3 + 2 * len(appliances))
        self.edge_ports = {name: port for (name, _), port in zip(appliances, edges[::2], strict=True)}
        self.admin_ports = {name: port for (name, _), port in zip(appliances, edges[1::2], strict=True)}
        self.url = f"http://127.0.0.1:{self.gateway_port}"
        self.environment = {**os.environ, "NEARCAST_HOME": str(root), "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
        lines = ["[network]", f"gateway_port = {self.gateway_port}", f"upload_port = {self.upload_port}"]
        lines += [f"origin_port = {self.origin_port}", "", "[demo]", f"film = {str(demo).lower()}", ""]
        # All tests sign in from one address; what they send wrongly on purpose must not shut the others out.
        lines += ["[accounts]", "attempts_per_address = 100000", ""]
        lines += [*more, ""]
        for number, (name, site) in enumerate(appliances, start=2):
            lines += ["[[appliances]]", f'id = "{name}"', f'site = "{site}"', f"port = {self.edge_ports[name]}"]
            lines += [f'listen = ["127.0.0.{number}"]'] * own_hosts
            lines += [f"admin_port = {self.admin_ports[name]}", ""]
        self.home.config.write_text("\n".join(lines))

    # --- the command line ---------------------------------------------------------------------------------------------

    def popen(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / "nearcast"), *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home.root,
            **options,
        )

    def cli(self, *arguments: str | Path, timeout_s: float = 120.0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``nearcast …`` to its end; what it printed and its status are for the caller to judge."""
        with self.popen(*arguments, **options) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"`nearcast {' '.join(map(str, arguments))}` did not end in {timeout_s:.0f} s\n{out}\n{err}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, *arguments: str | Path, timeout_s: float = 120.0) -> str:
        """The same, and it must succeed: what it printed on stdout."""
        done = self.cli(*arguments, timeout_s=timeout_s)
        assert done.returncode == 0, (
            f"nearcast {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        )
        return done.stdout

    def up(self) -> str:
        """Start it all; the sign-in link."""
        return link_in(self.run("up", "--no-demo"))

    def titles(self) -> list[dict[str, Any]]:
        found = json.loads(self.run("titles", "--json"))
        titles: list[dict[str, Any]] = found["titles"] if isinstance(found, dict) else found
        return titles

    def ingest(self, path: Path, name: str, *arguments: str | Path, timeout_s: float = 240.0) -> dict[str, Any]:
        """Ingest a film to its end and answer with its title."""
        self.run("ingest", path, "--title", name, *arguments, timeout_s=timeout_s)
        return next(each for each in self.titles() if each["metadata"]["name"] == name)

    # --- processes ----------------------------------------------------------------------------------------------------

    @property
    def status(self) -> SystemStatus:
        found = read_status(self.home.run / "status.json")
        assert found, "no system has run here"
        return found

    def process(self, name: str) -> ProcessStatus:
        return next(each for each in self.status.processes if each.name == name)

    def identity(self, name: str) -> Identity:
        found = self.process(name).identity
        assert found, f"{name} does not run"
        return found

    def nginx_of(self, appliance: str) -> list[int]:
        """The nginx of an edge, master and workers."""
        agent = self.process(f"edge-{appliance}").identity
        folder = str(self.home.edges / appliance)
        found = {pid for pid in family(agent.pid) if _name(pid) == "nginx"} if agent else set()
        found |= {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _name(pid) == "nginx" and mentions(pid, folder)}
        return sorted({each for pid in found for each in family(pid)})

    def edge_pids(self, appliance: str) -> list[int]:
        """The agent of an edge, if it runs now, and its nginx."""
        agent = self.process(f"edge-{appliance}").identity
        return [*([agent.pid] if agent else []), *self.nginx_of(appliance)]

    def pids(self) -> list[int]:
        """Everything that runs for this home, supervisor and all."""
        root = str(self.home.root)
        pids = map(int, filter(str.isdigit, os.listdir("/proc")))
        found = {pid for pid in pids if pid != os.getpid() and mentions(pid, root)}
        return sorted({each for pid in found for each in family(pid)} - {os.getpid()})

    def wait_ready(self, timeout_s: float = PATIENCE_S) -> None:
        """Return when every process is ready again, the edges have told of themselves, and the gateway answers."""

        def ready() -> bool:
            if not self.status.ready:
                return False
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.url}/healthz", timeout=10).status_code == 200
            return False

        wait_for("the system to be ready", ready, timeout_s=timeout_s)

    def logs(self, lines: int = 12) -> str:
        """The last lines of every log, for a test that failed."""
        parts = []
        for path in sorted(self.home.logs.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(parts)

    def destroy(self) -> None:
        """End everything and remove the home."""
        with contextlib.suppress(Exception):
            self.cli("down")
        self.kill_all()
        shutil.rmtree(self.home.root, ignore_errors=True)

    def kill_all(self) -> None:
        identities = [found for pid in self.pids() if (found := identify(pid))]
        for each in identities:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        for each in identities:
            wait_gone(each, PATIENCE_S)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def link(self, email: str = "") -> str:
        """A fresh one-time link."""
        client = self.client()
        try:
            answer = client.post("/api/v1/links", json={"email": email})
            assert answer.status_code < 300, answer.text
            return str(answer.json()["url"])
        finally:
            client.close()

    def client(self) -> httpx.Client:
        """A client of the gateway, signed in as the admin."""
        if not self._token:
            self.sign_in(self.up())
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self._token}"}, timeout=PATIENCE_S)

    def viewer_link(self) -> str:
        """A link for a viewer who was never here: no bookmark, no list, an account of their own."""
        email = f"{uuid.uuid4().hex[:8]}@example.org"
        with self.client() as client:
            account(client, email, "a long enough sentence")
        return self.link(email)

    @property
    def signed_in(self) -> bool:
        return bool(self._token)

    def sign_in(self, link: str) -> None:
        """Use a link for the clients to come."""
        self._token = login(self.url, link_token(link))


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def link_in(text: str) -> str:
    """The sign-in link in what ``nearcast up`` printed."""
    return next(word for word in text.split() if "/#/link/" in word)


def link_token(link: str) -> str:
    return link.partition("/#/link/")[2]


def login(url: str, token: str) -> str:
    answer = httpx.post(f"{url}/api/v1/login", json={"link": token}, timeout=PATIENCE_S)
    assert answer.status_code < 300, answer.text
    return str(answer.json()["token"])


def account(client: httpx.Client, email: str, password: str, **fields: Any) -> dict[str, Any]:
    """A new account, as the admin makes one."""
    answer = client.post("/api/v1/accounts", json={"email": email, "password": password, **fields})
    assert answer.status_code < 300, answer.text
    made: dict[str, Any] = answer.json()
    return made


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The Problem in an answer that must be one: a code, a message, a hint and the request's id."""
    body: dict[str, Any] = msgspec.json.decode(answer.content)
    assert body["code"].startswith("NC"), body
    assert body["message"], body
    assert body["hint"], body
    assert body["request_id"], body
    assert body["status"] == answer.status_code, body
    return body


@contextlib.contextmanager
def new_system(
    *, demo: bool = False, appliances: Sequence[tuple[str, str]] = APPLIANCES, more: Sequence[str] = (), own_hosts: bool = False
) -> Iterator[System]:
    """A system of its own, not yet started, destroyed at the end. The home's path is short: unix sockets lie in it."""
    root = Path(tempfile.mkdtemp(prefix="nc-"))
    root.chmod(0o755)  # as a home usually is: nginx's workers are another user where root runs the tests
    system = System(root, demo=demo, appliances=appliances, more=more, own_hosts=own_hosts)
    try:
        yield system
    finally:
        system.destroy()


def refused(done: subprocess.CompletedProcess[str], *words: str, statuses: Sequence[int] = (1, 2, 3)) -> str:
    """A command that must have failed as commands fail here: its status, a code, a hint, no traceback. Answers with what it said."""
    said = done.stderr
    assert done.returncode in statuses, f"status {done.returncode}\n{done.stdout}\n{said}"
    assert "error[NC" in said, said
    assert "hint:" in said, said
    assert "Traceback" not in said, said
    for word in words:
        assert word.lower() in said.lower(), f"{word!r} is not in:\n{said}"
    return said
