"""Play, and what a session needs while it lasts: manifests, steering, licence, heartbeats; and where one left off."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from nearcast.base.errors import NearcastError
from nearcast.control.gateway.bodies import HeartbeatBody, LicenseBody, LicenseHeaders, PlayBody, SteeringQuery
from nearcast.control.gateway.call import Call
from nearcast.control.gateway.errors import Lapsed, Processing, Revoked
from nearcast.control.gateway.routes import Route
from nearcast.control.gateway.wire import Answer, json_answer
from nearcast.model.services import BookmarkList, BookmarksQuestion, HeartbeatReport, LicenseQuestion, PlayQuestion, SessionQuestion
from nearcast.model.session import ClearKeyLicense, Device, Heartbeat, Session, SteeringDocument

_DIGITS = re.compile(r"[0-9]{1,12}")


def refusal(reason: str) -> NearcastError:
    """A refusal of Play as the error that the page explains."""
    if reason == "lapsed":
        return Lapsed("the subscription of this account has lapsed")
    if reason == "processing":
        return Processing("this film is still being prepared")
    return Revoked("this sign-in was ended")


def last_pathway(text: str) -> str:
    """The pathway that a player was on: DASH sends a list in quotes, newest last; HLS a plain name."""
    return text.split(",")[-1].strip().strip('"')[:100]


def throughput_bps(text: str) -> int:
    """The last of the figures in it; 0 where there is none."""
    found = _DIGITS.findall(text)
    return int(found[-1]) if found else 0


def protocol(query: SteeringQuery) -> Literal["", "dash", "hls"]:
    """What the player speaks, by the names of what it tells."""
    if query.hls_pathway or query.hls_throughput:
        return "hls"
    return "dash" if query.dash_pathway or query.dash_throughput else ""


async def play(call: Call, body: PlayBody) -> Session:
    device = Device(
        id=body.device.id,
        max_height=body.device.max_height,
        throughput_bps=body.device.throughput_bps,
        user_agent=body.device.user_agent or call.user_agent[:500],
    )
    question = PlayQuestion(
        identity=call.identity,
        title_id=body.title_id,
        device=device,
        client_address=call.client_address,
        gateway_url=call.gateway_url,
    )
    answer = await call.clients.playback.play(question)
    if answer.session is None:
        raise refusal(answer.refused)
    return answer.session


def _question(call: Call, session_id: str) -> SessionQuestion:
    return SessionQuestion(session_id=session_id, gateway_url=call.gateway_url, client_address=call.client_address)


async def dash(call: Call, session_id: str) -> Answer:
    found = await call.clients.playback.manifest(_question(call, session_id))
    return Answer(body=found.dash.encode(), media_type="application/dash+xml")


async def hls(call: Call, session_id: str) -> Answer:
    found = await call.clients.playback.manifest(_question(call, session_id))
    return Answer(body=found.hls.encode(), media_type="application/vnd.apple.mpegurl")


async def steering(call: Call, session_id: str, query: SteeringQuery) -> SteeringDocument:
    question = msgspec.structs.replace(
        _question(call, session_id),
        last_pathway=last_pathway(query.dash_pathway or query.hls_pathway),
        throughput_bps=throughput_bps(query.dash_throughput or query.hls_throughput),
        protocol=protocol(query),
    )
    return await call.clients.playback.steering(question)


async def heartbeat(call: Call, session_id: str, body: HeartbeatBody) -> None:
    report = HeartbeatReport(
        session_id=session_id,
        account_id=call.identity.account_id,
        heartbeat=msgspec.convert(body, Heartbeat, from_attributes=True),
    )
    await call.clients.history.heartbeat(report)


async def license_(call: Call, body: LicenseBody, headers: LicenseHeaders) -> ClearKeyLicense:
    question = LicenseQuestion(
        session_id=headers.session,
        device_id=headers.device,
        account_id=call.identity.account_id,
        key_ids=body.kids,
    )
    return await call.clients.license.issue(question)


def unpacked(call: Call, answer: ClearKeyLicense) -> Answer:
    """Keys are not compressed beside what a page chose, and kept by nobody."""
    found = json_answer(answer)
    found.compress = False
    return found


async def history(call: Call) -> BookmarkList:
    return await call.clients.history.bookmarks(BookmarksQuestion(profile_id=call.identity.profile_id))


_SESSION = "/api/v1/sessions/{session_id}"

ROUTES = (
    Route(
        method="POST",
        path="/api/v1/play",
        handler=play,
        summary="Press Play: a session with its manifest, its edges and where to go on",
        role="viewer",
        errors=(402, 403, 404, 409),
    ),
    Route(
        method="GET",
        path=f"{_SESSION}/manifest.mpd",
        handler=dash,
        summary="The session's DASH manifest, for any player",
        media_type="application/dash+xml",
        errors=(401, 409),
        cors=True,
    ),
    Route(
        method="GET",
        path=f"{_SESSION}/manifest.m3u8",
        handler=hls,
        summary="The session's HLS playlist, for any player",
        media_type="application/vnd.apple.mpegurl",
        errors=(401, 409),
        cors=True,
    ),
    Route(
        method="GET",
        path=f"{_SESSION}/steering",
        handler=steering,
        summary="The session's content-steering document (DASH and HLS)",
        errors=(401,),
        cors=True,
    ),
    Route(
        method="POST",
        path=f"{_SESSION}/heartbeat",
        handler=heartbeat,
        summary="What the player has to tell while it plays",
        role="viewer",
        status=204,
        errors=(403, 409),
    ),
    Route(
        method="POST",
        path="/api/v1/license",
        handler=license_,
        finish=unpacked,
        summary="The session's keys, as a W3C Clear Key licence",
        role="viewer",
        errors=(403,),
        any_content_type=True,
    ),
    Route(method="GET", path="/api/v1/history", handler=history, summary="Bookmarks, newest first", role="viewer", fresh=True),
)
