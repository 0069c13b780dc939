"""What the HTTP API takes and answers where that is not a Struct of ``model`` itself.

What comes in has bounds for every field, so that the document says beforehand what a service would refuse; the rooms themselves
have the last word. Unknown fields are refused by name, but for what players send, which may be newer than the gateway.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from nearcast.model.account import Account, Profile, Role, SubscriptionState
from nearcast.model.site import Identifier, Words
from nearcast.model.title import Title

# Named one by one: what \s holds differs between engines of regular expressions, and readers of the document have their own.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
_OVERRIDES = r"\u202a-\u202e"
"""Signs that turn the direction of text could dress one name as another."""


def _line(beside: str = "") -> str:
    """One line with something to see in it, without controls and without ``beside``."""
    free = f"[^{_CONTROLS}{beside}]*"
    return rf"^{free}[^\s{_CONTROLS}{beside}]{free}$"


Synopsis = Annotated[str, Meta(max_length=5000)]
Credit = Annotated[str, Meta(max_length=1000)]
Name = Annotated[str, Meta(max_length=200, pattern=_line())]
Email = Annotated[str, Meta(min_length=3, max_length=320)]
_LABEL = r"[^\W_]([\w-]{0,61}[^\W_])?"
NEW_EMAIL = r"[^\s@\"(),:;<>\[\]\\" + _CONTROLS + _OVERRIDES + r"]{1,64}@" + _LABEL + r"(\." + _LABEL + r"){0,2}"
Secret = Annotated[str, Meta(min_length=1, max_length=1000)]
NewPassword = Annotated[str, Meta(min_length=8, max_length=256)]
ProfileName = Annotated[str, Meta(max_length=30, pattern=_line(_OVERRIDES))]
Language = Annotated[str, Meta(max_length=35, pattern="^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$")]
Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
DeviceId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,128}$")]
"""What a header can carry as it is: the licence request names the device in one."""
Year = Annotated[int, Meta(ge=1870, le=2200)]
Genre = Annotated[str, Meta(max_length=40, pattern=_line())]
Genres = Annotated[tuple[Genre, ...], Meta(max_length=10)]
Height = Annotated[int, Meta(ge=1, le=100_000)]
Rate = Annotated[int, Meta(ge=0, le=10**12)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=10**9)]


class LoginBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either a one-time link's token, or an email with its password."""

    email: Email | UnsetType = UNSET
    password: Secret | UnsetType = UNSET
    link: Secret | UnsetType = UNSET


Login = Annotated[LoginBody, Meta(extra_json_schema={"anyOf": [{"required": ["link"]}, {"required": ["email", "password"]}]})]


class ProfileBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``profile_id`` empty: a new profile. ``remove``: delete it. Fields left out stay."""

    profile_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")] = ""
    name: ProfileName | None = None
    avatar: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,23}$")] | None = None
    audio_language: Language | None = None
    text_language: Language | None = None
    remove: bool = False


class Me(Struct, frozen=True, kw_only=True):
    account: Account
    profile: Profile


class TitlesQuery(Struct, frozen=True, kw_only=True):
    """``q`` searches; ``row`` is a row of the home page; ``everything`` includes what cannot be played (admins only)."""

    q: Annotated[str, Meta(max_length=200)] = ""
    row: Annotated[str, Meta(max_length=100)] = ""
    everything: bool = False
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 200


class MetadataBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a new film. Of a title that is published again, what is left out stays; a new one needs a name."""

    name: Name | UnsetType = UNSET
    synopsis: Synopsis = ""
    year: Year | None = None
    genres: Genres = ()
    credit: Credit = ""


class MetadataPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields left out stay."""

    name: Name | UnsetType = UNSET
    synopsis: Synopsis | UnsetType = UNSET
    year: Year | UnsetType | None = UNSET
    genres: Genres | UnsetType = UNSET
    credit: Credit | UnsetType = UNSET


class OpinionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields left out stay. ``rating``: -1 not for me, 0 none, 1 like, 2 love."""

    in_my_list: bool | None = None
    rating: Annotated[int, Meta(ge=-1, le=2)] | None = None


class OpinionAnswer(Struct, frozen=True, kw_only=True):
    in_my_list: bool
    rating: int


class MyList(Struct, frozen=True, kw_only=True):
    """The profile's list, newest first."""

    titles: tuple[Title, ...]


class ThumbnailsAnswer(Struct, frozen=True, kw_only=True):
    """How to cut the sprite at ``url``: ``columns`` x ``rows`` tiles, one each ``interval_s``, ``count`` in all."""

    url: str
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    interval_s: float
    count: int


class DeviceBody(Struct, frozen=True, kw_only=True):
    """What the player can do. ``id``: a random name that the browser keeps; licences are bound to it."""

    id: DeviceId
    max_height: Height = 2160
    throughput_bps: Rate = 0
    user_agent: Annotated[str, Meta(max_length=500)] = ""


class PlayBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title_id: Id
    device: DeviceBody


class SteeringQuery(
    Struct,
    frozen=True,
    kw_only=True,
    rename={
        "hls_pathway": "_HLS_pathway",
        "hls_throughput": "_HLS_throughput",
        "dash_pathway": "_DASH_pathway",
        "dash_throughput": "_DASH_throughput",
    },
):
    """What a player says of itself when it asks for its pathways (RFC 8216bis 7.1, ETSI TS 103 998)."""

    hls_pathway: Annotated[str, Meta(max_length=500)] = ""
    hls_throughput: Annotated[str, Meta(max_length=100)] = ""
    dash_pathway: Annotated[str, Meta(max_length=500)] = ""
    dash_throughput: Annotated[str, Meta(max_length=100)] = ""


class EdgeBody(Struct, frozen=True, kw_only=True):
    """What a player measured at one edge since the last heartbeat that was taken in."""

    edge: Annotated[str, Meta(max_length=64)]
    watched_s: Seconds = 0.0
    stalled_s: Seconds = 0.0
    failures: Count = 0
    throughput_bps: Rate = 0


class HeartbeatBody(Struct, frozen=True, kw_only=True):
    """What a player reports while it plays."""

    position_s: Seconds
    buffer_s: Seconds = 0.0
    rendition: Annotated[str, Meta(max_length=60)] = ""
    stalled_s: Seconds = 0.0
    dropped_frames: Count = 0
    throughput_bps: Rate = 0
    edge: Annotated[str, Meta(max_length=100)] = ""
    state: Literal["playing", "paused", "ended", "failed"] = "playing"
    error_code: Annotated[str, Meta(max_length=60)] = ""
    edges: Annotated[tuple[EdgeBody, ...], Meta(max_length=16)] = ()


class LicenseBody(Struct, frozen=True, kw_only=True):
    """A Clear Key licence request as browsers make it (W3C EME, 9.1.3)."""

    kids: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(min_length=1, max_length=64)]
    type: Annotated[str, Meta(max_length=60)] = "temporary"


class LicenseHeaders(Struct, frozen=True, kw_only=True, rename={"session": "x-nearcast-session", "device": "x-nearcast-device"}):
    """Whose licence it is: the session's id, and the device that pressed Play."""

    session: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{16,2000}$")]
    device: DeviceId


class AccountBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``password`` empty: the account can be entered by links only."""

    email: Annotated[str, Meta(max_length=254, pattern=f"^{NEW_EMAIL}$")]
    password: Annotated[str, Meta(max_length=256, pattern=r"^([\s\S]{8,})?$")] = ""
    role: Role = "viewer"
    profile_name: Annotated[str, Meta(max_length=30, pattern=f"^[^{_CONTROLS}{_OVERRIDES}]*$")] = ""


class AccountPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields left out stay. ``revoke_tokens`` ends every sign-in of the account."""

    password: NewPassword | None = None
    role: Role | None = None
    subscription: SubscriptionState | None = None
    revoke_tokens: bool = False


class LinkBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``email`` empty: the first administrator."""

    email: Annotated[str, Meta(max_length=254, pattern=f"^({NEW_EMAIL})?$")] = ""


class LinkMade(Struct, frozen=True, kw_only=True):
    """``url`` signs in once, until ``expires_at``."""

    url: str
    email: str
    expires_at: float


class UploadBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A film that is still to be uploaded. ``title_id`` set: that title is published again."""

    file_name: Annotated[str, Meta(pattern=rf"^[^/\\{_CONTROLS}]{{1,255}}$")]
    size_bytes: Annotated[int, Meta(ge=1, le=1 << 46)]
    metadata: MetadataBody
    clear: bool = False
    title_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")] = ""


class EventsQuery(Struct, frozen=True, kw_only=True):
    """Events past ``after``; where there are none, wait up to ``wait_s`` for one."""

    after: Annotated[int, Meta(ge=0, le=10**12)] = 0
    wait_s: Annotated[float, Meta(ge=0, le=30)] = 0.0


class Health(Struct, frozen=True, kw_only=True):
    status: Literal["ok"] = "ok"


Prefix = Annotated[str, Meta(min_length=3, max_length=43)]
SiteName = Annotated[str, Meta(max_length=200)]
IspName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$(?!\n)")]
AsNumber = Annotated[int, Meta(ge=1, le=4_294_967_295)]


class ExplainQuery(Struct, frozen=True, kw_only=True):
    """``address`` as viewers have it, IPv4 or IPv6. ``title_id`` empty: any title. ``count``: how many appliances a session is given."""

    address: Annotated[str, Meta(max_length=100, extra_json_schema={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})]
    title_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")] = ""
    count: Annotated[int, Meta(ge=1, le=16)] = 3


class PlannedRoute(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route as the configuration has it."""

    prefix: Prefix
    sites: Annotated[tuple[SiteName, ...], Meta(max_length=1000)]


class PlannedAnnouncement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an ISP would announce. ``site`` empty: all of its sites; ``as_path`` empty: the ISP alone."""

    prefix: Prefix
    isp: IspName
    site: SiteName = ""
    as_path: Annotated[tuple[AsNumber, ...], Meta(max_length=255)] = ()
    med: Annotated[int, Meta(ge=0, le=4_294_967_295)] = 0


class PlannedWithdrawal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an ISP would withdraw. ``site`` empty: from all of its sites."""

    prefix: Prefix
    isp: IspName
    site: SiteName = ""


class PlannedSite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site as the configuration has it, as far as it moves viewers."""

    name: Identifier
    tier: Literal["edge", "exchange", "origin"] = "edge"
    zone: Words = ""
    parents: Annotated[tuple[SiteName, ...], Meta(max_length=100)] = ()
    isp: SiteName = ""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None


class PlannedNetwork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An ISP as the configuration has it, as far as it moves viewers."""

    name: IspName
    asn: AsNumber
    sites: Annotated[tuple[SiteName, ...], Meta(max_length=1000)] = ()
    allow: Annotated[tuple[Prefix, ...], Meta(max_length=100_000)] = ()
    prefixes_max: Annotated[int, Meta(ge=1, le=2_000_000)] = 10_000


class PlannedPlaces(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where addresses are. ``mmdb``: the file in force, or none; ``blocks``: prefixes by country code, for where there is none."""

    mmdb: Annotated[str, Meta(max_length=4096)] = ""
    blocks: dict[Annotated[str, Meta(max_length=8)], Annotated[tuple[Prefix, ...], Meta(max_length=100_000)]] = {}


class RehearseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is planned. Left out: what is in force stays. ``asn``: our own number, 0: no BGP sessions are taken. ``limit``: so many of
    those who move are listed."""

    sites: Annotated[tuple[PlannedSite, ...], Meta(max_length=10_000)] | None = None
    isps: Annotated[tuple[PlannedNetwork, ...], Meta(max_length=10_000)] | None = None
    asn: Annotated[int, Meta(ge=0, le=4_294_967_295)] | None = None
    geographic: PlannedPlaces | None = None
    routes: Annotated[tuple[PlannedRoute, ...], Meta(max_length=100_000)] | None = None
    announce: Annotated[tuple[PlannedAnnouncement, ...], Meta(max_length=10_000)] = ()
    withdraw: Annotated[tuple[PlannedWithdrawal, ...], Meta(max_length=10_000)] = ()
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000
