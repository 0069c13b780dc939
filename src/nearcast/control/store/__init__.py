"""The relational store under accounts, catalog and license: tables, migrations, and the one seam to SQLAlchemy."""

from typing import TYPE_CHECKING

from nearcast.base.lazy import lazily

if TYPE_CHECKING:
    from nearcast.control.store.engine import Store, sqlite_url

__all__ = ["Store", "sqlite_url"]

__getattr__ = lazily(__name__, Store="engine", sqlite_url="engine")
