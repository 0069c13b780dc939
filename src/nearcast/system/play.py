"""Builds ``play``: playback with all that it asks at once, so that Play leaves its process only for the history."""

from __future__ import annotations

import asyncio

from nearcast.model.services import Accounts, Catalog, History, License, Playback, Steering
from nearcast.system.part import Part, System


async def build(system: System, process: str) -> Part:
    """Accounts and catalog are instances of its own over the same store. Raises StoreUnavailable, BadMasterKey."""
    from nearcast.base import rpc
    from nearcast.control.accounts import AccountsService
    from nearcast.control.catalog import CatalogService
    from nearcast.control.license import LicenseService, MasterKeys, load_master_keys
    from nearcast.control.playback.service import PlaybackService
    from nearcast.control.store import Store
    from nearcast.control.store.migrate import migrate
    from nearcast.steering.health.published import ViewReader
    from nearcast.steering.routes.reader import TableReader
    from nearcast.steering.service import SteeringService
    from nearcast.system import folders
    from nearcast.system.secrets import LICENSE_MASTER, ROOT
    from nearcast.system.stores import database_url

    settings, clock = system.settings, system.clock
    url = database_url(system.home, settings)
    await asyncio.to_thread(migrate, url)
    store = Store(url, settings.store)
    accounts = AccountsService(store, token_key=system.key("token"), clock=clock, settings=settings.accounts)
    catalog = CatalogService(store, clock=clock, settings=settings.catalog)
    session_key = system.key("session")
    master_keys = MasterKeys(lambda: load_master_keys(system.home.secrets / LICENSE_MASTER))
    licenses = LicenseService(store, session_key=session_key, master_keys=master_keys, clock=clock)
    views = ViewReader(folders.view_folder(system.home), clock)
    tables = TableReader(folders.routes_folder(system.home), clock)
    steering = SteeringService(settings.steering, tables, views, system.key(ROOT), clock)
    await steering.start()
    playback = PlaybackService(
        rpc.local(Accounts, accounts),
        rpc.local(License, licenses),
        rpc.local(Catalog, catalog),
        system.client(History),
        rpc.local(Steering, steering),
        key=session_key,
        settings=settings.playback,
        clock=clock,
    )

    async def close() -> None:
        views.close()
        await asyncio.to_thread(accounts.close)
        await asyncio.to_thread(store.close)

    return Part(services={Playback: playback, License: licenses, Steering: steering}, closers=[close])
