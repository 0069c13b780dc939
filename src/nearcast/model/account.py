"""Accounts, their profiles, and the identity that a request carries."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal["viewer", "admin"]
SubscriptionState = Literal["active", "lapsed"]


class Identity(Struct, frozen=True, kw_only=True):
    """Who asks, as the gateway read it from a sealed token. ``generation`` counts up when all tokens of an account are revoked."""

    account_id: str
    profile_id: str
    role: Role
    generation: int
    expires_at: float


class Profile(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    avatar: str = "ember"
    audio_language: str = ""
    text_language: str = ""


class Account(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    role: Role
    subscription: SubscriptionState
    profiles: tuple[Profile, ...]
    created_at: float


class Entitlement(Struct, frozen=True, kw_only=True):
    """May this account watch? A refusal is a value: ``reason`` is empty or ``lapsed``, ``revoked``, ``unknown``."""

    allowed: bool
    reason: str = ""
    max_height: int = 2160
