"""Metrics: the text is what Prometheus' own parser reads, each family once, each sample with its process."""

from __future__ import annotations

import asyncio
import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from nearcast.base.errors import Unavailable
from nearcast.base.metrics import Metrics, ProcessMetrics, ScrapeAnswer, ScrapeQuestion, Scraper, families, merged


def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("plays", 'Plays with "quotes"\nand lines', ["edge"], registry=found).labels('f"r\\a\n').inc(3)
    Gauge("level", "Level", registry=found).set(math.inf)
    Histogram("latency_seconds", "Latency", buckets=(0.1, 1.0), registry=found).observe(0.25)
    return found


def parsed(text: str) -> dict[tuple[str, str], dict[str, float]]:
    out: dict[tuple[str, str], dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            out.setdefault((family.name, family.type), {})[f"{sample.name}|{labels}"] = sample.value
    return out


def test_the_text_is_read_back() -> None:
    found = parsed(merged({"play": families(registry(), "play")}))
    assert found["plays", "counter"] == {'plays_total|edge=f"r\\a\n,process=play': 3.0}
    assert found["level", "gauge"] == {"level|process=play": math.inf}
    assert found["latency_seconds", "histogram"]["latency_seconds_bucket|le=1.0,process=play"] == 1.0
    assert found["latency_seconds", "histogram"]["latency_seconds_sum|process=play"] == 0.25


def test_a_family_of_many_processes_stands_once() -> None:
    text = merged({name: families(registry(), name) for name in ("play", "browse")})
    assert text.count("# TYPE plays_total counter") == 1
    assert len(parsed(text)["level", "gauge"]) == 2


class Dead:
    async def scrape(self, question: ScrapeQuestion) -> ScrapeAnswer:
        raise Unavailable("gone")


class Slow:
    async def scrape(self, question: ScrapeQuestion) -> ScrapeAnswer:
        await asyncio.sleep(60)
        raise AssertionError("unreachable")


async def test_who_does_not_answer_is_down_and_the_others_are_told() -> None:
    processes: dict[str, Metrics] = {"play": ProcessMetrics("play", registry()), "dead": Dead(), "slow": Slow()}
    found = parsed(await Scraper(processes, timeout_s=0.5).text())
    assert found["nearcast_up", "gauge"] == {
        "nearcast_up|process=dead": 0.0,
        "nearcast_up|process=play": 1.0,
        "nearcast_up|process=slow": 0.0,
    }
    assert ("plays", "counter") in found
