"""The route table as each process of the host sees it: the writer's files, mapped, and every change as soon as it is made."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Unavailable
from nearcast.steering.routes.arrays import Damaged, load
from nearcast.steering.routes.base import Base
from nearcast.steering.routes.folder import BASE_MAGIC, State, base_path, log_path
from nearcast.steering.routes.geographic import Geography
from nearcast.steering.routes.log import LogReader
from nearcast.steering.routes.overlay import Overlay
from nearcast.steering.routes.table import Table

LIVE_S = 1.5
"""A writer that has given no sign of life for so long is dead."""
LARGE_BYTES = 4 << 20
"""A base that takes a reader more than some milliseconds to check."""

_CURE = {"code": Damaged.code, "hint": Damaged.cure}
_log = structlog.get_logger("routes")


class NoTable(Unavailable):
    """No route table was published on this host yet."""

    code = "NC3005"
    cure = "the process `steer` publishes it: see `nearcast status`, and its log"


class TableReader:
    """A process's sight of the table. Not for several threads at once. ``table`` is cheap enough to be asked before each decision."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._state: State | None = None
        self._table: Table
        self._changes: LogReader
        self._generation = 0
        self._refused = 0
        self._looked_s = float("-inf")
        self._loading: _Loading | None = None

    def table(self) -> Table:
        """The table in force with every change so far; the same object until something changes. Raises NoTable before the first."""
        now_s = self._clock.monotonic_s()
        if self._state is None or now_s - self._looked_s >= LIVE_S:
            self._look(now_s)
        if self._state is None or self._state.generation == 0:
            raise NoTable(f"there is no route table in {self._folder} yet")
        if self._state.generation not in (self._generation, self._refused):
            self._switch(self._state)
        if not self._generation:
            raise NoTable(f"the route table in {self._folder} cannot be used")
        if self._changes.due:
            for batch in self._changes.read():
                self._table = self._table.changed(batch.announced, batch.withdrawn, self._table.version + 1)
        return self._table

    @property
    def live(self) -> bool:
        """Whether a writer lives and this reader has all that it published: else the table is the last known."""
        now_s = self._clock.monotonic_s()
        if self._state is not None and 0 <= now_s - self._state.beat_s < LIVE_S:
            if self._loading is not None:
                return True
            return 0 < self._generation == self._state.generation and not self._changes.stuck
        if now_s - self._looked_s >= LIVE_S:
            self._look(now_s)
        return False

    def _look(self, now_s: float) -> None:
        """The folder may have been made anew; what was mapped says nothing of that."""
        self._looked_s = now_s
        if self._state is None or not self._state.stands:
            self._open()

    def _open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            try:
                found = State(self._folder)
            except Damaged as error:
                _log.error("the route table's state is not used", problem=error.message, **_CURE)
                return
            if self._state is None or (found.inode != self._state.inode and found.generation):
                self._state, self._generation, self._refused, self._loading = found, 0, 0, None

    def _switch(self, state: State) -> None:
        """Take the generation in force; where its files make no sense, stay with the old one and try it no more.

        A large one is checked in a thread, while decisions go on with the old one.
        """
        while state.generation not in (self._generation, self._refused):
            loading = self._loading or _Loading(self._folder, state.generation)
            if self._loading is not None:
                if loading.is_alive():
                    return
            elif self._generation and loading.size_bytes > LARGE_BYTES:
                self._loading = loading
                loading.start()
                return
            else:
                loading.run()
            self._loading = None
            if loading.error is not None:
                raise loading.error  # the same file may be read the next time
            if loading.found is not None:
                self._table, self._changes = loading.found
                self._generation = loading.generation
            elif state.generation == loading.generation:  # else it was replaced while we opened it
                self._refused = loading.generation
                _log.error("a published route table is not used", problem=loading.problem, **_CURE)


class _Loading(threading.Thread):
    """Opens one generation: ``found``, or the ``problem`` that it has; ``error`` where that is not known."""

    def __init__(self, folder: Path, generation: int) -> None:
        super().__init__(name="routes-load", daemon=True)
        self._folder = folder
        self.generation = generation
        self.found: tuple[Table, LogReader] | None = None
        self.problem = ""
        self.error: OSError | None = None

    @property
    def size_bytes(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return base_path(self._folder, self.generation).stat().st_size
        return 0

    def run(self) -> None:
        try:
            log = LogReader(log_path(self._folder, self.generation))
            self.found = opened(self._folder, self.generation, log.first_version), log
        except FileNotFoundError as error:
            self.problem = str(error)
        except Damaged as error:
            self.problem = error.message
        except OSError as error:
            self.error = error


def opened(folder: Path, generation: int, version: int) -> Table:
    """The table of a generation without its log. Geography that cannot be used is left out. Raises Damaged and FileNotFoundError."""
    found = load(base_path(folder, generation), BASE_MAGIC)
    places, geography = found.meta["places"], None
    if places:
        try:
            geography = Geography.load(folder / places)
        except (Damaged, FileNotFoundError) as error:
            _log.error("geography is left out", problem=str(error), **_CURE)
    return Table(Base(found.arrays, found.meta), Overlay(), geography, version)
