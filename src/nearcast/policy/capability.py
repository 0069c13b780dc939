"""Capabilities: sealed ids that any instance opens, and the MAC in an edge's paths that nginx alone checks.

Keys come from one root secret by HKDF-SHA256 (RFC 5869), one for each purpose. Sealed ids are AES-256-GCM (NIST SP 800-38D)
over a MessagePack Struct with an ``expires_at``. The path MAC is what nginx's secure_link module computes: MD5 over
``key expires title key``. The secret stands on both ends and is 256 bits of HKDF output, so length extension and collisions
do not help a forger; why not HMAC: docs/reference/decisions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import b2a_base64
from typing import Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nearcast.base.errors import Denied
from nearcast.model.site import ApplianceReport

NONCE_BYTES = 12
EDGE_PATH = "/v1"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Expiring(Protocol):
    @property
    def expires_at(self) -> float: ...


S = TypeVar("S", bound=Expiring)


class Unsealable(Denied):
    """A sealed id or token is damaged, forged or of another system."""

    code = "NC4001"
    status = 401
    cure = "sign in again, or press Play again"


class Expired(Unsealable):
    """A sealed id or token is past its time."""

    code = "NC4002"


def derive(root: bytes, purpose: str) -> bytes:
    """The 32-byte key for ``purpose`` (as ``session``, ``edge-mac/fra-1``) under the system's root secret."""
    return HKDF(algorithm=SHA256(), length=32, salt=b"nearcast", info=purpose.encode()).derive(root)


def seal(content: msgspec.Struct, key: bytes, nonce: bytes) -> str:
    """``content`` as an opaque, authenticated text, safe in a path. ``nonce``: 12 random bytes, never used twice."""
    sealed = AESGCM(key).encrypt(nonce, msgspec.msgpack.encode(content), type(content).__name__.encode())
    return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def unseal(text: str, kind: type[S], key: bytes, now_s: float) -> S:
    """What ``seal`` put in. Raises Unsealable for anything forged, Expired past ``expires_at`` (Unix seconds)."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], kind.__name__.encode())
        content = msgspec.msgpack.decode(plain, type=kind)
    except (ValueError, InvalidTag, msgspec.MsgspecError) as error:
        raise Unsealable("this id was not issued here, or is damaged") from error
    if content.expires_at <= now_s:
        raise Expired("this id has expired")
    return content


def edge_key(root: bytes, appliance: str, generation: int = 0) -> str:
    """The secret of one appliance as it stands in its nginx configuration: 64 hex digits. ``generation`` counts its rotations."""
    return derive(root, edge_purpose(appliance, generation)).hex()


def edge_purpose(appliance: str, generation: int = 0) -> str:
    """The purpose under which one appliance's key is derived."""
    return f"edge-mac/{appliance}/{generation}" if generation else f"edge-mac/{appliance}"


def fill_token(first_key: str) -> str:
    """What an appliance takes as bearer token from others that copy from it. ``first_key``: its ``edge_key`` of generation 0."""
    return derive(bytes.fromhex(first_key), "fill").hex()


def report_key(first_key: str) -> bytes:
    """What an appliance signs its reports with. ``first_key``: its ``edge_key`` of generation 0."""
    return derive(bytes.fromhex(first_key), "report")


def report_mac(key: bytes, report: ApplianceReport) -> str:
    """The MAC of a report under ``report_key``: HMAC-SHA256 (RFC 2104), 64 hex digits.

    Over the fields that differ from their defaults, in order of their names, as MessagePack after one round trip (a number means the
    same to both sides then): a field that only one side knows, and nobody uses yet, breaks nothing.
    """
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=ApplianceReport)
    told = {name: value for name, default in _REPORT_DEFAULTS if (value := getattr(plain, name)) != default}
    return hmac.new(key, _ordered(told), hashlib.sha256).hexdigest()


_REPORT_DEFAULTS = tuple(
    (each.name, each.default if each.default_factory is msgspec.NODEFAULT else each.default_factory())
    for each in msgspec.structs.fields(ApplianceReport)
    if each.name != "mac"
)
_ordered = msgspec.msgpack.Encoder(order="sorted").encode


class PathSigner:
    """Makes the paths of one appliance. ``key``: its ``edge_key`` of ``generation``, which stands in the path, too (``/v1/…`` for 0,
    ``/v1k3/…`` for 3)."""

    __slots__ = ("_begun", "_key", "prefix")

    def __init__(self, key: str, generation: int = 0) -> None:
        self._begun = hashlib.md5(f"{key} ".encode(), usedforsecurity=False)
        self._key = key.encode()
        self.prefix = f"{EDGE_PATH}k{generation}/" if generation else f"{EDGE_PATH}/"

    def mac(self, said: bytes) -> str:
        """The MAC that nginx checks: secure_link's base64url MD5 over ``key expires title key``. ``said``: as ``path_said`` has it."""
        digest = self._begun.copy()
        digest.update(said + self._key)
        return b2a_base64(digest.digest(), newline=False).translate(_URL_SAFE, b"=").decode()

    def path(self, title_id: str, expires_at: int) -> str:
        """The path below the appliance's address under which a session may fetch the files of one title, ending in ``/``."""
        return self.prefix + self.mac(path_said(title_id, expires_at)) + path_end(title_id, expires_at)


def path_said(title_id: str, expires_at: int) -> bytes:
    """What a path's MAC says between the two keys, the same for all appliances."""
    return f"{expires_at} {title_id} ".encode()


def path_end(title_id: str, expires_at: int) -> str:
    """What follows the MAC in a path, the same for all appliances."""
    return f"/{expires_at}/{title_id}/"


def edge_mac(key: str, title_id: str, expires_at: int) -> str:
    """``PathSigner.mac`` for once."""
    return PathSigner(key).mac(path_said(title_id, expires_at))


def edge_path(key: str, title_id: str, expires_at: int, generation: int = 0) -> str:
    """``PathSigner.path`` for once."""
    return PathSigner(key, generation).path(title_id, expires_at)


def edge_expiry_s(now_s: float, runtime_s: float) -> int:
    """When an edge path ends: twice the runtime and six hours from now, in whole Unix seconds."""
    return int(now_s + 2 * runtime_s + 6 * 3600)
