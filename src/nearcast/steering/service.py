"""The Steering service: an address and a title go in, a few signed edge addresses in distinct failure domains come out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError, Unavailable
from nearcast.model.health import ApplianceHealth
from nearcast.model.route import EdgeChoice
from nearcast.model.services import SteerAnswer, SteerQuestion
from nearcast.policy import capability
from nearcast.steering.decide import Decider
from nearcast.steering.routes import Table
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import View

COUNT_MAX = 16
EXPIRY_STEP_S = 300
"""Paths end at whole five minutes, rounded up: viewers of a title who come at about the same time share them, and what is kept of them
here and in nginx."""
PATHS_MAX = 400_000
"""Of 0.3 kB each: those that are asked for most are signed once."""
SIGNERS_MAX = 65_536
FIRST_VIEW_S = 5.0
"""So long is waited at the start for a view to be published, so that the first Play has an answer."""
_LOOK_S = 0.1
_log = structlog.get_logger("steering")


class NoEdge(Unavailable):
    """No edge was ever heard of, so that there is nobody to send a viewer to."""

    code = "NC3002"
    cure = "start an edge (`nearcast status` shows which are there)"


class Tables(Protocol):
    """``steering.routes.reader.TableReader``. ``table`` raises a NearcastError before there is one; ``live``: it is kept up to date."""

    def table(self) -> Table: ...
    @property
    def live(self) -> bool: ...


class Views(Protocol):
    """``steering.health.published.ViewReader``."""

    def view(self) -> View: ...


class _Signer(capability.PathSigner):
    """``number``: no two are the same, so that what one has signed is never taken for another's."""

    def __init__(self, root: bytes, appliance: ApplianceHealth, number: int) -> None:
        super().__init__(capability.edge_key(root, appliance.id, appliance.key_generation), appliance.key_generation)
        self.generation, self.address, self.site = appliance.key_generation, appliance.address, appliance.site
        self.origin = appliance.address.rstrip("/")
        self.number = number


class Paths:
    """Signed addresses. ``root`` is the system's root secret, from which each appliance's MAC key comes."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._made = 0
        self._signers: dict[str, _Signer] = {}
        self._young: dict[tuple[str, int], dict[int, EdgeChoice]] = {}
        self._old: dict[tuple[str, int], dict[int, EdgeChoice]] = {}
        self._room = PATHS_MAX // 2

    def choices(self, appliances: Iterable[ApplianceHealth], title_id: str, expires_at: int) -> tuple[EdgeChoice, ...]:
        """The addresses at ``appliances`` that are good for the title until ``expires_at`` (Unix seconds)."""
        known = self._young.get((title_id, expires_at))
        if known is None:
            known = self._again(title_id, expires_at)
        found = []
        for appliance in appliances:
            signer = self._signers.get(appliance.id)
            if (
                signer is None
                or signer.address != appliance.address
                or signer.generation != appliance.key_generation
                or signer.site != appliance.site
            ):
                signer = self._signer(appliance)
            choice = known.get(signer.number)
            if choice is None:
                base_url = signer.origin + signer.path(title_id, expires_at)
                choice = EdgeChoice(pathway=appliance.id, site=appliance.site, appliance=appliance.id, base_url=base_url)
                known[signer.number] = choice
                self._room -= 1
            found.append(choice)
        return tuple(found)

    def _again(self, title_id: str, expires_at: int) -> dict[int, EdgeChoice]:
        if self._room <= 0:
            self._old, self._young, self._room = self._young, {}, PATHS_MAX // 2
        known = self._young[title_id, expires_at] = self._old.get((title_id, expires_at), {})
        self._room -= len(known)
        return known

    def _signer(self, appliance: ApplianceHealth) -> _Signer:
        if len(self._signers) >= SIGNERS_MAX:
            self._signers.clear()
        self._made += 1
        found = self._signers[appliance.id] = _Signer(self._root, appliance, self._made)
        return found


class SteeringService:
    """Implements the Steering protocol over the published table and view. Where no table was published yet, the routes of the
    configuration serve, and answers say ``last-known``."""

    def __init__(self, settings: SteeringSettings, tables: Tables, views: Views, root: bytes, clock: Clock | None = None) -> None:
        self._tables = tables
        self._views = views
        self._clock = clock or SystemClock()
        self._decider = Decider(settings.sites)
        self._paths = Paths(root)
        self._settings = settings
        self._table: Table | None = None
        self._source: Literal["live", "last-known"] = "live"

    async def start(self) -> None:
        """Wait a little for a first view."""
        until_s = self._clock.monotonic_s() + FIRST_VIEW_S
        while not self._views.view().snapshot.version and self._clock.monotonic_s() < until_s:
            await self._clock.sleep(_LOOK_S)

    async def choose(self, question: SteerQuestion, /) -> SteerAnswer:
        """Up to ``count`` edges, best first, and ``spare`` ones beside. Raises NoEdge when none was ever heard of."""
        return self.answer(question)

    def answer(self, question: SteerQuestion) -> SteerAnswer:
        """``choose``, for who does not wait."""
        table = self._newest()
        view = self._views.view()
        decider = self._decider
        decider.use(table, view, self._clock.monotonic_s())
        count = max(1, min(question.count, COUNT_MAX))
        decision = decider.decide(
            question.client_address,
            question.title_id,
            count=count,
            session=question.session,
            current=question.current,
            known=question.known,
            spare=min(question.spare, COUNT_MAX - count),
        )
        if not decision.appliances:
            raise NoEdge("no edge is known that may serve this viewer")
        source = self._source_of(view)
        if not decision.healthy and all(each.state == "down" for each in decision.appliances):
            source = "last-known"  # nobody is up: where they were last is all there is to say
        expires_at = -(-question.expires_at // EXPIRY_STEP_S) * EXPIRY_STEP_S
        return SteerAnswer(
            edges=self._paths.choices(decision.appliances, question.title_id, expires_at),
            prefix=decision.match.prefix,
            source=source,
            unsettled=decision.unsettled,
            spare=self._paths.choices(decision.spare, question.title_id, expires_at) if decision.spare else (),
        )

    def _newest(self) -> Table:
        try:
            self._table = self._tables.table()
        except NearcastError as error:
            if self._table is None:
                _log.warning("no route table is published; the routes of the configuration serve", error=str(error))
                self._table = Table.of(self._settings.routes, self._settings.sites)
        return self._table

    def _source_of(self, view: View) -> Literal["live", "last-known"]:
        source: Literal["live", "last-known"] = view.snapshot.source if self._tables.live else "last-known"
        if source != self._source:
            self._source = source
            if source == "live":
                _log.info("routes and health view are kept up to date again")
            else:
                _log.warning("routes or health view are not kept up to date; going on with what was last known", table=self._tables.live)
        return source
