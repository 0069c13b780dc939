"""Reports of edges for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from nearcast.base.clock import Clock
from nearcast.control.store.engine import Store, sqlite_url
from nearcast.insight.service import InsightService
from nearcast.model.fill import SourceKind
from nearcast.model.site import Site
from nearcast.model.traffic import Fetched, Served, TrafficReport
from tests.unit.delivery.fill.library import Library

SITES = (
    Site(name="frankfurt", region="europe"),
    Site(name="paris", region="europe"),
    Site(name="mumbai", zone="ap-south"),
    Site(name="de-cix", tier="exchange", region="europe"),
)


def open_insight(path: Path, clock: Clock, library: Library | None = None) -> tuple[InsightService, Store]:
    store = Store(sqlite_url(path))
    return InsightService(store, library or Library(), SITES, clock), store


def report(sequence: int, *served: Served, site: str = "frankfurt", run: str = "r1", **more: object) -> TrafficReport:
    told = {"appliance": f"{site}-1", "site": site, "run": run, "sequence": sequence, "served": served, **more}
    return TrafficReport(**told)  # type: ignore[arg-type]


def fetched(size_bytes: int, kind: SourceKind = "origin", *, generation: int = 1, title_id: str = "t_1", file: str = "a.mp4") -> Fetched:
    return Fetched(generation, title_id, file, "x", kind, size_bytes)
