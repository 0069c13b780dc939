"""Search: titles by what people type, typing errors included."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.search.service import SearchService
    from nearcast.control.search.settings import SearchSettings

__all__ = ["SearchService", "SearchSettings"]

__getattr__ = lazily(__name__, SearchService="service", SearchSettings="settings")
