"""One site as decisions see it: its appliances, their loads, and who of them holds what, worked out on first asking and kept.

The appliances' loads change with every report, who holds what seldom: so the orders of titles are kept until the site's membership or
holdings change, and loads are taken over when the site is next asked for after a new view.
"""

from __future__ import annotations

import math

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.policy import balance, hashing
from nearcast.policy.balance import Group, Server
from nearcast.policy.load import FULL as FULL_SHARE
from nearcast.steering.rank import ABLE, DOWN, FULL, HELD_SHARE, domain, level
from nearcast.steering.view import NOTHING, Holdings, View

ASKED_MIN, ASKED_PER_SERVER = 1000.0, 250.0
"""After so many sessions half of what was asked is forgotten."""

SMALL = 8
"""In a site of so few servers the order of a title that is asked for once in a while is not worth being kept."""
ONCE_MAX = 1000

Order = tuple[int, tuple[int, ...]]
"""A site's servers for one title, by index: the holders come first, and are so many. (Of numbers alone, so that the garbage collector
passes them by: there are hundreds of thousands.)"""


class Standing:
    """``levels``: a bit for each of rank's levels that one of the appliances is of. ``stamp``: the view that it is as of."""

    __slots__ = (
        "_asked",
        "_holdings",
        "_homes",
        "_identity",
        "_keys",
        "_once",
        "_seen_s",
        "_weights",
        "domain",
        "group",
        "health",
        "key",
        "levels",
        "name",
        "orders",
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
        self.orders: dict[str, Order] = {}
        self._asked: dict[str, float] = {}
        self._homes: dict[str, int] = {}
        self._once: set[str] = set()
        self._keys: list[int] = []
        self._weights: list[float] = []
        self._holdings: list[Holdings] = []
        self._identity: object = None
        self._seen_s = 0.0

    def see(self, view: View, stamp: int, now_s: float) -> None:
        """Take over what ``view`` says of this site, at ``now_s`` of the clock that it goes by."""
        here = view.by_site.get(self.name, ())
        self.stamp = stamp
        self.health = {each.id: each for each in here}
        identity = [(each.id, each.limit_bps, each.holdings_digest or view.holdings.get(each.id)) for each in here]
        if identity != self._identity:
            self._identity = identity
            self._gather(here, view)
        elapsed_s, self._seen_s = now_s - self._seen_s, now_s
        self.levels = 0
        for each in here:
            self.levels |= 1 << _take_over(self.server[each.id], each, now_s, elapsed_s)
        self.group.settle()

    def order(self, title_id: str, title: int) -> Order:
        """Who holds the title here, and in which order they are asked for it. ``title``: the key of ``title_id``.

        An empty title is none in particular, which everybody holds.
        """
        found = self.orders.get(title_id)
        if found is None:
            order = hashing.preferred(title, self._keys, self._weights)
            if title_id:
                held = [each.get(title_id, 0) for each in self._holdings]
                enough = max(held, default=0) * HELD_SHARE
                holding = [index for index in order if held[index] >= enough and held[index]]
                if len(holding) < len(order):
                    order = holding + [index for index in order if held[index] < enough or not held[index]]
                found = (len(holding), tuple(order))
            else:
                found = (len(order), tuple(order))
            self.orders[title_id] = found
        return found

    def pick(self, title_id: str, title: int, seed: int) -> tuple[Server, bool]:
        """The appliance for one more session of the title, and whether it holds it. Only for a site where somebody is able."""
        count, order = self.orders.get(title_id) or self.order(title_id, title)
        demand = self._asked.get(title_id, 0.0)
        home = self._homes.get(title_id, 0)
        if count:
            found = balance.choose(self.group, order[:count] if count < len(order) else order, demand, seed, home)
            if found is not None:
                return found, True
            home = 0
        found = balance.choose(self.group, order[count:], demand, seed, home)
        assert found is not None, f"{self.name} has nobody who is able"  # noqa: S101
        return found, False

    def spare(self, title_id: str, title: int) -> tuple[Server, bool]:
        """The first by the title's order that is able, holders before others. Kept when it is asked for a second time."""
        servers = self.group.servers
        if title_id in self.orders or title_id in self._once or len(servers) > SMALL or not title_id:
            count, order = self.order(title_id, title)
            for place, index in enumerate(order):
                if servers[index].able:
                    return servers[index], place < count
        if len(self._once) > ONCE_MAX:
            self._once.clear()
        self._once.add(title_id)
        first = -1
        for index in hashing.preferred(title, self._keys, self._weights):
            if servers[index].able:
                if title_id in self._holdings[index]:
                    return servers[index], True
                first = index if first < 0 else first
        assert first >= 0, f"{self.name} has nobody who is able"  # noqa: S101
        return servers[first], False

    def has(self, title_id: str) -> bool:
        """Whether somebody here who is able has any of the title."""
        return any(title_id in held and server.able for held, server in zip(self._holdings, self.group.servers, strict=True))

    def holds(self, server: Server, title_id: str, title: int) -> bool:
        """Whether it is one of the title's holders."""
        count, order = self.order(title_id, title)
        return any(self.group.servers[index] is server for index in order[:count])

    def give(self, server: Server, title_id: str, title: int) -> None:
        """A new session of the title goes to ``server``."""
        was_able = server.able
        self.group.give(server)
        self._asked[title_id] = self._asked.get(title_id, 0.0) + 1.0
        count, order = self.order(title_id, title)
        usual = order[:count][:2] or order[:2]
        if server is self.group.servers[usual[0]]:
            self._homes.pop(title_id, None)
        elif server is self.group.servers[usual[-1]]:
            self._homes[title_id] = 1
        if was_able and not server.able:
            self.levels |= 1 << FULL
            if not any(each.able for each in self.group.servers):
                self.levels &= ~(1 << ABLE)
        if self.group.asked > max(ASKED_MIN, ASKED_PER_SERVER * len(order)):
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
        self._weights = balance.weights(each.limit_bps for each in here)
        for each, weight in zip(here, self._weights, strict=True):
            server = Server(each.id, weight, known=each.limit_bps > 0)
            if each.id in before:
                server.given = before[each.id].given
            self.server[each.id] = server
        asked = self.group.asked
        self.group = Group(tuple(self.server.values()))
        self.group.asked = asked
        self._keys = [hashing.key(each.id) for each in here]
        self._holdings = [view.holdings.get(each.id, NOTHING) for each in here]
        self.orders = {}
        self._homes = {}
        self._once = set()

    def _fade(self) -> None:
        self.group.asked /= 2
        self._asked = {title: asked / 2 for title, asked in self._asked.items() if asked >= 1.0}
        self._homes = {title: home for title, home in self._homes.items() if title in self._asked}


def _take_over(server: Server, health: ApplianceHealth, now_s: float, elapsed_s: float) -> int:
    """What a report says of a server, and what was given since. Its level."""
    server.given = balance.faded(server.given, elapsed_s)
    share = health.share if server.known or health.share else health.sent_bps / server.weight
    server.load = share + server.given * server.unit
    server.growth = balance.growth(now_s - health.up_since_s if health.up_since_s else math.inf, heard=health.heard)
    found = level(health)
    server.up = found < DOWN
    server.able = found == ABLE and not (server.known and server.load >= FULL_SHARE)
    return FULL if found == ABLE and not server.able else found
