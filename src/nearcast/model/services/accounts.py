"""What accounts can be asked: who signs in, what they may watch, what they like."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from nearcast.model.account import Account, Entitlement, Identity, Profile, Role, SubscriptionState
from nearcast.model.services.nothing import Nothing


class LoginQuestion(Struct, frozen=True, kw_only=True):
    """Either a link or an email with its password. ``client_address`` counts towards the limit on attempts."""

    email: str = ""
    password: str = ""
    link: str = ""
    client_address: str = ""


class LoginAnswer(Struct, frozen=True, kw_only=True):
    token: str
    account: Account
    profile: Profile
    expires_at: float


class LinkQuestion(Struct, frozen=True, kw_only=True):
    """A one-time sign-in link for the account of ``email`` (empty: the first admin, made when there is none)."""

    email: str = ""
    ttl_s: float = 86400.0


class LinkAnswer(Struct, frozen=True, kw_only=True):
    link: str
    email: str
    expires_at: float


class AccountQuestion(Struct, frozen=True, kw_only=True):
    account_id: str
    generation: int | None = None


class NewAccount(Struct, frozen=True, kw_only=True):
    email: str
    password: str = ""
    role: Role = "viewer"
    profile_name: str = ""


class AccountChange(Struct, frozen=True, kw_only=True):
    """Fields left None stay. ``revoke_tokens`` ends every sign-in of the account."""

    account_id: str
    password: str | None = None
    role: Role | None = None
    subscription: SubscriptionState | None = None
    revoke_tokens: bool = False


class ProfileChange(Struct, frozen=True, kw_only=True):
    """``profile_id`` empty: a new profile. ``remove``: delete it (the last one of an account stays)."""

    account_id: str
    profile_id: str = ""
    name: str | None = None
    avatar: str | None = None
    audio_language: str | None = None
    text_language: str | None = None
    remove: bool = False


class SelectProfile(Struct, frozen=True, kw_only=True):
    identity: Identity
    profile_id: str


class Opinion(Struct, frozen=True, kw_only=True):
    """What a profile thinks of a title; None leaves a field as it is. ``rating``: -1 not for me, 0 none, 1 like, 2 love."""

    profile_id: str
    title_id: str
    in_my_list: bool | None = None
    rating: int | None = None


class ProfileQuestion(Struct, frozen=True, kw_only=True):
    profile_id: str


class Opinions(Struct, frozen=True, kw_only=True):
    """My List, newest first, and the ratings of a profile."""

    my_list: tuple[str, ...]
    ratings: dict[str, int]


class AccountList(Struct, frozen=True, kw_only=True):
    accounts: tuple[Account, ...]


class Accounts(Protocol):
    async def login(self, question: LoginQuestion, /) -> LoginAnswer: ...
    async def link(self, question: LinkQuestion, /) -> LinkAnswer: ...
    async def entitlement(self, question: AccountQuestion, /) -> Entitlement: ...
    async def account(self, question: AccountQuestion, /) -> Account: ...
    async def accounts(self, question: Nothing, /) -> AccountList: ...
    async def create(self, question: NewAccount, /) -> Account: ...
    async def change(self, question: AccountChange, /) -> Account: ...
    async def profile(self, question: ProfileChange, /) -> Account: ...
    async def select(self, question: SelectProfile, /) -> LoginAnswer: ...
    async def opine(self, question: Opinion, /) -> Opinions: ...
    async def opinions(self, question: ProfileQuestion, /) -> Opinions: ...
