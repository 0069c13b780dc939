"""The decision: an address and a title go in, a few appliances come out, best first. No clock, no socket, no randomness.

The route table ranks the sites (``rank``), inside a site the title and the loads choose (``balance``), and what can be worked out
beforehand is kept: plans by match, orders of titles by site, until table or membership change. What was given since the last report
is kept, too, as it counts as load; the same calls with the same tables and views give the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from nearcast.model.health import ApplianceHealth
from nearcast.model.services.steer import Considered
from nearcast.model.site import Site
from nearcast.policy import balance, hashing
from nearcast.steering import explain, pathway, rank
from nearcast.steering.decision import Chosen, Decision, Limits, Matching, Question
from nearcast.steering.plans import Plan, Plans
from nearcast.steering.rank import ABLE, DOWN, DRAINING, FULL
from nearcast.steering.routes import NO_MATCH, Match
from nearcast.steering.standing import ORDERS_MAX, SHARED_MAX, Standing, Title
from nearcast.steering.view import NO_VIEW, View

AGAIN_S = 1.0
"""So often loads are taken over anew while the view stays the same."""
ORDERS_MIN = 64
HOLDERS_SOUGHT = 8
"""So many sites of the route are looked at for one that holds the title, where none of the answers does."""


class _NoTable:
    def match(self, address: str, /) -> Match:
        return NO_MATCH


class Decider:
    """Decides over ``sites``. ``use`` tells it the table and the view, and costs nothing while they are the same."""

    def __init__(self, sites: Sequence[Site], limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._configured = {each.name: Standing(each) for each in sites}
        self._standings: dict[str, Standing] = {}
        self._table: Matching = _NoTable()
        self._view = NO_VIEW
        self._stamp = 0
        self._titles: dict[str, Title] = {}
        self._titles_max = self._limits.titles
        self._appliances = 0
        self._plans = Plans(self._limits.planned, self._limits.matches)
        self._near: dict[tuple[str, str], bool] = {}
        self._recent: dict[str, tuple[str, ...]] = {}
        self._older: dict[str, tuple[str, ...]] = {}
        self._rotated_s = self._now_s = 0.0

    def use(self, table: Matching, view: View, now_s: float = 0.0) -> None:
        """Decide by these from now on. ``now_s`` is on the host's monotonic clock, as the view is: while the view stays the same, what
        was given fades by it."""
        self._table = table
        if view is self._view and now_s - self._now_s < AGAIN_S:
            return
        self._now_s = now_s = max(now_s, view.snapshot.published_s)
        self._stamp += 1
        if not 0 <= now_s - self._rotated_s < balance.GIVEN_FADES_S:
            self._forget(now_s)
        if view is self._view:
            return
        self._view = view
        others = view.by_site.keys() != self._standings.keys()
        if others:
            self._gather(view)
        if others or len(view.snapshot.appliances) != self._appliances:
            self._bound(view)

    def decide(
        self,
        address: str,
        title_id: str,
        *,
        count: int = 3,
        session: str = "",
        current: str = "",
        known: Sequence[str] = (),
        counts: bool = True,
        spare: int = 0,
    ) -> Decision:
        """Up to ``count`` appliances for one more session of the title, or for one that goes on where ``current`` or ``known`` say.

        ``counts`` False: it is no session, and adds nothing to anybody's load. ``spare``: so many more are named apart, if there are any.
        """
        match = self._table.match(address)
        plan = self._plans.of(match)
        name = f"{session or address} {title_id}"
        if not known and not current:
            known = self._recent.get(name) or self._older.get(name) or ()
        title = self._titles.get(title_id) or self._title(title_id)
        if count < 1:
            count = 1
        healthy, unsettled = True, False
        chosen = None if current else self._usual(plan, title, count, name, known)
        if chosen is None:
            question = Question(title, count, name, known, current)
            chosen, healthy = self._choose(plan, question)
            unsettled = not healthy or self._unsettled(plan, question, chosen)
            leads = not counts and healthy and chosen[0][2] and chosen[0][0] is next(self._of_level(plan, ABLE), None)
        else:
            leads = not counts and chosen[0][2]
        given = tuple([server.health for _, server, _ in chosen])
        if counts and chosen and not known and not current:
            site, server, _ = chosen[0]
            if server.up:
                site.give(server, title)
                self._recent[name] = tuple([each.id for each in given])
                if len(self._recent) > self._limits.sessions:
                    self._forget(self._now_s)
        if spare > 0:
            beside = self._beside(plan, Question(title, count, name, known, current), given, spare)
            return Decision(given, match, healthy, unsettled, beside)
        return Decision(given, match, healthy, unsettled, (), leads and not (known or current or self._view.snapshot.demoted))

    def consider(self, address: str, title_id: str, *, count: int = 3) -> tuple[Considered, ...]:
        """Every appliance with what speaks for it or against it: those that ``decide`` chooses, spare ones, rejected ones."""
        match = self._table.match(address)
        plan = self._plans.of(match)
        name = f"{address} {title_id}"
        known = self._recent.get(name) or self._older.get(name) or ()
        question = Question(self._titles.get(title_id) or self._title(title_id), max(1, count), name, known)
        chosen, healthy = self._found(plan, question)
        serving = [self._seen(each) for each in dict.fromkeys((*plan.ranked, *plan.everybody))]
        barred = [self._seen(each) for each in self._standings.values() if not rank.may_serve(each.site, match.announced)]
        demoted = pathway.Demoted(self._view.snapshot.demoted, question.seed)
        return explain.considered(
            question.title, [(site, server) for site, server, _ in chosen], serving, barred, healthy=healthy, demoted=demoted
        )

    def _title(self, title_id: str) -> Title:
        if len(self._titles) >= self._titles_max:
            self._titles.clear()
            for each in (*self._configured.values(), *self._standings.values()):
                each.forget()
        found = self._titles[title_id] = Title(title_id, hashing.key(title_id), len(self._titles))
        return found

    # --- which sites --------------------------------------------------------------------------------------------------

    def _gather(self, view: View) -> None:
        """Appliances at a site that the configuration does not know come last, by name."""
        known = [name for name in self._configured if name in view.by_site]
        unknown = sorted(name for name in view.by_site if name not in self._configured)
        self._standings = {name: self._configured[name] for name in known} | {
            name: self._standings.get(name) or Standing(Site(name=name)) for name in unknown
        }
        self._plans.gather(self._standings)

    def _bound(self, view: View) -> None:
        """Share out what may be kept of titles among the sites that there are."""
        self._appliances = len(view.snapshot.appliances)
        self._titles_max = max(1, min(self._limits.titles, self._limits.orders // max(1, len(self._standings))))
        large = sum(len(here) > SHARED_MAX for here in view.by_site.values())
        for each in self._standings.values():
            each.orders_max = min(ORDERS_MAX, max(ORDERS_MIN, self._limits.own_orders // max(1, large)))

    def _seen(self, state: Standing) -> Standing:
        if state.stamp != self._stamp:
            state.see(self._view, self._stamp, self._now_s)
        return state

    def _of_level(self, plan: Plan, level: int) -> Iterator[Standing]:
        """The plan's sites that have an appliance of the level, best first."""
        bit = 1 << level
        ranked = plan.ranked
        for site in ranked:
            if site.stamp != self._stamp:
                site.see(self._view, self._stamp, self._now_s)
            if site.levels & bit:
                yield site
        for site in plan.everybody:
            if site.stamp != self._stamp:
                site.see(self._view, self._stamp, self._now_s)
            if site.levels & bit and site not in ranked:
                yield site

    # --- which appliances ---------------------------------------------------------------------------------------------

    def _found(self, plan: Plan, question: Question) -> tuple[list[Chosen], bool]:
        """What ``decide`` chooses, by the short way or the long one."""
        usual = None
        if not question.current:
            usual = self._usual(plan, question.title, question.wanted, question.name, question.known)
        return (usual, True) if usual else self._choose(plan, question)

    def _choose(self, plan: Plan, question: Question) -> tuple[list[Chosen], bool]:
        """Those that can serve; if nobody can, who drains, then who is full; if nobody is up at all, who is down. And whether they can."""
        chosen = self._able(plan, question)
        if chosen:
            return chosen, True
        for level in (DRAINING, FULL, DOWN):
            if level < DOWN or not chosen:
                chosen += self._last_hope(plan, question, level)
        return chosen[: question.wanted], False

    def _beside(self, plan: Plan, question: Question, given: tuple[ApplianceHealth, ...], spare: int) -> tuple[ApplianceHealth, ...]:
        """So many more than were ``given``, as a larger answer would have them."""
        names = [each.id for each in given]
        larger = Question(question.title, question.wanted + spare, question.name, (*names, *question.known), question.current)
        chosen, _ = self._found(plan, larger)
        return tuple([server.health for _, server, _ in chosen if server.id not in names][:spare])

    def _usual(self, plan: Plan, title: Title, wanted: int, name: str, known: Sequence[str]) -> list[Chosen] | None:
        """What ``_able`` would find where all is as usual: the first sites are able, and the first of them holds the title, or nobody near.

        Nothing is unsettled then. For a session that has no pathway yet.
        """
        if wanted > len(plan.usual) or self._view.snapshot.demoted:
            return None
        stamp = self._stamp
        for each in plan.ahead:
            if each.stamp != stamp:
                each.see(self._view, stamp, self._now_s)
            if not each.levels & 1 << ABLE:
                return None
        site = plan.usual[0]
        first = _pick(site, title, name, known) if known else (site, *site.pick(title, name))
        if not first[2] and next(self._holding(plan, title), None) is not None:
            return None
        if wanted == 1:
            return [first]
        if known:
            return [first, *[_spare(each, title, known) for each in plan.usual[1:wanted]]]
        return [first, *[(each, *each.spare(title)) for each in plan.usual[1:wanted]]]

    def _able(self, plan: Plan, question: Question) -> list[Chosen]:
        sites = self._of_level(plan, ABLE)
        if self._view.snapshot.demoted:
            sites = rank.behind(sites, pathway.Demoted(self._view.snapshot.demoted, question.seed))
        first = self._kept(plan, question) if question.current else None
        if first is None:
            first, sites = self._first(plan, sites, question)
            if first is None:
                return []
        count = question.wanted
        rest = rank.distinct(sites, count - 1, plan.domains, first[0]) if count > 1 else []
        chosen = [first, *[_spare(each, question.title, question.known) for each in rest]]
        for _, _, holds in chosen:
            if holds:
                break
        else:
            self._add_holder(plan, question, chosen)
        if len(chosen) < count:
            taken = {server.id for _, server, _ in chosen}
            more = [(site, server, False) for site, _, _ in chosen for server in site.of_level(ABLE, question.title)]
            chosen += [each for each in more if each[1].id not in taken][: count - len(chosen)]
        return chosen

    def _first(self, plan: Plan, sites: Iterator[Standing], question: Question) -> tuple[Chosen | None, Iterator[Standing]]:
        """The best answer, and the sites after it: of the first site, or of a near one that holds the title if the first does not."""
        site = next(sites, None)
        if site is None:
            return None, sites
        if site.has(question.title) or not question.title.id:
            first = _pick(site, question.title, question.name, question.known)
            if first[2]:
                return first, sites
        following = list(islice(sites, rank.DETOUR_SITES))
        for each in following:
            if each.has(question.title) and each in plan.ranked and self._no_detour(site, each):
                following.remove(each)
                return _pick(each, question.title, question.name, question.known), chain((site, *following), sites)
        return _pick(site, question.title, question.name, question.known), chain(following, sites)

    def _no_detour(self, lacking: Standing, holding: Standing) -> bool:
        pair = lacking.name, holding.name
        if pair not in self._near:
            self._near[pair] = rank.no_detour(lacking.site, holding.site)
        return self._near[pair]

    def _add_holder(self, plan: Plan, question: Question, chosen: list[Chosen]) -> None:
        """Let the last answer be one that holds the title, where there is one and the failure domains stay distinct."""
        if question.wanted < 2:
            return
        full = len(chosen) >= question.wanted
        domains = {site.domain for site, _, _ in (chosen[:-1] if full else chosen)}
        for site in self._holding(plan, question.title):
            if site.domain not in domains:
                if full:
                    chosen.pop()
                chosen.append(_spare(site, question.title, question.known))
                return

    def _holding(self, plan: Plan, title: Title) -> Iterator[Standing]:
        """The first of the route's able sites that have any of the title."""
        for site in islice(self._of_level(plan, ABLE), HOLDERS_SOUGHT):
            if site.has(title):
                yield site

    def _last_hope(self, plan: Plan, question: Question, level: int) -> list[Chosen]:
        """Appliances of a level that is not ABLE, one in each site: the session's own, else the least loaded that is up."""

        def best(site: Standing) -> Chosen:
            own = (question.current, *question.known)
            return site, min(site.of_level(level, question.title), key=lambda each: (each.id not in own, each.up and each.load)), False

        sites = self._of_level(plan, level)
        first = next(sites, None)
        if first is None:
            return []
        return [best(each) for each in (first, *rank.distinct(sites, question.wanted - 1, plan.domains, first))]

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _kept(self, plan: Plan, question: Question) -> Chosen | None:
        """The pathway in use, if the session stays on it."""
        health = self._view.by_id.get(question.current)
        site = self._standings.get(health.site) if health else None
        if health is None or site is None or not (site in plan.ranked or site in plan.everybody):
            return None
        server = self._seen(site).server[health.id]
        if not pathway.stays(site.level(health.id), health.share, question.seed, hashing.key(health.id), self._now_s):
            return None
        if pathway.Demoted(self._view.snapshot.demoted, question.seed)(site):
            return None
        return site, server, site.holds(server, question.title)

    def _unsettled(self, plan: Plan, question: Question, chosen: Sequence[Chosen]) -> bool:
        if len(chosen) < question.wanted:
            there = 0
            for each in dict.fromkeys((*plan.ranked, *plan.everybody)):
                there += len(self._seen(each).server)
                if there > len(chosen):
                    return True
        stamp = self._stamp
        for each in plan.ranked[: question.wanted]:
            if not (each if each.stamp == stamp else self._seen(each)).levels & 1 << ABLE:
                return True
        if not question.current:
            return False
        site, first, _ = chosen[0]
        return first.id != question.current or site.level(first.id) != ABLE

    def _forget(self, now_s: float) -> None:
        """Sessions are remembered for one to two turns."""
        self._older, self._recent, self._rotated_s = self._recent, {}, now_s


def _pick(site: Standing, title: Title, name: str, known: Sequence[str]) -> Chosen:
    """The appliance of a site that has an able one: one that the session knows, else a holder, else one that fetches it."""
    for each in known:
        server = site.server.get(each)
        if server is not None and server.able:
            return site, server, site.holds(server, title)
    return site, *site.pick(title, name)


def _spare(site: Standing, title: Title, known: Sequence[str]) -> Chosen:
    """The same for an answer that is there for the case that the first fails: by the title alone, whatever the loads."""
    for each in known:
        server = site.server.get(each)
        if server is not None and server.able:
            return site, server, site.holds(server, title)
    return site, *site.spare(title)
