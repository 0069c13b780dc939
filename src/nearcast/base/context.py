"""What travels beside every call: the request id, the time by which an answer is of use, and who asks from another host."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
"""On the monotonic clock of this process; None: no deadline."""
peer: ContextVar[tuple[str, ...]] = ContextVar("peer", default=())
"""The names in the caller's certificate, where the call came by mutual TLS."""
peer_certificate: ContextVar[bytes] = ContextVar("peer_certificate", default=b"")
"""That certificate, PEM."""
