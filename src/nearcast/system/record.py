"""Builds ``record``: the viewing history."""

from __future__ import annotations

import asyncio

from nearcast.model.services import Catalog, History, Quality
from nearcast.system.part import Part, System


async def build(system: System, process: str) -> Part:
    """Opens the history's own database. Raises StoreUnavailable."""
    from nearcast.control.history import HistoryService, SqliteBookmarks
    from nearcast.system.stores import history_path

    settings = system.settings
    bookmarks = SqliteBookmarks(history_path(system.home), settings.store)
    history = HistoryService(
        bookmarks,
        system.client(Catalog),
        session_key=system.key("session"),
        clock=system.clock,
        settings=settings.history,
        quality=system.client(Quality),
    )
    await history.start()

    async def close() -> None:
        await history.close()
        await asyncio.to_thread(bookmarks.close)

    return Part(services={History: history}, closers=[close])
