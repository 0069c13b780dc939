"""What license, playback, steering and history can be asked: everything between Play and the next bookmark."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from nearcast.model.account import Identity
from nearcast.model.rendition import KeyLabel
from nearcast.model.route import EdgeChoice
from nearcast.model.services.nothing import Nothing
from nearcast.model.session import Bookmark, ClearKeyLicense, Device, Heartbeat, Session, SteeringDocument


class KeySetQuestion(Struct, frozen=True, kw_only=True):
    """The keys of a title, made on first asking. Only the fleet may ask."""

    title_id: str


class ContentKey(Struct, frozen=True, kw_only=True):
    label: KeyLabel
    key_id: bytes
    key: bytes


class KeySet(Struct, frozen=True, kw_only=True):
    title_id: str
    keys: tuple[ContentKey, ...]


class GrantQuestion(Struct, frozen=True, kw_only=True):
    title_id: str
    max_height: int


class Grant(Struct, frozen=True, kw_only=True):
    """Which keys of the title a session limited to ``max_height`` may have."""

    key_labels: tuple[KeyLabel, ...]


class LicenseQuestion(Struct, frozen=True, kw_only=True):
    """``key_ids`` are base64url as in the W3C Clear Key request; the session id decides what is given."""

    session_id: str
    device_id: str
    account_id: str
    key_ids: tuple[str, ...]


class License(Protocol):
    async def key_set(self, question: KeySetQuestion, /) -> KeySet: ...
    async def grant(self, question: GrantQuestion, /) -> Grant: ...
    async def issue(self, question: LicenseQuestion, /) -> ClearKeyLicense: ...


class PlayQuestion(Struct, frozen=True, kw_only=True):
    identity: Identity
    title_id: str
    device: Device
    client_address: str
    gateway_url: str


class PlayAnswer(Struct, frozen=True, kw_only=True):
    """``refused`` is empty or ``lapsed``, ``revoked``, ``processing``: then there is no session."""

    session: Session | None = None
    refused: str = ""


class SessionQuestion(Struct, frozen=True, kw_only=True):
    """``protocol``: of the player that asks for a steering document, where it tells."""

    session_id: str
    gateway_url: str = ""
    client_address: str = ""
    last_pathway: str = ""
    throughput_bps: int = 0
    protocol: Literal["", "dash", "hls"] = ""


class ManifestAnswer(Struct, frozen=True, kw_only=True):
    dash: str
    hls: str


class Playback(Protocol):
    async def play(self, question: PlayQuestion, /) -> PlayAnswer: ...
    async def manifest(self, question: SessionQuestion, /) -> ManifestAnswer: ...
    async def steering(self, question: SessionQuestion, /) -> SteeringDocument: ...


class SteerQuestion(Struct, frozen=True, kw_only=True):
    """``session`` names the playback, so that a share of them can be moved; ``current``: the pathway in use, left only for a reason;
    ``known``: pathways that the session was given when it began, which are named again where they are as good as others.

    ``spare``: how many are wanted beside the ``count``, for when all of those fail.
    """

    client_address: str
    title_id: str
    expires_at: int
    count: int = 3
    session: str = ""
    current: str = ""
    known: tuple[str, ...] = ()
    spare: int = 0


class SteerAnswer(Struct, frozen=True, kw_only=True):
    """``source`` is ``live``, or ``last-known`` when routes or health view could not be refreshed. ``prefix`` is the route that matched.

    ``unsettled``: a site of the answer, or the pathway in use, drains, is full or is sick: players shall ask again soon.
    ``spare`` are further edges, none of ``edges``; fewer than were wanted, or sick ones, unsettle nothing.
    """

    edges: tuple[EdgeChoice, ...]
    prefix: str
    source: Literal["live", "last-known"] = "live"
    unsettled: bool = False
    spare: tuple[EdgeChoice, ...] = ()


class Steering(Protocol):
    async def choose(self, question: SteerQuestion, /) -> SteerAnswer: ...


class HeartbeatReport(Struct, frozen=True, kw_only=True):
    session_id: str
    account_id: str
    heartbeat: Heartbeat


class BookmarksQuestion(Struct, frozen=True, kw_only=True):
    """``title_ids`` empty: all of the profile's, newest first."""

    profile_id: str
    title_ids: tuple[str, ...] = ()
    limit: int = 100


class BookmarkList(Struct, frozen=True, kw_only=True):
    bookmarks: tuple[Bookmark, ...]


class History(Protocol):
    async def heartbeat(self, question: HeartbeatReport, /) -> Nothing: ...
    async def bookmarks(self, question: BookmarksQuestion, /) -> BookmarkList: ...
