"""Reads what is placed again, slowly, once a day: a damaged file is served no more, and its wrong blocks are fetched again.

Bytes come from the disk itself, past the page cache (O_DIRECT), where its file system can: that neither takes memory from what viewers ask
for, nor lets what the memory remembers stand for what the disk has lost. How far a pass has come is kept, so that on a large disk
it does not begin anew with each agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from nearcast.base.clock import Clock
from nearcast.base.errors import NearcastError
from nearcast.base.processes import write_atomically
from nearcast.delivery.fill.blocks import block_span, is_block, read_digests
from nearcast.delivery.fill.disk import Disk, Held
from nearcast.delivery.fill.rate import Limiter
from nearcast.delivery.fill.stock import Name
from nearcast.delivery.fill.transfer import Transfers
from nearcast.model.rendition import BLOCK_BYTES, File

PASS_S = 24 * 3600.0
LOOK_S = 600.0
"""How often names and lengths are looked at, which costs next to nothing."""
SETTLED_S = 60.0
"""A file that is not ours must be there for so long to be taken away: one that is just coming is none."""
IDLE_S = 5.0
_NAME = re.compile(r"[0-9a-f]{64}\.(?:mp4|m3u8|vtt|jpg|blocks)")
_TITLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_log = structlog.get_logger("scrub")


class DamagedFile(NearcastError):
    """A placed file is not what was published: bytes on the disk have changed, or some are missing."""

    code = "NC2030"
    cure = "it heals by itself from another appliance or the origin; where it happens again, look at the disk (`smartctl -a`)"


class ForeignFile(NearcastError):
    """Something lies among the placed files of an edge that the fill did not put there."""

    code = "NC2031"
    cure = "it was taken away; keep other files out of the edge's folder"


Kind = Literal["damaged", "foreign"]


class Progress(Struct):
    """``began_at``: when this pass began (Unix seconds). ``after``: the last file that was read, in order of names; None: none yet.
    ``read_bytes``: in this pass, of files that were read whole."""

    began_at: float = 0.0
    after: Name | None = None
    done: bool = True
    read_bytes: int = 0


def to_read(names: Iterable[Name], after: Name | None) -> list[Name]:
    """What a pass has still to read, the last one first: everything past ``after`` in order, whether that is still there or not."""
    return sorted((each for each in names if after is None or each > after), reverse=True)


class Scrub:
    """One appliance's scrub. ``bps`` 0: files are not read again, only looked at."""

    def __init__(self, disk: Disk, transfers: Transfers, state: Path, bps: float, clock: Clock) -> None:
        self._disk = disk
        self._transfers = transfers
        self._state = state
        self._bps = bps
        self._clock = clock
        self._limiter = Limiter(clock, bps)
        self._foreign_since: dict[Path, float] = {}
        self._names: list[Name] = []
        self.progress = _load(state)
        self.read_bytes_total = 0
        self.found = dict.fromkeys(("damaged", "foreign"), 0)
        self.last: NearcastError | None = None

    async def run(self) -> None:
        looked_s = -LOOK_S
        while True:
            if self._clock.monotonic_s() - looked_s >= (LOOK_S if not self._foreign_since else SETTLED_S):
                looked_s = self._clock.monotonic_s()
                await self.look()
            name = self._due()
            if name is None:
                await self._clock.sleep(IDLE_S)
            else:
                await self._read(name)

    async def look(self) -> None:
        """Names and lengths: what is wrong with those is seen at once."""
        wrong, foreign = await asyncio.to_thread(self._look, dict(self._transfers.stock.held))
        for title_id, name in wrong:
            self._heal((title_id, name), f"{name} of {title_id} is gone, of another length than was published, or without its digests")
        for path in foreign:
            self._say("foreign", ForeignFile(f"{path} is not of the fill"))

    def _look(self, held: Held) -> tuple[list[Name], list[Path]]:
        """Held files that do not lie there as they should, and what was taken away because it is nobody's."""
        sizes: dict[Name, int] = {}
        strange: list[Path] = []
        for title in _entries(self._disk.placed):
            if not title.is_dir(follow_symlinks=False) or not _TITLE.fullmatch(title.name):
                strange.append(Path(title.path))
                continue
            for each in _entries(Path(title.path)):
                with contextlib.suppress(OSError):  # it went meanwhile
                    if _NAME.fullmatch(each.name) and each.is_file(follow_symlinks=False):
                        sizes[title.name, each.name] = each.stat(follow_symlinks=False).st_size
                    else:
                        strange.append(Path(each.path))
        now_s = self._clock.monotonic_s()
        self._foreign_since = {each: self._foreign_since.get(each, now_s) for each in strange}
        gone = [path for path, since_s in self._foreign_since.items() if now_s - since_s >= SETTLED_S]
        for path in gone:
            del self._foreign_since[path]
            _remove(path)
        return [name for name, size in held.items() if sizes.get(name) != size or (name[0], _blocks_name(name)) not in sizes], gone

    def _due(self) -> Name | None:
        """The file to read now; None: none, for now."""
        if not self._bps:
            return None
        if self.progress.done:
            if not self._transfers.stock.held:
                return None
            if self._clock.now_s() - self.progress.began_at < PASS_S and self._clock.now_s() >= self.progress.began_at:
                return None
            self.progress = Progress(self._clock.now_s(), None, False)
        if not self._names:
            self._names = to_read(self._transfers.stock.held, self.progress.after)
        if not self._names:
            self._keep(msgspec.structs.replace(self.progress, done=True))
            return None
        return self._names.pop()

    async def _read(self, name: Name) -> None:
        size_bytes = self._transfers.stock.held.get(name)
        if size_bytes is not None:
            problem = await self._verify(name, size_bytes)
            if problem:
                self._heal(name, problem)
        self._keep(msgspec.structs.replace(self.progress, after=name, read_bytes=self.progress.read_bytes + (size_bytes or 0)))

    async def _verify(self, name: Name, size_bytes: int) -> str:
        """What is wrong with a placed file; empty: nothing."""
        path, file = self._disk.placed / name[0] / name[1], _file(name, size_bytes)
        try:
            digests = read_digests((path.parent / file.blocks_name).read_bytes(), file)
            with contextlib.closing(_Reader(path)) as reader:
                for index, digest in enumerate(digests):
                    start, end = block_span(index, size_bytes)
                    data = await asyncio.to_thread(reader.read, start, end - start)
                    self.read_bytes_total += len(data)
                    if not await asyncio.to_thread(is_block, data, digest):
                        return f"block {index} of {name[1]} of {name[0]} is not what was published"
                    await self._limiter.took(end - start)
        except FileNotFoundError:
            return f"{name[1]} of {name[0]} is gone"
        except NearcastError as error:
            return error.message
        except OSError as error:
            return f"{name[1]} of {name[0]} cannot be read: {error.strerror}"
        return ""

    def _heal(self, name: Name, problem: str) -> None:
        """Take the file out of what is served. What is assigned comes again, block by block; what is not is removed."""
        if name not in self._transfers.stock.held:
            return
        self._say("damaged", DamagedFile(problem))
        try:
            self._transfers.repair(name)
        except NearcastError as error:
            _log.error("a damaged file cannot be taken away", title_id=name[0], file=name[1], error=error.message, code=error.code)

    def _say(self, kind: Kind, error: NearcastError) -> None:
        self.found[kind] += 1
        self.last = error
        _log.error(error.message, code=error.code, hint=error.hint)

    def _keep(self, progress: Progress) -> None:
        self.progress = progress
        with contextlib.suppress(OSError):  # on a full disk the pass begins anew after a restart: no harm
            write_atomically(self._state, msgspec.json.encode(progress))


class _Reader:
    """Reads a file past the page cache where its file system allows, into memory that is aligned as that takes."""

    def __init__(self, path: Path) -> None:
        self._buffer = mmap.mmap(-1, BLOCK_BYTES)
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | getattr(os, "O_DIRECT", 0))
        except FileNotFoundError:
            raise
        except OSError:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def read(self, start: int, size_bytes: int) -> bytes:
        """Fewer bytes where the file ends before that. ``start`` is that of a block."""
        got = os.preadv(self._file, [self._buffer], start)
        return bytes(memoryview(self._buffer)[: min(got, size_bytes)])

    def close(self) -> None:
        os.close(self._file)
        self._buffer.close()


def _file(name: Name, size_bytes: int) -> File:
    root, _, extension = name[1].partition(".")
    return File(root=root, extension=extension, size_bytes=size_bytes)


def _blocks_name(name: Name) -> str:
    return f"{name[1].partition('.')[0]}.blocks"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            for each in path.iterdir():
                _remove(each)
            path.rmdir()
        else:
            path.unlink()


def _load(state: Path) -> Progress:
    try:
        return msgspec.json.decode(state.read_bytes(), type=Progress)
    except (OSError, msgspec.MsgspecError):
        return Progress()
