"""How an edge of another host becomes part of this system: an invitation, and a listener where it is redeemed once.

The invitation is sealed under a key of the system, so that none need be kept; what was redeemed is remembered until it expires.
The token around it tells the edge where to go and which authority to expect there (its SHA-256), so that nobody in between can
answer in its place. The edge makes its own private key; it is given a certificate and the keys of its own appliance, no others.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta, Struct

from nearcast.base.errors import BadInput, Conflict, Denied, NearcastError, NotFound, TooLarge
from nearcast.base.web import Application, Receive, Scope, Send, only_http
from nearcast.model.site import Identifier
from nearcast.policy import capability
from nearcast.system import peers
from nearcast.system.table import EDGE_KEYS

BODY_BYTES_MAX = 16 * 1024
TTL_S = 3600.0
_MARK = "nc1."
_CHECK_BYTES = 4
_log = structlog.get_logger("join")


class BadToken(BadInput):
    """A join token is not one, or was altered on its way."""

    code = "NC0220"
    cure = "copy the whole token that `nearcast edge invite` printed, or print a new one"


class InvitationOver(Denied):
    """An invitation has expired, was altered, or is of another system."""

    code = "NC0221"
    cure = "print a new one on the main host: `nearcast edge invite ID --site SITE`"


class InvitationUsed(Conflict):
    """An invitation was redeemed by another edge."""

    code = "NC0222"
    cure = "if that was not you, find out who it was; print a new one on the main host: `nearcast edge invite ID --site SITE`"


class NotKept(NearcastError):
    """The main host could not write down that an invitation was redeemed: its disk is full, or the folder is not its own."""

    code = "NC0229"
    status = 507
    cure = "on the main host, see that its home folder has room and may be written to; then repeat the join with the same token"


class Invitation(Struct, frozen=True, kw_only=True):
    """Who may join as what, once, from ``made_at`` until ``expires_at`` (Unix seconds).

    ``public_name``: under which viewers reach the edge.
    """

    id: str
    site: str
    nonce: str
    expires_at: float
    public_name: str = ""
    made_at: float = 0.0


class Token(Struct, frozen=True):
    """What a person carries over: where to join, the SHA-256 of the authority to find there, and the sealed invitation."""

    address: str
    fingerprint: bytes
    invitation: str


class JoinQuestion(Struct, frozen=True, kw_only=True):
    """``request``: a PEM request for a certificate."""

    invitation: Annotated[str, Meta(max_length=4096)]
    request: Annotated[str, Meta(max_length=8192)]


class JoinAnswer(Struct, frozen=True, kw_only=True):
    """Everything that an edge needs. ``keys``: hexadecimal, by purpose. Empty addresses are those of the host that answers."""

    id: Identifier
    site: Identifier
    public_name: str
    chain: str
    keys: dict[str, str]
    edges_port: int
    origin_port: int
    origin_url: str = ""


def to_text(token: Token) -> str:
    """One word that can be copied; its end tells whether all of it was."""
    raw = msgspec.msgpack.encode(token)
    return _MARK + base64.urlsafe_b64encode(raw + hashlib.sha256(raw).digest()[:_CHECK_BYTES]).rstrip(b"=").decode()


def from_text(text: str) -> Token:
    """Raises BadToken."""
    text = text.strip()
    body = text.removeprefix(_MARK)
    try:
        whole = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        raw, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
        if body != text and hmac.compare_digest(check, hashlib.sha256(raw).digest()[:_CHECK_BYTES]):
            return msgspec.msgpack.decode(raw, type=Token)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadToken("this is no token of `nearcast edge invite`") from error
    raise BadToken("the token was altered, or is not whole")


def invite(appliance: peers.Appliance, public_name: str, key: bytes, now_s: float, ttl_s: float = TTL_S) -> str:
    """A sealed invitation. ``key``: this system's for the purpose ``join``."""
    nonce = secrets.token_hex(16)
    made = Invitation(id=appliance.id, site=appliance.site, nonce=nonce, expires_at=now_s + ttl_s, public_name=public_name, made_at=now_s)
    return capability.seal(made, key, secrets.token_bytes(capability.NONCE_BYTES))


def opened(sealed: str, key: bytes, now_s: float) -> Invitation:
    """Raises InvitationOver."""
    try:
        return capability.unseal(sealed, Invitation, key, now_s)
    except capability.Expired as error:
        raise InvitationOver("the invitation has expired") from error
    except capability.Unsealable as error:
        raise InvitationOver("the invitation was altered, or is of another system") from error


class Redeemed:
    """Which invitations were used, and by which key: one small file each in ``folder`` until it would have expired anyway.

    The same key may come again, so that an edge that was cut off in the middle of its join can repeat it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def redeem(self, invitation: Invitation, mark: str, now_s: float) -> None:
        """Raises InvitationUsed or NotKept."""
        try:
            self._redeem(invitation, mark, now_s)
        except OSError as error:
            raise NotKept(f"the main host cannot keep that the invitation was used: {error.strerror or error}") from error

    def _redeem(self, invitation: Invitation, mark: str, now_s: float) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget(now_s)
        path = self._folder / f"{int(invitation.expires_at) + 1}-{invitation.nonce}"
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            fresh.write_text(mark)
            os.link(fresh, path)
        except FileExistsError:
            if not hmac.compare_digest(path.read_text(), mark):
                raise InvitationUsed("this invitation was used already") from None
        finally:
            fresh.unlink(missing_ok=True)

    def _forget(self, now_s: float) -> None:
        for path in self._folder.glob("[0-9]*-*"):
            if int(path.name.partition("-")[0]) < now_s:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()


class Joining:
    """Redeems invitations. ``root``: the system's; ``secrets_folder`` holds the authority. All methods block for milliseconds."""

    def __init__(self, root: bytes, secrets_folder: Path, redeemed: Redeemed, ports: tuple[int, int], origin_url: str = "") -> None:
        self._root = root
        self._folder = secrets_folder
        self._redeemed = redeemed
        self._ports = ports
        self._origin_url = origin_url

    def join(self, question: JoinQuestion, now_s: float) -> JoinAnswer:
        """Raises InvitationOver, InvitationUsed, NotKept, BadRequestForCertificate, Dismissed."""
        from nearcast.system import dismissal, issue, tls

        invitation = opened(question.invitation, capability.derive(self._root, "join"), now_s)
        dismissal.check(self._folder, invitation.id, invitation.made_at)
        key = issue.read_request(question.request)
        authority = tls.load_authority(self._folder)
        if authority is None:
            raise NotFound("this host does not hold the authority", hint="copy authority.pem and authority.key from the main host")
        self._redeemed.redeem(invitation, issue.key_mark(key), now_s)
        me = peers.Appliance(invitation.site, invitation.id)
        now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
        purposes = (*EDGE_KEYS, capability.edge_purpose(me.id))
        _log.info("an edge has joined", id=me.id, site=me.site)
        return JoinAnswer(
            id=me.id,
            site=me.site,
            public_name=invitation.public_name,
            chain=issue.sign_edge(key, me.uri, invitation.public_name, authority, now),
            keys={each: capability.derive(self._root, each).hex() for each in purposes},
            edges_port=self._ports[0],
            origin_port=self._ports[1],
            origin_url=self._origin_url,
        )


def application(joining: Joining, authority: bytes, now_s: Callable[[], float] = time.time) -> Application:
    """An ASGI application: ``GET /authority.pem`` (``authority``), which the token's fingerprint proves, and ``POST /join``."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        only_http(scope)
        try:
            if (scope["method"], scope["path"]) == ("GET", "/authority.pem"):
                await _say(send, 200, authority)
                return
            if (scope["method"], scope["path"]) != ("POST", "/join"):
                raise NotFound("only edges join here", hint="`nearcast edge join TOKEN` does")
            question = msgspec.json.decode(await _body(receive), type=JoinQuestion)
            await _say(send, 200, msgspec.json.encode(joining.join(question, now_s())))
        except msgspec.MsgspecError as error:
            problem = BadInput(f"the request is not one to join: {error}").problem()
            await _say(send, problem.status, msgspec.json.encode(problem))
        except NearcastError as error:
            _log.warning("an edge may not join", code=error.code, error=error.message)
            await _say(send, error.status, msgspec.json.encode(error.problem()))

    return serve


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge("a request to join is smaller")
        if not message.get("more_body"):
            return bytes(body)


async def _say(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
