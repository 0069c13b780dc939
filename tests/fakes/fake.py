"""What every fake service can do: be down, and tell what it was asked."""

from __future__ import annotations

from typing import Any

from nearcast.base.errors import Unavailable

ROOT = bytes(range(32))


class Fake:
    """``down``: every call raises Unavailable."""

    def __init__(self) -> None:
        self.down = False
        self.calls: list[Any] = []

    def asked(self, question: Any) -> None:
        self.calls.append(question)
        if self.down:
            raise Unavailable(f"{type(self).__name__} is down")
