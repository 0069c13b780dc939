"""Builds an internet from its plan and holds it: namespaces, cables, shaped lines, routers, and whatever else is started in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from nearcast.base.processes import Identity, identify
from nearcast.operations.lab import bird, reaper, record
from nearcast.operations.lab.commands import CommandFailed, Inside, batch, environment, into, run
from nearcast.operations.lab.plan import Cable, Plan, plan
from nearcast.operations.lab.shaping import delay_arguments, delay_rules, rate
from nearcast.operations.lab.topology import Topology

BGP_PORT = 179
READY_S = 10.0
_log = structlog.get_logger("lab")


def _nothing(text: str) -> None:
    """Nobody listens."""


class Internet:
    """One lab. ``up`` builds it, ``down`` removes it; a reaper does so in our place if this process ends otherwise."""

    def __init__(self, name: str, topology: Topology, source: str = "", told: Callable[[str], None] = _nothing) -> None:
        self.name, self.topology, self.told = name, topology, told
        self.plan: Plan = plan(topology)
        self.folder = Path(tempfile.gettempdir()) / f"nc-lab-{name}"
        self.record = record.Record(name=name, keeper=identify(os.getpid()) or Identity(os.getpid(), 0), source=source, since=time.time())
        self._reaper: subprocess.Popen[bytes] | None = None
        self._threads: dict[str, Inside] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self._logs = contextlib.ExitStack()

    # --- as a whole ---------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Raises LabExists, or CommandFailed; then nothing is left of it."""
        record.begin(self.record)
        self._reaper = reaper.start(self.name)
        try:
            record.make_folder(self.record, self.folder)
            self._wire()
            self._shape()
            self._route()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove it all."""
        for each in self._threads.values():
            each.close()
        self._threads.clear()
        if record.read(self.name):
            record.clean(self.record, with_keeper=False)
        for child in self._children:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
        self._logs.close()
        if self._reaper and self._reaper.stdin:
            self._reaper.stdin.close()
            self._reaper.wait(record.END_S)

    def __enter__(self) -> Internet:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # --- nodes --------------------------------------------------------------------------------------------------------

    def namespace(self, node: str) -> str:
        return record.namespace(self.name, node)

    def inside(self, node: str) -> Inside:
        """A thread of this process that lives in the node's namespace."""
        if node not in self._threads:
            self._threads[node] = Inside(self.namespace(node))
        return self._threads[node]

    def run(self, node: str, arguments: Sequence[str], *, text: str = "", check: bool = True) -> str:
        """A command that ends soon."""
        return run([*into(self.namespace(node)), *arguments], text=text, check=check)

    def start(
        self,
        node: str,
        arguments: Sequence[str],
        log: str,
        *,
        environ: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """A process that goes on. ``log``: name of the file in the lab's folder to which its words go."""
        file = self._logs.enter_context((self.folder / f"{log}.log").open("ab"))
        child = subprocess.Popen(
            [*into(self.namespace(node)), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file if stdout is None else stdout,
            stderr=file,
            env={**environment(), **(environ or {})},
            cwd=self.folder,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def pids(self, node: str) -> list[int]:
        """What runs there now."""
        name = self.namespace(node)
        return sorted(record.processes({self.record.namespaces[name]}))

    # --- building -----------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        self.told(f"{len(self.plan.nodes)} nodes, {len(self.plan.cables)} cables")
        for node in self.plan.nodes:
            record.make_namespace(self.record, self.namespace(node.name))
        self.record.save()
        for cable in self.plan.cables:
            ends = [self.namespace(cable.node), self.namespace(cable.peer)]
            far = ["peer", "name", cable.peer_interface, "netns", ends[1]]
            run(["ip", "link", "add", cable.interface, "netns", ends[0], "type", "veth", *far])
        for node in self.plan.nodes:
            batch(self.namespace(node.name), self.plan.setting_up[node.name])
            if node.kind == "router":
                self._settings(node.name, "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
            if node.kind == "host":
                batch(self.namespace(node.name), [f"address add {self.topology.ours.anycast}/32 dev lo"])

    def _settings(self, node: str, *assignments: str) -> None:
        """Kernel settings of the namespace, as sysctl(8) writes them; asked within, since /proc/sys/net shows the reader's own."""

        def write() -> None:
            for each in assignments:
                name, _, value = each.partition("=")
                Path("/proc/thread-self/root/proc/sys", *name.split(".")).write_text(value)

        self.inside(node).call(write)

    def _shape(self) -> None:
        """Rates by tbf at both ends of a viewer's line, and its delay at the router; no end gathers packets into larger ones."""
        for cable in self.plan.cables:
            for node, interface in ((cable.node, cable.interface), (cable.peer, cable.peer_interface)):
                self.run(node, ["ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off"])
        for isp in self.topology.isps:
            lines = [each for each in self.topology.viewers if each.isp == isp.name]
            for each in lines:
                for node, interface, bps in ((isp.name, each.name, each.down_bps), (each.name, "eth0", each.up_bps)):
                    if bps:
                        self.run(node, ["tc", *rate(interface, bps)])
            delayed = [each for each in lines if each.delayed]
            for arguments in delay_rules(delayed):
                self.run(isp.name, ["iptables", "-w", *arguments])
            if delayed:
                self._delay(isp.name, delay_arguments(delayed))

    def _delay(self, node: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", "nearcast.operations.lab.delay", *arguments]
        child = self.start(node, command, f"delay-{node}", stdout=subprocess.PIPE)
        if child.stdout is None or child.stdout.readline() != b"ready\n":
            raise CommandFailed(f"no delay at {node}: {(self.folder / f'delay-{node}.log').read_text()[-200:]}")

    def _route(self) -> None:
        for router in self.plan.routers:
            name = router.isp.name
            (self.folder / f"{name}.conf").write_text(bird.configuration(router, bgp_port=BGP_PORT))
            command = [
                "bird",
                "-f",
                "-c",
                str(self.folder / f"{name}.conf"),
                "-s",
                str(self._control(name)),
                "-P",
                f"{self.folder}/{name}.pid",
            ]
            self.start(name, command, f"bird-{name}")
        for router in self.plan.routers:
            wait_for(f"BIRD of {router.isp.name}", self._control(router.isp.name).exists, READY_S)

    def _control(self, router: str) -> Path:
        return self.folder / f"{router}.ctl"

    # --- what can be done to it ---------------------------------------------------------------------------------------

    def birdc(self, router: str, *words: str) -> str:
        """A word to a router's BIRD, as `birdc` takes it."""
        return run(["birdc", "-s", str(self._control(router)), *words])

    def line(self, viewer: str, down_bps: float) -> None:
        """Give a viewer whose line has a rate another one."""
        isp = next(each.isp for each in self.topology.viewers if each.name == viewer)
        self.run(isp, ["tc", *rate(viewer, down_bps)])

    @contextlib.contextmanager
    def cut(self, node: str) -> Iterator[None]:
        """A black hole in the one cable of a host or viewer: carrier stays, nothing arrives at either end, nobody is told."""
        self.sever(node)
        try:
            yield
        finally:
            self.mend(node)

    def sever(self, node: str) -> None:
        cable = self.plan.cable(node)
        self._drop("-A", cable)
        if cable.port:
            batch(self.namespace(cable.peer), [f"link set dev {cable.peer_interface} nomaster"])
        else:
            self._drop("-A", Cable(node=cable.peer, interface=cable.peer_interface, peer=cable.node, peer_interface=cable.interface))

    def mend(self, node: str) -> None:
        cable = self.plan.cable(node)
        self._drop("-D", cable)
        if cable.port:
            batch(self.namespace(cable.peer), [f"link set dev {cable.peer_interface} master lan"])
        else:
            self._drop("-D", Cable(node=cable.peer, interface=cable.peer_interface, peer=cable.node, peer_interface=cable.interface))

    def _drop(self, verb: str, cable: Cable) -> None:
        self.run(cable.node, ["iptables", "-w", "-t", "raw", verb, "PREROUTING", "-i", cable.interface, "-j", "DROP"])


def wait_for(what: str, ask: Callable[[], object], timeout_s: float, pause_s: float = 0.02) -> None:
    """Until ``ask`` says yes. Raises CommandFailed after ``timeout_s``."""
    until_s = time.monotonic() + timeout_s
    while not ask():
        if time.monotonic() > until_s:
            raise CommandFailed(f"{what} did not come within {timeout_s:.0f} s")
        time.sleep(pause_s)
