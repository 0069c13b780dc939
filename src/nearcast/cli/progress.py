"""What an ingest job looks like while it runs: bars with an ETA per rendition on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nearcast.base.units import duration_text
from nearcast.cli import talk
from nearcast.model.ingest import IngestEvent, Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

STAGES = {"probe": "looking at", "encode": "encoding", "package": "packaging", "publish": "publishing", "quality": "measuring"}
PLAIN_STEP = 10
"""A plain line is written each time that a rendition has come so many percent further."""


class Display(Protocol):
    """Shows events until ``close``."""

    def show(self, event: IngestEvent) -> None: ...
    def close(self) -> None: ...


def display() -> Display:
    """Bars where a person watches, lines elsewhere."""
    return Bars() if talk.interactive() else Lines()


def label(progress: Progress) -> str:
    """``encoding 720p``."""
    return f"{STAGES.get(progress.stage, progress.stage)} {progress.item}".strip()


def percent(progress: Progress) -> int:
    return 100 if progress.total <= 0 else min(100, int(100 * progress.done / progress.total))


def sentence(event: IngestEvent) -> str:
    """What an event says in words; empty for one that only moves a bar."""
    if event.kind == "warning":
        return f"warning: {event.text}" + (f" ({event.hint})" if event.hint else "")
    if event.kind in ("playable", "rendition"):
        return event.text or {"playable": "playable now", "rendition": "a rendition is in"}[event.kind]
    if event.kind == "state" and event.state in ("queued", "running"):
        return event.text or {"queued": "waiting for another ingest", "running": "started"}[event.state]
    return ""


class Lines:
    """One line for each step, for logs and pipes."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def show(self, event: IngestEvent) -> None:
        if event.progress:
            name, done = label(event.progress), percent(event.progress)
            step = done // PLAIN_STEP
            if step > self._told.get(name, -1):
                self._told[name] = step
                eta = f", {duration_text(event.progress.eta_s)} left" if event.progress.eta_s else ""
                talk.say(f"{name}: {done} %{eta}")
        elif text := sentence(event):
            talk.say(text)

    def close(self) -> None:
        pass


class Bars:
    """A bar for each rendition."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[eta]}"))
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def show(self, event: IngestEvent) -> None:
        if event.progress:
            name = label(event.progress)
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=event.progress.total or 1.0, eta="")
            eta_s = event.progress.eta_s
            eta = "" if eta_s is None else f"{duration_text(eta_s)} left" if percent(event.progress) < 100 else ""
            total = event.progress.total or 1.0
            done = event.progress.done if event.progress.total else 1.0
            self._bars.update(self._tasks[name], completed=done, total=total, eta=eta)
        elif text := sentence(event):
            self._bars.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._bars.stop()
