"""What can be set about edges and the origin."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from nearcast.base import ports
from nearcast.base.config import Unfitting
from nearcast.model.site import Identifier

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
BPS_MAX = 1e13
"""Beyond it a rate is a mistake: no machine sends as much."""


class EdgeSettings(Struct, frozen=True, kw_only=True):
    """One appliance: an nginx and the agent that runs it."""

    renamed: ClassVar[dict[str, str]] = {
        "cache_bytes_max": "set `disk_bytes_max` for all that it may use of the disk, and `reactive_share` for the part of what is missed",
    }
    id: Annotated[Identifier, Meta(description="Name of the appliance, unique in the system; its MAC key is derived from it.")]
    site: Annotated[Identifier, Meta(description="The site that the appliance stands in, one of [steering.sites].")]
    port: Annotated[Port, Meta(description="Port at which its nginx serves films.")]
    listen: Annotated[
        tuple[str, ...], Meta(min_length=1, description="Addresses of this machine to serve at, IPv4 or IPv6 (`::` for all of them).")
    ] = ("127.0.0.1",)
    address: Annotated[
        str, Meta(description="The public origin that players are given (`https://edge.example:8101`). Empty: made from listen and port.")
    ] = ""
    ip_addresses: Annotated[
        tuple[str, ...],
        Meta(
            max_length=16,
            description="IP addresses at which viewers reach it, for the DNS. Empty: the address in `address`, or those in listen.",
        ),
    ] = ()
    parent_url: Annotated[str, Meta(description="Where absent files come from. Empty: this system's origin.")] = ""
    parent_ca: Annotated[
        str, Meta(description="PEM file that a parent on https is verified with. Empty: the machine's own authorities.")
    ] = ""
    parent_certificate: Annotated[
        str, Meta(description="PEM certificate that is shown to a parent on https. Empty: none, or this system's to its own origin.")
    ] = ""
    parent_key: Annotated[str, Meta(description="PEM key of that certificate.")] = ""
    parent_name: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9.-]*$", description="The name in the certificate of a parent on https. Empty: the host in parent_url."),
    ] = ""
    folder: Annotated[str, Meta(description="Where its files lie. Empty: edges/<id> in the home folder.")] = ""
    doors: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses from which its site's doors (`[[doors]]`) ask: of a client that comes by them, they alone are believed "
            "whose it is."
        ),
    ] = ()
    user: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_][a-z0-9_-]*$|^$", description="User of nginx's workers when started as root. Empty: www-data, nginx or nobody."
        ),
    ] = ""
    tls_certificate: Annotated[str, Meta(description="PEM certificate chain. Empty: plain HTTP, or what `nearcast up --public` makes.")] = (
        ""
    )
    tls_key: Annotated[str, Meta(description="PEM key of the certificate.")] = ""
    worker_processes: Annotated[int, Meta(ge=0, le=512, description="nginx workers; 0: one for each processor.")] = 1
    connections_max: Annotated[int, Meta(ge=64, le=1_000_000, description="Connections at once, per worker.")] = 8192
    disk_bytes_max: Annotated[
        int, Meta(ge=0, description="How much of the disk it may use, both partitions together. 0: all of its file system.")
    ] = 0
    reactive_share: Annotated[
        float,
        Meta(
            ge=0.01,
            le=0.5,
            description="Share of that for what was fetched on a miss, the reactive partition. Twice as much while the agent is dead.",
        ),
    ] = 0.08
    disk_reserve_bytes: Annotated[int, Meta(ge=0, description="Free space that neither fill nor cache may use up.")] = 64 << 20
    log_bytes_max: Annotated[int, Meta(ge=65536, description="The access log is rotated at this size; one old log is kept.")] = 32 << 20
    transfers_max: Annotated[int, Meta(ge=1, le=64, description="Files copied at once.")] = 2
    linger_s: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="How long a file stays after it is no longer assigned. Viewers in mid-film then get it through the parent.",
        ),
    ] = 60.0
    throughput_max_bps: Annotated[
        float,
        Meta(
            ge=0,
            le=BPS_MAX,
            description="What it can send. Near it players are told to take less, above it requests are refused. 0: not known.",
        ),
    ] = 0.0
    fill_max_bps: Annotated[
        float, Meta(ge=0, le=BPS_MAX, description="What its fill may fetch, whatever it is told. 0: as it is told.")
    ] = 0.0
    scrub_bps: Annotated[
        float, Meta(ge=0, le=BPS_MAX, description="How fast placed files are read again and verified, once a day. 0: never.")
    ] = 80e6
    admin_port: Annotated[int, Meta(ge=0, le=65535, description="Its own page, for this machine only. 0: 100 above port.")] = 0
    cat_keys: Annotated[
        str,
        Meta(
            description="Keys of Common Access Tokens (CTA-5007) that it takes: a JSON file of a JWK set (oct for HS256, EC for ES256). "
            "Empty: it takes none."
        ),
    ] = ""
    report_s: Annotated[
        Positive, Meta(description="Interval of reports to discovery, 0.7 s at most; three that fail to come end its lease.")
    ] = 0.5
    health_s: Annotated[Positive, Meta(le=60, description="Interval at which the agent asks its nginx for a sign of life.")] = 0.5
    health_timeout_s: Annotated[Positive, Meta(le=60, description="A sign of life later than this is none; two in a row mean frozen.")] = (
        0.8
    )
    frozen_restart_s: Annotated[
        Positive, Meta(le=3600, description="An nginx that runs but gives no sign of life for so long is started anew.")
    ] = 30.0
    stop_grace_s: Annotated[Positive, Meta(le=600, description="On a clean stop, running answers get so long to end.")] = 2.0

    def __post_init__(self) -> None:
        for each in self.listen:
            try:
                ipaddress.ip_address(each)
            except ValueError:
                raise ValueError(f"listen takes addresses as 127.0.0.1 or ::, not {each!r}") from None
        for each in self.ip_addresses:
            if not _reachable(each):
                raise ValueError(f"ip_addresses takes addresses as 203.0.113.7 or 2001:db8::7, not {each!r}")
        for each in self.doors:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(f"doors takes addresses as 192.0.2.7 or prefixes, not {each!r}") from None
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key come together")
        if bool(self.parent_certificate) != bool(self.parent_key):
            raise ValueError("parent_certificate and parent_key come together")

    @property
    def own_port(self) -> int:
        """Where its own page is."""
        return self.admin_port or (self.port + 100 if self.port + 100 <= 65535 else self.port - 100)

    @property
    def public_address(self) -> str:
        """The origin that players are given, without a slash at its end."""
        if self.address:
            return self.address.rstrip("/")
        return f"{'https' if self.tls_certificate else 'http'}://{ports.authority(self.health_host, self.port)}"

    @property
    def public_ips(self) -> tuple[str, ...]:
        """The IP addresses behind ``public_address``; none where only a name is known. No name is looked up: the answer could be ours."""
        if self.ip_addresses:
            return self.ip_addresses
        with contextlib.suppress(ValueError):
            if (host := urlsplit(self.public_address).hostname) and _reachable(host):
                return (host,)
        return tuple(each for each in self.listen if _reachable(each) and not ipaddress.ip_address(each).is_loopback)

    @property
    def health_host(self) -> str:
        """Where the agent itself asks for a sign of life."""
        return ports.dialled(self.listen[0])


def _reachable(text: str) -> bool:
    """Whether ``text`` is an IP address that one machine can have."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (found.is_unspecified or found.is_multicast)


REACTIVE_BYTES_MIN = 16 << 20


class Partitions(Struct, frozen=True):
    """How an appliance's disk is shared out, in bytes."""

    placed: int
    reactive: int


def partitions(settings: EdgeSettings, file_system_bytes: int) -> Partitions:
    """The two partitions of an appliance on a file system of this size."""
    usable = min(settings.disk_bytes_max or file_system_bytes, file_system_bytes) - settings.disk_reserve_bytes
    reactive = max(REACTIVE_BYTES_MIN, int(usable * settings.reactive_share))
    return Partitions(placed=max(0, usable - reactive), reactive=reactive)


class FillSettings(Struct, frozen=True, kw_only=True):
    """Which copies wait where, and when they are moved. Windows are in the local time of each site (`timezone` of [steering.sites])."""

    window: Annotated[
        str,
        Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$", description="The quiet hours, when placed files are moved."),
    ] = "02:00-14:00"
    peak: Annotated[
        str,
        Meta(
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$",
            description="The hours of most viewers, which surprises wait out; launches, pins and what is ordered do not. Empty: none.",
        ),
    ] = "18:00-00:00"
    launch_at_once: Annotated[bool, Meta(description="Copy a title that was just published at once, not in the next quiet hours.")] = True
    appliance_max_bps: Annotated[float, Meta(ge=0, le=BPS_MAX, description="What one appliance may fetch. 0: no bound.")] = 0.0
    site_max_bps: Annotated[
        float, Meta(ge=0, le=BPS_MAX, description="What all appliances of one site may fetch together. 0: no bound.")
    ] = 0.0
    peer_wait_s: Annotated[
        float, Meta(ge=0, le=86_400, description="How long an appliance waits for a file from its peers before it asks the tier above.")
    ] = 120.0
    tier_wait_s: Annotated[float, Meta(ge=0, le=86_400, description="How long it then waits for the tier before it asks the origin.")] = (
        600.0
    )
    copies_max: Annotated[int, Meta(ge=1, le=64, description="Copies of one title inside a site, at most.")] = 4
    balance: Annotated[
        float, Meta(ge=1.01, le=10, description="How far above its fair share an appliance of a site may be loaded, as a factor.")
    ] = 1.15
    churn: Annotated[
        float,
        Meta(ge=0, le=10, description="Bytes that a byte must serve a day, above the one that it drives out, to be worth fetching."),
    ] = 0.25
    days: Annotated[int, Meta(ge=1, le=60, description="Days of demand that a forecast looks back on.")] = 14
    plan_at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="When the day's placement is worked out (UTC).")] = (
        "00:30"
    )
    surprise_factor: Annotated[
        float,
        Meta(
            ge=1.5,
            description="A title asked for so many times more than forecast does not wait for the window, but for the end of the peak.",
        ),
    ] = 4.0

    def __post_init__(self) -> None:
        for name, hours in (("window", self.window), ("peak", self.peak)):
            opens, _, closes = hours.partition("-")
            if hours and opens == closes:
                raise Unfitting((name,), f"{hours} is no span of time", "00:00-23:59 is nearly the whole day")


class OriginSettings(Struct, frozen=True, kw_only=True):
    """The origin: published files in an object store. Where it serves edges stands in [network]."""

    store: Annotated[str, Meta(description="`s3://bucket/prefix`, or a folder. Empty: origin/ in the home folder.")] = ""
