"""The Accounts service of ``model.services``: accounts, profiles, opinions and what an account may watch."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from sqlalchemy import Connection

from nearcast.base.clock import Clock
from nearcast.base.errors import Conflict
from nearcast.base.ids import RandomBytes, new_id
from nearcast.control.accounts import rows, rules
from nearcast.control.accounts.passwords import Passwords
from nearcast.control.accounts.settings import AccountsSettings
from nearcast.control.accounts.signin import AccountExists, Revoked, SignIn, UnknownAccount, UnknownProfile
from nearcast.control.store import Store
from nearcast.model.account import Account, Entitlement, Profile
from nearcast.model.services import (
    AccountChange,
    AccountList,
    AccountQuestion,
    LinkAnswer,
    LinkQuestion,
    LoginAnswer,
    LoginQuestion,
    NewAccount,
    Nothing,
    Opinion,
    Opinions,
    ProfileChange,
    ProfileQuestion,
    SelectProfile,
)


class LastOne(Conflict):
    """The last administrator, or an account's last profile, has to stay."""

    code = "NC4114"
    cure = "make another one first"


class Full(Conflict):
    """The account, or My List, has as many entries as it may have."""

    code = "NC4115"
    cure = "remove one first"


def entitled(standing: tuple[int, str] | None, generation: int | None, max_height: int) -> Entitlement:
    """May the account watch? ``standing``: its generation and subscription. A token that was revoked tells more than a lapsed
    subscription, so it is told first."""
    if standing is None:
        return Entitlement(allowed=False, reason="unknown", max_height=0)
    current, subscription = standing
    if generation is not None and generation != current:
        return Entitlement(allowed=False, reason="revoked", max_height=0)
    if subscription != "active":
        return Entitlement(allowed=False, reason="lapsed", max_height=0)
    return Entitlement(allowed=True, max_height=max_height)


def changed_profile(account: Account, change: ProfileChange, new_profile_id: str) -> Profile:
    """The profile as it will be. Raises BadProfile, UnknownProfile or Full."""
    old = next((each for each in account.profiles if each.id == change.profile_id), None)
    if change.profile_id and old is None:
        raise UnknownProfile("this account has no such profile")
    if old is None and len(account.profiles) >= rules.PROFILES_MAX:
        raise Full(f"an account has at most {rules.PROFILES_MAX} profiles")
    start = old or Profile(id=new_profile_id, name="")
    name = start.name if old is not None and change.name is None else rules.checked_name(change.name or "")
    if any(each.id != start.id and each.name.casefold() == name.casefold() for each in account.profiles):
        raise rules.BadProfile("another profile of this account has that name", hint="choose another name")
    return msgspec.structs.replace(
        start,
        name=name,
        avatar=start.avatar if change.avatar is None else rules.checked_avatar(change.avatar),
        audio_language=start.audio_language if change.audio_language is None else rules.checked_language(change.audio_language),
        text_language=start.text_language if change.text_language is None else rules.checked_language(change.text_language),
    )


class AccountsService:
    """Fits ``model.services.Accounts``. ``token_key`` is ``capability.derive(root, "token")``; the store is the caller's to close."""

    def __init__(
        self,
        store: Store,
        *,
        token_key: bytes,
        clock: Clock,
        random_bytes: RandomBytes = secrets.token_bytes,
        settings: AccountsSettings | None = None,
    ) -> None:
        self._settings = settings or AccountsSettings()
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes
        self._passwords = Passwords(self._settings)
        self._sign_in = SignIn(store, self._passwords, token_key, clock, random_bytes, self._settings)

    def close(self) -> None:
        self._passwords.close()

    async def login(self, question: LoginQuestion, /) -> LoginAnswer:
        return await self._sign_in.login(question)

    async def link(self, question: LinkQuestion, /) -> LinkAnswer:
        return await self._sign_in.link(question)

    async def select(self, question: SelectProfile, /) -> LoginAnswer:
        return await self._sign_in.select(question)

    async def entitlement(self, question: AccountQuestion, /) -> Entitlement:
        found = await self._store.read(lambda connection: rows.standing(connection, question.account_id))
        return entitled(found, question.generation, self._settings.max_height)

    async def account(self, question: AccountQuestion, /) -> Account:
        """Raises UnknownAccount, or Revoked when ``generation`` is given and has passed."""
        found = await self._store.read(lambda connection: rows.find(connection, account_id=question.account_id))
        if found is None:
            raise UnknownAccount("there is no such account")
        if question.generation is not None and question.generation != found.generation:
            raise Revoked("this sign-in has been ended")
        return found.account

    async def accounts(self, question: Nothing, /) -> AccountList:
        return AccountList(accounts=await self._store.read(rows.everyone))

    async def create(self, question: NewAccount, /) -> Account:
        """Without a password the account opens by links alone."""
        email = rules.checked_email(question.email)
        name = rules.checked_name(question.profile_name) if question.profile_name.strip() else rules.first_name(email)
        password_hash = None
        if question.password:
            password_hash = await self._passwords.hashed(rules.checked_password(question.password, email))
        now_s = self._clock.now_s()
        account_id = new_id("a", self._random_bytes)
        profile = Profile(id=new_id("p", self._random_bytes), name=name)

        def make(connection: Connection) -> Account:
            if rows.find(connection, email=email) is not None:
                raise AccountExists(f"there is already an account {email}")
            rows.add(
                connection,
                account_id=account_id,
                profile=profile,
                email=email,
                role=question.role,
                password_hash=password_hash,
                now_s=now_s,
            )
            return _present(connection, account_id).account

        return await self._store.write(make)

    async def change(self, question: AccountChange, /) -> Account:
        """A new password or a lost admin role ends every sign-in of the account, as ``revoke_tokens`` does."""
        before = await self.account(AccountQuestion(account_id=question.account_id))
        changes: dict[str, Any] = {}
        if question.password is not None:
            password = rules.checked_password(question.password, before.email)
            changes["password_hash"] = await self._passwords.hashed(password)
        if question.subscription is not None:
            changes["subscription"] = question.subscription
        if question.role is not None:
            changes["role"] = question.role

        def alter(connection: Connection) -> Account:
            account = _present(connection, question.account_id).account
            demoted = account.role == "admin" and question.role == "viewer"
            if demoted and rows.admins(connection) <= 1:
                raise LastOne("this is the last administrator")
            # A token carries the role, so a role that is taken away has to end the tokens that carry it.
            revoke = question.revoke_tokens or question.password is not None or demoted
            rows.alter(connection, account.id, changes, revoke=revoke)
            return _present(connection, account.id).account

        return await self._store.write(alter)

    async def profile(self, question: ProfileChange, /) -> Account:
        now_s = self._clock.now_s()
        new_profile_id = new_id("p", self._random_bytes)

        def alter(connection: Connection) -> Account:
            account = _present(connection, question.account_id).account
            if question.remove:
                if all(each.id != question.profile_id for each in account.profiles):
                    raise UnknownProfile("this account has no such profile")
                if len(account.profiles) == 1:
                    raise LastOne("this is the account's last profile")
                rows.remove_profile(connection, question.profile_id)
            else:
                profile = changed_profile(account, question, new_profile_id)
                if question.profile_id:
                    rows.alter_profile(connection, profile)
                else:
                    rows.add_profile(connection, account.id, profile, now_s)
            return _present(connection, account.id).account

        return await self._store.write(alter)

    async def opine(self, question: Opinion, /) -> Opinions:
        title_id = rules.checked_title_id(question.title_id)
        rating = None if question.rating is None else rules.checked_rating(question.rating)
        now_s = self._clock.now_s()

        def put(connection: Connection) -> Opinions:
            if not rows.has_profile(connection, question.profile_id):
                raise UnknownProfile("there is no such profile")
            before = rows.opinions_of(connection, question.profile_id)
            if question.in_my_list and title_id not in before.my_list and len(before.my_list) >= rules.MY_LIST_MAX:
                raise Full(f"My List holds {rules.MY_LIST_MAX} titles at most")
            rows.put_opinion(connection, question.profile_id, title_id, in_my_list=question.in_my_list, rating=rating, now_s=now_s)
            return rows.opinions_of(connection, question.profile_id)

        return await self._store.write(put)

    async def opinions(self, question: ProfileQuestion, /) -> Opinions:
        return await self._store.read(lambda connection: rows.opinions_of(connection, question.profile_id))


def _present(connection: Connection, account_id: str) -> rows.Credentials:
    found = rows.find(connection, account_id=account_id)
    if found is None:
        raise UnknownAccount("there is no such account")
    return found
