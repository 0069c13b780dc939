"""What ``nearcast doctor`` looks at of health: from where each site's appliances are looked at, and how soon a frozen one is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nearcast.base.paths import Home
from nearcast.base.probing import FRESH_S, fresh_for, interval_for
from nearcast.model.site import Site
from nearcast.policy.sight import KNOWN_S
from nearcast.steering.routes import parse_prefix
from nearcast.system.checking import Check
from nearcast.system.settings import Settings


def run(home: Home, whole: Settings) -> Iterator[Check]:
    """Only what is not as usual."""
    from nearcast.steering.health.published import ViewReader
    from nearcast.system.folders import view_folder

    reader = ViewReader(view_folder(home))
    known = [(each.id, each.site) for each in reader.view().snapshot.appliances]
    reader.close()
    members = dict(known) | {each.id: each.site for each in whole.appliances}
    yield from reaches(whole, list(members.values()))
    yield from looks(whole, len(members))


def reaches(whole: Settings, standing: Sequence[str]) -> Iterator[Check]:
    """``standing``: the site of each appliance that is known."""
    networks = {each.name: each.network for each in whole.steering.sites}
    inside = [networks.get(site, "") for site in standing]
    everybodys = {name for route in whole.steering.routes if parse_prefix(route.prefix).length == 0 for name in route.sites}
    for site in whole.steering.sites:
        if site.name in standing and site.reached_by != "public":
            yield _reach(site, inside.count(site.network), site.name in everybodys)


def _reach(site: Site, neighbours: int, everybodys: bool) -> Check:
    name = f"site {site.name}"
    if site.reached_by == "either":
        cure = 'set its reach: "public" where anybody reaches its appliances, "isp" where only customers of the network do'
        found = "not said who reaches it: several appliances that are cut off at once would be taken for its customers' alone"
        return Check(name=name, state="note", found=found, cure=cure)
    if everybodys:
        cure = 'leave it out of the default route, or set reach = "public"'
        return Check(name=name, state="bad", found="the default route sends anybody there, and only its network reaches it", cure=cure)
    if neighbours < 2:
        cure = "a second appliance in its network could tell a lost report from a dead appliance"
        return Check(name=name, state="note", found="only its network reaches it; its one appliance's own reports decide", cure=cure)
    return Check(
        name=name, state="good", found=f"only its network reaches it; reports and looks of the {neighbours} appliances there decide"
    )


def looks(whole: Settings, count: int = 0) -> Iterator[Check]:
    """As long as probes take to find an appliance that answers nothing, or takes no new connections, where ``count`` are looked at."""
    rules = whole.steering.health
    interval_s, fresh_s = interval_for(rules.probe_s, count), fresh_for(count)
    known_s = rules.failures * interval_s + rules.timeout_s + rules.publish_s
    if known_s > KNOWN_S:
        cure = "lower failures, probe_s or timeout_s of [steering.health]; timeout_s stays above the longest round trip to an edge"
        yield Check(name="health", state="note", found=f"a frozen edge is known after {known_s:.2g} s, {KNOWN_S:g} are usual", cure=cure)
    shut_s = fresh_s + (rules.failures - 1) * interval_s + rules.timeout_s + rules.publish_s
    if fresh_s > FRESH_S and shut_s > KNOWN_S:
        found = f"that one of {count} edges takes no new connections is known here after {shut_s:.2g} s, {KNOWN_S:g} are usual"
        cure = "nothing, where others look at it as well: edges look at few others each, so their votes are faster"
        yield Check(name="health", state="note", found=found, cure=cure)
