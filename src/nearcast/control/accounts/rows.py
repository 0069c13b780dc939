"""Reading and writing the rows of accounts: each function is one step inside a transaction of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from nearcast.control.store.tables import accounts, links, opinions, profiles
from nearcast.model.account import Account, Profile, Role
from nearcast.model.services import Opinions

ACCOUNTS_MAX = 10_000


class Credentials(Struct, frozen=True, kw_only=True):
    """What signing in needs to know of an account, beside what everybody sees."""

    account: Account
    generation: int
    password_hash: str | None


def find(connection: Connection, *, account_id: str = "", email: str = "") -> Credentials | None:
    where = accounts.c.id == account_id if account_id else accounts.c.email == email
    row = connection.execute(select(accounts).where(where)).first()
    if row is None:
        return None
    family = connection.execute(
        select(profiles).where(profiles.c.account_id == row.id).order_by(profiles.c.created_at, profiles.c.id)
    ).all()
    return Credentials(account=_account(row, family), generation=row.generation, password_hash=row.password_hash)


def standing(connection: Connection, account_id: str) -> tuple[int, str] | None:
    """Generation and subscription: all that an entitlement needs, in one look."""
    row = connection.execute(select(accounts.c.generation, accounts.c.subscription).where(accounts.c.id == account_id)).first()
    return None if row is None else (row.generation, row.subscription)


def first_admin(connection: Connection) -> Credentials | None:
    query = select(accounts.c.id).where(accounts.c.role == "admin").order_by(accounts.c.created_at, accounts.c.id).limit(1)
    account_id = connection.execute(query).scalar()
    return find(connection, account_id=account_id) if account_id else None


def admins(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(accounts).where(accounts.c.role == "admin")).scalar_one()


def everyone(connection: Connection) -> tuple[Account, ...]:
    """All accounts, oldest first."""
    families: dict[str, list[Row[Any]]] = {}
    for profile in connection.execute(select(profiles).order_by(profiles.c.created_at, profiles.c.id)):
        families.setdefault(profile.account_id, []).append(profile)
    rows = connection.execute(select(accounts).order_by(accounts.c.created_at, accounts.c.id).limit(ACCOUNTS_MAX))
    return tuple(_account(row, families.get(row.id, [])) for row in rows)


def add(
    connection: Connection, *, account_id: str, profile: Profile, email: str, role: Role, password_hash: str | None, now_s: float
) -> None:
    connection.execute(
        insert(accounts).values(
            id=account_id, email=email, password_hash=password_hash, role=role, subscription="active", generation=1, created_at=now_s
        )
    )
    add_profile(connection, account_id, profile, now_s)


def alter(connection: Connection, account_id: str, changes: dict[str, Any], *, revoke: bool) -> None:
    values = dict(changes)
    if revoke:
        values["generation"] = accounts.c.generation + 1
        # A link is a sign-in too: one that was sent before the revocation must not open the account after it.
        connection.execute(delete(links).where(links.c.account_id == account_id))
    if values:
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))


def add_profile(connection: Connection, account_id: str, profile: Profile, now_s: float) -> None:
    connection.execute(
        insert(profiles).values(
            id=profile.id,
            account_id=account_id,
            name=profile.name,
            avatar=profile.avatar,
            audio_language=profile.audio_language,
            text_language=profile.text_language,
            created_at=now_s,
        )
    )


def alter_profile(connection: Connection, profile: Profile) -> None:
    connection.execute(
        update(profiles)
        .where(profiles.c.id == profile.id)
        .values(name=profile.name, avatar=profile.avatar, audio_language=profile.audio_language, text_language=profile.text_language)
    )


def remove_profile(connection: Connection, profile_id: str) -> None:
    connection.execute(delete(opinions).where(opinions.c.profile_id == profile_id))
    connection.execute(delete(profiles).where(profiles.c.id == profile_id))


def has_profile(connection: Connection, profile_id: str) -> bool:
    return connection.execute(select(profiles.c.id).where(profiles.c.id == profile_id)).first() is not None


def opinions_of(connection: Connection, profile_id: str) -> Opinions:
    rows = connection.execute(
        select(opinions.c.title_id, opinions.c.listed_at, opinions.c.rating)
        .where(opinions.c.profile_id == profile_id)
        .order_by(opinions.c.listed_at.desc(), opinions.c.title_id)
    ).all()
    return Opinions(
        my_list=tuple(row.title_id for row in rows if row.listed_at is not None),
        ratings={row.title_id: row.rating for row in rows if row.rating},
    )


def put_opinion(
    connection: Connection, profile_id: str, title_id: str, *, in_my_list: bool | None, rating: int | None, now_s: float
) -> None:
    """Nothing is kept of an opinion that is none."""
    here = (opinions.c.profile_id == profile_id) & (opinions.c.title_id == title_id)
    old = connection.execute(select(opinions).where(here)).first()
    listed_at = old.listed_at if old else None
    if in_my_list is not None:
        listed_at = (listed_at or now_s) if in_my_list else None
    rated = rating if rating is not None else (old.rating if old else 0)
    connection.execute(delete(opinions).where(here))
    if listed_at is not None or rated:
        connection.execute(insert(opinions).values(profile_id=profile_id, title_id=title_id, listed_at=listed_at, rating=rated))


def add_link(connection: Connection, token_hash: str, account_id: str, *, expires_at: float, now_s: float) -> None:
    connection.execute(delete(links).where(links.c.expires_at < now_s))
    connection.execute(insert(links).values(token_hash=token_hash, account_id=account_id, expires_at=expires_at, used_at=None))


def use_link(connection: Connection, token_hash: str, now_s: float) -> str | None:
    """The account that the link opens, once: the row is changed and counted in one statement, so of two who race one wins."""
    unused = (links.c.token_hash == token_hash) & links.c.used_at.is_(None) & (links.c.expires_at > now_s)
    if connection.execute(update(links).where(unused).values(used_at=now_s)).rowcount != 1:
        return None
    return str(connection.execute(select(links.c.account_id).where(links.c.token_hash == token_hash)).scalar_one())


def link_is_spent(connection: Connection, token_hash: str) -> bool:
    """Whether there was such a link (used or past its time)."""
    return connection.execute(select(links.c.token_hash).where(links.c.token_hash == token_hash)).first() is not None


def _account(row: Row[Any], family: Sequence[Row[Any]]) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        role=row.role,
        subscription=row.subscription,
        created_at=row.created_at,
        profiles=tuple(
            Profile(id=each.id, name=each.name, avatar=each.avatar, audio_language=each.audio_language, text_language=each.text_language)
            for each in family
        ),
    )
