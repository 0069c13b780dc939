"""THE table of services: what there is, in which process it runs, what it needs. It declares and computes nothing.

``build`` names the builder as ``module:function``, so that reading the table loads no engine.
"""

from __future__ import annotations

from msgspec import Struct


class Service(Struct, frozen=True):
    """``name`` is the Protocol's name in lower case; ``needs`` are services asked while it works; ``bulkhead`` is its process.

    A service may stand in several bulkheads: ``accounts`` and ``catalog`` are read in ``play`` so that Play leaves its process
    only for the history.
    """

    name: str
    build: str
    needs: tuple[str, ...]
    bulkhead: str


class Bulkhead(Struct, frozen=True):
    """One process. ``after``: bulkheads that must be ready before it starts. ``listens``: which setting of ``[network]`` is its port.

    ``keys``: the purposes of the keys that it is given, beside the one for calls; ``root.key`` is the root itself, for who must
    derive keys of appliances that it does not know beforehand.
    """

    name: str
    build: str
    after: tuple[str, ...] = ()
    listens: str = ""
    keys: tuple[str, ...] = ()


PLAY = "nearcast.system.play:build"
BROWSE = "nearcast.system.browse:build"
RECORD = "nearcast.system.record:build"
FLEET = "nearcast.system.fleet:build"
GATEWAY = "nearcast.system.gateway:build"
ORIGIN = "nearcast.system.origin:build"
EDGE = "nearcast.system.edge:build"
STEER = "nearcast.system.steer:build"
ANYCAST = "nearcast.system.anycast:build"
DNS = "nearcast.system.dns:build"
DOOR = "nearcast.system.door:build"

SERVICES = (
    Service("playback", PLAY, ("accounts", "license", "catalog", "history", "steering"), "play"),
    Service("license", PLAY, (), "play"),
    Service("steering", PLAY, ("discovery",), "play"),
    Service("accounts", BROWSE, (), "browse"),
    Service("catalog", BROWSE, (), "browse"),
    Service("search", BROWSE, ("catalog",), "browse"),
    Service("home", BROWSE, ("accounts", "catalog", "history"), "browse"),
    Service("history", RECORD, ("catalog", "quality"), "record"),
    Service("ingest", FLEET, ("catalog", "license"), "fleet"),
    Service("discovery", FLEET, (), "fleet"),
    # Insight stands beside the fill, which alone asks for demand, and where edges of other hosts are let in.
    Service("insight", FLEET, ("catalog",), "fleet"),
    Service("quality", FLEET, ("insight",), "fleet"),
    Service("fill", FLEET, ("catalog", "discovery", "insight"), "fleet"),
    Service("planner", FLEET, ("catalog", "discovery", "insight"), "fleet"),
    Service("routing", STEER, ("discovery", "quality"), "steer"),
)

BULKHEADS = (
    Bulkhead("browse", BROWSE, keys=("token",)),
    Bulkhead("play", PLAY, keys=("token", "session", "root.key")),
    Bulkhead("record", RECORD, keys=("session",)),
    Bulkhead("fleet", FLEET, listens="upload_port", keys=("upload", "join", "root.key")),
    Bulkhead("steer", STEER),
    Bulkhead("origin", ORIGIN, listens="origin_port", keys=("origin",)),
    Bulkhead("gateway", GATEWAY, listens="gateway_port", keys=("token",)),
)
"""The edges follow: one process ``edge-<appliance>`` for each appliance of the configuration."""

ANYCAST_NAME = "anycast"
"""The process that announces this host's service addresses, where `[anycast]` has an AS number."""
EDGE_PREFIX = "edge-"
DNS_PREFIX = "dns-"
"""The workers of the name server, where `[steering.dns]` has a zone."""
DOOR_PREFIX = "door-"
EDGE_KEYS = ("origin",)
"""What every edge is given, beside the MAC key of its own."""
CALLS = "rpc"
"""The purpose of the key that every process has: callers show it."""
