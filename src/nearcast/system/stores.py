"""Where the data of a system lies: databases, objects, and what a backup saves. The one place that names an engine's address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.base.errors import BadInput
from nearcast.base.paths import Home
from nearcast.system.settings import Settings

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from nearcast.control.store.backup import Member


class BadOrigin(BadInput):
    """The origin's store cannot be opened."""

    code = "NC0210"
    cure = "set [origin] store to a folder, or to s3://bucket/prefix with its credentials in the environment"


def database_path(home: Home) -> Path:
    return home.data / "nearcast.db"


def history_path(home: Home) -> Path:
    return home.data / "history.db"


def insight_path(home: Home) -> Path:
    return home.data / "insight.db"


def placement_path(home: Home) -> Path:
    return home.data / "fill.db"


def orders_path(home: Home) -> Path:
    return home.data / "orders.json"


def database_url(home: Home, settings: Settings) -> str:
    """The address of the relational store: the configured one, else SQLite in the home folder."""
    from nearcast.control.store.engine import sqlite_url

    return settings.store.url or sqlite_url(database_path(home))


def origin_store(home: Home, settings: Settings) -> ObjectStore:
    """The object store of published files. Raises BadOrigin."""
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url

    where = settings.origin.store
    try:
        if "://" in where:
            return from_url(where)
        folder = (home.root / Path(where).expanduser()) if where else home.origin
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(prefix=folder)
    except (BaseError, OSError, ValueError) as error:
        raise BadOrigin(f"the origin's store {where or home.origin} cannot be opened: {error}") from error


def backup_members(home: Home, settings: Settings) -> list[Member]:
    """The files that a backup saves. The origin's films are not among them: they are immutable, and large."""
    from nearcast.control.store.backup import Member

    members = [Member(name=each.name, path=each) for each in (history_path(home), insight_path(home), placement_path(home))]
    members.append(Member(name=orders_path(home).name, path=orders_path(home), kind="file"))
    if not settings.store.url:
        members.insert(0, Member(name="nearcast.db", path=database_path(home)))
    # A rotation under way has two master keys; without the authority, edges that have joined would have to join anew.
    names = ("root.key", "license-master.key", "license-master.key.next", "authority.pem", "authority.key", "dismissed.json", "dns.pem")
    return members + [Member(name=name, path=home.secrets / name, kind="secret") for name in names]
