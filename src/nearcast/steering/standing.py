"""One site as decisions see it: its appliances, their loads, and who of them holds what, worked out on first asking and kept.

The appliances' loads change with every report, who holds what seldom: so the orders of titles are kept until the site's membership or
holdings change, and loads are taken over when the site is next asked for after a new view.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from msgspec import Struct

from nearcast.model.health import ApplianceHealth
from nearcast.model.site import Site
from nearcast.policy import balance, hashing
from nearcast.policy.balance import Group, Server
from nearcast.policy.hashing import Rendezvous
from nearcast.policy.load import FULL as FULL_SHARE
from nearcast.steering.rank import ABLE, DOWN, FULL, HELD_SHARE, domain, level
from nearcast.steering.view import NOTHING, Holdings, View

ASKED_MIN, ASKED_PER_SERVER = 1000.0, 250.0
"""After so many sessions half of what was asked is forgotten."""
ASKED_LEAST = 0.5

ORDERS_MAX = 0xFFFF
SHARED_MAX = 6
"""Of so few servers there are no more than some thousands of orders, which all sites share."""
GROWTH = 8
"""Room is made for an eighth more titles than there are."""

Order = tuple[int, tuple[int, ...]]
"""A site's servers for one title, by index, as it prefers them: the holders come first, and are so many."""


class Title(Struct, frozen=True, gc=False):
    """``number`` is its place among the titles that decisions know, ``key`` the hash of its ``id``.

    An empty ``id`` is none in particular, which everybody holds.
    """

    id: str
    key: int
    number: int


class Orders:
    """Each order once, by a number above 0."""

    __slots__ = ("_numbers", "by_number")

    def __init__(self) -> None:
        self.by_number: list[Order] = [(0, ())]
        self._numbers: dict[Order, int] = {}

    def number(self, order: Order) -> int:
        found = self._numbers.get(order)
        if found is None:
            found = self._numbers[order] = len(self.by_number)
            self.by_number.append(order)
        return found


_shared = Orders()


class Demand(Struct, gc=False):
    """How many of a site's sessions were ``asked`` for a title, fading, and the title's ``home``, as ``balance.choose`` has it."""

    asked: float = 0.0
    home: int = 0


_NO_DEMAND = Demand()


class Appliance(Server):
    """``health`` is what was last reported of it."""

    __slots__ = ("health",)

    def __init__(self, health: ApplianceHealth, weight: float) -> None:
        super().__init__(health.id, weight, known=health.limit_bps > 0)
        self.health = health


class Standing:
    """``levels``: a bit for each of rank's levels that one of the appliances is of. ``stamp``: the view that it is as of.
    ``orders_max``: so many orders of a site's own are kept, where it has more than SHARED_MAX servers."""

    __slots__ = (
        "_asked_max",
        "_demands",
        "_distinct",
        "_here",
        "_holdings",
        "_identity",
        "_last",
        "_numbers",
        "_orders",
        "_rendezvous",
        "_seen_s",
        "domain",
        "group",
        "key",
        "levels",
        "name",
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
        self.group: Group[Appliance] = Group(())
        self.server: dict[str, Appliance] = {}
        self.orders_max = ORDERS_MAX
        self._orders = _shared
        self._numbers = array("H")
        self._last: tuple[Title | None, Order] = None, (0, ())
        """What was picked from last, as it is most often what is given next."""
        self._demands: dict[int, Demand] = {}
        self._asked_max = ASKED_MIN
        self._rendezvous = Rendezvous((), ())
        self._holdings: list[Holdings] = []
        self._distinct: list[Holdings] = []
        self._here: Sequence[ApplianceHealth] | None = None
        self._identity: object = None
        self._seen_s = 0.0

    def see(self, view: View, stamp: int, now_s: float) -> None:
        """Take over what ``view`` says of this site, at ``now_s`` of the clock that it goes by."""
        self.stamp = stamp
        here = view.by_site.get(self.name, ())
        if here is not self._here:
            self._here = here
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

    def order(self, title: Title) -> Order:
        """Who holds the title here, and in which order they are asked for it."""
        try:
            number = self._numbers[title.number]
        except IndexError:
            self._numbers.extend([0] * (title.number + title.number // GROWTH + 1 - len(self._numbers)))
            number = 0
        return self._orders.by_number[number] if number else self._ordered(title)

    def forget(self) -> None:
        """Titles are numbered anew."""
        self._numbers = array("H")
        self._last = None, (0, ())
        self._orders = _shared if len(self.group.servers) <= SHARED_MAX else Orders()

    def _ordered(self, title: Title) -> Order:
        order = self._rendezvous.preferred(title.key)
        count = len(order)
        if title.id:
            held = [each.get(title.id, 0) for each in self._holdings]
            most = max(held)
            if not most:
                count = 0
            elif min(held) < (enough := most * HELD_SHARE):
                holding = [index for index in order if held[index] >= enough]
                count = len(holding)
                order = [*holding, *[index for index in order if held[index] < enough]]
        found = count, tuple(order)
        number = self._orders.number(found)
        if number > self.orders_max and self._orders is not _shared:
            self.forget()
            return found
        self._numbers[title.number] = number
        return self._orders.by_number[number]

    def pick(self, title: Title, name: str) -> tuple[Appliance, bool]:
        """The appliance for one more session of the title, called ``name``, and whether it holds it.

        Only for a site where somebody is able.
        """
        order_known = self.order(title)
        count, order = order_known
        self._last = title, order_known
        demand = self._demands.get(title.key) or _NO_DEMAND
        home = demand.home
        if count:
            found = balance.choose(self.group, order if count == len(order) else order[:count], demand.asked, name, home)
            if found is not None:
                return found, True
            order, home = order[count:], 0
        found = balance.choose(self.group, order, demand.asked, name, home)
        assert found is not None, f"{self.name} has nobody who is able"  # noqa: S101
        return found, False

    def spare(self, title: Title) -> tuple[Appliance, bool]:
        """The first by the title's order that is able, holders before others."""
        count, order = self.order(title)
        servers = self.group.servers
        server = servers[order[0]]
        if server.able:  # as nearly always
            return server, count > 0
        for place, index in enumerate(order):
            server = servers[index]
            if server.able:
                return server, place < count
        raise AssertionError(f"{self.name} has nobody who is able")

    def has(self, title: Title) -> bool:
        """Whether somebody here who is able has any of the title. Of sites that are only looked at for this no order is worked out."""
        name = title.id
        for some in self._distinct:
            if name in some:
                return any(server.able and held.get(name) for held, server in zip(self._holdings, self.group.servers, strict=True))
        return False

    def holds(self, server: Server, title: Title) -> bool:
        """Whether it is one of the title's holders."""
        count, order = self.order(title)
        return any(self.group.servers[index] is server for index in order[:count])

    def give(self, server: Server, title: Title) -> None:
        """A new session of the title goes to ``server``."""
        group, was_able = self.group, server.able
        group.give(server)
        demand = self._demands.get(title.key)
        if demand is None:
            demand = self._demands[title.key] = Demand()
        demand.asked += 1.0
        last, known = self._last
        count, order = known if last is title else self.order(title)
        if server is group.servers[order[0]]:
            demand.home = 0
        elif count != 1 and server is group.servers[order[1]]:  # a single holder is at home wherever else it is asked for
            demand.home = 1
        if was_able and not server.able:
            self.levels |= 1 << FULL
            if not any(each.able for each in group.servers):
                self.levels &= ~(1 << ABLE)
        if group.asked > self._asked_max:
            self._fade()

    def reports(self) -> list[ApplianceHealth]:
        """What its appliances last said."""
        return [each.health for each in self.group.servers]

    def level(self, appliance: str) -> int:
        """Of rank's; an appliance that is full by what it was given since its last report is full."""
        server = self.server[appliance]
        found = level(server.health)
        return FULL if found == ABLE and not server.able else found

    def of_level(self, wanted: int, title: Title) -> list[Appliance]:
        """The appliances of the level: holders first, each as the title prefers them."""
        servers = (self.group.servers[index] for index in self.order(title)[1])
        return [each for each in servers if self.level(each.id) == wanted]

    def _gather(self, here: tuple[ApplianceHealth, ...], view: View) -> None:
        """Make the servers anew, with what was known of those that stay."""
        before = self.server
        self.server = {}
        weights = balance.weights(each.limit_bps for each in here)
        for each, weight in zip(here, weights, strict=True):
            server = Appliance(each, weight)
            if each.id in before:
                server.given = before[each.id].given
            self.server[each.id] = server
        asked = self.group.asked
        self.group = Group(tuple(self.server.values()))
        self.group.asked = asked
        self._rendezvous = Rendezvous([hashing.key(each.id) for each in here], weights)
        self._holdings = [view.holdings.get(each.id, NOTHING) for each in here]
        self._distinct = list({id(each): each for each in self._holdings if each}.values())
        self.forget()
        for demand in self._demands.values():
            demand.home = 0
        self._asked_max = max(ASKED_MIN, ASKED_PER_SERVER * len(here))

    def _fade(self) -> None:
        self.group.asked /= 2
        self._demands = {title: demand for title, demand in self._demands.items() if demand.asked >= 2 * ASKED_LEAST}
        for each in self._demands.values():
            each.asked /= 2


def _take_over(server: Appliance, health: ApplianceHealth, now_s: float, kept: float) -> int:
    """What a report says of a server, and what was given since, of which so much is ``kept``. Its level."""
    server.health = health
    server.given *= kept
    share = health.share if server.known or health.share else health.sent_bps / server.weight
    server.load = share + server.given * server.unit
    server.growth = balance.growth(now_s - health.up_since_s if health.up_since_s else math.inf, heard=health.heard)
    found = level(health)
    server.up = found < DOWN
    server.able = found == ABLE and not (server.known and server.load >= FULL_SHARE)
    return FULL if found == ABLE and not server.able else found
