"""Settings of accounts. The Argon2 defaults are the second recommended choice of RFC 9106 (memory-constrained)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class AccountsSettings(Struct, frozen=True, kw_only=True):
    """Signing in, and what a subscription gives."""

    token_ttl_s: Annotated[float, Meta(gt=0, description="how long a sign-in lasts")] = 30 * 86400.0
    link_ttl_max_s: Annotated[float, Meta(gt=0, description="the longest that a one-time sign-in link may stay valid")] = 7 * 86400.0
    attempts_per_account: Annotated[int, Meta(ge=1, description="failed sign-ins to one account within the window before a pause")] = 10
    attempts_per_address: Annotated[int, Meta(ge=1, description="failed sign-ins from one address (IPv6: one /64) within the window")] = 50
    attempts_window_s: Annotated[float, Meta(gt=0, description="the window in which failed sign-ins are counted")] = 900.0
    argon2_time_cost: Annotated[int, Meta(ge=1, description="Argon2id passes over the memory")] = 3
    argon2_memory_kib: Annotated[int, Meta(ge=8, description="Argon2id memory for one password check")] = 65536
    argon2_lanes: Annotated[int, Meta(ge=1, description="Argon2id lanes")] = 4
    password_checks: Annotated[int, Meta(ge=1, le=64, description="passwords checked at once; each takes the memory above")] = 2
    max_height: Annotated[int, Meta(ge=144, description="the best picture that a subscription gives, in lines")] = 2160
