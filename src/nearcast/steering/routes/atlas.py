"""Which geography goes with the table: the operator's MMDB file, unfolded once for each version of it, else the country blocks."""

from __future__ import annotations

import hashlib
import stat
import threading
from pathlib import Path

import msgspec
import numpy as np
import structlog

from nearcast.steering.routes import arrays, worker
from nearcast.steering.routes.countries import BadGeography
from nearcast.steering.routes.geographic import MAGIC, Geography
from nearcast.steering.routes.places import geography_of
from nearcast.steering.routes.settings import GeographicSettings

_CURE = {"code": BadGeography.code, "hint": BadGeography.cure}
_log = structlog.get_logger("routes")


class Atlas:
    """Files of geography in the table's folder. Names are digests of what they were made from, so that the same is made once."""

    def __init__(self, folder: Path, settings: GeographicSettings, ending: threading.Event) -> None:
        self._folder = folder
        self._settings = settings
        self._ending = ending
        self._failed = ""
        self._whole: set[str] = set()
        self.problem = ""
        """Why the MMDB file does not count, at the last look; empty where it does, or where there is none."""

    def known(self) -> str:
        """Name of the file to use now, without waiting for a MMDB file to be read; empty: none. Raises OSError."""
        name = self._wanted()
        if name and self._is_whole(name):
            return name
        return self._blocks()

    def look(self) -> str:
        """As ``known``, but reads the MMDB file where that is new. One that cannot be read is told once, and the blocks are used."""
        name = self._wanted()
        if name and name != self._failed and not self._is_whole(name):
            self.problem = "it is being read"
            try:
                count = worker.run("unfold", self._settings.mmdb, str(self._folder / name), ending=self._ending)
                _log.info("geography was read", path=self._settings.mmdb, places=int(count))
            except worker.WorkFailed as error:
                if self._ending.is_set():
                    return self.known()
                self._failed, self.problem = name, error.message
                _log.error("geography goes on without the file", path=self._settings.mmdb, problem=error.message, **_CURE)
        if name and self._is_whole(name):
            self.problem = ""
        return self.known()

    def _wanted(self) -> str:
        """Of the MMDB file as it is now; empty where there is none."""
        if not self._settings.mmdb:
            return ""
        try:
            found = Path(self._settings.mmdb).stat()
            if not stat.S_ISREG(found.st_mode):
                raise OSError("it is no regular file")
        except OSError as error:
            self.problem = error.strerror or str(error)
            if self._failed != "missing":
                self._failed = "missing"
                _log.error("geography goes on without the file", path=self._settings.mmdb, problem=str(error), **_CURE)
            return ""
        return _name(self._settings.mmdb, str((found.st_ino, found.st_size, found.st_mtime_ns)))

    def _is_whole(self, name: str) -> bool:
        if not (self._folder / name).exists():
            return False
        if name not in self._whole:
            try:
                Geography.load(self._folder / name)
            except (arrays.Damaged, FileNotFoundError):
                return False
            self._whole.add(name)
        return True

    def _blocks(self) -> str:
        if not self._settings.blocks:
            return ""
        name = _name(msgspec.json.encode(self._settings.blocks, order="sorted").decode())
        if not self._is_whole(name):
            made = geography_of(self._settings.blocks)
            if made is None:
                return ""
            arrays.write(self._folder / name, MAGIC, 0, made.meta, {key: np.asarray(each) for key, each in made.arrays.items()})
        return name


def _name(*parts: str) -> str:
    return f"places-{hashlib.sha256(chr(0).join((str(arrays.FORMAT), *parts)).encode()).hexdigest()[:16]}"
