"""Viewing history: heartbeats become bookmarks."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.history.service import HistoryService
    from nearcast.control.history.settings import HistorySettings
    from nearcast.control.history.store import BookmarkStore, SqliteBookmarks

__all__ = ["BookmarkStore", "HistoryService", "HistorySettings", "SqliteBookmarks"]

__getattr__ = lazily(__name__, HistoryService="service", HistorySettings="settings", BookmarkStore="store", SqliteBookmarks="store")
