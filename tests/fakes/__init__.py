"""Services in memory that fit the protocols of ``model.services``, for tests of those who call them.

They keep the contract where callers can tell the difference: unknown things raise NotFound, refusals are values, a service
that is ``down`` raises Unavailable, and ``calls`` holds every question asked.
"""

from __future__ import annotations

from tests.fakes.accounts import FakeAccounts
from tests.fakes.catalog import FakeCatalog
from tests.fakes.discovery import FakeDiscovery
from tests.fakes.fake import ROOT, Fake
from tests.fakes.films import LADDER, PSSH, file, film, key_id, rendition
from tests.fakes.history import FakeHistory
from tests.fakes.home import FakeHome
from tests.fakes.ingest import FakeIngest
from tests.fakes.license import FakeLicense
from tests.fakes.search import FakeSearch
from tests.fakes.steering import EDGES, FakeSteering
from tests.fakes.world import World

__all__ = [
    "EDGES",
    "LADDER",
    "PSSH",
    "ROOT",
    "Fake",
    "FakeAccounts",
    "FakeCatalog",
    "FakeDiscovery",
    "FakeHistory",
    "FakeHome",
    "FakeIngest",
    "FakeLicense",
    "FakeSearch",
    "FakeSteering",
    "World",
    "file",
    "film",
    "key_id",
    "rendition",
]
