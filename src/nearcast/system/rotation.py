"""Changes the licences' master key, while the system runs or not."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

from nearcast.base.errors import Conflict
from nearcast.base.paths import Home
from nearcast.base.processes import Lock
from nearcast.system import settings
from nearcast.system.secrets import LICENSE_MASTER


class KeyElsewhere(Conflict):
    """The licences' master key is given by the environment, so that this host cannot change it."""

    code = "NC0228"
    cure = "write the key to secrets/license-master.key (32 bytes), unset the variable on every host, start anew, then rotate"


class NeverRan(Conflict):
    """There is no system in this home folder yet, and so no key to change."""

    code = "NC0241"
    cure = "`nearcast up` makes its keys and its database; another home folder is named by NEARCAST_HOME"


async def rotate(home: Home, environment: Mapping[str, str] = os.environ) -> int:
    """Bring a fresh master key in; how many keys were sealed anew. Killed at any point, nothing is lost, and the next one finishes it.

    Raises KeyElsewhere, NeverRan, AlreadyRunning beside another rotation, BadMasterKey, KeysSealed, StoreUnavailable.
    """
    from nearcast.control.license import master
    from nearcast.control.store import Store
    from nearcast.system.stores import database_url

    if environment.get(master.ENVIRONMENT, ""):
        raise KeyElsewhere(f"the master key is in {master.ENVIRONMENT}")
    whole = settings.load(home)
    if not _ever_ran(home, whole):
        raise NeverRan(f"no system ever ran in {home.root}")
    master.load_master_keys(home.secrets / LICENSE_MASTER, {})
    home.make()
    lock = Lock(home.run / "rotation.lock")
    lock.take()
    try:
        store = Store(database_url(home, whole), whole.store)
        try:
            return await master.rotate(store, home.secrets / LICENSE_MASTER, secrets.token_bytes)
        finally:
            store.close()
    finally:
        lock.free()


def _ever_ran(home: Home, whole: settings.Settings) -> bool:
    from nearcast.control.store.migrate import revision
    from nearcast.system.stores import database_path, database_url

    # A database that is not there would be made by asking it.
    there = home.secrets.exists() and (whole.store.url or database_path(home).exists())
    return bool(there and revision(database_url(home, whole)))
