"""The home page: rows of titles for one profile."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.home.service import HomeService
    from nearcast.control.home.settings import HomeSettings

__all__ = ["HomeService", "HomeSettings"]

__getattr__ = lazily(__name__, HomeService="service", HomeSettings="settings")
