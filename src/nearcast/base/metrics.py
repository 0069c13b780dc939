"""Metrics: Prometheus text of this process, asked for over ``base.rpc``, and put together by the one who is scraped.

Each process has one registry and answers ``Metrics.scrape``; the gateway's ``/metrics`` asks them all and adds a
``process`` label. Format: Prometheus text exposition 0.0.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog
from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.samples import Sample

from nearcast.base.errors import NearcastError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_log = structlog.get_logger("metrics")


class ScrapeQuestion(Struct, frozen=True):
    """An empty question."""


class ScrapeAnswer(Struct, frozen=True, kw_only=True):
    """``families``: the lines of each metric family, by its name; the HELP and TYPE lines come first."""

    families: dict[str, list[str]]


class Metrics(Protocol):
    async def scrape(self, question: ScrapeQuestion, /) -> ScrapeAnswer: ...


# --- pure -------------------------------------------------------------------------------------------------------------


def families(registry: CollectorRegistry, process: str) -> dict[str, list[str]]:
    """What ``registry`` holds, as lines of text with the ``process`` label in each sample."""
    found: dict[str, list[str]] = {}
    for family in registry.collect():
        name = family.name + "_total" if family.type == "counter" else family.name
        kind = "untyped" if family.type == "unknown" else family.type
        text = family.documentation.replace("\\", "\\\\").replace("\n", "\\n")
        lines = found.setdefault(name, [f"# HELP {name} {text}", f"# TYPE {name} {kind}"])
        lines += [_line(sample, process) for sample in family.samples if not sample.name.endswith("_created")]
    return found


def _line(sample: Sample, process: str) -> str:
    labels = {"process": process, **sample.labels}
    inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels.items()))
    value = float(sample.value)
    shown = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value).replace("inf", "Inf").replace("nan", "NaN")
    return f"{sample.name}{{{inside}}} {shown}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def merged(parts: Mapping[str, Mapping[str, list[str]]]) -> str:
    """One text from the families of many processes: each family once, its samples in order of process."""
    names = sorted({name for part in parts.values() for name in part})
    lines: list[str] = []
    for name in names:
        holders = [part[name] for _, part in sorted(parts.items()) if name in part]
        lines += holders[0][:2]
        for each in holders:
            lines += each[2:]
    return "\n".join(lines) + "\n"


# --- shell ------------------------------------------------------------------------------------------------------------


class ProcessMetrics:
    """Answers for the registry of this process."""

    def __init__(self, process: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._process = process
        self._registry = registry

    async def scrape(self, question: ScrapeQuestion) -> ScrapeAnswer:
        return ScrapeAnswer(families=families(self._registry, self._process))


class Scraper:
    """Asks every process and puts the answers together. Who does not answer within ``timeout_s`` has ``nearcast_up 0``."""

    def __init__(self, processes: Mapping[str, Metrics], *, timeout_s: float = 1.0) -> None:
        self._processes = processes
        self._timeout_s = timeout_s

    async def text(self) -> str:
        names = sorted(self._processes)
        answers = await asyncio.gather(*(self._ask(self._processes[name]) for name in names))
        parts = {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}
        head = ["# HELP nearcast_up Whether the process answers.", "# TYPE nearcast_up gauge"]
        head += [f'nearcast_up{{process="{name}"}} {int(name in parts)}' for name in names]
        return "\n".join(head) + "\n" + merged(parts)

    async def _ask(self, process: Metrics) -> dict[str, list[str]] | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return (await process.scrape(ScrapeQuestion())).families
        except (NearcastError, TimeoutError) as error:
            _log.debug("not scraped", error=str(error))
            return None
