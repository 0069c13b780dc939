"""Common Access Tokens (CTA-5007) of foreign players and CDNs: verified once, and exchanged for a path that nginx alone checks.

A token is a CWT (RFC 8392) in COSE_Mac0 with HS256 or COSE_Sign1 with ES256. Whatever it says to limit its use is either checked here or
refused: a limit that is not understood is not passed over. Claim numbers: IANA's registry of CWT claims.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog
from cwt import CWT, COSEKey
from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput, Denied, NearcastError
from nearcast.base.web import Application, Receive, Scope, Send, only_http
from nearcast.delivery.edge.keys import EdgeKeys
from nearcast.policy import capability

TOKEN_BYTES_MAX = 4096
PATH_S_MAX = 6 * 3600
"""A path that was given for a token ends with it, and no later than this; the player comes back with its token then."""
KEYS_MAX = 16
ISS, AUD, EXP, NBF = 1, 3, 4, 5
CATREPLAY, CATV, CATU, CATM = 308, 310, 312, 313
FREE = frozenset({2, 6, 7, 320, 322, 323})
"""Claims that limit nothing: sub, iat, cti, and what to do about a refusal or a renewal (catifdata, catif, catr)."""
NAMES = {309: "catpor", 311: "catnip", 314: "catalpn", 315: "cath", 316: "catgeoiso3166", 317: "catgeocoord", 318: "catgeoalt"}
NAMES |= {319: "cattpk", 321: "catdpop", 324: "cattprint"}
PARTS = ("scheme", "host", "port", "path", "query", "parent-path", "filename", "stem", "extension")
"""Components of catu, by their labels."""
EXACT, PREFIX, SUFFIX, CONTAINS, SHA256 = 0, 1, 2, 3, -1
_PATH = re.compile(r"/cat/([A-Za-z0-9_-]{1,64})/([0-9a-f]{64}\.(?:mp4|m3u8|vtt|jpg))")
_KINDS = (b"\xd1\x84", b"\xd2\x84")
"""How COSE_Mac0 (tag 17) and COSE_Sign1 (tag 18) begin; the tag of a CWT (61) may stand before it."""
_log = structlog.get_logger("edge")


class TokenMissing(Denied):
    """A path for foreign players was asked for without a Common Access Token."""

    code = "NC2020"
    status = 401
    cure = "send the token in the header CTA-Common-Access-Token, in a cookie of that name, or in the query as CAT"


class TokenDamaged(Denied):
    """A Common Access Token cannot be read, or none of the keys that are known here made it."""

    code = "NC2021"
    status = 401
    cure = "issue it as COSE_Mac0 with HS256 or COSE_Sign1 with ES256, and name by kid a key of the edge's cat_keys"


class TokenExpired(Denied):
    """A Common Access Token is past its time, or not yet in it."""

    code = "NC2022"
    status = 401
    cure = "get a new token; see that the clocks of issuer and edge are right"


class TokenElsewhere(Denied):
    """A Common Access Token is for other addresses, methods or servers than this."""

    code = "NC2023"
    cure = "issue a token whose catu, catm and aud cover what is asked for"


class TokenUnsupported(Denied):
    """A Common Access Token limits its use in a way that this edge cannot check."""

    code = "NC2024"
    cure = "issue it without that claim, with exp, catu, catm and catv alone"


class BadTokenKeys(BadInput):
    """The file of keys for Common Access Tokens cannot be used."""

    code = "NC2025"
    cure = 'give cat_keys a JSON file as {"keys": [{"kty": "oct", "alg": "HS256", "kid": …, "k": …}]} (RFC 7517), or EC keys of P-256'


class Asked(Struct, frozen=True, kw_only=True):
    """What a player asked for. ``audience``: names that this server goes by."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    audience: tuple[str, ...] = ()

    def part(self, name: str) -> str:
        """A component of the address, as catu names them."""
        parent, file_name = posixpath.split(self.path)
        stem, extension = posixpath.splitext(file_name)
        values = {"path": self.path, "parent-path": parent, "filename": file_name, "stem": stem, "extension": extension}
        values |= {"scheme": self.scheme, "host": self.host, "port": str(self.port), "query": self.query}
        return values[name]


def verify(claims: dict[Any, Any], asked: Asked, now_s: float) -> int:
    """When the token ends (Unix seconds), if its claims let this be asked now. Raises what stands against it, a TokenUnsupported, …"""
    for claim in claims:
        if claim not in FREE and claim not in (ISS, AUD, EXP, NBF, CATREPLAY, CATV, CATU, CATM):
            raise TokenUnsupported(f"the token has the claim {NAMES.get(claim, claim)}, which is not checked here")
    if claims.get(CATV, 1) != 1:
        raise TokenUnsupported(f"the token is of version {claims[CATV]!r}; this edge knows 1")
    if claims.get(CATREPLAY, 0) != 0:  # whether it was shown to another appliance cannot be known here
        raise TokenUnsupported("the token may be used but once (catreplay), and an edge does not know what others have seen")
    expires_at = _seconds(claims, EXP)
    if expires_at is None:
        raise TokenUnsupported("the token has no exp, so that what it is exchanged for would never end")
    if expires_at <= now_s:
        raise TokenExpired("the token has expired")
    begins_at = _seconds(claims, NBF)
    if begins_at is not None and begins_at > now_s:
        raise TokenExpired("the token is not valid yet")
    _verify_place(claims, asked)
    return int(expires_at)


def _verify_place(claims: dict[Any, Any], asked: Asked) -> None:
    audience = claims.get(AUD)
    if audience is not None and not set(audience if isinstance(audience, list) else [audience]) & set(asked.audience):
        raise TokenElsewhere("the token is for another audience")
    methods = claims.get(CATM)
    if methods is not None and (not isinstance(methods, list) or asked.method not in methods):
        raise TokenElsewhere(f"the token does not allow {asked.method}")
    limits = claims.get(CATU, {})
    if not isinstance(limits, dict):
        raise TokenDamaged("the token's catu is no map")
    for label, matches in limits.items():
        if not isinstance(label, int) or not 0 <= label < len(PARTS) or not isinstance(matches, dict):
            raise TokenUnsupported(f"the token limits {label!r} of the address, which is not checked here")
        for kind, wanted in matches.items():
            if not _matches(asked.part(PARTS[label]), kind, wanted):
                raise TokenElsewhere(f"the token is for another {PARTS[label]}")


def _matches(value: str, kind: Any, wanted: Any) -> bool:
    if kind == SHA256 and isinstance(wanted, bytes):
        return hashlib.sha256(value.encode()).digest() == wanted
    if kind not in (EXACT, PREFIX, SUFFIX, CONTAINS) or not isinstance(wanted, str):
        raise TokenUnsupported(
            f"the token's catu matches by {kind!r}, which is not done here (exact, prefix, suffix, contains, SHA-256 are)"
        )
    if kind == EXACT:
        return value == wanted
    if kind == PREFIX:
        return value.startswith(wanted)
    return value.endswith(wanted) if kind == SUFFIX else wanted in value


def _seconds(claims: dict[Any, Any], claim: int) -> float | None:
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise TokenDamaged("the token names a time that is none")
    return float(value)


def read_token(text: str, keys: list[Any]) -> dict[Any, Any]:
    """The claims of a token in base64url, after one of ``keys`` (cwt's COSEKey) has proved it. Raises TokenDamaged."""
    if len(text) > TOKEN_BYTES_MAX:
        raise TokenDamaged("the token is too long")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenDamaged("the token is not base64url") from error
    raw = raw.removeprefix(b"\xd8\x3d")
    if not raw.startswith(_KINDS):  # cwt takes a bare map of claims for a token that is proved
        raise TokenDamaged("the token is neither COSE_Mac0 nor COSE_Sign1")
    try:
        claims = CWT.new().decode(raw, keys, no_verify=True)  # its times are held against our clock
    except Exception as error:  # what a stranger's bytes make of CBOR, COSE and key is one refusal
        raise TokenDamaged("no key that is known here made the token") from error
    if not isinstance(claims, dict):
        raise TokenDamaged("the token has no claims")
    return claims


def read_keys(path: Path) -> list[Any]:
    """The keys of a JWK set that prove tokens; an empty set means that nobody's do. Raises BadTokenKeys."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])["keys"]
        keys = [COSEKey.from_jwk(each) for each in found]
    except OSError as error:
        raise BadTokenKeys(f"{path}: {error.strerror}") from error
    except Exception as error:
        raise BadTokenKeys(f"{path} is not a set of keys: {error}") from error
    unfit = [each for each in keys if each.alg not in (5, -7) or not each.kid]
    if unfit or len(keys) > KEYS_MAX:
        raise BadTokenKeys(f"{path}: {KEYS_MAX} keys at most for HS256 or ES256 are wanted, each with its kid")
    return keys


class Proofs:
    """The keys in the file ``path``, read anew when it changes. While it is missing or wrong there are none: nobody's token is taken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = ()
        self._keys: list[Any] = []
        self._problem: BadTokenKeys | None = None

    def keys(self) -> list[Any]:
        """As they stand in the file now."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            self._read()
        return self._keys

    @property
    def problem(self) -> BadTokenKeys | None:
        """Why no token is taken now; None: the file is good, though it may hold no keys."""
        self.keys()
        return self._problem

    def _stamp_now(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    def _read(self) -> None:
        try:
            self._keys, self._problem = read_keys(self._path), None
        except BadTokenKeys as error:
            self._keys, self._problem = [], error
            _log.error("no Common Access Token is taken: their keys cannot be read", error=error.message, code=error.code, hint=error.hint)
        else:
            _log.info("keys of Common Access Tokens read", keys=len(self._keys))


class Exchange:
    """Gives paths of the appliance ``id`` of ``site`` at ``address`` for tokens. ``keys`` tells its MAC keys of now."""

    def __init__(self, id: str, site: str, address: str, cat_keys: Path, keys: Callable[[], EdgeKeys], clock: Clock) -> None:
        self._keys, self._clock = keys, clock
        self._proofs = Proofs(cat_keys)
        parts = urlsplit(address)
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._audience = (id, site, address, self._host)

    @property
    def problem(self) -> BadTokenKeys | None:
        return self._proofs.problem

    def path(self, token: str, asked: Asked) -> str:
        """Where the file is that was asked for (``/cat/{title}/{file}``). Raises why it is not given."""
        found = _PATH.fullmatch(asked.path)
        if found is None:
            raise TokenElsewhere(f"{asked.path} is no file of a title")
        if not token:
            raise TokenMissing("there is no token")
        now_s = self._clock.now_s()
        expires_at = verify(read_token(token, self._proofs.keys()), asked, now_s)
        key = self._keys().current
        until = min(expires_at, int(now_s) + PATH_S_MAX)
        return capability.edge_path(key.key, found[1], until, key.generation) + found[2]

    def application(self) -> Application:
        """An ASGI application, for nginx to pass on to."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            only_http(scope)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            try:
                answer = self.path(_token(scope, headers), self._asked(scope))
            except NearcastError as error:
                body = msgspec.json.encode({"code": error.code, "message": error.message, "hint": error.hint, "status": error.status})
                challenge = [(b"www-authenticate", b"CTA-Common-Access-Token")] if error.status == 401 else []
                await _answer(send, error.status, body, [(b"content-type", b"application/json"), *challenge])
                return
            await _answer(send, 307, b"", [(b"location", answer.encode())])

        return serve

    def _asked(self, scope: Scope) -> Asked:
        """Names and address are those that this appliance was given: by what name a client calls it is the client's word alone."""
        return Asked(
            method=scope["method"], scheme=self._scheme, host=self._host, port=self._port, path=scope["path"], audience=self._audience
        )


def _token(scope: Scope, headers: dict[str, str]) -> str:
    """As nginx passes it on: header and cookie have become one."""
    return headers.get("cta-common-access-token", "") or parse_qs(scope["query_string"].decode("latin-1")).get("CAT", [""])[0]


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    # That nobody keeps it says nginx, as of every answer that is no film.
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
