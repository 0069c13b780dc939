"""An Accounts service over a fresh store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast.base.clock import VirtualClock
from nearcast.control.accounts import AccountsService
from nearcast.control.store import Store
from nearcast.policy.capability import derive
from tests.unit.control.helpers import CHEAP, ROOT, new_store, seeded


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def accounts(store: Store, clock: VirtualClock) -> Iterator[AccountsService]:
    made = AccountsService(store, token_key=derive(ROOT, "token"), clock=clock, random_bytes=seeded(), settings=CHEAP)
    yield made
    made.close()
