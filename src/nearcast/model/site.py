"""Sites and the appliances in them, as discovery knows them and steering uses them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

ApplianceState = Literal["up", "draining", "down"]


class Site(Struct, frozen=True, kw_only=True):
    """Appliances behind one door. ``tier`` is edge, exchange or origin; ``zone`` is a failure domain."""

    name: Annotated[str, Meta(description="Name of the site, as appliances and routes give it.")]
    label: Annotated[str, Meta(description="What people call it.")] = ""
    tier: Annotated[Literal["edge", "exchange", "origin"], Meta(description="How near to viewers it stands.")] = "edge"
    zone: Annotated[str, Meta(description="Failure domain: sites of one zone may fail together.")] = ""
    latitude: Annotated[float | None, Meta(description="Degrees north.")] = None
    longitude: Annotated[float | None, Meta(description="Degrees east.")] = None


class ApplianceReport(Struct, frozen=True, kw_only=True):
    """What an appliance tells discovery each second. A lease not renewed for ``lease_s`` is dropped.

    ``address`` is the public origin of its nginx (``http://127.0.0.1:8101``), ``health_url`` answers 200 while it serves.
    ``holdings`` maps title id to the number of bytes held of it; ``filling`` says what is still on its way.
    """

    id: str
    site: str
    address: str
    health_url: str
    state: ApplianceState
    holdings: dict[str, int]
    held_bytes: int = 0
    missing_bytes: int = 0
    disk_free_bytes: int = 0
    requests_total: int = 0
    sent_bytes_total: int = 0
    lease_s: float = 3.0


class Appliance(Struct, frozen=True, kw_only=True):
    """An appliance as discovery sees it: the last report and its age."""

    report: ApplianceReport
    age_s: float


class Instance(Struct, frozen=True, kw_only=True):
    """A running service process. ``address`` is what its peers dial (``unix:…`` or ``host:port``)."""

    id: str
    service: str
    address: str
    host: str
    started_at: float
    lease_s: float = 5.0
