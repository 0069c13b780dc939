"""The one writer of a host's route table.

A change is appended to a log that readers look at before each decision. When much has gathered, or a change is large, the writer
compiles a new base in a process of its own, carries over what came meanwhile, and puts the next generation in force by one word in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from nearcast.base import shared
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError, Unavailable
from nearcast.base.processes import Lock, write_atomically
from nearcast.model.route import Announcement, Route
from nearcast.model.site import Site
from nearcast.steering.routes import worker
from nearcast.steering.routes.arrays import Damaged, load
from nearcast.steering.routes.atlas import Atlas
from nearcast.steering.routes.base import CONFIG
from nearcast.steering.routes.configured import spread
from nearcast.steering.routes.folder import BASE_MAGIC, State, base_path, clean, clean_halves, generations, log_path, show
from nearcast.steering.routes.last import last
from nearcast.steering.routes.log import Batch, LogReader, LogWriter, batches, folded
from nearcast.steering.routes.overlay import BadAnnouncement, check
from nearcast.steering.routes.prefix import parse_prefix
from nearcast.steering.routes.reader import NoTable, opened
from nearcast.steering.routes.rebuild import Rebuild, rebuild, told_by, written_again
from nearcast.steering.routes.settings import GeographicSettings
from nearcast.steering.routes.table import Table
from nearcast.steering.routes.worker import WorkFailed

BEAT_S = 0.25
RETRY_S = 10.0
OVERLAY_MAX = 10_000
LOG_BYTES_MAX = 1 << 20
"""Some 14,000 changes, which a reader that starts takes in a tenth of a second. Prefixes that flap fill the log, never the overlay."""
BATCH_MAX = 2_000
"""Changes at once that readers take one by one, in some 20 ms; more are compiled."""
INLINE_MAX = 20_000
"""Rows that are compiled in this process: that is over before another one has started."""

_NOTHING = Batch()
_log = structlog.get_logger("routes")


class NotKept(Unavailable):
    """The route table could not be written. What was to be changed is not, neither in part nor for anybody: tell it again later."""

    code = "NC3008"
    cure = "is the disk full, or the folder `steering` of the data not ours? Readers go on with the table that is in force"


class TableWriter:
    """Publishes the table in ``folder``. One writer to a folder, from ``start`` to ``close``; its methods may be called by any thread.

    ``routes`` are those of the configuration, ``isps`` the sources that may announce. What ISPs announced survives the writer, until
    ``replace`` says what they announce now.
    """

    def __init__(
        self,
        folder: Path,
        sites: Sequence[Site],
        routes: Iterable[Route] = (),
        isps: Iterable[str] = (),
        geographic: GeographicSettings | None = None,
        clock: Clock | None = None,
        *,
        overlay_max: int = OVERLAY_MAX,
        log_bytes_max: int = LOG_BYTES_MAX,
        batch_max: int = BATCH_MAX,
        inline_max: int = INLINE_MAX,
    ) -> None:
        self.compiled_at = 0.0
        """Unix time at which the table in force was compiled."""
        self._folder = folder
        self._sites = tuple(sites)
        self._names = {each.name for each in sites}
        self._configured = tuple(spread(routes, self._names))
        self._sources = frozenset((CONFIG, *isps))
        self._clock = clock or SystemClock()
        self._overlay_max, self._log_bytes_max = overlay_max, log_bytes_max
        self._batch_max, self._inline_max = batch_max, inline_max
        self._only = Lock(folder / "lock")
        self._changing = threading.RLock()
        self._compiling = threading.Lock()
        self._ending = threading.Event()
        self._atlas = Atlas(folder, geographic or GeographicSettings(), self._ending)
        self._threads: list[threading.Thread] = []
        self._table: Table | None = None
        self._log: LogWriter | None = None
        self._owed: dict[str, tuple[Announcement, ...]] = {CONFIG: self._configured}
        """What stands in the place of whole sources once something can be compiled: the configuration, which may be another."""
        self._overtaken = False
        """Whether a table is being compiled that holds more than ``table`` tells."""

    def start(self) -> None:
        """Publish the first table; blocks until it is there. Where it cannot be written, the last one serves until it can.

        Raises AlreadyRunning where another writer lives; WorkFailed and NotKept where there was no table either.
        """
        with self._writing():
            shared.make_folder(self._folder)
            self._only.take()
            try:
                show(self._folder)
                self._first()
            except BaseException:
                self._only.free()
                raise
        for work in (self._beat, self._tend):
            self._threads.append(threading.Thread(target=work, name=f"routes{work.__name__}", daemon=True))
            self._threads[-1].start()

    def close(self) -> None:
        """Stop writing. Readers keep the table, and know that nobody renews it. Nothing the second time."""
        if self._ending.is_set():
            return
        self._ending.set()
        for each in self._threads:
            each.join()
        if self._table is not None:
            self._state.beat_s = 0
        if self._log is not None:
            self._log.close()
        self._only.free()

    @property
    def geography_problem(self) -> str:
        """Why the operator's MMDB file does not count; empty where it does, or where there is none."""
        return self._atlas.problem

    def table(self) -> Table:
        """What is in force. Raises NoTable before the first."""
        if self._table is None:
            raise NoTable("the writer has not started")
        return self._table

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Raises BadAnnouncement, and then nothing is changed."""
        self.change(announcements, ())

    def withdraw(self, announcements: Iterable[Announcement]) -> None:
        """Of each, prefix, site and source count."""
        self.change((), announcements)

    def change(self, announced: Iterable[Announcement], withdrawn: Iterable[Announcement]) -> None:
        """Both at once, for every reader: first what is withdrawn, then what is announced. What is so already is passed over.

        Much at once is compiled, which blocks for seconds. Raises BadAnnouncement, NotKept and WorkFailed, and then nothing is changed.
        """
        announced, withdrawn = tuple(announced), tuple(withdrawn)
        self._check(announced)
        with self._writing():
            with self._changing:
                batch = self._news(announced, withdrawn)
                if len(batch) <= self._batch_max:
                    self._put(batch)
                    return
            self._renew({}, batch)

    def replace(self, source: str, announcements: Iterable[Announcement]) -> None:
        """From now on the source has these and no others. Where much changes all is compiled, which blocks for seconds.

        Raises as ``change``.
        """
        told_now = tuple(announcements)
        self._check(told_now, {source})
        wanted = {(str(parse_prefix(each.prefix)), each.site): each for each in told_now}
        with self._writing():
            with self._compiling:
                with self._changing:
                    base, changed = self.table().base, dict(self.table().overlay.changed)
                told = told_by(base, changed, source)
                announced = [each for key, each in wanted.items() if told.get(key) != each]
                withdrawn = [each for key, each in told.items() if key not in wanted]
                if len(announced) + len(withdrawn) <= self._batch_max:
                    with self._changing:
                        self._put(self._news(announced, withdrawn))
                    return
            self._renew({source: tuple(wanted.values())})

    # --- the insides ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NotKept(f"the route table in {self._folder} cannot be written: {error.strerror or error}") from error

    def _put(self, batch: Batch) -> None:
        """The log first: where that has no room nobody sees anything."""
        if self._log is None:
            raise NotKept(f"the route table in {self._folder} cannot be written yet")
        if batch:
            self._log.append(batch)
            self._table = self.table().changed(batch.announced, batch.withdrawn, self.table().version + 1)

    def _check(self, announcements: Iterable[Announcement], sources: Collection[str] = ()) -> None:
        """Raises BadAnnouncement; ``sources``: who may have told it, if not all that are configured."""
        for each in announcements:
            check((each,), self._names)
            if each.source not in (sources or self._sources):
                raise BadAnnouncement(f"{each.prefix} is announced by {each.source!r}", hint="announcements come from configured ISPs")

    def _news(self, announced: Sequence[Announcement], withdrawn: Sequence[Announcement]) -> Batch:
        """What would really change something, each key once. While what is compiled is ahead of the table, all of it may."""
        fresh = {(parse_prefix(each.prefix), each.site, each.source): each for each in announced}
        gone = {(parse_prefix(each.prefix), each.site, each.source): each for each in withdrawn}
        if self._overtaken:
            return Batch(tuple(fresh.values()), tuple(each for key, each in gone.items() if key not in fresh))
        present = {}
        for prefix in {key[0] for key in (*fresh, *gone)}:
            present.update({(prefix, each.site, each.source): each for each in self.table().entries(prefix)})
        return Batch(
            tuple(each for key, each in fresh.items() if key not in present or not present[key].is_told_by(each)),
            tuple(each for key, each in gone.items() if key in present and key not in fresh),
        )

    def _first(self) -> None:
        """The table with which a writer begins. Raises WorkFailed and OSError."""
        self._state = State(self._folder, write=True)
        self._number = max([0, self._state.generation, *generations(self._folder)])
        clean_halves(self._folder, "base", "places")
        self._generation, version, self._position = last(self._folder, self._state.generation)
        self._places = ""
        try:
            self._places = self._atlas.known()
            with self._discarded():
                self._adopt(opened(self._folder, self._compiled(self._owed, self._position), 0), version + 1, _NOTHING)
        except (WorkFailed, OSError) as error:
            if not self._generation:
                raise
            _log.error("the route table cannot be written; the last one serves", problem=str(error), code=NotKept.code, hint=NotKept.cure)
            table = opened(self._folder, self._generation, version)
            for batch in batches(log_path(self._folder, self._generation), self._position):
                table = table.changed(batch.announced, batch.withdrawn, version)
            self._table, self._state.generation = table, self._generation

    def _compiled(self, instead: dict[str, tuple[Announcement, ...]], log_end: int, change: Batch = _NOTHING) -> int:
        """Compile the next generation from the present one, its log and the change; the generation."""
        self._number += 1
        order = Rebuild(
            folder=str(self._folder),
            old=self._generation,
            log_end=log_end,
            new=self._number,
            sites=self._sites,
            sources=self._sources,
            instead=instead,
            change=change,
            places=self._places,
        )
        clean_halves(self._folder, "base")
        size = len(change) + sum(map(len, instead.values())) + (self._table.size if self._table else self._rows())
        if size <= self._inline_max:
            rebuild(order)
        else:
            path = self._folder / ".order"
            write_atomically(path, msgspec.msgpack.encode(order))
            worker.run("compile", str(path), ending=self._ending)
        return self._number

    def _rows(self) -> int:
        if not self._generation:
            return 0
        return len(load(base_path(self._folder, self._generation), BASE_MAGIC).arrays["site"])

    def _renew(self, instead: dict[str, tuple[Announcement, ...]], change: Batch = _NOTHING) -> None:
        """Compile all anew while changes go on, and carry those over that come meanwhile."""
        with self._compiling:
            with self._changing:
                log_end = self._log.position if self._log else self._position
                self._overtaken = True
            try:
                with self._discarded():
                    table = opened(self._folder, self._compiled(self._owed | instead, log_end, change), 0)
                    with self._changing:
                        self._adopt(table, self.table().version + 1, self._carried(log_end))
            finally:
                self._overtaken = False

    def _again(self) -> None:
        """Publish what is in memory, as the files are gone: a folder removed under us, or restored from elsewhere."""
        with self._compiling, self._changing:
            _log.error(
                "the route table's files are gone; it is published anew", folder=str(self._folder), code=NotKept.code, hint=NotKept.cure
            )
            shared.make_folder(self._folder)
            only, before = Lock(self._folder / "lock"), self._state
            only.take()
            self._only.free()
            self._only = only
            self._state = State(self._folder, write=True)
            self._number = max(self._number, *generations(self._folder), self._state.generation) + 1
            self._places = self._atlas.known()
            try:
                with self._discarded():
                    changes = written_again(self.table(), self._folder, self._number, self._places)
                    self._adopt(opened(self._folder, self._number, 0), self.table().version + 1, changes)
            except BaseException:
                self._state = before
                raise

    def _carried(self, log_end: int) -> Batch:
        """What came since the log was so long."""
        if self._log is None:
            return _NOTHING
        log = LogReader(log_path(self._folder, self._generation), log_end)
        carried = folded(log.read())
        if log.due:
            raise Damaged(f"{log_path(self._folder, self._generation)} does not have what was written to it")
        return carried

    @contextmanager
    def _discarded(self) -> Iterator[None]:
        """A generation that does not come into force leaves no files: a full disk needs the room."""
        try:
            yield
        except BaseException:
            for path in (base_path(self._folder, self._number), log_path(self._folder, self._number)):
                path.unlink(missing_ok=True)
            raise

    def _adopt(self, table: Table, version: int, carried: Batch) -> None:
        """Put the last compiled generation in force. Until its last line, whoever dies here leaves the old one in force."""
        generation, table.version = self._number, version
        log = LogWriter(log_path(self._folder, generation), generation, version)
        try:
            if carried:
                log.append(carried)
                table = table.changed(carried.announced, carried.withdrawn, version + 1)
        except BaseException:
            log.close()
            raise
        if self._log is not None:
            self._log.close()
        before, self._table, self._log = self._generation, table, log
        self._state.beat_s = self._clock.monotonic_s()
        self._state.generation = self._generation = generation
        self._owed = {}
        self.compiled_at = self._clock.now_s()
        clean(self._folder, {before, generation}, {self._places})

    def _much(self) -> bool:
        """Whether a reader that starts would have to catch up on too much."""
        return len(self.table().overlay) > self._overlay_max or (self._log is not None and self._log.position > self._log_bytes_max)

    def _beat(self) -> None:
        while not self._ending.wait(BEAT_S):
            if not self._owed:
                self._state.beat_s = self._clock.monotonic_s()

    def _tend(self) -> None:
        """Compile when changes have gathered, and when geography is another."""
        while not self._ending.wait(BEAT_S):
            before = self._places
            try:
                if not self._state.stands and not self._owed:
                    self._again()
                self._places = self._atlas.look()
                if self._owed or self._places != before or self._much():
                    self._renew({})
            except (NearcastError, OSError) as error:
                self._places = before
                if not self._ending.is_set():
                    found = error if isinstance(error, NearcastError) else NotKept(str(error))
                    _log.error("the route table was not compiled; changes go on", problem=found.message, code=found.code, hint=found.hint)
                self._ending.wait(RETRY_S)
