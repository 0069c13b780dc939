"""The bytes of an upload on the disk: ``data.part`` until the last of them is there, then the film under its own name.

A fleet may be killed between the last byte and the queue, so whether an upload is whole is read from the disk, under either name.
"""

from __future__ import annotations

from pathlib import Path

from nearcast.media import probe
from nearcast.media.files import disk, settle
from nearcast.media.jobs import Record

DATA = "data.part"


def data(record: Record) -> Path:
    """Where the bytes of an upload are appended."""
    return Path(record.submission.path).with_name(DATA)


def held_bytes(record: Record) -> int:
    """How many bytes of an upload are in. Raises DiskFailed."""
    return max(_size(data(record)), _size(Path(record.submission.path)))


def whole(record: Record) -> bool:
    """Whether this is an upload that waits for no more bytes. Raises DiskFailed."""
    return record.uploaded and record.job.state == "uploading" and held_bytes(record) == record.job.size_bytes


def named(record: Record) -> probe.Fingerprint:
    """Give a whole upload the film's own name, where it has it not yet. Raises DiskFull, DiskFailed, Unreadable."""
    film = Path(record.submission.path)
    if _size(film) != record.job.size_bytes:
        settle(data(record), film)
    return probe.fingerprint(film)


def _size(path: Path) -> int:
    with disk():
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0
