"""Appliances for the tests of this room."""

from __future__ import annotations

from nearcast.model.site import Appliance, ApplianceReport, ApplianceState


def appliance(
    name: str, site: str = "", state: ApplianceState = "up", age_s: float = 0.2, holds: dict[str, int] | None = None
) -> Appliance:
    return Appliance(
        report=ApplianceReport(
            id=name,
            site=site or f"site-{name}",
            address=f"http://{name}.example:8101",
            health_url=f"http://{name}.example:8101/healthz",
            state=state,
            holdings=holds or {},
        ),
        age_s=age_s,
    )
