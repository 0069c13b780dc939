"""What an appliance holds on its disk: whole, verified files under ``placed/``, unfinished ones under ``filling/``.

A file appears in ``placed/`` by an atomic rename after its bytes are on the disk, so whatever nginx finds there is right.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nearcast.base.errors import NearcastError
from nearcast.delivery.fill.blocks import missing_blocks, read_digests
from nearcast.model.fill import FillItem
from nearcast.model.rendition import File

Held = dict[tuple[str, str], int]
"""Size in bytes by title id and file name."""


class DiskFull(NearcastError):
    """The appliance's disk has no room for what it is to hold."""

    code = "NC2011"
    status = 507
    cure = "free or add space; the fill goes on by itself"


class DiskBroken(NearcastError):
    """The appliance's disk cannot be read or written."""

    code = "NC2012"
    cure = "see that the edge's folder is there, writable and healthy"


def mapped(error: OSError, path: Path) -> DiskFull | DiskBroken:
    """The house's error for one of the operating system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left for {path.name}")
    return DiskBroken(f"{path}: {os.strerror(error.errno or 0)}")


@contextlib.contextmanager
def mapping(path: Path) -> Iterator[None]:
    """What the operating system objects to inside is raised as the house's error."""
    try:
        yield
    except OSError as error:
        raise mapped(error, path) from error


class PartitionFull(DiskFull):
    """More is assigned to an appliance than its placed partition takes."""

    code = "NC2043"
    cure = "raise the edge's disk_bytes_max, or lower its reactive_share; the next placement goes by what it reports"


class Disk:
    """The folder of one appliance, of whose file system placed and unfinished files together take up to ``capacity_bytes`` (None: all).

    All methods block; call them in a thread where they touch file contents.
    """

    def __init__(self, folder: Path, reserve_bytes: int = 0, capacity_bytes: int | None = None) -> None:
        self.placed = folder / "placed"
        self.filling = folder / "filling"
        self.capacity_bytes = capacity_bytes
        self.reserve_bytes = reserve_bytes
        self._folders = threading.Lock()
        """A title's folder goes with its last file, and must not go while another is being put there."""
        for each in (self.placed, self.filling):
            with mapping(each):
                each.mkdir(parents=True, exist_ok=True)

    def check_room(self, item: FillItem, held_bytes: int, others: Sequence[FillItem] = ()) -> None:
        """Is there room for all of ``item`` beside the ``held_bytes`` that are placed, and ``others`` that are on their way?

        Raises PartitionFull, DiskFull and DiskBroken.
        """
        with mapping(self.filling):
            parts = sizes(self.filling)
        here_bytes, size_bytes = parts.pop(self.part(item).name, 0), item.file.size_bytes
        coming_bytes = sum(each.file.size_bytes - parts.pop(self.part(each).name, 0) for each in others)
        taken_bytes = held_bytes + sum(each.file.size_bytes for each in others) + sum(parts.values())
        if self.capacity_bytes is not None and taken_bytes + size_bytes > self.capacity_bytes:
            raise PartitionFull(f"{item.file.name} of {item.title_id} ({size_bytes} bytes) is more than the placed partition takes")
        if size_bytes - here_bytes + max(0, coming_bytes) > self.free_bytes():
            raise DiskFull(f"no space left for {item.file.name} of {item.title_id} ({size_bytes} bytes)")

    def free_bytes(self) -> int:
        """Space that may be used: what the file system gives to us, less the reserve."""
        return max(0, self.raw_free_bytes() - self.reserve_bytes)

    def raw_free_bytes(self) -> int:
        """Space that there is, the reserve included. None on a disk that does not tell: nothing can be written there."""
        try:
            state = os.statvfs(self.placed)
        except OSError:
            return 0
        return state.f_bavail * state.f_frsize

    def file_system_bytes(self) -> int:
        """How large the file system is that the folder lies in. Raises DiskBroken."""
        with mapping(self.placed):
            state = os.statvfs(self.placed)
        return state.f_blocks * state.f_frsize

    def scan(self) -> Held:
        """Every file that is placed, with its list of blocks beside it. One without that cannot be verified: it is taken out of what is
        served, to be verified by digests that are fetched anew. Raises DiskBroken."""
        found: Held = {}
        with mapping(self.placed):
            for title in self.placed.iterdir():
                here = sizes(title) if title.is_dir() else {}
                for name, size_bytes in here.items():
                    root, _, extension = name.partition(".")
                    if extension == "blocks":
                        continue
                    if f"{root}.blocks" in here:
                        found[title.name, name] = size_bytes
                    else:
                        (title / name).replace(self.filling / f"{title.name}.{name}")
        return found

    def part(self, item: FillItem) -> Path:
        return self.filling / f"{item.title_id}.{item.file.name}"

    def load_digests(self, item: FillItem) -> tuple[bytes, ...] | None:
        """The block digests if they are here already and right."""
        try:
            return read_digests((self.placed / item.title_id / item.file.blocks_name).read_bytes(), item.file)
        except (OSError, NearcastError):
            return None

    def save_digests(self, item: FillItem, raw: bytes) -> None:
        path = self.placed / item.title_id / item.file.blocks_name
        fresh = self.filling / f"{item.title_id}.{item.file.blocks_name}"
        try:
            _write_synced(fresh, raw)
            self._move(fresh, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise mapped(error, path) from error

    def missing(self, item: FillItem, digests: tuple[bytes, ...]) -> tuple[int, ...]:
        """Which blocks of the unfinished file are still to be fetched, after what is there was read and verified. What is past its end is
        cut off."""
        path = self.part(item)
        try:
            with path.open("r+b") as part:
                if path.stat().st_size > item.file.size_bytes:
                    part.truncate(item.file.size_bytes)

                def read(start: int, end: int) -> bytes:
                    part.seek(start)
                    return part.read(end - start)

                return missing_blocks(digests, item.file.size_bytes, read)
        except FileNotFoundError:
            return tuple(range(len(digests)))
        except OSError as error:
            raise mapped(error, path) from error

    def write(self, item: FillItem, start: int, data: bytes) -> None:
        """Write verified bytes. The file is opened each time, so that a cancelled transfer leaves nothing open. Raises DiskFull."""
        path = self.part(item)
        if len(data) > self.free_bytes():  # the reserve is nginx's, which cannot serve a miss from a disk that is full to the brim
            raise DiskFull(f"no space left for {path.name}")
        try:
            part = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                while data:
                    written = os.pwrite(part, data, start)
                    start, data = start + written, data[written:]
            finally:
                os.close(part)
        except OSError as error:
            raise mapped(error, path) from error

    def place(self, item: FillItem) -> None:
        """Make the finished file visible, after its bytes are on the disk. Raises DiskFull and DiskBroken."""
        part, path = self.part(item), self.placed / item.title_id / item.file.name
        with mapping(path):
            with part.open("ab") as whole:  # "a": an empty file has had no block to make it
                if os.fstat(whole.fileno()).st_size != item.file.size_bytes:
                    raise DiskBroken(f"{part} was whole, and is not any more")
                os.fsync(whole.fileno())
            self._move(part, path)
            _sync_folder(path.parent)

    def _move(self, fresh: Path, path: Path) -> None:
        with self._folders:
            path.parent.mkdir(exist_ok=True)
            fresh.replace(path)

    def unplace(self, item: FillItem) -> None:
        """Take a placed file out of what is served, and keep it as an unfinished one, so that what is right of it need not come again."""
        path = self.placed / item.title_id / item.file.name
        try:
            path.replace(self.part(item))
        except FileNotFoundError:
            return
        except OSError as error:
            raise mapped(error, path) from error

    def remove(self, title_id: str, name: str) -> None:
        """Take a placed file away, its digests with it, and the title's folder with its last file. Raises DiskBroken."""
        root = name.partition(".")[0]
        for each in (self.placed / title_id / name, self.placed / title_id / f"{root}.blocks"):
            with mapping(each):
                each.unlink(missing_ok=True)
        with self._folders, contextlib.suppress(OSError):  # there are other files
            (self.placed / title_id).rmdir()

    def discard_parts(self, wanted: Callable[[str, str], bool]) -> None:
        """Throw unfinished files away that nobody wants any more; ``wanted`` is asked by title and file name. Raises DiskBroken, after
        all that can go have gone."""
        failed: DiskFull | DiskBroken | None = None
        with mapping(self.filling):
            names = os.listdir(self.filling)
        for each in names:
            title_id, _, name = each.partition(".")
            if not wanted(title_id, name):
                try:
                    (self.filling / each).unlink(missing_ok=True)
                except OSError as error:
                    failed = mapped(error, self.filling / each)
        if failed is not None:
            raise failed


def sizes(folder: Path) -> dict[str, int]:
    """Bytes by name of the files in ``folder``. One that goes while it is being looked at is gone. Raises OSError."""
    found: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for each in entries:
            with contextlib.suppress(FileNotFoundError):
                if each.is_file(follow_symlinks=False):
                    found[each.name] = each.stat(follow_symlinks=False).st_size
    return found


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_held(held: Held, title_id: str, file: File) -> bool:
    return held.get((title_id, file.name)) == file.size_bytes
