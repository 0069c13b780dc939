"""A whole Nearcast in the lab: the main host at an exchange, an edge of another host at each site, a film, and its viewers' calls."""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from msgspec import Struct

from nearcast.base.options import toml
from nearcast.base.processes import Identity, identify, send
from nearcast.base.supervise import read_status
from nearcast.operations.lab import dns, film
from nearcast.operations.lab.internet import Internet, wait_for
from nearcast.operations.lab.plan import CORE, Plan
from nearcast.operations.lab.product import EDGE_PORT, Host, ProductFailed, site_tables
from nearcast.operations.lab.topology import Topology

GATEWAY_PORT = 8080
OWN_PAGE = 100
"""An edge's own page is so far above its port."""
FILM = "Harbour"
DEVICE = "lab"
"""The name of every viewer's device, so that a session that was asked for can be played in any of their browsers."""
LIMIT = "throughput_max_bps"
STOP_S = 15.0
FILLED_S = 90.0


# --- pure: configurations ---------------------------------------------------------------------------------------------


def main_lines(topology: Topology, plan: Plan) -> list[str]:
    """The main host's configuration: no edge of its own, every ISP a BGP neighbour with an allow list, our zone."""
    ours, address = topology.ours, plan.address(CORE)
    lines = ["appliances = []", "[network]", f"host = {toml(address)}", f"internal_host = {toml(address)}", "plain = true"]
    lines += ["[demo]", "film = false", "[accounts]", "attempts_per_address = 100000", *ours.system.strip().splitlines()]
    lines += ["[steering.bgp]", f"asn = {ours.asn}", f"listen = [{toml(address)}]"]
    lines += ["[steering.dns]", f"zone = {toml(ours.zone)}", f"listen = [{toml(address)}]", "dnssec = false"]
    lines += ["[steering.dns.rate]", "identical_per_s = 0", "total_per_s = 0"]  # the lab asks the same, again and again
    told = [each for each in plan.routers if each.isp.sites]
    for router in told:
        isp = router.isp
        lines += ["[[steering.isps]]", f"name = {toml(isp.name)}", f"asn = {isp.asn}", f"routers = [{toml(router.local)}]"]
        lines += [f"sites = {toml(isp.sites)}", f"allow = {toml(isp.prefixes)}"]
    return [*lines, *site_tables(topology, [each.isp.name for each in told])]


def config_of(topology: Topology) -> dict[str, Any]:
    """What the file of the lab says about the system's configuration."""
    return tomllib.loads(topology.ours.system)


def edge_lines(joined: str, limit_bps: float) -> str:
    """What `nearcast edge join` wrote, for a lab without TLS; ``limit_bps``: what it can send."""
    plain = joined.replace("[network]\n", "[network]\nplain = true\n", 1)
    return plain + (f"{LIMIT} = {limit_bps:.0f}\n" if limit_bps else "")


# --- the running system -----------------------------------------------------------------------------------------------


class Seen(Struct, frozen=True):
    """What a viewer is told now: the appliances of a play answer, best first, how it was found, and the addresses of the name server."""

    appliances: tuple[str, ...]
    source: str
    addresses: tuple[str, ...]


class Edge:
    """One appliance on a host of its own."""

    def __init__(self, host: Host, id: str, process: subprocess.Popen[bytes]) -> None:
        self.host, self.id, self.process = host, id, process

    @property
    def node(self) -> str:
        return self.host.node

    def pids(self) -> list[int]:
        """Its agent and its nginx."""
        return self.host.pids()


class System:
    """Started once for all scenarios of a file. ``edges`` by the names of their appliances."""

    def __init__(self, net: Internet, told: Callable[[str], None]) -> None:
        self.net, self.told = net, told
        self.topology = net.topology
        self.main = Host(net, CORE)
        self.main.configure(main_lines(net.topology, net.plan))
        self.url = f"http://{net.plan.address(CORE)}:{GATEWAY_PORT}"
        told("starting the system")
        self.link = next(word for word in self.main.cli("up", "--no-demo").split() if "/#/link/" in word)
        token = self.link.partition("/#/link/")[2]
        self._token = ""
        self._token = str(self.at(CORE, "POST", "/api/v1/login", {"link": token})["token"])
        self.edges: dict[str, Edge] = {}
        for site in net.topology.sites:
            for number in range(1, site.appliances + 1):
                self._join(f"{site.name}-{number}", site.name, EDGE_PORT + number - 1, site.limit_bps)
        told(f"ingesting a film of {net.topology.ours.film_s} s")
        path = film.make(net.folder / "film.mp4", net.topology.ours.film_s)
        self.main.cli("ingest", str(path), "--title", FILM, timeout_s=240)
        titles = json.loads(self.main.cli("titles", "--json"))
        self.title = next(each["id"] for each in (titles["titles"] if isinstance(titles, dict) else titles))
        wait_for("every edge to hold the film", self._filled, FILLED_S, 0.25)

    @property
    def steering_ttl_s(self) -> float:
        """How often a running film asks for its pathways, as the lab's file sets it."""
        found = config_of(self.topology).get("playback", {}).get("steering_ttl_s", 60.0)
        return float(found)

    def _join(self, id: str, site: str, port: int, limit_bps: float) -> None:
        token = self.main.cli("edge", "invite", id, "--site", site).strip()
        host = Host(self.net, site, id)
        host.cli("edge", "join", token, "--port", str(port), "--listen", self.net.plan.address(site))
        config = host.home / "nearcast.toml"
        config.write_text(edge_lines(config.read_text(), limit_bps))
        self.edges[id] = Edge(host, id, host.start("edge", log=id))

    def limit(self, id: str, limit_bps: float) -> None:
        """Start an edge anew with another limit. 0: none is known."""
        edge = self.edges[id]
        config = edge.host.home / "nearcast.toml"
        lines = [each for each in config.read_text().splitlines() if not each.startswith(LIMIT)]
        config.write_text("\n".join([*lines, *([f"{LIMIT} = {limit_bps:.0f}"] if limit_bps else []), ""]))
        edge.process.terminate()
        edge.process.wait(STOP_S)
        self.begin(id)

    def begin(self, id: str) -> None:
        """Start an edge again that was killed."""
        edge = self.edges[id]
        edge.process = edge.host.start("edge", log=id)

    def reports(self) -> dict[str, dict[str, Any]]:
        """What the edges told of themselves, by appliance."""
        found = json.loads(self.main.cli("status", "--json"))["edges"]
        return {each["report"]["id"]: each["report"] for each in found}

    def own_report(self, id: str) -> dict[str, Any]:
        """What an edge says of itself on its own page, at once. Raises ProductFailed."""
        port = EDGE_PORT + OWN_PAGE + int(id.rpartition("-")[2]) - 1

        def ask() -> httpx.Response:
            return httpx.get(f"http://127.0.0.1:{port}/status.json", timeout=2, trust_env=False)

        try:
            found: dict[str, Any] = self.net.inside(self.edges[id].node).call(ask).json()["report"]
        except httpx.HTTPError as error:
            raise ProductFailed(f"the own page of {id} does not answer: {error}") from error
        return found

    def _filled(self) -> bool:
        for edge in self.edges.values():
            if edge.process.poll() is not None:
                raise ProductFailed(f"the edge {edge.id} has ended: {edge.host.words(edge.id)}")
        reports = self.reports()
        return set(reports) == set(self.edges) and all(
            each["state"] == "up" and each["held_bytes"] and not each["missing_bytes"] for each in reports.values()
        )

    # --- as viewers see it --------------------------------------------------------------------------------------------

    def at(self, node: str, method: str, path: str, body: Any = None, timeout_s: float = 5.0) -> Any:
        """A call of the API from a node. Raises ProductFailed."""
        head = {"Authorization": f"Bearer {self._token}"} if self._token else {}

        def ask() -> httpx.Response:
            return httpx.request(method, self.url + path, json=body, headers=head, timeout=timeout_s, trust_env=False)

        try:
            answer = self.net.inside(node).call(ask)
        except httpx.HTTPError as error:
            raise ProductFailed(f"{method} {path} from {node}: {type(error).__name__} {error}") from error
        if answer.status_code >= 300:
            raise ProductFailed(f"{method} {path} from {node}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def new_link(self) -> str:
        """A fresh one-time link of the administrator's."""
        return str(self.at(CORE, "POST", "/api/v1/links", {"email": ""})["url"])

    def play(self, viewer: str) -> dict[str, Any]:
        """The answer to Play."""
        found: dict[str, Any] = self.at(viewer, "POST", "/api/v1/play", {"title_id": self.title, "device": {"id": DEVICE}})
        return found

    def seen(self, viewer: str) -> Seen:
        """Play and DNS, asked at once."""
        answer = self.play(viewer)
        source = str(answer.get("steering_source", "live"))
        return Seen(tuple(str(each["pathway"]) for each in answer["edges"]), source, tuple(self.resolved(viewer)))

    def explained(self, viewer: str) -> str:
        """To which appliance Play would send a viewer, without a session that counts as one."""
        address = self.net.plan.address(viewer)
        found = self.at(CORE, "GET", f"/api/v1/routes/explain?address={address}&title_id={self.title}")
        return next((str(each["appliance"]) for each in found["considered"] if each["verdict"] == "chosen"), "")

    def pathways(self, viewer: str, session: str, current: str) -> tuple[list[str], int]:
        """The steering document of a session that plays by ``current``: the order of its pathways, and for how many seconds it is good."""
        found = self.at(viewer, "GET", f"/api/v1/sessions/{session}/steering?_DASH_pathway=%22{current}%22")
        return list(found["PATHWAY-PRIORITY"]), int(found["TTL"])

    def resolved(self, viewer: str) -> list[str]:
        """The IPv4 addresses that our name server gives a viewer for any film."""
        name = f"play.{self.topology.ours.zone}"
        return self.net.inside(viewer).call(dns.ask, self.net.plan.address(CORE), name)

    # --- its processes ------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Identity:
        """A process of the main host. Raises ProductFailed where it does not run."""
        found = read_status(self.main.home / "run" / "status.json")
        identity = next((each.identity for each in found.processes if each.name == name), None) if found else None
        if identity is None or not identity.alive:
            raise ProductFailed(f"{name} does not run")
        return identity

    def freeze(self, pids: Sequence[int]) -> None:
        _signal(pids, signal.SIGSTOP)

    def thaw(self, pids: Sequence[int]) -> None:
        _signal(pids, signal.SIGCONT)

    def kill(self, pids: Sequence[int]) -> None:
        _signal(pids, signal.SIGKILL)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        if identity := identify(pid):
            send(identity, number)
