"""Builds ``browse``: accounts, catalog, search and the home page."""

from __future__ import annotations

import asyncio

from nearcast.model.services import Accounts, Catalog, History, Home, Search
from nearcast.system.part import Part, System


async def build(system: System, process: str) -> Part:
    """Brings the database up to date, then opens it. Raises StoreOutdated, StoreUnavailable."""
    from nearcast.control.accounts import AccountsService
    from nearcast.control.catalog import CatalogService
    from nearcast.control.home import HomeService
    from nearcast.control.search import SearchService
    from nearcast.control.store import Store
    from nearcast.control.store.migrate import migrate
    from nearcast.system.stores import database_url

    settings, clock = system.settings, system.clock
    url = database_url(system.home, settings)
    await asyncio.to_thread(migrate, url)
    store = Store(url, settings.store)
    accounts = AccountsService(store, token_key=system.key("token"), clock=clock, settings=settings.accounts)
    catalog = CatalogService(store, clock=clock, settings=settings.catalog)
    search = SearchService(catalog, clock=clock, settings=settings.search)
    search.start()
    home = HomeService(catalog, accounts, system.client(History), settings=settings.home)

    async def close() -> None:
        await search.close()
        await asyncio.to_thread(accounts.close)
        await asyncio.to_thread(store.close)

    return Part(services={Accounts: accounts, Catalog: catalog, Search: search, Home: home}, closers=[close])
