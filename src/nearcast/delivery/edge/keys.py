"""The MAC keys that an appliance takes: of the present generation and of the one before, so that a rotation ends no playback.

They lie in the edge's own folder, readable for their owner alone, so that an agent that starts anew goes on with them while nobody is
there to tell it the newest one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from nearcast.base.processes import write_atomically

_log = structlog.get_logger("edge")


class MacKey(Struct, frozen=True):
    """One generation's key, policy.capability.edge_key: 64 hex digits."""

    generation: int
    key: str


class EdgeKeys(Struct, frozen=True, kw_only=True):
    """What nginx takes. ``previous`` is None before the first rotation."""

    current: MacKey
    previous: MacKey | None = None

    def rotated(self, generation: int, key: str) -> EdgeKeys:
        """With the key of a newer ``generation`` in front; an older one changes nothing."""
        if generation <= self.current.generation:
            return self
        return EdgeKeys(current=MacKey(generation, key), previous=self.current)

    @property
    def all(self) -> tuple[MacKey, ...]:
        """Oldest first."""
        return (self.previous, self.current) if self.previous else (self.current,)


class _Stored(Struct, frozen=True):
    """``first``: digest of the key of generation 0. Keys of another system, or another appliance, are not taken up again."""

    first: str
    keys: EdgeKeys


class KeyFile:
    """Keeps an appliance's keys at ``path``. ``first_key`` is that of generation 0, which the appliance is given at its start."""

    def __init__(self, path: Path, first_key: str) -> None:
        self._path = path
        self._first_key = first_key
        self._first = hashlib.sha256(first_key.encode()).hexdigest()

    def load(self) -> EdgeKeys:
        """What was saved last; generation 0 where there is nothing of this appliance."""
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
            if stored.first == self._first:
                return stored.keys
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("the saved MAC keys cannot be read; the first one is taken until discovery tells", error=str(error))
        return EdgeKeys(current=MacKey(0, self._first_key))

    def save(self, keys: EdgeKeys) -> None:
        """Replace what was saved, at once and whole. Raises OSError."""
        write_atomically(self._path, msgspec.json.encode(_Stored(self._first, keys)), durable=True, mode=0o600)
