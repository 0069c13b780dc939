"""The parents that an edge was told of last, kept for an agent that starts while nobody is there to tell it: the tier above then goes on
sparing the origin."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import structlog

from nearcast.base.processes import write_atomically
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
        with contextlib.suppress(OSError):
            write_atomically(self._path, msgspec.json.encode(parents), mode=0o600)
            self._saved = parents
