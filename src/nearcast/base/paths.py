"""The home folder: where a Nearcast keeps everything it owns, and how it is found."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from nearcast.base.errors import BadInput

SOCKET_PATH_BYTES_MAX = 107
"""Linux takes unix socket paths of 107 bytes and a closing zero (unix(7))."""
_LONGEST_SOCKET = "edge-0123456789abcdef0123456789.sock"


class UnusableHome(BadInput):
    """The home folder cannot be made or written to."""

    code = "NC0103"
    cure = "set NEARCAST_HOME to a folder that you may write to"


class Home(Struct, frozen=True):
    """The folders of one system. Nothing is made until ``make``."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "nearcast.toml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def origin(self) -> Path:
        return self.root / "origin"

    @property
    def edges(self) -> Path:
        return self.root / "edges"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def run(self) -> Path:
        """Sockets and states. A home too deep for a socket's path has them in a private folder of the temporary one."""
        run = self.root / "run"
        if len(os.fsencode(run / _LONGEST_SOCKET)) <= SOCKET_PATH_BYTES_MAX:
            return run
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"nearcast-{os.getuid()}-{digest}"

    def socket(self, process: str) -> Path:
        return self.run / f"{process}.sock"

    def sign(self, process: str) -> Path:
        """Where a process gives signs of life (``base.vital``)."""
        return self.run / f"{process}.alive"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    def make(self) -> None:
        """Make the folders, for their owner only but for ``edges``, whose nginx may run as another user. Raises UnusableHome."""
        try:
            self.edges.mkdir(parents=True, exist_ok=True)
            for folder in (self.data, self.origin, self.work, self.uploads, self.logs, self.cache):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.secrets, self.run):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Below our own home a link is its owner's wish; in the temporary folder anybody could have laid it.
                found = folder.stat() if folder.parent == self.root else folder.lstat()
                if not stat.S_ISDIR(found.st_mode):
                    raise UnusableHome(f"{folder} is a link, not a folder")
                if found.st_uid != os.getuid():
                    raise UnusableHome(f"{folder} belongs to another user")
                folder.chmod(0o700)
        except OSError as error:
            raise UnusableHome(f"cannot use the home folder {self.root}: {error.strerror or error}") from error


def find_home(environment: Mapping[str, str], start: Path, user_home: Path) -> Home:
    """``NEARCAST_HOME``; else the nearest folder from ``start`` upwards with ``.nearcast/`` or ``nearcast.toml``; else ``~/.nearcast``."""
    named = environment.get("NEARCAST_HOME", "")
    if named:
        return Home(Path(named).expanduser().absolute())
    for folder in (start, *start.parents):
        if (folder / ".nearcast").is_dir():
            return Home(folder / ".nearcast")
        if (folder / "nearcast.toml").is_file():
            return Home(folder)
    return Home(user_home / ".nearcast")
