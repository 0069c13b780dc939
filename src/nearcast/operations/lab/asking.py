"""Asks the system the same thing over and over, as a viewer, and tells when the answers changed for good."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from nearcast.base.errors import NearcastError

T = TypeVar("T")
INTERVAL_S = 0.03
FIRST_S = 10.0
ERRORS_MAX = 100


class Answer(Struct, Generic[T], frozen=True):
    """What was answered, when it was asked, and when the answer came (monotonic clock)."""

    asked_s: float
    came_s: float
    what: T


def settled_s(answers: Sequence[Answer[T]], fault_s: float, fits: Callable[[T], bool]) -> float:
    """How long after the fault the first question was asked from which on every answer fitted.

    Infinite where the last one did not fit, or where the last one before the fault fitted already: then nothing was seen to change.
    """
    before = [each for each in answers if each.came_s < fault_s]
    after = [each for each in answers if each.asked_s >= fault_s]
    if not before or fits(before[-1].what):
        return float("inf")
    found = float("inf")
    for each in reversed(after):
        if not fits(each.what):
            break
        found = each.asked_s - fault_s
    return found


def changes(values: Sequence[T]) -> int:
    """How often a value differs from the one before it."""
    return sum(first != second for first, second in itertools.pairwise(values))


def rises(values: Iterable[float], high: float, low: float) -> int:
    """How often a value came to ``high`` for the first time, or for the first time since it was below ``low``."""
    found, above = 0, False
    for each in values:
        if each >= high and not above:
            found, above = found + 1, True
        elif each < low:
            above = False
    return found


def above_since_s(answers: Iterable[Answer[float]], high: float, low: float) -> float:
    """Since when (monotonic) a figure has been at ``high``, and not below ``low`` after that. Infinite where it is not."""
    since_s = float("inf")
    for each in answers:
        if each.what < low:
            since_s = float("inf")
        elif each.what >= high:
            since_s = min(since_s, each.came_s)
    return since_s


class Asking(Generic[T]):
    """Asks in a thread of its own for as long as the block lasts; what failed is kept in ``errors``."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asking", daemon=True)
        self.answers: list[Answer[T]] = []
        self.errors: list[str] = []

    def __enter__(self) -> Asking[T]:
        """Begin, and wait for the first answer: what comes later can be held against it."""
        self._thread.start()
        until_s = time.monotonic() + FIRST_S
        while not self.answers and time.monotonic() < until_s:
            time.sleep(INTERVAL_S / 3)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            asked_s = time.monotonic()
            try:
                what = self._ask()
                self.answers.append(Answer(asked_s, time.monotonic(), what))
            except NearcastError as error:
                self.errors = [*self.errors, error.message][-ERRORS_MAX:]
            self._over.wait(INTERVAL_S)
