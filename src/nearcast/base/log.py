"""Logs: one JSON object a line (readable lines on a terminal), with the process and the request they belong to.

A process writes to its standard error; who starts it decides where that goes (the supervisor: ``logs/<process>.log``).
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from nearcast.base import context

_encode = msgspec.json.Encoder(enc_hook=repr).encode
# Without the frames' local variables: those of a call that failed may be a password, a token or a key.
_traces = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The id of the request on whose behalf this line is written, where there is one."""
    request_id = context.request_id.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """The line, its time, level and event first."""
    ordered = {key: event.pop(key) for key in ("timestamp", "level", "process", "event") if key in event}
    return _encode({**ordered, **event}).decode()


def configure(process: str, *, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process. JSON unless ``stream`` is a terminal."""
    stream = stream or sys.stderr
    readable = stream.isatty()
    out = cast(TextIO, _Lossy(stream))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_of(process),
        add_request_id,
    ]
    end: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)]
        if readable
        else [_traces, structlog.processors.UnicodeDecoder(), to_json]
    )
    structlog.configure(
        processors=[*shared, *end],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_without_meta, *end]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Lossy:
    """A stream that loses what it cannot write: a full disk, or a terminal that is gone, fails nobody's request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _name_of(process: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return add


def _without_meta(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What ProcessorFormatter adds for itself."""
    for key in ("_record", "_from_structlog"):
        event.pop(key, None)
    return event
