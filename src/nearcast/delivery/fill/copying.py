"""Copies one file, block by block, from whichever of its sources gives it.

Each block of 1 MiB is verified before it is written, so blocks of one file may come from several sources: one that is dead, slow or wrong
is replaced at once by the next that is open to the file. Killed at any point, the copy goes on with the blocks that are not there yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.delivery.fill.blocks import DIGEST_BYTES, block_count, block_span, first_run, is_block, read_digests
from nearcast.delivery.fill.disk import Disk, DiskBroken, DiskFull
from nearcast.delivery.fill.rate import Limiter
from nearcast.delivery.fill.source import CorruptSource, NotYet, Source, SourceSlow
from nearcast.delivery.fill.sources import Book
from nearcast.model.fill import FillItem, FillSource
from nearcast.model.rendition import BLOCK_BYTES

PIECE_BYTES = 64 * 1024
"""Paid for at a time, before it is read."""
REPAIR_AHEAD_BYTES = 4 * BLOCK_BYTES
"""So much of a damaged file comes at once, whatever the pace; others then wait until the pace has made up for it."""
SLOW_S = 4.0
SLOW_BPS = 500e3
"""A source that gives less for SLOW_S, while another could be asked, is left."""


class Running(Struct):
    """One file on its way. ``done_bytes`` are here and verified; ``whole``: all of it, and the disk is being waited for. ``item`` is as in
    the assignment of now: its route may have changed since the copy began. ``ahead_bytes`` do not wait for the pace."""

    item: FillItem
    source: FillSource | None = None
    done_bytes: int = 0
    whole: bool = False
    ahead_bytes: int = 0


class Ended(Struct, frozen=True):
    """How a copy ended: all of it is here, or nobody gives the rest before ``due_s``. ``error``: what the last source did wrong."""

    whole: bool
    due_s: float = 0.0
    error: NearcastError | None = None


class Copier:
    """Copies files to ``disk``. ``wrote`` is told of each verified block: the file's progress, who gave it, its size in bytes."""

    def __init__(
        self,
        disk: Disk,
        opener: Callable[[FillSource], Source],
        book: Book,
        limiter: Limiter,
        clock: Clock,
        wrote: Callable[[Running, FillSource, int], None],
    ) -> None:
        self._disk = disk
        self._open = opener
        self._book = book
        self._limiter = limiter
        self._clock = clock
        self._wrote = wrote

    async def copy(self, running: Running) -> Ended:
        """Fetch what is missing of a file. Raises DiskFull and DiskBroken; what is wrong with sources is in the answer."""
        item, error = running.item, None
        digests = await asyncio.to_thread(self._disk.load_digests, item)
        left = None if digests is None else await self._missing(running, digests)
        while left is None or left:
            choice = self._book.choose(running.item)
            if choice.source is None:
                return Ended(False, choice.due_s, error)
            running.source = choice.source
            try:
                source = self._open(choice.source)
                if digests is None or left is None:
                    digests = await self._read_digests(running, source)
                    left = await self._missing(running, digests)
                else:
                    await self._read_run(running, digests, left, choice.source, source)
            except NotYet:
                self._book.not_yet(item, choice.source)
            except (DiskFull, DiskBroken):
                raise
            except NearcastError as failure:
                self._book.blame(item, choice.source, failure)
                error = failure
        return Ended(True)

    async def _missing(self, running: Running, digests: tuple[bytes, ...]) -> list[int]:
        """The blocks that are still to be fetched."""
        left = await asyncio.to_thread(self._disk.missing, running.item, digests)
        size_bytes = running.item.file.size_bytes
        spans = [block_span(each, size_bytes) for each in left]
        running.done_bytes = size_bytes - sum(end - start for start, end in spans)
        return list(left)

    async def _read_digests(self, running: Running, source: Source) -> tuple[bytes, ...]:
        item, raw = running.item, b""
        if item.file.size_bytes:
            size_bytes = DIGEST_BYTES * block_count(item.file.size_bytes)
            reading = source.read(item.title_id, item.file.blocks_name, 0, size_bytes)
            async with aclosing(self._watched(running, reading, size_bytes)) as chunks:
                raw = b"".join([chunk async for chunk in chunks])
        digests = read_digests(raw, item.file)
        await asyncio.to_thread(self._disk.save_digests, item, raw)
        return digests

    async def _read_run(self, running: Running, digests: tuple[bytes, ...], left: list[int], given: FillSource, source: Source) -> None:
        """Fetch the first blocks that are ``left`` in a row, and take each from there once it is written. Raises CorruptSource."""
        item, buffer, run = running.item, bytearray(), first_run(left)
        size_bytes = item.file.size_bytes
        start, end = block_span(run[0], size_bytes)[0], block_span(run[-1], size_bytes)[1]
        reading = source.read(item.title_id, item.file.name, start, size_bytes, None if end == size_bytes else end)
        async with aclosing(self._watched(running, reading, end - start)) as chunks:
            async for chunk in chunks:
                buffer += chunk
                while left and left[0] in run and len(buffer) >= (length := _length(left[0], size_bytes)):
                    data = bytes(buffer[:length])
                    del buffer[:length]
                    if not await asyncio.to_thread(_keep, self._disk, item, left[0], data, digests[left[0]]):
                        raise CorruptSource(f"block {left[0]} of {item.file.name} of {item.title_id} is wrong at {given.id}")
                    del left[0]
                    running.done_bytes += length
                    self._book.gave(given)
                    self._wrote(running, given, length)

    async def _watched(self, running: Running, reading: AsyncGenerator[bytes, None], size_bytes: int) -> AsyncGenerator[bytes, None]:
        """The ``size_bytes`` that a source gives, at the pace of the fill.

        Each piece waits before it is read, the first before it is asked for: small files at a small pace come no faster than large ones.
        """
        left_bytes, paid_bytes = size_bytes, 0
        async with aclosing(self._timely(running, reading)) as chunks:
            try:
                while True:
                    if paid_bytes <= 0 < left_bytes:
                        piece = min(PIECE_BYTES, left_bytes) - paid_bytes
                        paid_bytes += piece
                        await self._pay(running, piece)
                    chunk = await anext(chunks, b"")
                    left_bytes, paid_bytes = left_bytes - len(chunk), paid_bytes - len(chunk)
                    if not chunk:
                        return
                    yield chunk
            finally:
                self._limiter.give_back(paid_bytes)

    async def _pay(self, running: Running, size_bytes: int) -> None:
        if size_bytes <= running.ahead_bytes:
            running.ahead_bytes -= size_bytes
            self._limiter.charge(size_bytes)
        else:
            await self._limiter.took(size_bytes)

    async def _timely(self, running: Running, reading: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """What a source gives. Raises SourceSlow where it gives too little and another could be asked.

        Only the time that is spent waiting for the source counts, not the time in which the pace keeps us from reading.
        """
        waited_s, got_bytes = 0.0, 0
        async with aclosing(reading):
            while True:
                began_s, other = self._clock.monotonic_s(), self._has_other(running)
                try:
                    async with asyncio.timeout(SLOW_S if other else None):
                        chunk = await anext(reading, b"")
                except TimeoutError:
                    raise _slow(running) from None
                if not chunk:
                    return
                waited_s += self._clock.monotonic_s() - began_s
                got_bytes += len(chunk)
                if waited_s >= SLOW_S:
                    if other and 8 * got_bytes < SLOW_BPS * waited_s:
                        raise _slow(running)
                    waited_s, got_bytes = 0.0, 0
                yield chunk

    def _has_other(self, running: Running) -> bool:
        return self._book.choose(running.item, leaving=running.source).source is not None


def _slow(running: Running) -> SourceSlow:
    return SourceSlow(f"{running.source.id if running.source else 'the source'} gives next to nothing of {running.item.file.name}")


def _length(index: int, size_bytes: int) -> int:
    start, end = block_span(index, size_bytes)
    return end - start


def _keep(disk: Disk, item: FillItem, index: int, data: bytes, digest: bytes) -> bool:
    if not is_block(data, digest):
        return False
    disk.write(item, block_span(index, item.file.size_bytes)[0], data)
    return True
