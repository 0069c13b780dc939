"""Our own hosts in the lab: a home for each, its configuration, and the product's real command line run in its namespace."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from nearcast.base.errors import NearcastError
from nearcast.base.options import toml
from nearcast.base.processes import family
from nearcast.operations.lab.commands import environment, into
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.plan import Plan
from nearcast.operations.lab.topology import Topology

PROGRAM = "import sys; from nearcast.cli.main import main; sys.exit(main())"
DOOR_PORT, EDGE_PORT = 7080, 8101
COMMAND_S = 120.0


class ProductFailed(NearcastError):
    """A command of the system failed in the lab."""

    code = "NC0264"
    cure = "the words above are its own; `nearcast lab up FILE` keeps the internet there to look at"


# --- pure: configurations ---------------------------------------------------------------------------------------------


def site_tables(topology: Topology, told: Collection[str] = ()) -> list[str]:
    """``[[steering.sites]]`` of every site; one in an ISP's network bears its name. Whoever no ISP tells of goes to the others.

    ``told``: ISPs whose own tables stand elsewhere; others that have a site are named at least.
    """
    isps = {each.name: each.asn for each in topology.isps}
    lines: list[str] = []
    for name in sorted({each.at for each in topology.sites} & set(isps) - set(told)):
        lines += ["[[steering.isps]]", f"name = {toml(name)}", f"asn = {isps[name]}"]
    for each in topology.sites:
        lines += ["[[steering.sites]]", f"name = {toml(each.name)}", f"zone = {toml(each.at)}"]
        lines += [f"isp = {toml(each.at)}"] if each.at in isps else []
    public = [each.name for each in topology.sites if each.at not in isps]
    return [*lines, "[[steering.routes]]", 'prefix = "0.0.0.0/0"', f"sites = {toml(public)}"]


def door_tables(topology: Topology, plan: Plan, site: str, cat_keys: str) -> list[str]:
    """An appliance of a site, and before it at the anycast address the site's door."""
    appliance = [f"id = {toml(f'{site}-1')}", f"site = {toml(site)}", f"port = {EDGE_PORT}", f"listen = [{toml(plan.address(site))}]"]
    door = [f"id = {toml(site)}", f"site = {toml(site)}", f"listen = [{toml(topology.ours.anycast)}]", f"port = {DOOR_PORT}"]
    member = f"{site}-1 = {toml(f'http://{plan.address(site)}:{EDGE_PORT}')}"  # nobody publishes a health view at such a host
    return [
        "[network]",
        "plain = true",
        "[[appliances]]",
        *appliance,
        f"cat_keys = {toml(cat_keys)}",
        "[[doors]]",
        *door,
        "[doors.members]",
        member,
    ]


def anycast_tables(topology: Topology, plan: Plan, site: str) -> list[str]:
    """``[anycast]`` of a site: all its routers speak BFD, as ours in the lab do. Checked are its doors, as ever."""
    asns = _router_asns(plan)
    lines = ["[anycast]", f"asn = {topology.ours.asn}", f"site = {toml(site)}", f"addresses = [{toml(topology.ours.anycast)}]"]
    for gateway in plan.gateways[site]:
        lines += ["[[anycast.routers]]", f"address = {toml(gateway)}", f"asn = {asns[gateway]}", f"local = {toml(plan.address(site))}"]
        lines += ["bfd = true", "ttl_security = true"]
    return lines


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

    def pids(self, word: str = "") -> list[int]:
        """What runs of this home now, if it has ``word`` in its command line, and what that has started: agents and their nginx."""
        own = [pid for pid in self.net.pids(self.node) if self.owns(pid) and word in _command_line(pid)]
        return sorted({each for pid in own for each in family(pid)})

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


def _command_line(pid: int) -> str:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:  # it has ended meanwhile
        return ""


def killed(process: subprocess.Popen[bytes]) -> None:
    """kill -9 to a process of the lab and whatever shares its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
