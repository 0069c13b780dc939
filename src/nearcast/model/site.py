"""Sites and the appliances in them, as discovery knows them and steering uses them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

ApplianceState = Literal["up", "draining", "down"]
Load = Literal["normal", "high", "full"]
ReachedBy = Literal["public", "isp", "either"]
"""Who can reach an appliance: anybody, or only the customers of the network in which it stands; ``either``: that is not known."""


Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)")]
"""A name for people, files, domains and configurations of other programs. To Python ``$`` is before a last line end, too."""
Words = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]{0,200}$(?!\n)")]
"""One line of text, without what would steer a terminal that shows it."""


class Site(Struct, frozen=True, kw_only=True):
    """Appliances behind one door. ``tier`` is edge, exchange or origin; ``zone`` is a failure domain."""

    name: Annotated[Identifier, Meta(description="Name of the site, as appliances and routes give it.")]
    label: Annotated[Words, Meta(description="What people call it.")] = ""
    tier: Annotated[Literal["edge", "exchange", "origin"], Meta(description="How near to viewers it stands.")] = "edge"
    zone: Annotated[Words, Meta(description="Failure domain: sites of one zone may fail together.")] = ""
    region: Annotated[Words, Meta(description="Whose tastes its viewers share; popularity is forecast by region. Empty: the zone.")] = ""
    timezone: Annotated[str, Meta(description="Local time of its quiet hours, as `Europe/Berlin`.")] = "UTC"
    parents: Annotated[
        tuple[str, ...], Meta(description="Exchange sites that it takes from what it lacks, best first. Empty: the origin alone.")
    ] = ()
    isp: Annotated[
        str, Meta(description="The ISP in whose network it stands: it serves only prefixes announced to it. Empty: it serves anybody.")
    ] = ""
    reach: Annotated[
        Literal["", "public", "isp"],
        Meta(
            description="Who reaches its appliances. `public`: anybody, so that looks from outside tell of their health. `isp`: only "
            "customers of the network in which it stands; reports and neighbours in that network decide. Empty: public without `isp` "
            "above, else as it is found."
        ),
    ] = ""
    doors: Annotated[tuple[str, ...], Meta(description="IP addresses of its door (`[[doors]]`), anycast or its own.")] = ()
    latitude: Annotated[float | None, Meta(description="Degrees north.")] = None
    longitude: Annotated[float | None, Meta(description="Degrees east.")] = None

    @property
    def reached_by(self) -> ReachedBy:
        """Who serves anybody must be reached by anybody; of an ISP's site that says nothing it is not known."""
        return self.reach or ("either" if self.isp else "public")

    @property
    def network(self) -> str:
        """In which it stands: its ISP's, or one of its own. What cuts that off cuts off all of it."""
        return f"isp {self.isp}" if self.isp else f"site {self.name}"

    @property
    def taste(self) -> str:
        """The region by which demand is counted and forecast."""
        return self.region or self.zone or self.name


class ApplianceReport(Struct, frozen=True, kw_only=True):
    """What an appliance tells discovery twice a second. A lease not renewed for ``lease_s`` (three reports) is dropped.

    ``address`` is the public origin of its nginx (``http://127.0.0.1:8101``), ``health_url`` answers 200 while it serves.
    ``holdings`` maps title id to bytes held of it, and is told in whole only where ``holdings_base`` is empty; else it has what changed
    since the holdings of that digest (0: gone), nothing at all most of the time. ``holdings_digest`` is of the whole (policy.holdings).
    ``sent_bps`` is smoothed over some seconds; ``limit_bps`` 0: none is known. ``load`` is a state of its own: ``high`` asks players to
    take less, ``full`` refuses. ``key_generation``: of the MAC key that its nginx takes, next to the one before.
    ``problem``: code and sentence of what keeps the fill from going on. Totals count since the agent started.
    ``addresses``: the IP addresses behind ``address``, for DNS. ``seen``: what it found when it probed others, by appliance.
    ``issued_ms`` (Unix time, ever growing) and ``mac`` sign the report: policy.capability.report_mac.
    """

    id: str
    site: str
    address: str
    health_url: str
    state: ApplianceState
    holdings: dict[str, int]
    holdings_digest: str = ""
    holdings_base: str = ""
    held_bytes: int = 0
    missing_bytes: int = 0
    capacity_bytes: int = 0
    reactive_bytes: int = 0
    disk_free_bytes: int = 0
    sent_bps: float = 0.0
    limit_bps: float = 0.0
    load: Load = "normal"
    connections: int = 0
    connections_max: int = 0
    fill_bps: float = 0.0
    generation: int = 0
    key_generation: int = 0
    problem: str = ""
    requests_total: int = 0
    errors_total: int = 0
    sent_bytes_total: int = 0
    placed_bytes_total: int = 0
    reactive_bytes_total: int = 0
    missed_bytes_total: int = 0
    lease_s: float = 1.5
    addresses: tuple[str, ...] = ()
    seen: dict[str, bool] = {}
    issued_ms: int = 0
    mac: str = ""


class Order(Struct, frozen=True, kw_only=True):
    """What an operator wants of an appliance, kept until it is changed. ``key_generation`` counts up with each rotation of its MAC key."""

    appliance: str
    draining: bool = False
    key_generation: int = 0


class Appliance(Struct, frozen=True, kw_only=True):
    """An appliance as discovery sees it: the last report, its holdings in whole, and its age.

    ``votes``: what others found that probed it lately, by their ids.
    """

    report: ApplianceReport
    age_s: float
    votes: dict[str, bool] = {}


class Instance(Struct, frozen=True, kw_only=True):
    """A running service process. ``address`` is what its peers dial (``unix:…`` or ``host:port``)."""

    id: str
    service: str
    address: str
    host: str
    started_at: float
    lease_s: float = 5.0
