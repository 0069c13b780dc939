"""Signing in and out, and the profiles of one's account."""

from __future__ import annotations

from msgspec import UNSET

from nearcast.control.gateway.bodies import Login, Me, ProfileBody
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.errors import NoProfile
from nearcast.control.gateway.headers import session_cookie
from nearcast.control.gateway.routes import Route
from nearcast.control.gateway.wire import Answer, json_answer
from nearcast.model.account import Account
from nearcast.model.services import AccountQuestion, LoginAnswer, LoginQuestion, ProfileChange, SelectProfile


async def login(call: Call, body: Login) -> LoginAnswer:
    question = LoginQuestion(
        email=body.email if body.email is not UNSET else "",
        password=body.password if body.password is not UNSET else "",
        link=body.link if body.link is not UNSET else "",
        client_address=call.client_address,
    )
    return await call.clients.accounts.login(question)


def signed_in(call: Call, answer: LoginAnswer) -> Answer:
    """The token as JSON for scripts and as a cookie for browsers."""
    found = json_answer(answer)
    max_age_s = answer.expires_at - call.gateway.clock.now_s()
    found.headers["set-cookie"] = session_cookie(answer.token, max_age_s, tls=call.tls)
    found.compress = False
    return found


async def logout(call: Call) -> Answer:
    return Answer(status=204, headers={"set-cookie": session_cookie("", 0, tls=call.tls)})


async def me(call: Call) -> Me:
    identity = call.identity
    question = AccountQuestion(account_id=identity.account_id, generation=identity.generation)
    account = await call.clients.accounts.account(question)
    chosen = [each for each in account.profiles if each.id == identity.profile_id] or [*account.profiles]
    if not chosen:
        raise NoProfile("this account has no profile")
    return Me(account=account, profile=chosen[0])


async def profiles(call: Call, body: ProfileBody) -> Account:
    change = ProfileChange(
        account_id=call.identity.account_id,
        profile_id=body.profile_id,
        name=body.name,
        avatar=body.avatar,
        audio_language=body.audio_language,
        text_language=body.text_language,
        remove=body.remove,
    )
    return await call.clients.accounts.profile(change)


async def select(call: Call, profile_id: str) -> LoginAnswer:
    return await call.clients.accounts.select(SelectProfile(identity=call.identity, profile_id=profile_id))


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/login",
        handler=login,
        finish=signed_in,
        summary="Sign in with an email and its password, or with the token of a one-time link",
        errors=(401, 403, 404, 409, 429),
    ),
    Route(method="POST", path="/api/v1/logout", handler=logout, summary="Forget the sign-in of this browser", status=204),
    Route(method="GET", path="/api/v1/me", handler=me, summary="The account and profile that are signed in", role="viewer", errors=(404,)),
    Route(
        method="POST",
        path="/api/v1/profiles",
        handler=profiles,
        summary="Make, change or remove a profile of the account",
        role="viewer",
        fresh=True,
        errors=(403, 404, 409),
    ),
    Route(
        method="POST",
        path="/api/v1/profiles/{profile_id}/select",
        handler=select,
        finish=signed_in,
        summary="Go on as another profile of the account",
        role="viewer",
        fresh=True,
        errors=(403,),
    ),
)
