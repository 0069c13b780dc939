"""What a worker of the name server did, for Prometheus: read when it is scraped, so that counting costs an answer nothing."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nearcast.steering.dns.server.worker import Worker

RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 9: "NOTAUTH", 16: "BADVERS"}


class Counting(Collector):
    """Register it with the process's registry."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        worker, counts = self._worker, self._worker.counts
        queries = CounterMetricFamily("nearcast_dns_queries", "Queries that came.", labels=["transport"])
        queries.add_metric(["udp"], worker.queries_udp)
        queries.add_metric(["tcp"], worker.queries_tcp)
        yield queries
        answers = CounterMetricFamily("nearcast_dns_answers", "Answers by their code.", labels=["rcode"])
        for rcode, count in worker.answers().items():
            answers.add_metric([RCODES[rcode]], count)
        yield answers
        held = CounterMetricFamily("nearcast_dns_held_back", "Answers that were not given in full, and why.", labels=["why"])
        for why, count in (("truncated", counts.truncated), ("rate", counts.dropped), ("slip", counts.slipped), ("unsent", worker.unsent)):
            held.add_metric([why], count)
        yield held
        yield CounterMetricFamily("nearcast_dns_ignored", "What came and was no query.", value=counts.ignored)
        yield CounterMetricFamily("nearcast_dns_defects", "Queries that ended in a defect of ours.", value=worker.defects)
        yield GaugeMetricFamily("nearcast_dns_connections", "TCP connections that are open.", value=len(worker.streams))
