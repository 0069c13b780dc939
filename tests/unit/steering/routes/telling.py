"""Lines as ExaBGP 5.0.15 writes them, for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nearcast.steering.routes.settings import Isp

OURS = 64500
ISP = Isp(
    name="riverbank",
    asn=64511,
    routers=("127.0.0.11", "127.0.0.12"),
    sites=("rack", "exchange"),
    allow=("20.0.0.0/12", "2a00:100::/24", "203.0.113.0/24", "20.200.0.9/32"),
    prefixes_max=3,
)


def line(kind: str, router: str = "127.0.0.11", **said: object) -> bytes:
    address = {"local": "127.0.0.1", "peer": router}
    neighbor = {"address": address, "asn": {"local": OURS, "peer": 64511}, "router-id": "127.0.0.1", **said}
    return json.dumps(
        {"exabgp": "5.0.0", "time": 1.5, "host": "h", "pid": 1, "ppid": 1, "counter": 1, "type": kind, "neighbor": neighbor}
    ).encode()


def state(state: str, reason: str = "", router: str = "127.0.0.11") -> bytes:
    return line("state", router, state=state, **({"reason": reason} if reason else {}))


def end_of_rib(version: int, router: str = "127.0.0.11") -> bytes:
    return line("update", router, direction="receive", message={"eor": {"afi": f"ipv{version}", "safi": "unicast"}})


def family(prefix: str) -> str:
    return "ipv6 unicast" if ":" in prefix else "ipv4 unicast"


def announce(
    *prefixes: str, path: Sequence[int] = (64511,), med: int = 0, router: str = "127.0.0.11", element: str = "as-sequence"
) -> bytes:
    told: dict[str, dict[str, list[dict[str, str]]]] = {}
    for each in prefixes:
        told.setdefault(family(each), {"127.0.0.11": []})["127.0.0.11"].append({"nlri": each})
    attribute: dict[str, object] = {"origin": "igp", "as-path": {"0": {"element": element, "value": list(path)}} if path else {}}
    if med:
        attribute["med"] = med
    return line("update", router, direction="receive", message={"update": {"attribute": attribute, "announce": told}})


def withdraw(*prefixes: str, router: str = "127.0.0.11") -> bytes:
    told: dict[str, list[dict[str, str]]] = {}
    for each in prefixes:
        told.setdefault(family(each), []).append({"nlri": each})
    return line("update", router, direction="receive", message={"update": {"withdraw": told}})
