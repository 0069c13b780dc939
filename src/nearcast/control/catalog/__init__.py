"""The catalog: which titles there are, what they are called, and the manifest that each plays by."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.catalog.service import CatalogService
    from nearcast.control.catalog.settings import CatalogSettings

__all__ = ["CatalogService", "CatalogSettings"]

__getattr__ = lazily(__name__, CatalogService="service", CatalogSettings="settings")
