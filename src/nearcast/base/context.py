"""What travels beside every call: the request id and the time by which an answer is of use."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
"""On the monotonic clock of this process; None: no deadline."""
