"""How an appliance fares, as its own page, its metrics and whoever reads /status.json see it: one reading of everything that counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from nearcast.base.errors import NearcastError
from nearcast.delivery.edge.account import Account, Batch
from nearcast.delivery.edge.cat import Exchange
from nearcast.delivery.edge.logs import Counts
from nearcast.delivery.edge.misses import Miss, MissLog
from nearcast.delivery.edge.reactive import Reactive
from nearcast.delivery.edge.report import Reporter
from nearcast.delivery.edge.scrub import Scrub
from nearcast.delivery.edge.server import Server
from nearcast.delivery.fill.transfer import Transfers
from nearcast.delivery.settings import EdgeSettings, Partitions
from nearcast.model.site import ApplianceReport

SAMPLES = 300
TOP = 8
TITLES_MAX = 5000
FADE = 0.5 ** (1 / 1800)
"""What a title was sent counts half after half an hour (of samples a second apart)."""
MISSES = 8


class Copying(Struct, frozen=True, kw_only=True):
    """One file on its way here."""

    title_id: str
    file: str
    done_bytes: int
    size_bytes: int
    source: str = ""
    kind: str = ""


class Filling(Struct, frozen=True, kw_only=True):
    """``window_turns_s`` None: nothing is known of that. ``rate_bps`` 0: no bound. ``by_kind``: bytes fetched since the agent started."""

    assigned_bytes: int
    files_missing: int
    window_open: bool
    window_turns_s: float | None
    rate_bps: float
    by_kind: dict[str, int]
    copying: tuple[Copying, ...]


class Scrubbed(Struct, frozen=True, kw_only=True):
    """``share`` of the placed bytes that this pass has read; ``began_at`` 0: it has not begun. ``enabled``: files are read again at all.
    ``last``: what was found last, healed or not."""

    enabled: bool
    done: bool
    began_at: float
    share: float
    read_bytes: int
    damaged: int
    repaired: int
    foreign: int
    last: str = ""


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that an operator should know of: what is the matter and what cures it."""

    code: str
    message: str
    hint: str


class Sample(Struct, frozen=True, array_like=True):
    at: float
    sent_bps: float
    fill_bps: float


class Status(Struct, frozen=True, kw_only=True):
    """``report`` is what discovery is told, without the holdings. Totals count since the agent started."""

    at: float
    report: ApplianceReport
    titles_held: int
    placed_capacity_bytes: int
    reactive_capacity_bytes: int
    refused_sixteenths: int
    nginx_restarts: int
    filling: Filling
    scrub: Scrubbed
    misses: dict[str, int]
    last_misses: tuple[Miss, ...]
    leader: str
    wrong_slices: int
    exposures: int
    evicted_bytes: int
    written_bytes: int
    fetched_bytes: int
    parent_bytes: dict[str, int]
    parent_errors: dict[str, int]
    doors_bytes: int
    refused: int
    by_outcome: dict[str, int]
    """Requests by source and status, as ``placed 206``."""
    top: tuple[tuple[str, int], ...]
    """Titles that were sent most of late, and how many bytes of them (fading)."""
    troubles: tuple[Trouble, ...]
    samples: tuple[Sample, ...]

    @property
    def hit_ratio(self) -> float | None:
        """Share of the bytes sent that no parent was asked for; None: nothing was sent yet."""
        report = self.report
        sent = report.placed_bytes_total + report.reactive_bytes_total + report.missed_bytes_total
        return 1 - report.missed_bytes_total / sent if sent else None


class History:
    """The last minutes, a sample a second, and what was sent most of late."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._sent: dict[str, float] = {}

    def see(self, at: float, sent_bps: float, fill_bps: float) -> None:
        self.samples.append(Sample(at, sent_bps, fill_bps))
        self._sent = {title_id: size * FADE for title_id, size in self._sent.items() if size > 1}

    def serve(self, batch: Batch) -> None:
        for (title_id, _), sent in batch.items():
            if title_id in self._sent or len(self._sent) < TITLES_MAX:
                size_bytes = sent.placed_bytes + sent.reactive_bytes + sent.missed_bytes
                self._sent[title_id] = self._sent.get(title_id, 0.0) + size_bytes

    def top(self) -> tuple[tuple[str, int], ...]:
        best = sorted(self._sent.items(), key=lambda each: (-each[1], each[0]))
        return tuple((title_id, int(size_bytes)) for title_id, size_bytes in best[:TOP])


@dataclass(frozen=True)
class Watched:
    """The parts of an agent that a reading is taken of."""

    settings: EdgeSettings
    partitions: Partitions
    transfers: Transfers
    reactive: Reactive
    scrub: Scrub
    counts: Counts
    misses: MissLog
    reporter: Reporter
    account: Account
    server: Server
    tokens: Exchange | None
    history: History


def compose(report: ApplianceReport, watched: Watched, now_s: float) -> Status:
    """The reading of now. ``now_s``: Unix seconds."""
    reactive, counts = watched.reactive, watched.counts
    return Status(
        at=now_s,
        report=replace(report, holdings={}, holdings_base=""),
        titles_held=len(watched.transfers.stock.holdings),
        placed_capacity_bytes=watched.partitions.placed,
        reactive_capacity_bytes=watched.partitions.reactive,
        refused_sixteenths=watched.server.load.refused,
        nginx_restarts=watched.server.restarts,
        filling=_filling(watched.transfers),
        scrub=_scrubbed(watched),
        misses={str(cause): count for cause, count in watched.misses.requests.items()},
        last_misses=tuple(watched.misses.recent)[-MISSES:][::-1],
        leader=reactive.leader,
        wrong_slices=reactive.wrong_total,
        exposures=reactive.exposures_total,
        evicted_bytes=reactive.removed_bytes_total,
        written_bytes=reactive.written_bytes_total,
        fetched_bytes=watched.transfers.fetched_bytes_total,
        parent_bytes=dict(counts.parent_bytes_by),
        parent_errors=dict(counts.parent_errors_by),
        doors_bytes=counts.doors_bytes,
        refused=counts.refused,
        by_outcome=_outcomes(counts.by_outcome),
        top=watched.history.top(),
        troubles=_troubles(watched),
        samples=tuple(watched.history.samples),
    )


def _filling(transfers: Transfers) -> Filling:
    turns_s = transfers.window_turns_s
    return Filling(
        assigned_bytes=transfers.stock.assigned_bytes,
        files_missing=len(transfers.stock.missing),
        window_open=transfers.window_open,
        window_turns_s=turns_s if turns_s != float("inf") else None,
        rate_bps=transfers.rate_bps,
        by_kind={str(kind): size_bytes for kind, size_bytes in transfers.fetched_by_kind.items()},
        copying=tuple(
            Copying(
                title_id=each.item.title_id,
                file=each.item.file.name,
                done_bytes=each.done_bytes,
                size_bytes=each.item.file.size_bytes,
                source=each.source.id if each.source else "",
                kind=each.source.kind if each.source else "",
            )
            for each in transfers.running
        ),
    )


def _scrubbed(watched: Watched) -> Scrubbed:
    scrub, held_bytes = watched.scrub, watched.transfers.stock.held_bytes
    return Scrubbed(
        enabled=watched.settings.scrub_bps > 0,
        done=scrub.progress.done,
        began_at=scrub.progress.began_at,
        share=float(scrub.progress.began_at > 0)
        if scrub.progress.done
        else min(1.0, scrub.progress.read_bytes / held_bytes)
        if held_bytes
        else 0.0,
        read_bytes=scrub.read_bytes_total,
        damaged=scrub.found["damaged"],
        repaired=watched.transfers.repaired_total,
        foreign=scrub.found["foreign"],
        last=scrub.last.message if scrub.last else "",
    )


def _outcomes(by_outcome: Mapping[tuple[str, int], int]) -> dict[str, int]:
    return {f"{source} {status}": count for (source, status), count in sorted(by_outcome.items())}


def _troubles(watched: Watched) -> tuple[Trouble, ...]:
    """Errors have their own code and hint; what has none is told in the words of the error that it would be."""
    unhealed = watched.scrub.last if watched.transfers.repairing else None
    tokens = watched.tokens.problem if watched.tokens else None
    errors = [error for error in (watched.transfers.problem, unhealed, tokens) if error is not None]
    found = [_trouble(error) for error in errors]
    if not watched.server.healthy:
        found.append(Trouble(code="", message="nginx does not answer", hint="see logs/error.log and logs/start.log in the edge's folder"))
    if watched.server.passing_through:
        found.append(
            Trouble(
                code="",
                message="the disk is full: misses are passed through and not kept",
                hint="free or add space, or lower disk_bytes_max",
            )
        )
    for name, answered in (("discovery", watched.reporter.answered), ("insight", watched.account.answered)):
        if not answered:
            found.append(
                Trouble(
                    code="", message=f"{name} does not answer; films are served all the same", hint="see `nearcast status` on the main host"
                )
            )
    return tuple(found)


def _trouble(error: NearcastError) -> Trouble:
    return Trouble(code=error.code, message=error.message, hint=error.hint)
