"""Which appliances stand behind a door. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from nearcast.model.health import ApplianceHealth, HealthSnapshot


class Member(Struct, frozen=True, order=True):
    """An appliance and its public address (``https://fra-1.example:8101``)."""

    id: str
    address: str


class Standing(Struct, frozen=True):
    """``known``: every appliance of the site, by id, whose paths are still good. Those whose ids are ``out`` take no new clients."""

    known: tuple[Member, ...] = ()
    out: frozenset[str] = frozenset()

    @property
    def here(self) -> tuple[Member, ...]:
        return tuple(each for each in self.known if each.id not in self.out)


def standing(site: str, appliances: Iterable[ApplianceHealth]) -> Standing:
    """Who is down is out, and while another can serve, who drains or is full. A site that drains as a whole serves to its end."""
    known = [each for each in appliances if each.site == site and each.address]
    up = [each for each in known if each.state == "up"]
    draining = [each for each in known if each.state == "draining"]
    here = {each.id for each in ([each for each in up if each.load != "full"] or up or draining)}
    members = sorted(Member(each.id, each.address.rstrip("/")) for each in known)
    return Standing(tuple(members), frozenset(each.id for each in known) - here)


def following(
    site: str, snapshot: HealthSnapshot, before: Standing | None, given: Mapping[str, str], seen: Mapping[str, bool] | None = None
) -> Standing:
    """How they stand now. Without a view that is kept up to date they stay as it had them. Where there never was one they are as ``given``,
    and who is not reached by our own looks (``seen``, by id) is out.
    """
    if snapshot.source == "live":
        return standing(site, snapshot.appliances)
    known = tuple(sorted(Member(name, address.rstrip("/")) for name, address in given.items()))
    if before is not None and before.known != known:
        return before
    return Standing(known, frozenset(each.id for each in known if (seen or {}).get(each.id) is False))
