"""Which appliances stand behind a door. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from nearcast.model.health import ApplianceHealth, HealthSnapshot


class Member(Struct, frozen=True, order=True):
    """An appliance and its public address (``https://fra-1.example:8101``)."""

    id: str
    address: str


def members(site: str, appliances: Iterable[ApplianceHealth]) -> tuple[Member, ...]:
    """Those of the site that take new clients, by id: who is down or drains is left out, and who is full while another is not."""
    up = [each for each in appliances if each.site == site and each.state == "up" and each.address]
    free = [each for each in up if each.load != "full"]
    return tuple(sorted(Member(each.id, each.address.rstrip("/")) for each in free or up))


def following(site: str, snapshot: HealthSnapshot, before: tuple[Member, ...] | None, given: Mapping[str, str]) -> tuple[Member, ...]:
    """The members now. Without a view that is kept up to date they stay as they were; where there never was one, they are as ``given``."""
    if snapshot.source == "live":
        return members(site, snapshot.appliances)
    if before is not None:
        return before
    return tuple(sorted(Member(name, address.rstrip("/")) for name, address in given.items()))
