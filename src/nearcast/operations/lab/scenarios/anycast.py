"""A site that fails behind the anycast address, which ends at its door: by its own check, and by a black hole that only BFD notices."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nearcast.operations.lab.internet import Internet, wait_for
from nearcast.operations.lab.probing import Prober, next_answered_s
from nearcast.operations.lab.product import DOOR_PORT, Host, ProductFailed, anycast_tables, door_tables, killed, site_tables
from nearcast.operations.lab.scenarios.outcome import Row, Told, median_row
from nearcast.operations.lab.topology import Scenario

READY_S = 60.0
GONE_S = 12.0
"""A repeat in which nobody has answered for so long has failed."""
CAT_KEYS = '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "lab", "k": "bGFiLWxhYi1sYWItbGFiLWxhYi1sYWItbGFiLWxhYiE"}]}'
"""With keys an appliance takes Common Access Tokens, which is what a door passes on to it."""
STEADY = 100
"""So many answers in a row from the nearest site, and it is taken to be back."""


class Stage:
    """At every site the product's appliance, door and announcer; one viewer who asks."""

    def __init__(self, net: Internet, told: Told) -> None:
        self.net, self.told = net, told
        self.sites = [each.name for each in net.topology.sites]
        self._hosts: dict[str, Host] = {}
        self._running: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        for site in self.sites:
            host = self._hosts[site] = Host(net, site)
            keys = host.home / "cat.json"
            keys.write_text(CAT_KEYS)
            lines = [*site_tables(net.topology), *door_tables(net.topology, net.plan, site, str(keys))]
            host.configure([*lines, *anycast_tables(net.topology, net.plan, site)])
            host.give_root()
            for name in (f"edge-{site}-1", f"door-{site}", "anycast"):
                self._serve(site, name)

    def _serve(self, site: str, name: str) -> None:
        self._running[site, name] = self._hosts[site].start("serve", name, log=name)

    def begin(self, site: str, name: str) -> None:
        """Start again what was killed."""
        self._serve(site, name)

    def kill(self, site: str, name: str) -> None:
        """kill -9 of an agent and its nginx, which has its folder below `edges`."""
        for pid in self._hosts[site].pids(name) + self._hosts[site].pids(f"edges/{name.removeprefix('edge-')}/"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._running[site, name].wait()

    def forgive(self, site: str) -> None:
        """A new announcer, which knows nothing of earlier falls: the product lets one that falls again and again back in slowly."""
        killed(self._running[site, "anycast"])
        self._serve(site, "anycast")

    def check(self) -> None:
        """Raises ProductFailed where a process has ended."""
        for (site, name), process in self._running.items():
            if process.poll() is not None:
                raise ProductFailed(f"{name} of {site} has ended: {self._hosts[site].words(name)}")

    @contextmanager
    def asked(self, viewer: str) -> Iterator[Prober]:
        with Prober(self.net.namespace(viewer), self.net.topology.ours.anycast, DOOR_PORT) as prober:
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
    note = f"{viewer} asks each 10 ms; {site} fails"
    return [median_row("the next site answers", measured, scenario, note)]


def site_withdrawn(stage: Stage, scenario: Scenario, told: Told) -> list[Row]:
    """kill -9 of a site's door; the product's announcer withdraws by its own checks."""
    return _failing(stage, scenario, told, lambda site: stage.kill(site, f"door-{site}"), lambda site: stage.begin(site, f"door-{site}"))


def site_empty(stage: Stage, scenario: Scenario, told: Told) -> list[Row]:
    """kill -9 of the one appliance behind a site's door, which sees it and says so to the announcer's checks."""
    return _failing(
        stage, scenario, told, lambda site: stage.kill(site, f"edge-{site}-1"), lambda site: stage.begin(site, f"edge-{site}-1")
    )


def black_hole(stage: Stage, scenario: Scenario, told: Told) -> list[Row]:
    """All packets of the site's cable are lost, both ways, and carrier stays."""
    return _failing(stage, scenario, told, stage.net.sever, stage.net.mend)
