"""One playback: what the player asks, what it gets, and what its sealed session id says."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nearcast.model.rendition import KeyLabel
from nearcast.model.route import EdgeChoice


class Device(Struct, frozen=True, kw_only=True):
    """What the player can do. ``id`` is a random name that the browser keeps; licences are bound to it."""

    id: str = ""
    max_height: int = 2160
    throughput_bps: int = 0
    user_agent: str = ""


class SessionCapability(Struct, frozen=True, kw_only=True, array_like=True):
    """What a session id seals. Any instance opens it; there is no session store.

    ``throughput_bps`` is what the device said of its past (0: nothing); ``pathways`` are those that the session was given at first.
    """

    account_id: str
    profile_id: str
    title_id: str
    device_id: str
    max_height: int
    key_labels: tuple[KeyLabel, ...]
    issued_at: float
    expires_at: float
    client_address: str
    nonce: str
    throughput_bps: int = 0
    pathways: tuple[str, ...] = ()


class Session(Struct, frozen=True, kw_only=True):
    """The answer to Play. ``manifest`` is a whole MPD; ``edges`` are best first; ``steering_source`` says
    ``live`` or ``last-known`` (the health view is stale)."""

    session_id: str
    title_id: str
    dash_url: str
    hls_url: str
    manifest: str
    license_url: str
    steering_url: str
    heartbeat_s: float
    resume_s: float
    edges: tuple[EdgeChoice, ...]
    clear: bool = False
    steering_source: Literal["live", "last-known"] = "live"


class EdgeMeasured(Struct, frozen=True, kw_only=True):
    """What a player measured at one edge since the last heartbeat that was taken in.

    ``failures``: how often it had to ask elsewhere.
    """

    edge: str
    watched_s: float = 0.0
    stalled_s: float = 0.0
    failures: int = 0
    throughput_bps: int = 0


class Heartbeat(Struct, frozen=True, kw_only=True):
    """What a player reports while it plays, QoE included. Times in seconds, ``rendition`` is the height as ``720p``.

    ``stalled_s`` and ``dropped_frames`` count since the play began; ``edge`` is the appliance in use. ``edges`` tells since the
    heartbeat before, by edge: a stall belongs to the edge that was waited for.
    """

    position_s: float
    buffer_s: float = 0.0
    rendition: str = ""
    stalled_s: float = 0.0
    dropped_frames: int = 0
    throughput_bps: int = 0
    edge: str = ""
    state: Literal["playing", "paused", "ended", "failed"] = "playing"
    error_code: str = ""
    edges: tuple[EdgeMeasured, ...] = ()


class Bookmark(Struct, frozen=True, kw_only=True):
    title_id: str
    position_s: float
    runtime_s: float
    updated_at: float
    finished: bool = False


class UriReplacement(Struct, frozen=True, kw_only=True, rename={"variants": "PER-VARIANT-URIS", "renditions": "PER-RENDITION-URIS"}):
    """Where a clone's playlists are, by STABLE-VARIANT-ID and STABLE-RENDITION-ID."""

    variants: dict[str, str]
    renditions: dict[str, str]


class PathwayClone(Struct, frozen=True, kw_only=True, rename={"base_id": "BASE-ID", "id": "ID", "uri_replacement": "URI-REPLACEMENT"}):
    """A pathway that a playlist may lack, as a copy of ``base_id`` at other addresses (RFC 8216bis 7.2)."""

    base_id: str
    id: str
    uri_replacement: UriReplacement


class SteeringDocument(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "version": "VERSION",
        "ttl": "TTL",
        "reload_uri": "RELOAD-URI",
        "pathway_priority": "PATHWAY-PRIORITY",
        "service_location_priority": "SERVICE-LOCATION-PRIORITY",
        "pathway_clones": "PATHWAY-CLONES",
        "edges": "X-NEARCAST-EDGES",
    },
):
    """Content steering for HLS and DASH (ETSI TS 103 998): both keys carry the same order.

    ``pathway_clones``: for HLS, those that its playlist may lack. ``edges``: where every pathway is, for players that know how our
    addresses are made (a base and a file's name); others pass an unknown key by.
    """

    version: int
    ttl: int
    reload_uri: str
    pathway_priority: tuple[str, ...]
    service_location_priority: tuple[str, ...]
    pathway_clones: tuple[PathwayClone, ...] = ()
    edges: tuple[EdgeChoice, ...] = ()


class ClearKey(Struct, frozen=True, kw_only=True):
    """One key of a W3C EME Clear Key licence; ``k`` and ``kid`` are base64url without padding."""

    kty: str
    kid: str
    k: str


class ClearKeyLicense(Struct, frozen=True, kw_only=True):
    keys: tuple[ClearKey, ...]
    type: str = "temporary"
