"""Changing the master key of a whole system: killed at any point and run again, every film's keys are what they were."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from nearcast.base.clock import SystemClock
from nearcast.base.paths import Home
from nearcast.base.processes import AlreadyRunning, Lock
from nearcast.control.license import LicenseService, MasterKeys, load_master_keys
from nearcast.control.license.master import ENVIRONMENT
from nearcast.control.store import Store
from nearcast.control.store.migrate import migrate
from nearcast.model.services import KeySet, KeySetQuestion
from nearcast.system import rotation, settings, start
from nearcast.system.secrets import LICENSE_MASTER
from nearcast.system.stores import backup_members, database_url

TITLES = [f"t_{number}" for number in range(60)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "h")
    start.prepare(found)
    migrate(database_url(found, settings.Settings()))
    return found


async def key_sets(home: Home) -> list[KeySet]:
    """What the licence service of a process that starts now knows."""
    store = Store(database_url(home, settings.Settings()), settings.Settings().store)
    keys = MasterKeys(lambda: load_master_keys(home.secrets / LICENSE_MASTER, {}))
    service = LicenseService(store, session_key=bytes(32), master_keys=keys, clock=SystemClock(), random_bytes=secrets.token_bytes)
    try:
        return [await service.key_set(KeySetQuestion(title_id=each)) for each in TITLES]
    finally:
        store.close()


async def test_a_rotation_that_is_killed_again_and_again(home: Home) -> None:
    before = await key_sets(home)
    first = (home.secrets / LICENSE_MASTER).read_bytes()
    code = "import asyncio, sys; from nearcast.system import rotation; from nearcast.base.paths import Home; from pathlib import Path;"
    code += "import nearcast.control.license.master, nearcast.control.store, nearcast.system.stores; print(flush=True);"
    code += "asyncio.run(rotation.rotate(Home(Path(sys.argv[1])), {}))"
    for after_s in (0.0, 0.004, 0.01, 0.02, 0.04, 0.08):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(home.root), stdout=subprocess.PIPE)
        assert process.stdout
        await process.stdout.readline()
        await asyncio.sleep(after_s)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        assert await key_sets(home) == before
    assert await rotation.rotate(home, {}) <= len(TITLES) * 4
    assert await key_sets(home) == before
    assert (home.secrets / LICENSE_MASTER).read_bytes() != first
    assert not (home.secrets / f"{LICENSE_MASTER}.next").exists()


async def test_one_rotation_at_a_time(home: Home) -> None:
    lock = Lock(home.run / "rotation.lock")
    lock.take()
    with pytest.raises(AlreadyRunning):
        await rotation.rotate(home, {})
    lock.free()


async def test_a_key_of_the_environment_is_not_changed_here(home: Home) -> None:
    with pytest.raises(rotation.KeyElsewhere) as caught:
        await rotation.rotate(home, {ENVIRONMENT: os.urandom(32).hex()})
    assert LICENSE_MASTER in caught.value.hint


@pytest.mark.parametrize("prepared", [False, True])
async def test_a_home_that_never_ran_has_no_key_to_change(prepared: bool, tmp_path: Path) -> None:
    """It once ended with "no such table", and left the fresh key behind."""
    found = Home(tmp_path / "fresh")
    if prepared:
        start.prepare(found)
    with pytest.raises(rotation.NeverRan) as caught:
        await rotation.rotate(found, {})
    assert "nearcast up" in caught.value.hint
    assert not list(found.root.rglob("*.next"))


def test_a_backup_has_every_key_that_there_may_be(home: Home) -> None:
    names = {each.name for each in backup_members(home, settings.Settings()) if each.kind == "secret"}
    assert names >= {each.name for each in home.secrets.iterdir() if not each.name.startswith(".")}
    assert f"{LICENSE_MASTER}.next" in names
