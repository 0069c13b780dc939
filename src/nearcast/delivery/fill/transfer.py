"""Keeps an appliance's disk as assigned: what is copied now (fill/copying), and what is removed because it is no longer to be held.

All transfers together keep to one pace, and outside the window only urgent files come. A full disk pauses everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.delivery.fill.copying import REPAIR_AHEAD_BYTES, Copier, Ended, Running
from nearcast.delivery.fill.disk import Disk, DiskBroken, DiskFull, PartitionFull, mapped
from nearcast.delivery.fill.queue import NEVER, Queue
from nearcast.delivery.fill.rate import Limiter
from nearcast.delivery.fill.source import Source
from nearcast.delivery.fill.sources import Book
from nearcast.delivery.fill.stock import Name, Stock, name_of
from nearcast.model.fill import Assignment, FillItem, FillSource, SourceKind

DISK_RETRY_S = 3.0
IDLE_S = 60.0
LOOK = 64
"""Files looked at in one step."""
JUST_REPAIRED_S = 5.0
"""What was asked for during a repair is looked at so much later at most."""
REPAIR_GENERATION = 0
"""Under which bytes are counted that replace damaged ones: no placement asked for them."""
_log = structlog.get_logger("transfer")

Fetched = Callable[[int, FillItem, FillSource, int], None]
"""Told of each verified block: the generation that asked for it, its file, who gave it, its size in bytes."""


def is_window_open(assignment: Assignment, turns_at_s: float, now_s: float) -> bool:
    """Files that are not urgent may be fetched: as was said, and the other way round once the time that was named has come."""
    return assignment.window_open != (now_s >= turns_at_s)


class Transfers:
    """``run`` works until it is cancelled; ``assign`` and ``repair`` may be called at any time.

    ``rate_max_bps`` bounds the pace whatever an assignment says (0: nothing does).
    """

    def __init__(
        self,
        disk: Disk,
        opener: Callable[[FillSource], Source],
        *,
        parallel: int = 2,
        linger_s: float = 60.0,
        rate_max_bps: float = 0.0,
        clock: Clock | None = None,
        fetched: Fetched | None = None,
    ) -> None:
        self._disk = disk
        self._parallel = parallel
        self._linger_s = linger_s
        self._rate_max_bps = rate_max_bps
        self._clock = clock or SystemClock()
        self._fetched = fetched
        self._limiter = Limiter(self._clock, rate_max_bps)
        self._book = Book(self._clock)
        self._copier = Copier(disk, opener, self._book, self._limiter, self._clock, self._wrote)
        self._turns_at_s = NEVER
        self._was_open = True
        self._running: dict[Name, tuple[Running, asyncio.Task[None]]] = {}
        self._repairs: set[Name] = set()
        self._repaired_s: dict[Name, float] = {}
        """When files were whole again, for as long as that counts."""
        self._queue: Queue | None = None
        """None: to be made anew, of what is missing now."""
        self._mending = Queue()
        """Damaged files, which do not wait for a slot that others have."""
        self._part_bytes: dict[Name, int] = {}
        self._unassigned_at: dict[Name, float] = {}
        self._paused_until_s = 0.0
        self._problems: dict[Name, NearcastError] = {}
        self._broken: NearcastError | None = None
        """What the disk refuses that no file is waited for with."""
        self._changed = asyncio.Event()
        self.assignment = Assignment(version=-1, items=None)
        self.stock = Stock(disk.scan())
        self.fetched_bytes_total = self.repaired_total = 0
        self.fetched_by_kind: dict[SourceKind, int] = {}

    # --- what others tell and ask -------------------------------------------------------------------------------------

    def assign(self, assignment: Assignment) -> None:
        """Act on this from now on. Where ``items`` is None, what is to be held stays as it was."""
        self.assignment = assignment
        self._turns_at_s = self._clock.monotonic_s() + assignment.window_turns_s
        self._limiter.rate_bps = min((each for each in (assignment.rate_bps, self._rate_max_bps) if each), default=0.0)
        self._book.take(assignment)
        if assignment.items is not None:
            self.stock.assign(assignment.items)
            self._repairs &= self.stock.missing.keys()
            self._follow()
            for name in [each for each in self.stock.missing if each in self.stock.held]:
                self._withdraw(name)
            for known in (self._part_bytes, self._problems):
                for name in [each for each in known if each not in self.stock.missing]:
                    self._settle(name)
        self._queue = None
        self._changed.set()

    def repair(self, name: Name) -> None:
        """A held file is damaged or gone: nobody is served it any more, and what is wrong of it is fetched again, whatever the hour.

        Raises DiskBroken and DiskFull."""
        if name not in self.stock.held:
            return
        item = self.stock.item(name)
        if item is None:
            self._disk.remove(*name)
        elif name not in self._running:  # else what is being copied takes its place
            self._disk.unplace(item)
        self.stock.gone(name)
        if item is not None:
            self._repairs.add(name)
        self._queue = None
        self._changed.set()

    @property
    def assigned(self) -> tuple[FillItem, ...]:
        return self.stock.assigned or ()

    @property
    def window_open(self) -> bool:
        return is_window_open(self.assignment, self._turns_at_s, self._clock.monotonic_s())

    @property
    def window_turns_s(self) -> float:
        """Seconds until that is no longer so; infinite: until further word."""
        left_s = self._turns_at_s - self._clock.monotonic_s()
        return left_s if left_s > 0 else NEVER

    @property
    def rate_bps(self) -> float:
        """The pace that it keeps to; 0: none."""
        return self._limiter.rate_bps

    @property
    def taken_bytes(self) -> int:
        """What came from sources so far, block by block or not."""
        return self._limiter.taken_bytes

    @property
    def problem(self) -> NearcastError | None:
        """Why something assigned is not coming; None while all is well."""
        return self._broken or next(iter(self._problems.values()), None)

    @property
    def repairing(self) -> int:
        """Damaged files that are not whole again yet."""
        return sum(name in self.stock.missing for name in self._repairs)

    def in_repair(self, name: Name) -> bool:
        """Whether it is damaged, or was until just now."""
        if name in self._repairs:
            return True
        ended_s = self._repaired_s.get(name)
        return ended_s is not None and self._clock.monotonic_s() - ended_s < JUST_REPAIRED_S

    @property
    def running(self) -> tuple[Running, ...]:
        """Files that are being copied now."""
        return tuple(running for running, _ in self._running.values())

    def missing_bytes(self) -> int:
        """What is assigned and not here yet; a file counts until it is placed, if only with its last byte."""
        return max(self.stock.missing_bytes - sum(self._part_bytes.values()), len(self.stock.missing))

    # --- the work -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            while True:
                self._changed.clear()
                delay_s = await self._try_step()
                waiting = asyncio.ensure_future(self._changed.wait())
                tasks = [task for _, task in self._running.values()]
                await asyncio.wait([waiting, *tasks], timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                self._reap()
        finally:
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self) -> None:
        """What is being copied goes on by its new route. What is no longer wanted ends, unless only the disk is still waited for."""
        for name, (running, task) in self._running.items():
            item = self.stock.item(name)
            if item is not None and item.file == running.item.file:
                running.item = item
            elif not running.whole:
                task.cancel()

    async def _try_step(self) -> float:
        """A disk that refuses is no defect: it is told of, and tried again."""
        before, self._broken = self._broken, None
        try:
            delay_s = await self._step()
        except OSError as error:
            self._broken, self._queue, delay_s = mapped(error, self._disk.filling), None, DISK_RETRY_S
        if self._broken is None:
            return delay_s
        if before is None or before.message != self._broken.message:
            _log.error("the disk refuses", error=self._broken.message, code=self._broken.code, hint=self._broken.hint)
        return min(delay_s, DISK_RETRY_S)

    async def _step(self) -> float:
        """Start and end what there is to start and end; returns the seconds until something may be due."""
        now_s, is_open = self._clock.monotonic_s(), self.window_open
        if is_open != self._was_open:
            self._book.begin_anew()
            self._was_open, self._queue = is_open, None
        if self._queue is None:
            self._begin_anew(is_open)
        turns_s = self._turns_at_s - now_s if self._turns_at_s > now_s else IDLE_S
        removal_s = await self._remove(now_s)
        self._start(now_s)
        return max(0.02, min(IDLE_S, turns_s, removal_s, self._due_s() - now_s))

    def _begin_anew(self, is_open: bool) -> None:
        """What may be fetched has changed: end what may not, and look at everything else from the start."""
        wanted = {name: each for name, each in self.stock.missing.items() if is_open or each.urgent or name in self._repairs}
        for name, (running, task) in self._running.items():
            if name not in wanted and not running.whole:
                task.cancel()
        self._queue = Queue((name for name in wanted if name not in self._repairs), taken=self._running.keys())
        self._mending = Queue((name for name in wanted if name in self._repairs), taken=self._running.keys())
        if self.stock.assigned is not None:
            try:
                self._disk.discard_parts(self._wants_part)
            except (DiskFull, DiskBroken) as error:
                self._broken = error

    def _wants_part(self, title_id: str, name: str) -> bool:
        """Digests that are just being written are somebody's."""
        return (
            (title_id, name) in self.stock.missing
            or (title_id, name) in self._running
            or (name.endswith(".blocks") and bool(self._running))
        )

    def _due_s(self) -> float:
        if self._queue is None:
            return 0.0
        due_s = min((queue.due_s for queue in (self._mending, self._queue) if self._has_slot(queue)), default=NEVER)
        return max(self._paused_until_s, due_s)

    def _has_slot(self, queue: Queue) -> bool:
        """Files that wait for the disk alone make room for others, as many again at most; one damaged file finds room beside them."""
        copying, extra = sum(not each.whole for each in self.running), queue is self._mending
        return copying < self._parallel + extra and len(self._running) < 2 * self._parallel + extra

    def _start(self, now_s: float) -> None:
        """Start what may be fetched now, damaged files first."""
        if now_s >= self._paused_until_s and self._queue is not None:
            for queue in (self._mending, self._queue):
                self._start_of(queue, now_s)

    def _start_of(self, queue: Queue, now_s: float) -> None:
        """Start what may be fetched now, in order, as long as there is room for one more at a time."""
        for name in queue.take(now_s, LOOK if self._has_slot(queue) else 0):
            item = self.stock.missing.get(name)
            if item is None:
                continue
            if not self._has_slot(queue):
                queue.put_back(name, now_s)
                continue
            choice = self._book.choose(item)
            if choice.source is None:
                queue.put_back(name, choice.due_s)
            elif self._has_room(item):
                running = Running(item, ahead_bytes=REPAIR_AHEAD_BYTES if queue is self._mending else 0)
                task = asyncio.create_task(self._fetch(running), name=f"fill {item.title_id}/{item.file.name[:8]}")
                self._running[name] = running, task
            else:
                queue.put_back(name, now_s + DISK_RETRY_S)

    def _has_room(self, item: FillItem) -> bool:
        try:
            self._disk.check_room(item, self.stock.held_bytes, [each.item for each in self.running])
        except (DiskFull, DiskBroken) as error:
            if not (isinstance(error, PartitionFull) and self.stock.surplus()):  # else there is room once that has gone
                self._complain(item, error)
            return False
        return True

    async def _remove(self, now_s: float) -> float:
        """Remove what was no longer assigned for long enough; returns the seconds until more is."""
        self._unassigned_at = {name: self._unassigned_at.get(name, now_s) for name in self.stock.surplus()}
        delay_s = IDLE_S
        for name, since_s in list(self._unassigned_at.items()):
            size_bytes = self.stock.held.get(name)
            if size_bytes is None or self.stock.item(name) is not None:  # while another was being removed
                continue
            if now_s - since_s < self._linger_s:
                delay_s = min(delay_s, since_s + self._linger_s - now_s)
                continue
            self.stock.gone(name)
            try:
                await asyncio.to_thread(self._disk.remove, *name)
            except (DiskFull, DiskBroken) as error:
                self.stock.found(name, size_bytes)
                self._broken = error
            else:
                _log.info("no longer assigned, removed", title_id=name[0], file=name[1])
        return delay_s

    async def _fetch(self, running: Running) -> None:
        """Bring one file in, or as much of it as can be had now."""
        item, name = running.item, name_of(running.item)
        try:
            ended = await self._copier.copy(running)
            self._part_bytes[name] = running.done_bytes
            if ended.whole:
                running.whole = True
                self._changed.set()  # another may be copied while the disk takes its time
                await asyncio.to_thread(self._disk.place, item)
                self._placed(item)
            else:
                self._wait(item, ended)
        except (DiskFull, DiskBroken) as error:
            self._pause(item, error)
        except OSError as error:
            self._pause(item, mapped(error, self._disk.part(item)))

    def _pause(self, item: FillItem, error: NearcastError) -> None:
        self._paused_until_s = self._clock.monotonic_s() + DISK_RETRY_S
        self._put_back(name_of(item), self._paused_until_s)
        self._complain(item, error)

    def _placed(self, item: FillItem) -> None:
        name = name_of(item)
        self.stock.placed(item)
        if name in self._repairs:
            now_s = self._clock.monotonic_s()
            self._repaired_s = {each: at_s for each, at_s in self._repaired_s.items() if now_s - at_s < JUST_REPAIRED_S} | {name: now_s}
            self._repairs.discard(name)
            self.repaired_total += 1
        self._settle(name)

    def _wait(self, item: FillItem, ended: Ended) -> None:
        self._put_back(name_of(item), ended.due_s)
        if ended.error is not None:
            self._complain(item, ended.error)

    def _put_back(self, name: Name, due_s: float) -> None:
        for queue in (self._mending, self._queue):
            if queue is not None:
                queue.put_back(name, due_s)

    def _wrote(self, running: Running, source: FillSource, size_bytes: int) -> None:
        name = name_of(running.item)
        self._part_bytes[name] = running.done_bytes
        self._problems.pop(name, None)
        self.fetched_bytes_total += size_bytes
        self.fetched_by_kind[source.kind] = self.fetched_by_kind.get(source.kind, 0) + size_bytes
        if self._fetched is not None:
            generation = REPAIR_GENERATION if name in self._repairs else self.assignment.generation
            self._fetched(generation, running.item, source, size_bytes)

    def _withdraw(self, name: Name) -> None:
        """What is held is of another length than what is assigned."""
        try:
            self.repair(name)
        except (DiskFull, DiskBroken) as error:
            self._complain(self.stock.missing[name], error)

    def _settle(self, name: Name) -> None:
        """Nothing more is to be known of a file that is here, or no longer wanted."""
        self._book.forget(name)
        for known in (self._part_bytes, self._problems):
            known.pop(name, None)

    def _reap(self) -> None:
        for name, (_, task) in list(self._running.items()):
            if task.done():
                del self._running[name]
                if task.cancelled():
                    self._put_back(name, 0.0)
                else:
                    task.result()

    def _complain(self, item: FillItem, error: NearcastError) -> None:
        known = self._problems.get(name_of(item)) or self.problem
        if known is None or known.code != error.code:
            _log.warning("fill waits", title_id=item.title_id, file=item.file.name, error=error.message, code=error.code, hint=error.hint)
        self._problems[name_of(item)] = error
