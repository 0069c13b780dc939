"""Ids: short, sortable by nothing, safe in paths and addresses. The source of randomness is an argument."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without 0 1 i l o, which people misread
_ID = re.compile(r"[a-z]{1,3}_[2-9a-hj-km-np-z]{12,20}")

RandomBytes = Callable[[int], bytes]


def new_id(prefix: str, random_bytes: RandomBytes = secrets.token_bytes) -> str:
    """``prefix`` and 16 characters of about 79 bits, as ``t_7k2m…``."""
    return f"{prefix}_" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in random_bytes(16))


def is_id(text: str, prefix: str) -> bool:
    return text.startswith(f"{prefix}_") and _ID.fullmatch(text) is not None
