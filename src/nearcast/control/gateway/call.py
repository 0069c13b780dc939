"""What a handler is given: who asks, from where, and the services that can answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.control.gateway.errors import NotSignedIn
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.model.account import Account, Identity
from nearcast.model.services import Accounts, Catalog, Discovery, History, Home, Ingest, License, Playback, Routing, Search

if TYPE_CHECKING:
    from nearcast.control.gateway.pictures import Pictures


class GatewayClients(Struct, frozen=True, kw_only=True):
    """A client for each service behind the gateway (``base.rpc.connect`` or ``local``)."""

    accounts: Accounts
    catalog: Catalog
    search: Search
    home: Home
    playback: Playback
    license: License
    history: History
    discovery: Discovery
    ingest: Ingest
    routing: Routing


class Gateway(Struct, frozen=True, kw_only=True):
    """What all calls share. ``exposition``: Prometheus text; ``document``: the OpenAPI document as JSON."""

    settings: GatewaySettings
    clients: GatewayClients
    pictures: Pictures
    clock: Clock
    exposition: Callable[[], Awaitable[str]]
    document: Callable[[], bytes]


class Call(Struct, frozen=True, kw_only=True):
    """One request on its way through. ``account`` is set where the route is ``fresh`` and accounts answered."""

    gateway: Gateway
    signed_in: Identity | None
    account: Account | None
    client_address: str
    gateway_url: str
    peer: str
    user_agent: str
    if_none_match: str

    @property
    def clients(self) -> GatewayClients:
        return self.gateway.clients

    @property
    def identity(self) -> Identity:
        """Who asks. Raises NotSignedIn on a route that lets anybody in."""
        if self.signed_in is None:
            raise NotSignedIn("nobody is signed in")
        return self.signed_in

    @property
    def tls(self) -> bool:
        return self.gateway_url.startswith("https:")
