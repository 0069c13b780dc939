"""Asks the system the same thing over and over, as a viewer, and tells when the answers changed for good."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from nearcast.base.errors import NearcastError

T = TypeVar("T")
INTERVAL_S = 0.03
ERRORS_MAX = 100


class Answer(Struct, Generic[T], frozen=True):
    """What was answered, and when it was asked (monotonic clock)."""

    asked_s: float
    what: T


def settled_s(answers: Sequence[Answer[T]], fault_s: float, fits: Callable[[T], bool]) -> float:
    """How long after the fault the last question was asked that got an answer which did not fit: from then on all fit.

    0 where none was; infinite where the last one did not fit, or none came.
    """
    after = [(each.asked_s - fault_s, fits(each.what)) for each in answers if each.asked_s >= fault_s]
    if not after or not after[-1][1]:
        return float("inf")
    return max((late_s for late_s, fit in after if not fit), default=0.0)


def changes(values: Sequence[T]) -> int:
    """How often a value differs from the one before it."""
    return sum(first != second for first, second in itertools.pairwise(values))


class Asking(Generic[T]):
    """Asks in a thread of its own for as long as the block lasts; what failed is kept in ``errors``."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asking", daemon=True)
        self.answers: list[Answer[T]] = []
        self.errors: list[str] = []

    def __enter__(self) -> Asking[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            asked_s = time.monotonic()
            try:
                self.answers.append(Answer(asked_s, self._ask()))
            except NearcastError as error:
                self.errors = [*self.errors, error.message][-ERRORS_MAX:]
            self._over.wait(INTERVAL_S)
