"""The key that signs the zone, and the way from it to the next one, kept in one file of the secrets.

A rollover goes by stages, each written before anything acts by it, and lasting from when the last worker of the name server has begun with
it, so that it may be stopped and gone on with anywhere. It is the double-DNSKEY way for a key that is both zone- and key-signing (RFC 6781,
4.1.2 and 4.1.3; its times are those of RFC 7583, 3.2 and 3.3), without a second signature over the answers: all caches have both keys
before the new one signs anything but the keys themselves.

    stage      keys    keys signed by  answers by  DS at the parent    next when
    stable     old     old             old         old
    published  both    both            old         old                 the keys' TTL is over: PUBLISH_S
    ready      both    both            old         old, then new       the parent has the new DS in place of the old
    replaced   both    both            new         new                 the old DS's TTL is over, and that of what the old key signed
    stable     new     new             new         new
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.base.errors import BadInput, Conflict
from nearcast.steering.dns import delegation
from nearcast.steering.dns.dnssec import Signer
from nearcast.steering.dns.zone import STATIC_TTL_S

Stage = Literal["stable", "published", "ready", "replaced"]
COPY_S = 3600
"""To bring the file to the other hosts, and to start their workers again."""
PUBLISH_S = STATIC_TTL_S + COPY_S
DS_TTL_S = delegation.TTL_S
"""Of the DS at the parent, if nothing else is told."""
CATCH_UP = "`nearcast dns reload`; start the name server again where no supervisor runs it"
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----\n?", re.DOTALL)
"""Beside it there may be blocks that are no key: openssl writes EC PARAMETERS first."""
_ROLLOVER = re.compile(rb"Rollover: ([a-z]+), since ([0-9]+), for ([0-9]+) s\n")


class BadKey(BadInput):
    """The key that signs the zone cannot be used."""

    code = "NC3060"
    cure = "restore secrets/dns.pem from a backup; a new key (remove the file, start again) needs a new DS at the parent zone"


class NotNow(Conflict):
    """The rollover of the key that signs the zone is not where this step can be taken."""

    code = "NC3064"
    cure = "`nearcast dns keys` tells where it stands"


class Ring(NamedTuple):
    """``key`` is the one that was first, ``following`` the one that takes its place; None while ``stable``. ``since_s``: Unix time of the
    stage; ``wait_s``: how long it lasts at least, from when all workers have begun with it.
    """

    key: ec.EllipticCurvePrivateKey
    following: ec.EllipticCurvePrivateKey | None = None
    stage: Stage = "stable"
    since_s: int = 0
    wait_s: int = 0


class Signers(NamedTuple):
    """``main`` signs answers; ``beside`` signs the keys too. ``wanted``: whose DS the parent is asked for (CDS, RFC 7344)."""

    main: Signer
    beside: Signer | None = None
    wanted: Signer | None = None


# --- decisions --------------------------------------------------------------------------------------------------------


def signers(origin: bytes, ring: Ring) -> Signers:
    """What signs what in the ring's stage."""
    old = Signer(origin, ring.key)
    if ring.following is None:
        return Signers(old)
    new = Signer(origin, ring.following)
    wanted = None if ring.stage == "published" else new
    return Signers(new, old, wanted) if ring.stage == "replaced" else Signers(old, new, wanted)


def delegated(origin: bytes, ring: Ring) -> Signer:
    """Of the key whose DS belongs at the parent."""
    found = signers(origin, ring)
    return found.wanted or found.main


def fingerprint(ring: Ring) -> str:
    """Of the stage and its keys, whenever it began: who has the same answers the same."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    keys = (each.public_key().public_bytes(*form) for each in (ring.key, ring.following) if each)
    return hashlib.sha256(b"".join((ring.stage.encode(), *keys))).hexdigest()


def begun(ring: Ring, following: ec.EllipticCurvePrivateKey, now_s: float) -> Ring:
    """The first step. Raises NotNow."""
    if ring.following is not None:
        raise NotNow(f"a rollover is under way: {ring.stage}")
    return ring._replace(following=following, stage="published", since_s=int(now_s), wait_s=PUBLISH_S)


def left_s(ring: Ring, now_s: float, late: Sequence[str] = ()) -> float:
    """Until the next step may be taken; at least, if workers are ``late``: they have not begun with the stage yet."""
    return float(ring.wait_s) if late else max(0.0, ring.since_s + ring.wait_s - now_s)


def advanced(ring: Ring, now_s: float, *, late: Sequence[str] = (), replaced: bool = False, ds_ttl_s: int = DS_TTL_S) -> Ring:
    """The next step. ``late``: workers that have not begun with the stage. ``replaced``: the parent has the new DS in place of the old,
    whose TTL was ``ds_ttl_s``. Raises NotNow.
    """
    if ring.following is None:
        raise NotNow("no rollover is under way", hint="`nearcast dns rollover start` begins one")
    if late:
        raise NotNow(behind(ring, late), hint=CATCH_UP)
    if left := left_s(ring, now_s):
        raise NotNow(f"the stage {ring.stage!r} lasts {left:.0f} s more", hint="resolvers still know what was before; try again then")
    if replaced != (ring.stage == "ready"):
        if replaced:
            raise NotNow(f"the stage is {ring.stage!r}: this is no time to replace the DS", hint="leave --ds-replaced out")
        raise NotNow("the parent zone needs the new DS", hint="put it in place of the old (`nearcast dns ds`); then add --ds-replaced")
    if ring.stage == "published":
        return ring._replace(stage="ready", since_s=int(now_s), wait_s=0)
    if ring.stage == "ready":
        return ring._replace(stage="replaced", since_s=int(now_s), wait_s=max(ds_ttl_s, STATIC_TTL_S) + COPY_S)
    return Ring(ring.following)


def cancelled(ring: Ring) -> Ring:
    """Back to the old key alone; the caller knows that the parent has no DS of the new one. Raises NotNow."""
    if ring.stage not in ("published", "ready"):
        raise NotNow(f"there is nothing to take back: the stage is {ring.stage!r}", hint="go on to the end, and begin another if need be")
    return Ring(ring.key)


def advice(ring: Ring, now_s: float, late: Sequence[str] = ()) -> str:
    """What is to be done next, as a sentence."""
    if late:
        return f"{behind(ring, late)}: {CATCH_UP}"
    if ring.following is None:
        return "no rollover is under way"
    if left := left_s(ring, now_s):
        return f"the stage {ring.stage!r} lasts {left:.0f} s more; then `nearcast dns rollover next`"
    if ring.stage == "ready":
        return "put the new DS in place of the old at the parent zone (`nearcast dns ds`), then `nearcast dns rollover next --ds-replaced`"
    return f"the stage {ring.stage!r} has lasted long enough: `nearcast dns rollover next`"


def behind(ring: Ring, late: Sequence[str]) -> str:
    """Which workers have not begun with the stage, as a sentence."""
    lasts = f", which lasts {ring.wait_s} s from then on" if ring.wait_s else ""
    return f"{', '.join(late)} {'has' if len(late) == 1 else 'have'} not begun with the stage {ring.stage!r}{lasts}"


def fresh(beside: Ring) -> ec.EllipticCurvePrivateKey:
    """A key whose tag is another than that of the ring's (RFC 6781, 4.2.2: two that are the same cost resolvers work)."""
    while True:
        found = ec.generate_private_key(ec.SECP256R1())
        if Signer(b"\0", found).tag != Signer(b"\0", beside.key).tag:
            return found


# --- the file ---------------------------------------------------------------------------------------------------------


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def packed(ring: Ring) -> bytes:
    """PEM, the first key first; the stage in a line before it, which readers of PEM pass over (RFC 7468, 2)."""
    if ring.following is None:
        return _pem(ring.key)
    head = f"Rollover: {ring.stage}, since {ring.since_s}, for {ring.wait_s} s\n"
    return head.encode() + _pem(ring.key) + _pem(ring.following)


def unpacked(content: bytes) -> Ring:
    """Raises ValueError."""
    keys = [_key(each[0]) for each in _KEY.finditer(content)]
    head = _ROLLOVER.match(content)
    if head is None and len(keys) == 1:
        return Ring(keys[0])
    if head is None or len(keys) != 2:
        raise ValueError(f"it has {len(keys)} keys, and {'a' if head else 'no'} stage of a rollover")
    stage = next((each for each in get_args(Stage)[1:] if each == head[1].decode()), None)
    if stage is None:
        raise ValueError(f"it has an unknown stage of a rollover, {head[1].decode()!r}")
    return Ring(keys[0], keys[1], stage, int(head[2]), int(head[3]))


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(pem, None)
    if not isinstance(found, ec.EllipticCurvePrivateKey) or not isinstance(found.curve, ec.SECP256R1):
        raise ValueError("it has a key that is not on the curve P-256")
    return found


def make(path: Path) -> bool:
    """Make the key where there is none, for its owner alone. One at a time.

    Whether it was made: then the parent zone has no DS for it yet, or another's.
    """
    if path.exists():
        return False
    save(path, Ring(ec.generate_private_key(ec.SECP256R1())))
    return True


def save(path: Path, ring: Ring) -> None:
    """In place of the one that is there, on the disk before this returns. One at a time."""
    _written(path.with_name(f".{path.name}.next"), packed(ring)).replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def tidy(path: Path) -> None:
    """Remove what was written beside it by who was then killed: it holds a key. Nobody may be saving meanwhile."""
    for each in path.parent.glob(f".{path.name}.*"):
        each.unlink(missing_ok=True)


def _written(path: Path, content: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    return path


def load(path: Path) -> Ring:
    """Raises BadKey."""
    try:
        mode, found = path.stat().st_mode, unpacked(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise BadKey(f"{path} is not a key that can be read: {error}") from error
    if mode & 0o077:
        raise BadKey(
            f"{path} can be read by others (mode {mode & 0o777:o})", hint="chmod 600 the file; if others may have read it, change it"
        )
    return found
