"""Fixtures that end-to-end, contract and fault tests share: one real system for the whole run, a film in it, a browser for each module."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from tests.e2e import browsers
from tests.e2e.harness import System, new_system
from tests.e2e.library import Film, Library

# No timed tests: how long an example takes says more of the machine than of the code.
settings.register_profile("nearcast", deadline=None)
settings.load_profile("nearcast")


ISP = ("[[steering.isps]]", 'name = "riverbank"', "asn = 64511", 'sites = ["dallas"]', 'allow = ["20.0.0.0/12"]')
"""Nobody announces for it here; what it plans can be rehearsed."""
FEW_FRAMES = ("[media.quality]", "frames_max = 24")
"""Whether quality is measured is what tests ask; how well, bench/ does."""


def pytest_sessionstart() -> None:
    """A run that is told to end (SIGTERM) ends what it has started, as one that is interrupted does."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """A running system: started once, used by all, ended with everything it began."""
    with new_system(more=(*ISP, *FEW_FRAMES)) as made:
        made.up()
        yield made


@pytest.fixture(scope="session")
def library(system: System, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(system, tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def film(library: Library) -> Film:
    """A film of a minute and a half, encrypted, with subtitles and two audio tracks, on every edge."""
    return library.film()


@pytest.fixture(scope="session")
def clear_film(library: Library) -> Film:
    """A short film without encryption."""
    return library.clear_film()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module: its synchronous driver holds the thread's event loop, which async tests of other modules need."""
    path = browsers.executable()
    if path is None:
        pytest.skip("there is no Chromium here: `make test` brings Debian's, or set NEARCAST_CHROMIUM")
    with browsers.launched(path) as found:
        yield found
