"""What nginx is told without a new configuration: it looks for names below ``run/``, one look per request while there is nothing to tell.

``notice`` leads to a folder whose name says it all (nginx.notice), exchanged in one step; ``full`` and ``narrow`` are files that tell
that the disk, or the memory window, has no room.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from pathlib import Path

from nearcast.delivery.edge import nginx
from nearcast.delivery.edge.load import NORMAL, LoadState

STATUS_S = 0.5
KEPT = 4
"""Older names that stay for requests which are just reading them."""
_ACTIVE = re.compile(rb"Active connections: (\d+)")


def figures(load: LoadState) -> str:
    """What CMSD-Dynamic says of a load (CTA-5006); empty: nothing."""
    said = [f"{key}={value}" for key, value in (("etp", load.etp_kbps), ("mb", load.mb_kbps)) if value]
    return ";".join([*said, "du"] if load.level == "full" else said)


class Signals:
    """The names below ``run``. A name that cannot be written, for want of space, is passed over: the next one may be."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._number = 0
        self._told = ""
        self._load, self._closing = NORMAL, False

    def tell(self, load: LoadState) -> None:
        self._load = load
        self._say()

    def close_connections(self, closing: bool) -> None:
        """Whether each answer is to be the last one of its connection."""
        self._closing = closing
        self._say()

    @property
    def full(self) -> bool:
        return (self._run / "full").exists()

    @full.setter
    def full(self, full: bool) -> None:
        self._flag("full", full)

    @property
    def narrow(self) -> bool:
        return (self._run / "narrow").exists()

    @narrow.setter
    def narrow(self, narrow: bool) -> None:
        if narrow != self.narrow:
            self._flag("narrow", narrow)

    def clear_sockets(self) -> None:
        """Sockets of an nginx that was killed would be in the way of the next one."""
        for each in self._run.glob("*.sock"):
            each.unlink(missing_ok=True)

    def _flag(self, name: str, there: bool) -> None:
        with contextlib.suppress(OSError):  # no room even for a name: nothing more can be done
            (self._run / name).touch() if there else (self._run / name).unlink(missing_ok=True)

    def _say(self) -> None:
        said = figures(self._load)
        refused = self._load.refused
        name = nginx.notice(0, refused, self._closing, said) if said or refused or self._closing else ""
        if name == self._told and bool(name) == os.path.lexists(self._run / "notice"):
            return
        with contextlib.suppress(OSError):
            if name:
                self._lead_to(refused, said)
            else:
                (self._run / "notice").unlink(missing_ok=True)
            self._told = name

    def _lead_to(self, refused: int, said: str) -> None:
        folder = self._run / "notices"
        self._number += 1
        name = nginx.notice(self._number, refused, self._closing, said)
        (folder / name).mkdir(exist_ok=True)
        fresh = self._run / "notice.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder / name)
        fresh.replace(self._run / "notice")
        old = sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        for each in old[:-KEPT]:
            each.rmdir()


async def connections_of(run: Path) -> int | None:
    """What nginx's stub_status says at its socket below ``run``: open connections, without the one that asks."""
    folder = -1
    try:
        folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        async with asyncio.timeout(STATUS_S):
            # By way of the folder: a socket's own address has room for but 107 bytes.
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/status.sock")
            try:
                writer.write(b"GET /status HTTP/1.0\r\n\r\n")
                found = _ACTIVE.search(await reader.read(4096))
            finally:
                writer.close()
        return max(0, int(found[1]) - 1) if found else None
    except (OSError, TimeoutError):
        return None
    finally:
        if folder >= 0:
            os.close(folder)
