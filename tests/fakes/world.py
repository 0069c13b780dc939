"""All of it together."""

from __future__ import annotations

from nearcast.base.clock import Clock, SystemClock
from nearcast.control.gateway.application import GatewayKeys
from nearcast.control.gateway.call import GatewayClients
from nearcast.control.playback.service import PlaybackService
from nearcast.control.playback.settings import PlaybackSettings
from nearcast.model.title import Publication
from nearcast.policy import capability
from tests.fakes.accounts import FakeAccounts
from tests.fakes.catalog import FakeCatalog
from tests.fakes.discovery import FakeDiscovery
from tests.fakes.fake import ROOT
from tests.fakes.films import film
from tests.fakes.history import FakeHistory
from tests.fakes.home import FakeHome
from tests.fakes.ingest import FakeIngest
from tests.fakes.license import FakeLicense
from tests.fakes.routing import FakeRouting
from tests.fakes.search import FakeSearch
from tests.fakes.steering import FakeSteering


class World:
    """All services in memory around a real playback, as a gateway or a player sees them."""

    def __init__(self, *publications: Publication, clock: Clock | None = None, settings: PlaybackSettings | None = None) -> None:
        self.clock = clock or SystemClock()
        self.accounts = FakeAccounts(self.clock)
        self.catalog = FakeCatalog(*(publications or (film(),)))
        self.search = FakeSearch(self.catalog)
        self.home = FakeHome(self.catalog)
        self.license = FakeLicense(clock=self.clock)
        self.history = FakeHistory(clock=self.clock)
        self.steering = FakeSteering()
        self.discovery = FakeDiscovery()
        self.ingest = FakeIngest()
        self.routing = FakeRouting()
        self.playback = PlaybackService(
            self.accounts,
            self.license,
            self.catalog,
            self.history,
            self.steering,
            key=capability.derive(ROOT, "session"),
            settings=settings,
            clock=self.clock,
        )

    @property
    def clients(self) -> GatewayClients:
        return GatewayClients(
            accounts=self.accounts,
            catalog=self.catalog,
            search=self.search,
            home=self.home,
            playback=self.playback,
            license=self.license,
            history=self.history,
            discovery=self.discovery,
            ingest=self.ingest,
            routing=self.routing,
        )

    @property
    def keys(self) -> GatewayKeys:
        return GatewayKeys(token=capability.derive(ROOT, "token"))
