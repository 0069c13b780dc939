"""Signing in: by password, by one-time link, by choosing another profile. Each ends in a token, a sealed Identity."""

from __future__ import annotations

import base64
import hashlib

from sqlalchemy import Connection

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Conflict, NotFound, Unauthenticated
from nearcast.base.ids import RandomBytes, new_id
from nearcast.control.accounts import rows, rules
from nearcast.control.accounts.attempts import Attempts, address_key
from nearcast.control.accounts.passwords import Passwords
from nearcast.control.accounts.settings import AccountsSettings
from nearcast.control.store import Store
from nearcast.model.account import Identity, Profile
from nearcast.model.services import LinkAnswer, LinkQuestion, LoginAnswer, LoginQuestion, SelectProfile
from nearcast.policy import capability

FIRST_ADMIN = "admin@localhost"
LINK_BYTES = 32


class WrongCredentials(Unauthenticated):
    """The email or the password is wrong; which of them is not told."""

    code = "NC4106"
    cure = "check both, or ask an administrator for a one-time sign-in link"


class WrongLink(Unauthenticated):
    """A sign-in link that was never given, or whose account is gone."""

    code = "NC4107"
    cure = "copy the whole link, or ask for a new one; `nearcast up` prints one for the first administrator"


class UsedLink(WrongLink):
    """A sign-in link that was used already, or is past its time."""

    code = "NC4108"
    cure = "each link opens once: ask for a new one; `nearcast up` prints one for the first administrator"


class BadLogin(BadInput):
    """A sign-in with neither a link nor an email and a password."""

    code = "NC4109"
    cure = "send a link, or an email and a password"


class UnknownAccount(NotFound):
    """There is no such account."""

    code = "NC4110"
    cure = "look at the list of accounts"


class UnknownProfile(NotFound):
    """The account has no such profile."""

    code = "NC4111"
    cure = "choose one of the account's own profiles"


class Revoked(Unauthenticated):
    """The sign-in was ended: its token was revoked, or its account is gone."""

    code = "NC4112"


class AccountExists(Conflict):
    """There is already an account with this email."""

    code = "NC4113"
    cure = "change that account, or use another email"


def link_hash(link: str) -> str:
    """What is stored of a link: who reads the database cannot sign in with it. 256 random bits need no salt."""
    return hashlib.sha256(link.encode("utf-8", "replace")).hexdigest()


class SignIn:
    """The shell around the store, the attempts and the hashes. ``token_key``: ``capability.derive(root, "token")``."""

    def __init__(
        self, store: Store, passwords: Passwords, token_key: bytes, clock: Clock, random_bytes: RandomBytes, settings: AccountsSettings
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._token_key = token_key
        self._clock = clock
        self._random_bytes = random_bytes
        self._settings = settings
        self._by_account = Attempts(settings.attempts_per_account, settings.attempts_window_s)
        self._by_address = Attempts(settings.attempts_per_address, settings.attempts_window_s)

    async def login(self, question: LoginQuestion) -> LoginAnswer:
        if not question.link and not (question.email and question.password):
            raise BadLogin("nothing to sign in with")
        now_s = self._clock.now_s()
        address = address_key(question.client_address)
        # Counted under what was asked for, known or not: a pause must not tell which accounts exist.
        account = "" if question.link else question.email.strip().lower()[: rules.EMAIL_MAX]
        self._by_address.begin(address, now_s)
        self._by_account.begin(account, now_s)
        try:
            found = await (self._by_link(question.link, now_s) if question.link else self._by_password(question))
        except Unauthenticated:
            raise
        except BaseException:
            # Nobody guessed wrong: the store was down, or the caller has gone.
            self._by_address.succeeded(address, now_s)
            self._by_account.succeeded(account, now_s)
            raise
        self._by_address.succeeded(address, now_s)
        self._by_account.succeeded(account, now_s, forget=True)
        return self.answer(found, found.account.profiles[0])

    async def _by_password(self, question: LoginQuestion) -> rows.Credentials:
        try:
            email = rules.checked_email(question.email)
        except rules.BadEmail:
            email = ""
        found = await self._store.read(lambda connection: rows.find(connection, email=email))
        password = rules.composed(question.password[: rules.PASSWORD_MAX + 1])
        matched = await self._passwords.matches(password, found.password_hash if found else None)
        if found is None or not matched:
            raise WrongCredentials("email or password is wrong")
        if found.password_hash and self._passwords.outdated(found.password_hash):
            await self._rehash(found, password)
        return found

    async def _rehash(self, found: rows.Credentials, password: str) -> None:
        fresh = await self._passwords.hashed(password)
        await self._store.write(lambda connection: rows.alter(connection, found.account.id, {"password_hash": fresh}, revoke=False))

    async def _by_link(self, link: str, now_s: float) -> rows.Credentials:
        token_hash = link_hash(link)

        def use(connection: Connection) -> rows.Credentials | None:
            account_id = rows.use_link(connection, token_hash, now_s)
            return rows.find(connection, account_id=account_id) if account_id else None

        found = await self._store.write(use)
        if found is None:
            if await self._store.read(lambda connection: rows.link_is_spent(connection, token_hash)):
                raise UsedLink("this sign-in link was used already, or is too old")
            raise WrongLink("this is no sign-in link of this system")
        return found

    async def link(self, question: LinkQuestion) -> LinkAnswer:
        now_s = self._clock.now_s()
        if not 0 < question.ttl_s <= self._settings.link_ttl_max_s:
            raise BadInput(
                "the link's time is out of range", hint=f"give more than 0 and at most {self._settings.link_ttl_max_s:.0f} seconds"
            )
        email = rules.checked_email(question.email) if question.email else ""
        link = base64.urlsafe_b64encode(self._random_bytes(LINK_BYTES)).rstrip(b"=").decode()
        expires_at = now_s + question.ttl_s

        def make(connection: Connection) -> rows.Credentials:
            found = rows.find(connection, email=email) if email else self._first_admin(connection, now_s)
            if found is None:
                raise UnknownAccount(f"there is no account {email}")
            rows.add_link(connection, link_hash(link), found.account.id, expires_at=expires_at, now_s=now_s)
            return found

        made = await self._store.write(make)
        return LinkAnswer(link=link, email=made.account.email, expires_at=expires_at)

    def _first_admin(self, connection: Connection, now_s: float) -> rows.Credentials | None:
        found = rows.first_admin(connection)
        if found is not None:
            return found
        stranger = rows.find(connection, email=FIRST_ADMIN)
        if stranger is not None:
            rows.alter(connection, stranger.account.id, {"role": "admin"}, revoke=False)
        else:
            profile = Profile(id=new_id("p", self._random_bytes), name="Admin")
            account_id = new_id("a", self._random_bytes)
            rows.add(connection, account_id=account_id, profile=profile, email=FIRST_ADMIN, role="admin", password_hash=None, now_s=now_s)
        return rows.find(connection, email=FIRST_ADMIN)

    async def select(self, question: SelectProfile) -> LoginAnswer:
        identity = question.identity
        found = await self._store.read(lambda connection: rows.find(connection, account_id=identity.account_id))
        if found is None or found.generation != identity.generation:
            raise Revoked("this sign-in has been ended")
        for profile in found.account.profiles:
            if profile.id == question.profile_id:
                # The new token ends when the old one would: changing profiles must not prolong a sign-in for ever.
                return self.answer(found, profile, expires_at=identity.expires_at)
        raise UnknownProfile("this account has no such profile")

    def answer(self, found: rows.Credentials, profile: Profile, expires_at: float | None = None) -> LoginAnswer:
        ends_at = self._clock.now_s() + self._settings.token_ttl_s if expires_at is None else expires_at
        identity = Identity(
            account_id=found.account.id,
            profile_id=profile.id,
            role=found.account.role,
            generation=found.generation,
            expires_at=ends_at,
        )
        token = capability.seal(identity, self._token_key, self._random_bytes(capability.NONCE_BYTES))
        return LoginAnswer(token=token, account=found.account, profile=profile, expires_at=ends_at)
