"""One site as decisions see it: its appliances, their loads, and who of them holds what, worked out on first asking and kept.

The appliances' loads change with every report, who holds what seldom: so the orders of titles are kept until the site's membership or
holdings change, and loads are taken over when the site is next asked for after a new view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.policy import balance, hashing
from nearcast.policy.balance import Group, Server
from nearcast.policy.hashing import Rendezvous
from nearcast.policy.load import FULL as FULL_SHARE
from nearcast.steering.rank import ABLE, DOWN, FULL, HELD_SHARE, domain, level
from nearcast.steering.view import NOTHING, Holdings, View

ORDERS_MAX = 10_000
ASKED_MIN, ASKED_PER_SERVER = 1000.0, 250.0
"""After so many sessions half of what was asked is forgotten."""

Order = tuple[int, tuple[int, ...]]
"""A site's servers for one title, by index: the holders come first, and are so many. (Of numbers alone, so that the garbage collector
passes them by: there are hundreds of thousands.)"""

SHARED_MAX = 4
"""Of so few servers there are no more than some hundred orders, so that one of each is enough for all titles and sites."""
_shared: dict[Order, Order] = {}


class Standing:
    """``levels``: a bit for each of rank's levels that one of the appliances is of. ``stamp``: the view that it is as of."""

    __slots__ = (
        "_asked",
        "_asked_max",
        "_here",
        "_holdings",
        "_homes",
        "_identity",
        "_rendezvous",
        "_seen_s",
        "domain",
        "group",
        "health",
        "key",
        "levels",
        "name",
        "orders",
        "orders_max",
        "server",
        "site",
        "stamp",
    )

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name = site.name
        self.key = hashing.key(site.name)
        self.domain = domain(site)
        self.stamp = -1
        self.levels = 0
        self.group = Group(())
        self.server: dict[str, Server] = {}
        self.health: dict[str, ApplianceHealth] = {}
        self.orders: dict[int, Order] = {}
        self.orders_max = ORDERS_MAX
        self._asked: dict[int, float] = {}
        self._asked_max = ASKED_MIN
        self._homes: dict[int, int] = {}
        self._rendezvous = Rendezvous((), ())
        self._holdings: list[Holdings] = []
        self._here: Sequence[ApplianceHealth] | None = None
        self._identity: object = None
        self._seen_s = 0.0

    def see(self, view: View, stamp: int, now_s: float) -> None:
        """Take over what ``view`` says of this site, at ``now_s`` of the clock that it goes by."""
        self.stamp = stamp
        here = view.by_site.get(self.name, ())
        if here is not self._here:
            self._here = here
            self.health = {each.id: each for each in here}
            identity = [(each.id, each.limit_bps, each.holdings_digest or view.holdings.get(each.id)) for each in here]
            if identity != self._identity:
                self._identity = identity
                self._gather(here, view)
        kept = balance.faded(1.0, now_s - self._seen_s)
        self._seen_s = now_s
        self.levels = 0
        for each, server in zip(here, self.group.servers, strict=True):
            self.levels |= 1 << _take_over(server, each, now_s, kept)
        self.group.settle()

    def order(self, title_id: str, title: int) -> Order:
        """Who holds the title here, and in which order they are asked for it. ``title``: the key of ``title_id``.

        An empty title is none in particular, which everybody holds.
        """
        found = self.orders.get(title)
        if found is None:
            if len(self.orders) >= self.orders_max:
                self.orders.clear()
            found = self._ordered(title_id, title)
            if len(found[1]) <= SHARED_MAX:
                found = _shared.setdefault(found, found)
            self.orders[title] = found
        return found

    def _ordered(self, title_id: str, title: int) -> Order:
        order = self._rendezvous.preferred(title)
        if not title_id:
            return len(order), tuple(order)
        held = [each.get(title_id, 0) for each in self._holdings]
        most = max(held)
        if not most:
            return 0, tuple(order)
        enough = most * HELD_SHARE
        if min(held) >= enough:
            return len(order), tuple(order)
        holding = [index for index in order if held[index] >= enough]
        return len(holding), (*holding, *[index for index in order if held[index] < enough])

    def pick(self, title_id: str, title: int, name: str) -> tuple[Server, bool]:
        """The appliance for one more session of the title, called ``name``, and whether it holds it.

        Only for a site where somebody is able.
        """
        count, order = self.orders.get(title) or self.order(title_id, title)
        group = self.group
        demand = self._asked.get(title, 0.0)
        home = self._homes.get(title, 0)
        if count:
            held = order if count == len(order) else order[:count]
            seed = hashing.key(name) if group.wide(held, demand) else 0
            found = balance.choose(group, held, demand, seed, home)
            if found is not None:
                return found, True
            home = 0
        others = order[count:]
        seed = hashing.key(name) if group.wide(others, demand) else 0
        found = balance.choose(group, others, demand, seed, home)
        assert found is not None, f"{self.name} has nobody who is able"  # noqa: S101
        return found, False

    def spare(self, title_id: str, title: int) -> tuple[Server, bool]:
        """The first by the title's order that is able, holders before others."""
        servers = self.group.servers
        count, order = self.orders.get(title) or self.order(title_id, title)
        if servers[order[0]].able:
            return servers[order[0]], count > 0
        for place, index in enumerate(order):
            if servers[index].able:
                return servers[index], place < count
        raise AssertionError(f"{self.name} has nobody who is able")

    def has(self, title_id: str) -> bool:
        """Whether somebody here who is able has any of the title."""
        for held, server in zip(self._holdings, self.group.servers, strict=True):  # noqa: SIM110 - a generator takes twice as long
            if title_id in held and server.able:
                return True
        return False

    def holds(self, server: Server, title_id: str, title: int) -> bool:
        """Whether it is one of the title's holders."""
        count, order = self.order(title_id, title)
        return any(self.group.servers[index] is server for index in order[:count])

    def give(self, server: Server, title_id: str, title: int) -> None:
        """A new session of the title goes to ``server``."""
        group, was_able = self.group, server.able
        group.give(server)
        self._asked[title] = self._asked.get(title, 0.0) + 1.0
        count, order = self.orders.get(title) or self.order(title_id, title)
        if server is group.servers[order[0]]:
            if title in self._homes:
                del self._homes[title]
        elif count != 1 and server is group.servers[order[1]]:  # a single holder is at home wherever else it is asked for
            self._homes[title] = 1
        if was_able and not server.able:
            self.levels |= 1 << FULL
            if not any(each.able for each in group.servers):
                self.levels &= ~(1 << ABLE)
        if group.asked > self._asked_max:
            self._fade()

    def level(self, appliance: str) -> int:
        """Of rank's; an appliance that is full by what it was given since its last report is full."""
        server = self.server[appliance]
        found = level(self.health[appliance])
        return FULL if found == ABLE and not server.able else found

    def of_level(self, wanted: int, title_id: str, title: int) -> list[Server]:
        """The appliances of the level: holders first, each as the title prefers them."""
        servers = (self.group.servers[index] for index in self.order(title_id, title)[1])
        return [each for each in servers if self.level(each.id) == wanted]

    def _gather(self, here: tuple[ApplianceHealth, ...], view: View) -> None:
        """Make the servers anew, with what was known of those that stay."""
        before = self.server
        self.server = {}
        weights = balance.weights(each.limit_bps for each in here)
        for each, weight in zip(here, weights, strict=True):
            server = Server(each.id, weight, known=each.limit_bps > 0)
            if each.id in before:
                server.given = before[each.id].given
            self.server[each.id] = server
        asked = self.group.asked
        self.group = Group(tuple(self.server.values()))
        self.group.asked = asked
        self._rendezvous = Rendezvous([hashing.key(each.id) for each in here], weights)
        self._holdings = [view.holdings.get(each.id, NOTHING) for each in here]
        self.orders = {}
        self._homes = {}
        self._asked_max = max(ASKED_MIN, ASKED_PER_SERVER * len(here))

    def _fade(self) -> None:
        self.group.asked /= 2
        self._asked = {title: asked / 2 for title, asked in self._asked.items() if asked >= 1.0}
        self._homes = {title: home for title, home in self._homes.items() if title in self._asked}


def _take_over(server: Server, health: ApplianceHealth, now_s: float, kept: float) -> int:
    """What a report says of a server, and what was given since, of which so much is ``kept``. Its level."""
    server.given *= kept
    share = health.share if server.known or health.share else health.sent_bps / server.weight
    server.load = share + server.given * server.unit
    server.growth = balance.growth(now_s - health.up_since_s if health.up_since_s else math.inf, heard=health.heard)
    found = level(health)
    server.up = found < DOWN
    server.able = found == ABLE and not (server.known and server.load >= FULL_SHARE)
    return FULL if found == ABLE and not server.able else found
