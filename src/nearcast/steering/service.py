"""The Steering service: an address and a title go in, a few signed edge addresses in distinct failure domains come out."""

from __future__ import annotations

from typing import Literal, Protocol

import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError, Unavailable
from nearcast.model.services import SteerAnswer, SteerQuestion
from nearcast.steering.decide import Decider
from nearcast.steering.paths import Paths
from nearcast.steering.routes import Table
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import View

COUNT_MAX = 16
EXPIRY_STEP_S = 300
"""Paths end at whole five minutes, rounded up: viewers of a title who come at about the same time share them, and what nginx keeps of
them."""
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
