"""The health view as files, from the one process that watches to all that decide.

``view`` has the snapshot, ``holdings/<id>.<digest>`` what an appliance holds, each replaced as a whole and only on a change. ``pulse`` is
one record written in place at each beat: which version is published, when (the host's monotonic clock, which all its processes
share), in which run of the machine, with a checksum. So a look costs one read of a few bytes, and a writer that is killed at any
moment leaves the last view, or a record that readers see to be torn. A beat older than STALE_S: the view is what was known last.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec
import structlog
from msgspec.structs import replace

from nearcast.base import shared
from nearcast.base.clock import Clock, SystemClock
from nearcast.base.errors import Unavailable
from nearcast.base.processes import write_atomically
from nearcast.model.health import HealthSnapshot
from nearcast.policy import holdings
from nearcast.steering.view import NO_VIEW, NOTHING, Holdings, View

STALE_S = 2.0
LOOK_S = 0.05
"""So often at most does a reader look at the files."""
AGAIN_S = 1.0
"""And so often, where something is missing or damaged."""
UNUSED_KEPT_S = 10.0
"""Holdings that no view names any more stay for readers that are just about to open them."""
_PULSE = struct.Struct("=4sQd16s8sI")
_MAGIC = b"NCv1"
_DIGEST = re.compile(r"[0-9a-f]{1,64}")
_NAME_MAX = 120
_encode = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(HealthSnapshot).decode
_decode_holdings = msgspec.msgpack.Decoder(dict[str, int]).decode
_log = structlog.get_logger("health")


class NotPublished(Unavailable):
    """The health view cannot be written."""

    code = "NC3042"
    cure = "see that the disk has room and that the home folder's data/ is the system's own"


class Pulse(msgspec.Struct, frozen=True):
    """``published_s`` on the monotonic clock of the machine's run ``boot``. ``writer``: 8 bytes that tell one writer from the next."""

    version: int
    published_s: float
    boot: bytes
    writer: bytes


def packed(pulse: Pulse) -> bytes:
    body = _PULSE.pack(_MAGIC, pulse.version, pulse.published_s, pulse.boot, pulse.writer, 0)[:-4]
    return body + struct.pack("=I", zlib.crc32(body))


def unpacked(raw: bytes) -> Pulse | None:
    """None for what is torn, damaged or something else."""
    if len(raw) != _PULSE.size:
        return None
    magic, version, published_s, boot, writer, check = _PULSE.unpack(raw)
    return Pulse(version, published_s, boot, writer) if magic == _MAGIC and zlib.crc32(raw[:-4]) == check else None


def boot_of(proc: Path = Path("/proc")) -> bytes:
    """16 bytes that name this run of the machine, after which its monotonic clock begins anew; zeros where it does not tell."""
    try:
        return bytes.fromhex((proc / "sys/kernel/random/boot_id").read_text().strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)


def file_name(appliance: str, digest: str) -> str:
    """Of an appliance's holdings. An id is what somebody says it is: it leads to no other folder, and is no longer than a name may be."""
    name = quote(appliance, safe="")
    if len(name) > _NAME_MAX:
        name = hashlib.blake2b(appliance.encode(), digest_size=16).hexdigest()
    return f"{name}.{digest}"


def digest_of(held: Mapping[str, int], told: str) -> str:
    """The digest that names the holdings, as it was told where it is one."""
    return told if not held or _DIGEST.fullmatch(told) else holdings.digest(held)


class ViewWriter:
    """Writes a view to ``folder``; one at a time. Raises NotPublished."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._boot, self._name = boot_of(), os.urandom(8)
        self._written: dict[str, float] = {}
        """Files of holdings that are there; when they were named last."""
        self._pulse = -1
        self._busy = threading.RLock()
        """``close`` waits for a ``publish`` in another thread: what is written must not go to a file that was opened meanwhile."""
        self.version = 0

    def open(self) -> None:
        """Go on above the version that is there, and know the files that are."""
        try:
            for folder in (self._folder, self._folder / "holdings"):
                shared.make_folder(folder)
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                self.version = _decode_snapshot((self._folder / "view").read_bytes()).version
            now_s = self._clock.monotonic_s()
            self._written = {each.name: now_s for each in (self._folder / "holdings").iterdir() if not each.name.startswith(".")}
            for left in (self._folder / "holdings").glob(".*"):  # of a writer that was killed
                left.unlink(missing_ok=True)
            for each in (self._folder / "view", *(self._folder / "holdings" / name for name in self._written)):
                shared.show(each)
            # In place, never replaced: readers keep it open.
            self._pulse = os.open(self._folder / "pulse", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, shared.FILE)
            shared.show(self._pulse)
            os.truncate(self._pulse, min(_PULSE.size, os.fstat(self._pulse).st_size))
        except OSError as error:
            raise NotPublished(f"{self._folder}: {error.strerror or error}") from error

    def there(self) -> bool:
        """Whether what is written is still where readers look for it: somebody may have removed the folder."""
        try:
            return os.path.samestat((self._folder / "pulse").stat(), os.fstat(self._pulse))
        except OSError:
            return False

    def publish(self, snapshot: HealthSnapshot, held: Mapping[str, Holdings]) -> HealthSnapshot:
        """Write ``snapshot`` under the next version, with the holdings of each appliance (their digests stand in it)."""
        with self._busy:
            if self._pulse >= 0 and not self.there():
                _log.warning("the folder of the health view was removed; it is made again", folder=str(self._folder))
                self.close()
                self.open()
            return self._publish(snapshot, held)

    def _publish(self, snapshot: HealthSnapshot, held: Mapping[str, Holdings]) -> HealthSnapshot:
        now_s = self._clock.monotonic_s()
        fresh = replace(snapshot, version=self.version + 1, published_s=now_s)
        try:
            for each in fresh.appliances:
                if each.holdings_digest:
                    self._keep(file_name(each.id, each.holdings_digest), held.get(each.id, NOTHING), now_s)
            write_atomically(self._folder / "view", _encode(fresh), mode=shared.FILE)
            self.version = fresh.version
            self.beat()
            self._remove_unused(now_s)
        except OSError as error:
            raise NotPublished(f"{self._folder}: {error.strerror or error}") from error
        return fresh

    def beat(self) -> None:
        """Say that the view that is there is of now."""
        try:
            with self._busy:
                os.pwrite(self._pulse, packed(Pulse(self.version, self._clock.monotonic_s(), self._boot, self._name)), 0)
        except OSError as error:
            raise NotPublished(f"{self._folder}: {error.strerror or error}") from error

    def close(self) -> None:
        with self._busy:
            if self._pulse >= 0:
                os.close(self._pulse)
                self._pulse = -1

    def _keep(self, name: str, held: Holdings, now_s: float) -> None:
        if name not in self._written:
            write_atomically(self._folder / "holdings" / name, _encode(held), mode=shared.FILE)
        self._written[name] = now_s

    def _remove_unused(self, now_s: float) -> None:
        for name in [name for name, named_s in self._written.items() if now_s - named_s > UNUSED_KEPT_S]:
            (self._folder / "holdings" / name).unlink(missing_ok=True)
            del self._written[name]


class ViewReader:
    """The view that is published in ``folder``. ``view`` is cheap enough for each decision; the same object means that nothing changed.

    What is missing, torn or damaged is never an error: the view before stays, and says ``last-known`` once it is old.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._boot = boot_of()
        self._descriptor = -1
        self._look_s = self._again_s = float("-inf")
        self._tried: tuple[int, bytes] | None = None
        """The version that was looked for last, and its writer."""
        self._whole = False
        """Whether all that it names was there."""
        self.refused: Path | None = None
        """What it may not read: the last that it was refused."""
        self._held: dict[str, tuple[str, Holdings]] = {}
        """By appliance: a digest, and the holdings that it names."""
        self._loaded = self._shown = NO_VIEW
        self._shown_of = NO_VIEW
        self.published_s = float("-inf")
        """When the view was last said to be of now, on the monotonic clock."""

    def view(self) -> View:
        """The newest; NO_VIEW where there never was one."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._look(now_s)
        return self._shown

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _look(self, now_s: float) -> None:
        pulse = self._pulse()
        if pulse is not None and pulse.boot == self._boot and pulse.published_s <= now_s:
            self.published_s = pulse.published_s
        fresh = now_s - self.published_s <= STALE_S
        if not fresh:
            self.close()  # should the file have been replaced
        named = (pulse.version, pulse.writer) if pulse is not None else None
        if (named and named != self._tried) or (not self._whole and now_s >= self._again_s):
            self._tried, self._again_s = named, now_s + AGAIN_S
            self._load()
        source = self._loaded.snapshot.source if fresh else "last-known"
        if self._shown_of is self._loaded and self._shown.snapshot.source == source:
            return
        loaded = self._shown_of = self._loaded
        self._shown = loaded if loaded.snapshot.source == source else View(replace(loaded.snapshot, source=source), loaded.holdings)

    def _pulse(self) -> Pulse | None:
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._folder / "pulse", os.O_RDONLY | os.O_CLOEXEC)
            return unpacked(os.pread(self._descriptor, _PULSE.size + 1, 0))
        except OSError as error:
            self._note(error)
            return None

    def _note(self, error: Exception) -> None:
        if isinstance(error, PermissionError):
            self.refused = Path(error.filename or self._folder)

    def _load(self) -> None:
        self._whole, problem = False, ""
        try:
            snapshot = _decode_snapshot((self._folder / "view").read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._note(error)
            _log.warning("the published health view cannot be read; the one before stays", error=str(error))
            return
        held: dict[str, tuple[str, Holdings]] = {}
        for each in snapshot.appliances:
            known = self._held.get(each.id, (holdings.EMPTY, NOTHING)) if each.holdings_digest else (holdings.EMPTY, NOTHING)
            if each.holdings_digest != known[0]:
                try:
                    raw = (self._folder / "holdings" / file_name(each.id, each.holdings_digest)).read_bytes()
                    known = (each.holdings_digest, _decode_holdings(raw))
                except (OSError, msgspec.MsgspecError) as error:
                    self._note(error)
                    problem = f"what {each.id} holds: {error}"
            held[each.id] = known
        self._held, self._whole = held, not problem
        self._loaded = View(snapshot, {each: content for each, (_, content) in held.items() if content})
        if problem:
            _log.warning("published holdings cannot be read; those before stay", problem=problem)
