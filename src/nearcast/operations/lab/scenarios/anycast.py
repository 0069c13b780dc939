"""A site that fails behind the anycast address: by its own check, and by a black hole that only BFD notices."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nearcast.operations.lab.internet import Internet, wait_for
from nearcast.operations.lab.probing import Prober, next_answered_s
from nearcast.operations.lab.product import BEACON_PORT, Host, ProductFailed, anycast_tables, killed, site_tables
from nearcast.operations.lab.scenarios.outcome import Row, Told, median_row
from nearcast.operations.lab.topology import Scenario

READY_S = 30.0
GONE_S = 12.0
"""A repeat in which nobody has answered for so long has failed."""
STEADY = 100
"""So many answers in a row from the nearest site, and it is taken to be back."""


class Stage:
    """Every site with its beacon and the product's announcer; one viewer who asks."""

    def __init__(self, net: Internet, told: Told) -> None:
        self.net, self.told = net, told
        self.sites = [each.name for each in net.topology.sites]
        self._beacons: dict[str, subprocess.Popen[bytes]] = {}
        self._announcers: dict[str, tuple[Host, subprocess.Popen[bytes]]] = {}
        for name in self.sites:
            self.light(name)
            host = Host(net, name)
            lines = ["appliances = []", *site_tables(net.topology)]
            host.configure([*lines, *anycast_tables(net.topology, net.plan, name, f"http://127.0.0.1:{BEACON_PORT}/")])
            host.give_root()
            self._announcers[name] = (host, self._announce(host))

    def light(self, site: str) -> None:
        """Start a site's service."""
        command = [sys.executable, "-m", "nearcast.operations.lab.beacon", site, str(BEACON_PORT)]
        child = self.net.start(site, command, f"beacon-{site}", stdout=subprocess.PIPE)
        if child.stdout:
            child.stdout.readline()
        self._beacons[site] = child

    def kill(self, site: str) -> None:
        killed(self._beacons[site])

    @staticmethod
    def _announce(host: Host) -> subprocess.Popen[bytes]:
        return host.start("serve", "anycast", log="anycast")

    def forgive(self, site: str) -> None:
        """A new announcer, which knows nothing of earlier falls: the product lets one that falls again and again back in slowly."""
        host, process = self._announcers[site]
        killed(process)
        self._announcers[site] = (host, self._announce(host))

    def check(self) -> None:
        """Raises ProductFailed where an announcer has ended."""
        for host, process in self._announcers.values():
            if process.poll() is not None:
                raise ProductFailed(f"the announcer of {host.node} has ended: {host.words('anycast')}")

    @contextmanager
    def asked(self, viewer: str) -> Iterator[Prober]:
        with Prober(self.net.inside(viewer), self.net.topology.ours.anycast, BEACON_PORT) as prober:
            yield prober


def nearest(net: Internet, viewer: str) -> str:
    """The site that a viewer's ISP prefers: at its own premises, else at its first exchange."""
    line = next(each for each in net.topology.viewers if each.name == viewer)
    isp = net.topology.isp(line.isp)
    order = [isp.name, *isp.exchanges]
    return min((each for each in net.topology.sites if each.at in order), key=lambda each: order.index(each.at)).name


def _steady(stage: Stage, prober: Prober, site: str) -> Callable[[], bool]:
    def steady() -> bool:
        stage.check()
        return len(prober.heard) >= STEADY and {each.name for each in prober.heard[-STEADY:]} == {site} and prober.last == site

    return steady


def _outage_s(prober: Prober, fault_s: float, site: str) -> float:
    def outage_s() -> float:
        return next_answered_s(prober.heard, fault_s, site)

    wait_for("another site to answer", lambda: outage_s() < GONE_S, GONE_S)
    return outage_s()


def _failing(stage: Stage, scenario: Scenario, told: Told, fail: Callable[[str], None], mend: Callable[[str], None]) -> list[Row]:
    """Let the viewer's nearest site fail, so often as is asked; how long until the next one answered."""
    viewer = stage.net.topology.viewers[0].name
    site = nearest(stage.net, viewer)
    measured: list[float] = []
    with stage.asked(viewer) as prober:
        for number in range(scenario.repeats):
            wait_for(f"{site} to answer {viewer}", _steady(stage, prober, site), READY_S)
            prober.forget()
            fault_s = time.monotonic()
            fail(site)
            measured.append(_outage_s(prober, fault_s, site))
            told(f"{scenario.name} {number + 1} of {scenario.repeats}: {measured[-1]:.3f} s")
            mend(site)
            stage.forgive(site)
            prober.forget()
    note = f"{viewer} asks each 5 ms; {site} fails"
    return [median_row("the next site answers", measured, scenario, note)]


def site_withdrawn(stage: Stage, scenario: Scenario, told: Told) -> list[Row]:
    """kill -9 of the service; the product's announcer withdraws by its own checks."""
    return _failing(stage, scenario, told, stage.kill, stage.light)


def black_hole(stage: Stage, scenario: Scenario, told: Told) -> list[Row]:
    """All packets of the site's cable are lost, both ways, and carrier stays."""
    return _failing(stage, scenario, told, stage.net.sever, stage.net.mend)
