"""Keys at rest: AES-256-GCM (NIST SP 800-38D) under a master key that is never in the database.

Title, label and key id are authenticated with each key, so that a row moved to another title does not open.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nearcast.base.errors import Unavailable

NONCE_BYTES = 12
KEY_BYTES = 16
MASTER_BYTES = 32


class KeysSealed(Unavailable):
    """The keys in the database were sealed under another master key."""

    code = "NC4301"
    cure = "put the license master key back that was in use when the titles were ingested (secrets/license-master.key)"


def master_id(master: bytes) -> str:
    """A name for a master key that tells nothing of it: which key sealed a row."""
    return hashlib.sha256(b"nearcast license master" + master).hexdigest()[:16]


def wrap(key: bytes, master: bytes, nonce: bytes, *, title_id: str, label: str, key_id: bytes) -> bytes:
    """``nonce``: 12 random bytes, never used twice with one master key."""
    return nonce + AESGCM(master).encrypt(nonce, key, _bound(title_id, label, key_id))


def unwrap(sealed: bytes, master: bytes, *, title_id: str, label: str, key_id: bytes) -> bytes:
    """Raises KeysSealed when anything of it is not as it was sealed."""
    try:
        return AESGCM(master).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(title_id, label, key_id))
    except (InvalidTag, ValueError) as error:
        raise KeysSealed(f"the {label} key of title {title_id} does not open") from error


def _bound(title_id: str, label: str, key_id: bytes) -> bytes:
    return b"\0".join((title_id.encode(), label.encode(), key_id))
