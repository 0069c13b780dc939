"""Copies what an appliance is to hold from its source, and removes what it is no longer to hold.

Each block of 1 MiB is verified before it is written. Killed at any point, a transfer goes on after the last whole block. A block
that is wrong is fetched again; when it stays wrong the file is left out and tried later. A full disk pauses everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from msgspec import Struct

from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import NearcastError
from nearcast.delivery.fill.blocks import DIGEST_BYTES, block_count, block_span, is_block, read_digests
from nearcast.delivery.fill.disk import Disk, DiskFull, Held, is_held
from nearcast.delivery.fill.source import Source, SourceDown
from nearcast.model.fill import FillItem
from nearcast.model.rendition import BLOCK_BYTES

BLOCK_TRIES = 3
DISK_RETRY_S = 3.0
WRONG_RETRY_S = 20.0
SOURCE_RETRY_S = (0.5, 8.0)
_log = structlog.get_logger("transfer")


class CorruptSource(NearcastError):
    """A block of a file stays wrong at its source however often it is fetched."""

    code = "NC2015"
    status = 502
    cure = "the origin's copy is damaged: publish the title again (`nearcast ingest`)"


class Difference(Struct, frozen=True):
    """``fetch`` in the order of the assignment; ``remove`` by title and name."""

    fetch: tuple[FillItem, ...]
    remove: tuple[tuple[str, str], ...]


def difference(assigned: Iterable[FillItem], held: Held) -> Difference:
    """What is to be done so that exactly the assigned files are held."""
    wanted = {(each.title_id, each.file.name): each for each in assigned}
    fetch = tuple(each for each in wanted.values() if not is_held(held, each.title_id, each.file))
    return Difference(fetch, tuple(sorted(key for key in held if key not in wanted)))


async def fetch_file(item: FillItem, disk: Disk, source: Source, progress: dict[str, int]) -> None:
    """Bring one file in. ``progress`` shows verified bytes by the name of the part. Raises what ``Source`` and ``Disk`` raise,
    CorruptBlocks, or CorruptSource."""
    name = disk.part(item).name
    digests = await asyncio.to_thread(disk.load_digests, item)
    if digests is None:
        raw = await _read_blocks(item, source)
        digests = read_digests(raw, item.file)
        await asyncio.to_thread(disk.save_digests, item, raw)
    done = await asyncio.to_thread(disk.verified, item, digests)
    progress[name] = min(item.file.size_bytes, done * BLOCK_BYTES)
    tries = 0
    while done < len(digests):
        before = done
        done = await _fetch_blocks(item, digests, done, disk, source, progress)
        if done < len(digests):
            tries = 1 if done > before else tries + 1
            if tries >= BLOCK_TRIES:
                raise CorruptSource(f"block {done} of {item.file.name} of {item.title_id} is wrong at its source")
    await asyncio.to_thread(disk.place, item)


async def _read_blocks(item: FillItem, source: Source) -> bytes:
    size_bytes = DIGEST_BYTES * block_count(item.file.size_bytes)
    if not size_bytes:
        return b""
    return b"".join([chunk async for chunk in source.read(item.title_id, item.file.blocks_name, 0, size_bytes)])


async def _fetch_blocks(
    item: FillItem, digests: tuple[bytes, ...], index: int, disk: Disk, source: Source, progress: dict[str, int]
) -> int:
    """Fetch from block ``index`` on; returns the index of the first block that was wrong, or the number of blocks."""
    size_bytes, buffer = item.file.size_bytes, bytearray()
    start, end = block_span(index, size_bytes)
    async for chunk in source.read(item.title_id, item.file.name, start, size_bytes):
        buffer += chunk
        while len(buffer) >= end - start and index < len(digests):
            data = bytes(buffer[: end - start])
            del buffer[: end - start]
            if not await asyncio.to_thread(_keep, disk, item, start, data, digests[index]):
                return index
            index += 1
            progress[disk.part(item).name] = end
            start, end = block_span(index, size_bytes)
    return index


def _keep(disk: Disk, item: FillItem, start: int, data: bytes, digest: bytes) -> bool:
    if not is_block(data, digest):
        return False
    disk.write(item, start, data)
    return True


class Transfers:
    """Keeps one appliance's disk as assigned. ``run`` works until it is cancelled; ``assign`` may be called at any time."""

    def __init__(self, disk: Disk, source: Source, *, parallel: int = 2, linger_s: float = 60.0, clock: Clock | None = None) -> None:
        self._disk = disk
        self._source = source
        self._parallel = parallel
        self._linger_s = linger_s
        self._clock = clock or SystemClock()
        self._held = disk.scan()
        self._assigned: tuple[FillItem, ...] | None = None
        self._running: dict[FillItem, asyncio.Task[None]] = {}
        self._progress: dict[str, int] = {}
        self._not_before: dict[FillItem, float] = {}
        self._unassigned_at: dict[tuple[str, str], float] = {}
        self._paused_until = 0.0
        self._source_delay_s = SOURCE_RETRY_S[0]
        self._changed = asyncio.Event()
        self.fetched_bytes_total = 0
        self._problems: dict[FillItem, NearcastError] = {}

    def assign(self, items: tuple[FillItem, ...]) -> None:
        self._assigned = items
        self._not_before.clear()
        self._changed.set()

    @property
    def assigned(self) -> tuple[FillItem, ...]:
        return self._assigned or ()

    def holdings(self) -> dict[str, int]:
        """Bytes held by title."""
        found: dict[str, int] = {}
        for (title_id, _), size_bytes in self._held.items():
            found[title_id] = found.get(title_id, 0) + size_bytes
        return found

    @property
    def problem(self) -> NearcastError | None:
        """Why something assigned is not coming; None while all is well."""
        return next(iter(self._problems.values()), None)

    @property
    def running(self) -> int:
        """Files that are being copied now."""
        return len(self._running)

    def held_bytes(self) -> int:
        return sum(self._held.values())

    def missing_bytes(self) -> int:
        """What is assigned and not here yet; a file counts until it is placed, if only with its last byte."""
        missing = difference(self.assigned, self._held).fetch
        return sum(max(1, each.file.size_bytes - self._progress.get(self._disk.part(each).name, 0)) for each in missing)

    async def run(self) -> None:
        try:
            while True:
                self._changed.clear()
                delay_s = 60.0 if self._assigned is None else await self._step(difference(self._assigned, self._held))
                waiting = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait([waiting, *self._running.values()], timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                self._reap()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _step(self, todo: Difference) -> float:
        """Start and end what there is to start and end; returns the seconds until something may be due."""
        now_s = self._clock.monotonic_s()
        delay_s = self._remove(todo.remove, now_s)
        wanted = set(todo.fetch)
        for item, task in self._running.items():
            if item not in wanted:
                task.cancel()
        if not self._running:
            self._disk.discard_parts(keep={self._disk.part(each).name for each in wanted})
        self._problems = {item: error for item, error in self._problems.items() if item in wanted}
        for item in todo.fetch:
            if len(self._running) >= self._parallel:
                break
            due_s = max(self._paused_until, self._not_before.get(item, 0.0))
            if due_s > now_s:
                delay_s = min(delay_s, due_s - now_s)
            elif item not in self._running:
                self._running[item] = asyncio.create_task(self._fetch(item), name=f"fill {item.title_id}/{item.file.name[:8]}")
        return max(0.05, delay_s)

    def _remove(self, names: tuple[tuple[str, str], ...], now_s: float) -> float:
        self._unassigned_at = {name: self._unassigned_at.get(name, now_s) for name in names}
        delay_s = 60.0
        for name, since_s in self._unassigned_at.items():
            if now_s - since_s < self._linger_s:
                delay_s = min(delay_s, since_s + self._linger_s - now_s)
                continue
            self._disk.remove(*name)
            self._held.pop(name, None)
            _log.info("no longer assigned, removed", title_id=name[0], file=name[1])
        return delay_s

    async def _fetch(self, item: FillItem) -> None:
        if item.file.size_bytes > self._disk.free_bytes() + self._progress.get(self._disk.part(item).name, 0):
            raise DiskFull(f"no space left for {item.file.name} of {item.title_id} ({item.file.size_bytes} bytes)")
        await fetch_file(item, self._disk, self._source, self._progress)
        self._held[item.title_id, item.file.name] = item.file.size_bytes
        self._progress.pop(self._disk.part(item).name, None)
        self.fetched_bytes_total += item.file.size_bytes

    def _reap(self) -> None:
        now_s = self._clock.monotonic_s()
        for item, task in list(self._running.items()):
            if not task.done():
                continue
            del self._running[item]
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                self._problems.pop(item, None)
                self._source_delay_s = SOURCE_RETRY_S[0]
            elif isinstance(error, NearcastError):
                self._postpone(item, error, now_s)
            else:
                raise error

    def _postpone(self, item: FillItem, error: NearcastError, now_s: float) -> None:
        if isinstance(error, DiskFull):
            self._paused_until = now_s + DISK_RETRY_S
        elif isinstance(error, SourceDown):
            self._paused_until = now_s + self._source_delay_s
            self._source_delay_s = min(SOURCE_RETRY_S[1], self._source_delay_s * 2)
        else:
            self._not_before[item] = now_s + WRONG_RETRY_S
        known = self._problems.get(item) or self.problem
        if known is None or known.code != error.code:
            _log.warning("fill waits", title_id=item.title_id, file=item.file.name, error=error.message, code=error.code, hint=error.hint)
        self._problems[item] = error
