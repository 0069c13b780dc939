"""The parents that an edge was told of last, kept for an agent that starts while nobody is there to tell it: the tier above then goes on
sparing the origin."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
import structlog

from nearcast.model.fill import FillSource

Parents = tuple[FillSource, ...]
_log = structlog.get_logger("edge")


class KeptParents:
    """Keeps them at ``path``, readable for its owner alone: they come with their tokens. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: Parents | None = None

    def load(self) -> Parents:
        """What was saved last; none where there is nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Parents)
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("the saved parents cannot be read; the origin is asked until the fill tells", error=str(error))
            return ()

    def save(self, parents: Parents) -> None:
        """Replace what was saved. A disk that has no room for it is no reason to stop: the next agent is told anew."""
        if parents == self._saved:
            return
        fresh = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode(parents))
            fresh.replace(self._path)
            self._saved = parents
