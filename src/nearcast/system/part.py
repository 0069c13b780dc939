"""What a builder is given and what it gives back: ``System`` and ``Part``."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nearcast.base import rpc
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.paths import Home
from nearcast.system import peers, table
from nearcast.system.places import bulkhead_of
from nearcast.system.secrets import Keys
from nearcast.system.settings import Settings

T = TypeVar("T")

Closer = Callable[[], Awaitable[object]]


@dataclass
class Part:
    """A built process: the services it answers for, and what is to be done to end it, last first.

    ``failed`` is awaited beside the signals: when it returns, something the process cannot do without has ended, and so does
    the process. ``settled`` is called once all parts of the process are built, with whether this is the only one.
    ``leases``: whether it holds its own lease at discovery (``system.leases``).
    """

    services: Mapping[type[Any], object] = field(default_factory=dict)
    closers: list[Closer] = field(default_factory=list)
    failed: Callable[[], Awaitable[object]] | None = None
    settled: Callable[[bool], None] | None = None
    leases: bool = True


Builder = Callable[["System", str], Awaitable[Part]]


class System:
    """What every builder may use: the home, the settings, the keys of its process, the clock, and clients of the other services."""

    def __init__(self, home: Home, settings: Settings, keys: Keys, clock: Clock | None = None) -> None:
        self.home = home
        self.settings = settings
        self.key = keys.__getitem__
        self.clock = clock or SystemClock()
        self.rpc_token = keys[table.CALLS].hex()
        self.channels = rpc.Channels(token=self.rpc_token, mutual=self.mutual)
        self._local: dict[type[Any], object] = {}

    def mutual(self) -> rpc.Mutual | None:
        """Our certificate for other hosts; None where there is none."""
        return peers.mutual(self.home)

    def address(self, process: str) -> str:
        """Where ``process`` listens for calls."""
        return self.settings.network.addresses.get(process) or f"unix:{self.home.socket(process)}"

    def add_local(self, services: Mapping[type[Any], object]) -> None:
        """Services of this process: clients made later skip the socket."""
        self._local |= services

    def client(self, protocol: type[T], *, timeout_s: float = rpc.DEFAULT_TIMEOUT_S) -> T:
        """A client of the service that ``protocol`` describes: in this process, else where the table says it runs."""
        if protocol in self._local:
            return rpc.local(protocol, self._local[protocol], timeout_s=timeout_s)
        return self.client_at(protocol, bulkhead_of(protocol.__name__.lower()), timeout_s=timeout_s)

    def client_at(self, protocol: type[T], process: str, *, timeout_s: float = rpc.DEFAULT_TIMEOUT_S) -> T:
        """The same at a process of the table."""
        address = self.address(process)
        return rpc.connect(protocol, lambda: (address,), self.channels, timeout_s=timeout_s)


def builder(bulkhead: table.Bulkhead) -> Builder:
    """The function that the table names; loads its engines."""
    module, _, name = bulkhead.build.partition(":")
    found: Builder = getattr(importlib.import_module(module), name)
    return found


def host_name() -> str:
    return socket.gethostname()
