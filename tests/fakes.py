"""Services in memory that fit the protocols of ``model.services``, for tests of those who call them.

They keep the contract where callers can tell the difference: unknown things raise NotFound, refusals are values, a service
that is ``down`` raises Unavailable, and ``calls`` holds every question asked.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import BadInput, Conflict, Denied, NotFound, Unauthenticated, Unavailable
from nearcast.control.gateway.application import GatewayKeys
from nearcast.control.gateway.call import GatewayClients
from nearcast.control.playback.service import PlaybackService
from nearcast.control.playback.settings import PlaybackSettings
from nearcast.model.account import Account, Entitlement, Identity, Profile, Role
from nearcast.model.ingest import IngestEvent, IngestJob
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, KeyLabel, Rendition, TextTrack, Thumbnails, video_key_label
from nearcast.model.route import EdgeChoice
from nearcast.model.services import (
    AccountChange,
    AccountList,
    AccountQuestion,
    ApplianceList,
    BookmarkList,
    BookmarksQuestion,
    Changes,
    ChangesQuestion,
    DropQuestion,
    Events,
    EventsQuestion,
    Grant,
    GrantQuestion,
    HeartbeatReport,
    HomeAnswer,
    HomeQuestion,
    InstanceList,
    JobList,
    JobQuestion,
    KeySet,
    KeySetQuestion,
    LicenseQuestion,
    LinkAnswer,
    LinkQuestion,
    LoginAnswer,
    LoginQuestion,
    MetadataChange,
    NewAccount,
    Nothing,
    Opinion,
    Opinions,
    ProfileChange,
    ProfileQuestion,
    ReportAnswer,
    SearchAnswer,
    SearchQuestion,
    SelectProfile,
    SteerAnswer,
    SteerQuestion,
    SubmitQuestion,
    TitleList,
    TitleQuestion,
    TitlesQuestion,
    UploadAnswer,
    UploadQuestion,
)
from nearcast.model.session import Bookmark, ClearKey, ClearKeyLicense, SessionCapability
from nearcast.model.site import Appliance, ApplianceReport, Instance
from nearcast.model.title import Metadata, Publication, Row, Title, TitleState
from nearcast.policy import capability

ROOT = bytes(range(32))
PSSH = base64.b64encode(b"\x00\x00\x00\x20pssh common").decode()
EDGES = ("fra-1", "dal-1", "sin-1", "bom-1")
LADDER = ((240, 400_000), (360, 800_000), (480, 1_400_000), (720, 2_800_000), (1080, 5_000_000))


# --- a film -----------------------------------------------------------------------------------------------------------


def file(name: str, extension: str = "mp4", size_bytes: int = 1_000_000) -> File:
    """A file whose root is the hash of ``name``."""
    return File(root=hashlib.sha256(name.encode()).hexdigest(), extension=extension, size_bytes=size_bytes)


def key_id(title_id: str, label: str) -> str:
    return hashlib.md5(f"{title_id}/{label}".encode(), usedforsecurity=False).hexdigest()


def rendition(title_id: str, name: str, bitrate_bps: int, *, clear: bool = False, **fields: Any) -> Rendition:
    """A rendition as the packager would describe it. ``fields`` override."""
    height = int(fields.get("height", 0))
    kind = "video" if height else "audio"
    label: KeyLabel = video_key_label(height) if height else "AUDIO"
    given: dict[str, Any] = {
        "kind": kind,
        "file": file(f"{title_id}/{name}"),
        "playlist": file(f"{title_id}/{name}", "m3u8", 900),
        "codec": "avc1.64001f" if kind == "video" else "mp4a.40.2",
        "bitrate_bps": bitrate_bps,
        "peak_bitrate_bps": bitrate_bps * 3 // 2,
        "duration_s": 60.0,
        "init_range": (0, 999),
        "index_range": (1000, 1499),
        "key_label": None if clear else label,
        "key_id": None if clear else key_id(title_id, label),
    }
    return Rendition(**{**given, **fields})


def film(
    title_id: str = "t_film",
    *,
    name: str = "A Film",
    clear: bool = False,
    state: TitleState = "complete",
    ladder: tuple[tuple[int, int], ...] = LADDER,
    languages: tuple[str, ...] = ("en", "fr"),
    subtitles: tuple[str, ...] = ("en",),
) -> Publication:
    """A published film of a minute."""
    video = [
        rendition(title_id, f"{height}p", rate, clear=clear, width=height * 16 // 9, height=height, frame_rate=30000 / 1001)
        for height, rate in ladder
    ]
    audio = [
        rendition(title_id, f"audio-{tag}", 128_000, clear=clear, language=tag, label=tag.upper(), channels=2, sample_rate_hz=48000)
        for tag in languages
    ]
    text = [
        TextTrack(file=file(f"{title_id}/{tag}", "vtt"), playlist=file(f"{title_id}/{tag}.vtt", "m3u8"), language=tag, label=f"{tag} (CC)")
        for tag in subtitles
    ]
    manifest = Manifest(
        title_id=title_id,
        generation=1,
        complete=state == "complete",
        duration_s=60.0,
        created_at=0.0,
        video=tuple(video),
        audio=tuple(audio),
        text=tuple(text),
        poster=file(f"{title_id}/poster", "jpg", 2000),
        thumbnails=Thumbnails(
            file=file(f"{title_id}/sprite", "jpg", 5000), columns=10, rows=2, tile_width=160, tile_height=90, interval_s=5.0, count=12
        ),
        pssh="" if clear else PSSH,
    )
    held = None if state == "processing" else manifest
    return Publication(title_id=title_id, metadata=Metadata(name=name, genres=("Drama",)), state=state, manifest=held)


# --- services ---------------------------------------------------------------------------------------------------------


class Fake:
    """``down``: every call raises Unavailable."""

    def __init__(self) -> None:
        self.down = False
        self.calls: list[Any] = []

    def asked(self, question: Any) -> None:
        self.calls.append(question)
        if self.down:
            raise Unavailable(f"{type(self).__name__} is down")


class FakeAccounts(Fake):
    """``viewer@example.org`` and ``admin@example.org``, whose password is ``password``; the link ``link`` signs the admin in once."""

    def __init__(self, clock: Clock | None = None, root: bytes = ROOT) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self._key = capability.derive(root, "token")
        self._nonce = 0
        self.held: dict[str, Account] = {}
        self.generations: dict[str, int] = {}
        self.links = {"link": "a_admin"}
        self.opinions_of: dict[str, Opinions] = {}
        self.max_height = 2160
        self.add("viewer")
        self.add("admin", "admin")

    def add(self, name: str, role: Role = "viewer") -> Account:
        account = Account(
            id=f"a_{name}",
            email=f"{name}@example.org",
            role=role,
            subscription="active",
            profiles=(Profile(id=f"p_{name}", name=name.title()),),
            created_at=self._clock.now_s(),
        )
        self.held[account.id] = account
        self.generations[account.id] = 0
        return account

    def signed_in(self, account: Account, profile_id: str = "") -> LoginAnswer:
        profile = next((each for each in account.profiles if each.id == profile_id), account.profiles[0])
        expires_at = self._clock.now_s() + 3600
        identity = Identity(
            account_id=account.id,
            profile_id=profile.id,
            role=account.role,
            generation=self.generations[account.id],
            expires_at=expires_at,
        )
        self._nonce += 1
        token = capability.seal(identity, self._key, self._nonce.to_bytes(12, "big"))
        return LoginAnswer(token=token, account=account, profile=profile, expires_at=expires_at)

    def token(self, name: str = "viewer") -> str:
        return self.signed_in(self.held[f"a_{name}"]).token

    def _of(self, account_id: str) -> Account:
        if account_id not in self.held:
            raise NotFound("there is no such account")
        return self.held[account_id]

    async def login(self, question: LoginQuestion) -> LoginAnswer:
        self.asked(question)
        if question.link:
            if question.link not in self.links:
                raise Unauthenticated("this link was used, or never made")
            return self.signed_in(self.held[self.links.pop(question.link)])
        found = [each for each in self.held.values() if each.email == question.email]
        if not found or question.password != "password":
            raise Unauthenticated("email and password do not fit")
        return self.signed_in(found[0])

    async def link(self, question: LinkQuestion) -> LinkAnswer:
        self.asked(question)
        found = [each for each in self.held.values() if each.email == (question.email or "admin@example.org")]
        if not found:
            raise NotFound("there is no such account")
        name = f"link-{len(self.links)}"
        self.links[name] = found[0].id
        return LinkAnswer(link=name, email=found[0].email, expires_at=self._clock.now_s() + question.ttl_s)

    async def entitlement(self, question: AccountQuestion) -> Entitlement:
        self.asked(question)
        account = self.held.get(question.account_id)
        if account is None:
            return Entitlement(allowed=False, reason="unknown")
        if question.generation is not None and question.generation != self.generations[account.id]:
            return Entitlement(allowed=False, reason="revoked")
        if account.subscription == "lapsed":
            return Entitlement(allowed=False, reason="lapsed")
        return Entitlement(allowed=True, max_height=self.max_height)

    async def account(self, question: AccountQuestion) -> Account:
        self.asked(question)
        account = self._of(question.account_id)
        if question.generation is not None and question.generation != self.generations[account.id]:
            raise Unauthenticated("this sign-in was ended")
        return account

    async def accounts(self, question: Nothing) -> AccountList:
        self.asked(question)
        return AccountList(accounts=tuple(self.held.values()))

    async def create(self, question: NewAccount) -> Account:
        self.asked(question)
        if "@" not in question.email:
            raise BadInput("this is no email address")
        if any(each.email == question.email for each in self.held.values()):
            raise Conflict("there is an account with this email")
        account = self.add(f"{len(self.held)}", question.role)
        self.held[account.id] = msgspec.structs.replace(account, email=question.email)
        return self.held[account.id]

    async def change(self, question: AccountChange) -> Account:
        self.asked(question)
        account = self._of(question.account_id)
        changes = {name: value for name in ("role", "subscription") if (value := getattr(question, name)) is not None}
        self.held[account.id] = msgspec.structs.replace(account, **changes)
        if question.revoke_tokens:
            self.generations[account.id] += 1
        return self.held[account.id]

    async def profile(self, question: ProfileChange) -> Account:
        self.asked(question)
        account = self._of(question.account_id)
        known = {each.id: each for each in account.profiles}
        if question.profile_id and question.profile_id not in known:
            raise NotFound("there is no such profile")
        old = known.get(question.profile_id) or Profile(id=f"p_{len(known)}{account.id}", name="New")
        fields = ("name", "avatar", "audio_language", "text_language")
        known[old.id] = msgspec.structs.replace(old, **{each: value for each in fields if (value := getattr(question, each)) is not None})
        if question.remove:
            if len(known) == 1 or not question.profile_id:
                raise Conflict("the last profile stays")
            del known[old.id]
        self.held[account.id] = msgspec.structs.replace(account, profiles=tuple(known.values()))
        return self.held[account.id]

    async def select(self, question: SelectProfile) -> LoginAnswer:
        self.asked(question)
        account = self._of(question.identity.account_id)
        if question.profile_id not in {each.id for each in account.profiles}:
            raise NotFound("there is no such profile")
        return self.signed_in(account, question.profile_id)

    async def opine(self, question: Opinion) -> Opinions:
        self.asked(question)
        old = self.opinions_of.get(question.profile_id, Opinions(my_list=(), ratings={}))
        listed = [each for each in old.my_list if each != question.title_id or question.in_my_list is None]
        if question.in_my_list:
            listed.insert(0, question.title_id)
        ratings = dict(old.ratings)
        if question.rating is not None:
            ratings[question.title_id] = question.rating
        self.opinions_of[question.profile_id] = Opinions(my_list=tuple(listed), ratings=ratings)
        return self.opinions_of[question.profile_id]

    async def opinions(self, question: ProfileQuestion) -> Opinions:
        self.asked(question)
        return self.opinions_of.get(question.profile_id, Opinions(my_list=(), ratings={}))


class FakeCatalog(Fake):
    def __init__(self, *publications: Publication) -> None:
        super().__init__()
        self.held = {each.title_id: each for each in publications}
        self.version = len(publications)

    def _of(self, title_id: str) -> Publication:
        if title_id not in self.held:
            raise NotFound(f"there is no title {title_id}")
        return self.held[title_id]

    @staticmethod
    def _title(publication: Publication) -> Title:
        manifest = publication.manifest
        return Title(
            id=publication.title_id,
            metadata=publication.metadata,
            state=publication.state,
            runtime_s=manifest.duration_s if manifest else 0.0,
            max_height=max((each.height for each in manifest.video), default=0) if manifest else 0,
            poster_url=f"/api/v1/titles/{publication.title_id}/poster.jpg" if manifest and manifest.poster else "",
        )

    async def titles(self, question: TitlesQuestion) -> TitleList:
        self.asked(question)
        wanted = [self.held[each] for each in question.ids if each in self.held] if question.ids else list(self.held.values())
        listed = [
            self._title(each)
            for each in wanted
            if (question.everything or each.state in ("playable", "complete")) and question.genre in ("", *each.metadata.genres)
        ]
        return TitleList(titles=tuple(listed[question.offset : question.offset + question.limit]), total=len(listed))

    async def title(self, question: TitleQuestion) -> Title:
        self.asked(question)
        return self._title(self._of(question.title_id))

    async def publication(self, question: TitleQuestion) -> Publication:
        self.asked(question)
        return self._of(question.title_id)

    async def publish(self, question: Publication) -> Publication:
        self.asked(question)
        self.held[question.title_id] = question
        self.version += 1
        return question

    async def unpublish(self, question: TitleQuestion) -> Publication:
        self.asked(question)
        return await self.publish(msgspec.structs.replace(self._of(question.title_id), state="unpublished"))

    async def edit(self, question: MetadataChange) -> Publication:
        self.asked(question)
        return await self.publish(msgspec.structs.replace(self._of(question.title_id), metadata=question.metadata))

    async def changes(self, question: ChangesQuestion) -> Changes:
        self.asked(question)
        newer = tuple(self.held.values()) if self.version > question.after else ()
        return Changes(version=self.version, publications=newer)


class FakeSearch(Fake):
    def __init__(self, catalog: FakeCatalog) -> None:
        super().__init__()
        self._catalog = catalog

    async def search(self, question: SearchQuestion) -> SearchAnswer:
        self.asked(question)
        words = question.query.lower().split()
        found = [each.title_id for each in self._catalog.held.values() if all(word in each.metadata.name.lower() for word in words)]
        return SearchAnswer(title_ids=tuple(found[: question.limit]))


class FakeHome(Fake):
    def __init__(self, catalog: FakeCatalog) -> None:
        super().__init__()
        self._catalog = catalog

    async def rows(self, question: HomeQuestion) -> HomeAnswer:
        self.asked(question)
        titles = (await self._catalog.titles(TitlesQuestion())).titles
        return HomeAnswer(rows=(Row(id="new", name="New", titles=titles),))


class FakeLicense(Fake):
    """Grants what ``max_height`` allows; issues a key for every id that a session of this system and device asks for."""

    def __init__(self, root: bytes = ROOT, clock: Clock | None = None) -> None:
        super().__init__()
        self._key = capability.derive(root, "session")
        self._clock = clock or SystemClock()

    async def key_set(self, question: KeySetQuestion) -> KeySet:
        self.asked(question)
        raise Denied("only the fleet may ask")

    async def grant(self, question: GrantQuestion) -> Grant:
        self.asked(question)
        order: tuple[KeyLabel, ...] = ("SD", "HD", "UHD")
        top = order.index(video_key_label(question.max_height))
        return Grant(key_labels=("AUDIO", *order[: top + 1]))

    async def issue(self, question: LicenseQuestion) -> ClearKeyLicense:
        self.asked(question)
        session = capability.unseal(question.session_id, SessionCapability, self._key, self._clock.now_s())
        if session.device_id != question.device_id or session.account_id != question.account_id:
            raise Denied("this session belongs to another device")
        return ClearKeyLicense(keys=tuple(ClearKey(kty="oct", kid=each, k="AAAAAAAAAAAAAAAAAAAAAA") for each in question.key_ids))


class FakeHistory(Fake):
    def __init__(self, root: bytes = ROOT, clock: Clock | None = None) -> None:
        super().__init__()
        self._key = capability.derive(root, "session")
        self._clock = clock or SystemClock()
        self.held: dict[tuple[str, str], Bookmark] = {}

    async def heartbeat(self, question: HeartbeatReport) -> Nothing:
        self.asked(question)
        session = capability.unseal(question.session_id, SessionCapability, self._key, self._clock.now_s())
        if session.account_id != question.account_id:
            raise Denied("this session belongs to another account")
        self.held[(session.profile_id, session.title_id)] = Bookmark(
            title_id=session.title_id, position_s=question.heartbeat.position_s, runtime_s=60.0, updated_at=self._clock.now_s()
        )
        return Nothing()

    async def bookmarks(self, question: BookmarksQuestion) -> BookmarkList:
        self.asked(question)
        mine = [each for (profile_id, _), each in self.held.items() if profile_id == question.profile_id]
        found = [each for each in mine if not question.title_ids or each.title_id in question.title_ids]
        return BookmarkList(bookmarks=tuple(sorted(found, key=lambda each: -each.updated_at)[: question.limit]))


class FakeSteering(Fake):
    """Names the first of ``up`` for everybody."""

    def __init__(self, root: bytes = ROOT) -> None:
        super().__init__()
        self._root = root
        self.up = list(EDGES)
        self.addresses = {name: f"http://127.0.0.1:{8101 + index}" for index, name in enumerate(EDGES)}
        self.stale = False

    async def choose(self, question: SteerQuestion) -> SteerAnswer:
        self.asked(question)
        edges = []
        for name in self.up[: question.count]:
            key = capability.edge_key(self._root, name)
            path = capability.edge_path(key, question.title_id, question.expires_at)
            edges.append(EdgeChoice(pathway=name, site=name[:3], appliance=name, base_url=self.addresses[name] + path))
        return SteerAnswer(edges=tuple(edges), prefix="0.0.0.0/0", source="last-known" if self.stale else "live")


class FakeDiscovery(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.reports: dict[str, ApplianceReport] = {}
        self.known: dict[str, Instance] = {}

    async def report(self, question: ApplianceReport) -> ReportAnswer:
        self.asked(question)
        self.reports[question.id] = question
        return ReportAnswer(lease_s=question.lease_s)

    async def appliances(self, question: Nothing) -> ApplianceList:
        self.asked(question)
        return ApplianceList(appliances=tuple(Appliance(report=each, age_s=0.5) for each in self.reports.values()))

    async def register(self, question: Instance) -> ReportAnswer:
        self.asked(question)
        self.known[question.id] = question
        return ReportAnswer(lease_s=question.lease_s)

    async def instances(self, question: Nothing) -> InstanceList:
        self.asked(question)
        return InstanceList(instances=tuple(self.known.values()))

    async def drop(self, question: DropQuestion) -> Nothing:
        self.asked(question)
        self.known.pop(question.id, None)
        return Nothing()


class FakeIngest(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, IngestJob] = {}
        self.events_of: dict[str, list[IngestEvent]] = {}

    def _of(self, job_id: str) -> IngestJob:
        if job_id not in self.held:
            raise NotFound("there is no such job")
        return self.held[job_id]

    def _new(self, name: str, size_bytes: int, title_id: str) -> IngestJob:
        number = len(self.held) + 1
        job = IngestJob(
            id=f"j_{number}",
            title_id=title_id or f"t_{number}",
            name=name,
            state="uploading",
            created_at=0,
            updated_at=0,
            size_bytes=size_bytes,
        )
        self.held[job.id] = job
        self.events_of[job.id] = [IngestEvent(sequence=1, at=0.0, kind="state", state="uploading")]
        return job

    async def submit(self, question: SubmitQuestion) -> IngestJob:
        self.asked(question)
        return self._new(question.submission.metadata.name, 0, question.submission.title_id)

    async def upload(self, question: UploadQuestion) -> UploadAnswer:
        self.asked(question)
        job = self._new(question.metadata.name, question.size_bytes, question.title_id)
        return UploadAnswer(job=job, upload_url=f"http://127.0.0.1:8090/uploads/{job.id}", expires_at=1e10)

    async def jobs(self, question: Nothing) -> JobList:
        self.asked(question)
        return JobList(jobs=tuple(self.held.values()))

    async def events(self, question: EventsQuestion) -> Events:
        self.asked(question)
        job = self._of(question.job_id)
        return Events(job=job, events=tuple(each for each in self.events_of[job.id] if each.sequence > question.after))

    async def cancel(self, question: JobQuestion) -> IngestJob:
        self.asked(question)
        job = msgspec.structs.replace(self._of(question.job_id), state="cancelled")
        self.held[job.id] = job
        return job


class World:
    """All services in memory around a real playback, as a gateway or a player sees them."""

    def __init__(self, *publications: Publication, clock: Clock | None = None, settings: PlaybackSettings | None = None) -> None:
        self.clock = clock or SystemClock()
        self.accounts = FakeAccounts(self.clock)
        self.catalog = FakeCatalog(*(publications or (film(),)))
        self.search = FakeSearch(self.catalog)
        self.home = FakeHome(self.catalog)
        self.license = FakeLicense(clock=self.clock)
        self.history = FakeHistory(clock=self.clock)
        self.steering = FakeSteering()
        self.discovery = FakeDiscovery()
        self.ingest = FakeIngest()
        self.playback = PlaybackService(
            self.accounts,
            self.license,
            self.catalog,
            self.history,
            self.steering,
            key=capability.derive(ROOT, "session"),
            settings=settings,
            clock=self.clock,
        )

    @property
    def clients(self) -> GatewayClients:
        return GatewayClients(
            accounts=self.accounts,
            catalog=self.catalog,
            search=self.search,
            home=self.home,
            playback=self.playback,
            license=self.license,
            history=self.history,
            discovery=self.discovery,
            ingest=self.ingest,
        )

    @property
    def keys(self) -> GatewayKeys:
        return GatewayKeys(token=capability.derive(ROOT, "token"))
