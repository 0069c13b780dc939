"""Who asks: a sealed token from the Authorization header or the cookie, and whether it still counts.

A token is opened here without asking anybody. That its account has not ended all sign-ins since is asked of accounts, and
kept for seconds; playback asks by itself through the entitlement.
"""

from __future__ import annotations

import structlog

from nearcast.base.cache import Cache
from nearcast.base.clock import Clock
from nearcast.base.errors import Unavailable
from nearcast.control.gateway.errors import CrossSite, NotAdmin, NotSignedIn
from nearcast.control.gateway.headers import COOKIE
from nearcast.control.gateway.routes import Route
from nearcast.control.gateway.wire import Request
from nearcast.model.account import Account, Identity
from nearcast.model.services import AccountQuestion, Accounts
from nearcast.policy import capability

_log = structlog.get_logger("gateway")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(request: Request) -> tuple[str, bool]:
    """The token, and whether the browser sent it by itself. A header counts before a cookie; empty: there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        return (token.strip(), False) if scheme.lower() == "bearer" else ("", False)
    return request.cookie(COOKIE), True


def forged(request: Request) -> bool:
    """Whether another origin's page makes the browser act. SameSite=Strict stops other sites; this stops other ports, too."""
    if request.method in SAFE_METHODS:
        return False
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


class Guard:
    """Opens tokens with ``token_key`` (``capability.derive(root, "token")``)."""

    def __init__(self, accounts: Accounts, token_key: bytes, clock: Clock, *, account_cache_s: float) -> None:
        self._accounts = accounts
        self._key = token_key
        self._clock = clock
        self._known: Cache[tuple[str, int], Account] = Cache(clock, fresh_s=account_cache_s, entries_max=5000)

    async def admit(self, request: Request, route: Route) -> tuple[Identity | None, Account | None]:
        """Who asks. Raises NotSignedIn, NotAdmin, CrossSite, Unsealable, Expired, or what accounts says of the token."""
        if route.role is None:
            return None, None
        token, by_cookie = token_of(request)
        if not token:
            raise NotSignedIn("this address is for people who are signed in")
        if by_cookie and forged(request):
            raise CrossSite("this request was made by a page of another origin")
        identity = capability.unseal(token, Identity, self._key, self._clock.now_s())
        if route.role == "admin" and identity.role != "admin":
            raise NotAdmin("this address is for administrators")
        account = await self._account(identity, must=route.role == "admin") if route.fresh or route.role == "admin" else None
        if route.role == "admin" and account is not None and account.role != "admin":
            raise NotAdmin("this account is no administrator any more")
        return identity, account

    async def _account(self, identity: Identity, *, must: bool) -> Account | None:
        """The account, if the sign-in still counts. Accounts being down ends nobody's evening, but admits no administrator."""
        question = AccountQuestion(account_id=identity.account_id, generation=identity.generation)
        try:
            return await self._known.get((identity.account_id, identity.generation), lambda: self._accounts.account(question))
        except Unavailable as error:
            if must:
                raise
            _log.warning("sign-in not checked", account_id=identity.account_id, error=str(error))
            return None
