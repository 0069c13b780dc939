"""Play, step by step: accounts, license, catalog and history are asked at once, then steering; the answer holds all a player needs.

Answers are kept for seconds near here, since thousands press Play on one film. A session id is a sealed capability, so that
manifests and steering documents can be made anew by any instance; playback itself stores nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from nearcast.base.cache import Cache
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import DeadlineExceeded, NearcastError, Unavailable
from nearcast.base.ids import RandomBytes
from nearcast.control.playback import hls, selection
from nearcast.control.playback.errors import NoDevice, NoEdge, NothingToPlay, UnknownTitle
from nearcast.control.playback.mpd import mpd
from nearcast.control.playback.settings import PlaybackSettings
from nearcast.model.account import Entitlement
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import Rendition
from nearcast.model.route import EdgeChoice
from nearcast.model.services import (
    AccountQuestion,
    Accounts,
    BookmarksQuestion,
    Catalog,
    Grant,
    GrantQuestion,
    History,
    License,
    ManifestAnswer,
    PlayAnswer,
    PlayQuestion,
    SessionQuestion,
    SteerAnswer,
    Steering,
    SteerQuestion,
    TitleQuestion,
)
from nearcast.model.session import Bookmark, PathwayClone, Session, SessionCapability, SteeringDocument
from nearcast.model.title import Publication
from nearcast.policy import capability

_log = structlog.get_logger("playback")
HEIGHT_MAX = 4320


class PlaybackService:
    """Fits ``model.services.Playback``. ``key`` is the one that ``capability.derive(root, "session")`` gives."""

    def __init__(
        self,
        accounts: Accounts,
        license: License,
        catalog: Catalog,
        history: History,
        steering: Steering,
        *,
        key: bytes,
        settings: PlaybackSettings | None = None,
        clock: Clock | None = None,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        self._accounts = accounts
        self._license = license
        self._catalog = catalog
        self._history = history
        self._steering = steering
        self._key = key
        self._settings = settings = settings or PlaybackSettings()
        self._clock = clock = clock or SystemClock()
        self._random_bytes = random_bytes
        bounds: dict[str, Any] = {"entries_max": settings.cache_entries_max, "stale_s": settings.stale_s}
        self._publications: Cache[str, Publication] = Cache(clock, fresh_s=settings.publication_cache_s, **bounds)
        self._entitlements: Cache[AccountQuestion, Entitlement] = Cache(clock, fresh_s=settings.entitlement_cache_s, **bounds)
        self._grants: Cache[GrantQuestion, Grant] = Cache(clock, fresh_s=settings.publication_cache_s, **bounds)

    async def play(self, question: PlayQuestion) -> PlayAnswer:
        """A session, or why there is none. Raises NoDevice, UnknownTitle, NothingToPlay, NoEdge, and what the services asked raise."""
        if not question.device.id:
            raise NoDevice("the player names no device")
        max_height = max(1, min(question.device.max_height, HEIGHT_MAX))
        entitlement, grant, publication, bookmark = await self._ask(question, max_height)
        if publication.state == "unpublished":
            raise UnknownTitle(f"the title {question.title_id} was withdrawn")
        if refused := selection.refusal(entitlement, publication):
            return PlayAnswer(refused=refused)
        manifest = publication.manifest
        assert manifest is not None  # noqa: S101  (what ``refusal`` has just made sure of)
        max_height = min(max_height, entitlement.max_height)
        now_s = self._clock.now_s()
        sealed = SessionCapability(
            account_id=question.identity.account_id,
            profile_id=question.identity.profile_id,
            title_id=question.title_id,
            device_id=question.device.id,
            max_height=max_height,
            key_labels=selection.key_labels(manifest, grant.key_labels, max_height, question.device.throughput_bps),
            issued_at=now_s,
            expires_at=capability.edge_expiry_s(now_s, manifest.duration_s),
            client_address=question.client_address,
            nonce=self._random_bytes(6).hex(),
            throughput_bps=question.device.throughput_bps,
        )
        video, audio = _renditions(manifest, sealed)
        steered = await self._choose(sealed, question.client_address)
        sealed = msgspec.structs.replace(sealed, pathways=tuple(each.pathway for each in steered.edges))
        session_id = capability.seal(sealed, self._key, self._random_bytes(capability.NONCE_BYTES))
        base = f"{question.gateway_url}/api/v1/sessions/{session_id}"
        session = Session(
            session_id=session_id,
            title_id=question.title_id,
            dash_url=f"{base}/manifest.mpd",
            hls_url=f"{base}/manifest.m3u8",
            manifest=mpd(manifest, video, audio, steered.edges, f"{base}/steering"),
            license_url=f"{question.gateway_url}/api/v1/license",
            steering_url=f"{base}/steering",
            heartbeat_s=self._settings.heartbeat_s,
            resume_s=selection.resume_s(bookmark, manifest.duration_s, self._settings.resume_min_s),
            edges=steered.edges,
            clear=manifest.clear,
            steering_source=steered.source,
        )
        return PlayAnswer(session=session)

    async def manifest(self, question: SessionQuestion) -> ManifestAnswer:
        """Both manifests of a session, its spare edges included. Raises Unsealable, Expired, NoEdge."""
        sealed = self._open(question.session_id)
        choosing = self._choose(sealed, question.client_address, spare=self._settings.spare_edges)
        publication, steered = await asyncio.gather(self._publication(sealed.title_id), choosing)
        if publication.manifest is None:
            raise UnknownTitle(f"the title {sealed.title_id} was withdrawn")
        video, audio = _renditions(publication.manifest, sealed)
        edges = (*steered.edges, *steered.spare)
        steering_url = f"{question.gateway_url}/api/v1/sessions/{question.session_id}/steering"
        first = selection.first_video(video, question.throughput_bps or sealed.throughput_bps) if video else 0
        return ManifestAnswer(
            dash=mpd(publication.manifest, video, audio, edges, steering_url),
            hls=hls.multivariant(publication.manifest, video, audio, edges, steering_url, first=first),
        )

    async def steering(self, question: SessionQuestion) -> SteeringDocument:
        """The content-steering document of a session: its edges as steering sees them now, the one in use first while there is no reason
        to leave it. Raises as ``manifest``."""
        sealed = self._open(question.session_id)
        steered = await self._choose(sealed, question.client_address, question.last_pathway, self._settings.spare_edges)
        edges = (*steered.edges, *steered.spare)
        pathways = tuple(each.pathway for each in edges)
        return SteeringDocument(
            version=1,
            ttl=selection.steering_ttl_s(
                steered, ttl_s=self._settings.steering_ttl_s, degraded_ttl_s=self._settings.steering_ttl_degraded_s
            ),
            reload_uri=f"{question.gateway_url}/api/v1/sessions/{question.session_id}/steering",
            pathway_priority=pathways,
            service_location_priority=pathways,
            pathway_clones=await self._clones(sealed, edges, question.last_pathway) if question.protocol == "hls" else (),
            edges=edges,
        )

    async def _clones(self, sealed: SessionCapability, edges: Sequence[EdgeChoice], current: str) -> tuple[PathwayClone, ...]:
        """Of the edges that an HLS player's playlist may lack: those that the session was not given at first. Whoever has them passes them
        by. A catalog that is away costs the clones, not the document."""
        # The session's first edge may have been down when the playlist was fetched; what the player says it uses, it has.
        base = current or next(iter(sealed.pathways), "")
        foreign = [each for each in edges if each.pathway not in (base, *sealed.pathways)]
        if not foreign or not base:
            return ()
        try:
            manifest = (await self._publication(sealed.title_id)).manifest
        except NearcastError as error:
            _log.warning("no pathway clones", title_id=sealed.title_id, error=str(error))
            return ()
        if manifest is None:
            return ()
        video, audio = _renditions(manifest, sealed)
        return tuple([hls.clone(manifest, video, audio, base, each) for each in foreign])

    # --- asking the others --------------------------------------------------------------------------------------------

    async def _ask(self, question: PlayQuestion, max_height: int) -> tuple[Entitlement, Grant, Publication, Bookmark | None]:
        """All four at once. The title's absence is told before anything else, a missing licence only where one is needed."""
        account = AccountQuestion(account_id=question.identity.account_id, generation=question.identity.generation)
        wanted = GrantQuestion(title_id=question.title_id, max_height=max_height)
        asking = asyncio.gather(
            self._entitlements.get(account, lambda: self._accounts.entitlement(account)),
            self._grants.get(wanted, lambda: self._license.grant(wanted)),
            self._publication(question.title_id),
            self._bookmark(question.identity.profile_id, question.title_id),
            return_exceptions=True,
        )
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                entitlement, grant, publication, bookmark = await asking
        except TimeoutError as error:
            raise DeadlineExceeded("accounts, license or catalog did not answer in time") from error
        if isinstance(publication, BaseException):
            raise publication
        if isinstance(entitlement, BaseException):
            raise entitlement
        if isinstance(bookmark, BaseException):
            raise bookmark
        if isinstance(grant, BaseException):
            if not isinstance(grant, NearcastError) or _needs_keys(publication):
                raise grant
            grant = Grant(key_labels=())
        return entitlement, grant, publication, bookmark

    async def _publication(self, title_id: str) -> Publication:
        question = TitleQuestion(title_id=title_id)
        return await self._publications.get(title_id, lambda: self._catalog.publication(question))

    async def _bookmark(self, profile_id: str, title_id: str) -> Bookmark | None:
        """Where the viewer left off. History being down costs the place, not the film."""
        question = BookmarksQuestion(profile_id=profile_id, title_ids=(title_id,), limit=1)
        try:
            async with asyncio.timeout(self._settings.bookmark_timeout_s):
                answer = await self._history.bookmarks(question)
        except (NearcastError, TimeoutError) as error:
            _log.warning("no bookmark", title_id=title_id, error=str(error) or "history did not answer in time")
            return None
        return next((each for each in answer.bookmarks if each.title_id == title_id), None)

    async def _choose(self, sealed: SessionCapability, client_address: str, current: str = "", spare: int = 0) -> SteerAnswer:
        """The session's edges now, and so many ``spare`` ones beside. The paths end with the session, so that asking again gives the
        same addresses. ``current``: the pathway in use, which is left for a reason alone."""
        question = SteerQuestion(
            client_address=client_address or sealed.client_address,
            title_id=sealed.title_id,
            expires_at=int(sealed.expires_at),
            count=self._settings.edges,
            session=sealed.nonce,
            current=current,
            known=sealed.pathways,
            spare=spare,
        )
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                answer = await self._steering.choose(question)
        except (Unavailable, TimeoutError) as error:
            raise NoEdge("steering does not answer, so no edge can be named") from error
        if not answer.edges:
            raise NoEdge("no edge that is up may serve this viewer")
        return answer

    def _open(self, session_id: str) -> SessionCapability:
        return capability.unseal(session_id, SessionCapability, self._key, self._clock.now_s())


def _needs_keys(publication: Publication) -> bool:
    return publication.manifest is not None and not publication.manifest.clear


def _renditions(manifest: Manifest, sealed: SessionCapability) -> tuple[tuple[Rendition, ...], tuple[Rendition, ...]]:
    video, audio = selection.renditions(manifest, sealed.key_labels, sealed.max_height, sealed.throughput_bps)
    if not video and not audio:
        raise NothingToPlay(f"no rendition of {sealed.title_id} is within what this session may have")
    return video, audio
