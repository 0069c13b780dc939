"""Our own hosts in the lab: a home for each, its configuration, and the product's real command line run in its namespace."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nearcast.base.errors import NearcastError
from nearcast.base.options import toml
from nearcast.operations.lab.commands import environment, into
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.plan import Plan
from nearcast.operations.lab.topology import Topology

PROGRAM = "import sys; from nearcast.cli.main import main; sys.exit(main())"
BEACON_PORT = 7080
COMMAND_S = 120.0


class ProductFailed(NearcastError):
    """A command of the system failed in the lab."""

    code = "NC0264"
    cure = "the words above are its own; `nearcast lab up FILE` keeps the internet there to look at"


# --- pure: configurations ---------------------------------------------------------------------------------------------


def site_tables(topology: Topology) -> list[str]:
    """``[[steering.sites]]`` of every site; one in an ISP's network bears its name. Whoever no ISP tells of goes to the others."""
    isps = {each.name for each in topology.isps}
    lines: list[str] = []
    for each in topology.sites:
        lines += ["[[steering.sites]]", f"name = {toml(each.name)}", f"zone = {toml(each.at)}"]
        lines += [f"isp = {toml(each.at)}"] if each.at in isps else []
    public = [each.name for each in topology.sites if each.at not in isps]
    return [*lines, "[[steering.routes]]", 'prefix = "0.0.0.0/0"', f"sites = {toml(public)}"]


def anycast_tables(topology: Topology, plan: Plan, site: str, target: str = "") -> list[str]:
    """``[anycast]`` of a site: all its routers speak BFD, as ours in the lab do. ``target``: what is checked, if not its own doors."""
    asns = _router_asns(plan)
    lines = ["[anycast]", f"asn = {topology.ours.asn}", f"site = {toml(site)}", f"addresses = [{toml(topology.ours.anycast)}]"]
    for gateway in plan.gateways[site]:
        lines += ["[[anycast.routers]]", f"address = {toml(gateway)}", f"asn = {asns[gateway]}", f"local = {toml(plan.address(site))}"]
        lines += ["bfd = true", "ttl_security = true"]
    return [*lines, *(["[[anycast.checks]]", f"target = {toml(target)}"] if target else [])]


def _router_asns(plan: Plan) -> dict[str, int]:
    """The AS number behind each address of a router."""
    return {each.address: router.isp.asn for router in plan.routers for each in router.sessions}


# --- a host -----------------------------------------------------------------------------------------------------------


class Host:
    """One of our hosts: its home, and `nearcast` in its namespace."""

    def __init__(self, net: Internet, node: str, name: str = "") -> None:
        self.net, self.node = net, node
        self.home = net.folder / (name or node)
        self.home.mkdir(mode=0o755, exist_ok=True)
        own = {"NEARCAST_HOME": str(self.home), "NO_COLOR": "1"}
        self.environment = {**environment(), **own, "PATH": f"{Path(sys.executable).parent}:{environment()['PATH']}"}
        for name in [each for each in self.environment if each.startswith("NEARCAST_") and each != "NEARCAST_HOME"]:
            del self.environment[name]

    def owns(self, pid: int) -> bool:
        """Whether a process is of this home: it bears it in its environment or its arguments."""
        for name in ("environ", "cmdline"):
            with contextlib.suppress(OSError):
                if os.fsencode(self.home) in Path(f"/proc/{pid}/{name}").read_bytes():
                    return True
        return False

    def configure(self, lines: Sequence[str]) -> None:
        (self.home / "nearcast.toml").write_text("\n".join(lines) + "\n")

    def give_root(self) -> None:
        """The root key that `nearcast serve` wants of a host on which `nearcast up` never ran."""
        folder = self.home / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(folder / "root.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))

    def cli(self, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """`nearcast …` to its end: what it printed. Raises ProductFailed."""
        command = [*into(self.net.namespace(self.node)), sys.executable, "-c", PROGRAM, *arguments]
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
            )
        except subprocess.TimeoutExpired as error:
            raise ProductFailed(f"`nearcast {' '.join(arguments)}` at {self.node} does not end in {timeout_s:.0f} s") from error
        if done.returncode:
            raise ProductFailed(f"`nearcast {' '.join(arguments)}` at {self.node}: {done.stderr.strip()[-600:]}")
        return done.stdout

    def start(self, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """`nearcast …` that goes on until the lab goes, or is killed."""
        return self.net.start(self.node, [sys.executable, "-c", PROGRAM, *arguments], f"{self.node}-{log}", environ=self.environment)

    def words(self, log: str, bytes_max: int = 800) -> str:
        """The end of what a started process said."""
        return (self.net.folder / f"{self.node}-{log}.log").read_text(errors="replace")[-bytes_max:]


def killed(process: subprocess.Popen[bytes]) -> None:
    """kill -9 to a process of the lab and whatever shares its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
