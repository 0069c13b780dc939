"""What is believed of what players measured. Pure.

A claim is what a session's heartbeats said of an appliance, a proof what the appliance's own log has of that session. Without a proof a
claim counts for nothing, and beyond it neither: who waits for data has a request open, so that no more was stalled than requests took, and
a failure leaves an answer that is an error or was cut short. Who claims stalls at an edge that sent everything at full speed is thus
believed a second or two of them. A player may well be slow on purpose: therefore all sessions of an account together weigh 1 at a site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from nearcast.model.quality import ApplianceQuality

STALLED_MAX = 0.05
"""A share of time stalled that is as bad as it can be; each hundredth costs minutes of viewing (Dobrian et al., SIGCOMM 2011)."""
FAILURES_MAX = 3
"""So many failures in some minutes are as bad as it can be."""
WATCHED_MIN_S = 60.0
"""Who was there for less counts as if for so long: half a second's stall in the first five is not yet misery."""
FAILURE_S = 10.0
"""A failure weighs as much as so many seconds, where an account's weight is split over the appliances of a site."""
COMPARED_MIN = 3.0
"""So many accounts of a network must be seen at other sites before they tell how it fares there."""

Key = tuple[str, str]
"""Appliance and session."""


class Claim(Struct, frozen=True, array_like=True):
    """Sums over heartbeats; ``throughput_bps`` is weighted by ``watched_s``."""

    account_id: str
    network: str
    watched_s: float
    stalled_s: float
    failures: int
    throughput_bps: float

    def plus(self, other: Claim) -> Claim:
        watched_s = self.watched_s + other.watched_s
        weighted = self.throughput_bps * self.watched_s + other.throughput_bps * other.watched_s
        return Claim(
            other.account_id,
            other.network,
            watched_s,
            self.stalled_s + other.stalled_s,
            self.failures + other.failures,
            weighted / watched_s if watched_s > 0 else other.throughput_bps,
        )


class Proof(Struct, frozen=True, array_like=True):
    """Sums over the lines of an edge's log. See model.traffic.Delivered."""

    bytes: int
    busy_s: float
    failed: int

    def plus(self, other: Proof) -> Proof:
        return Proof(self.bytes + other.bytes, self.busy_s + other.busy_s, self.failed + other.failed)


class Fared(Struct):
    """How one account fared at one appliance, as far as it is believed."""

    appliance: str
    site: str
    network: str
    watched_s: float = 0.0
    stalled_s: float = 0.0
    failures: int = 0
    throughput_bps: float = 0.0
    weight: float = 0.0

    @property
    def exposure_s(self) -> float:
        return self.watched_s + self.stalled_s + FAILURE_S * self.failures

    @property
    def stalled_share(self) -> float:
        return self.stalled_s / max(WATCHED_MIN_S, self.watched_s + self.stalled_s)

    @property
    def failed(self) -> float:
        return min(1.0, self.failures / FAILURES_MAX)

    @property
    def suffering(self) -> float:
        return max(min(1.0, self.stalled_share / STALLED_MAX), self.failed)


def fared(claims: Mapping[Key, Claim], proofs: Mapping[Key, Proof], sites: Mapping[str, str]) -> list[Fared]:
    """By account and appliance, in a fixed order, with each account's weight of 1 split over the appliances of a site."""
    found: dict[tuple[str, str], Fared] = {}
    for key in sorted(claims):
        claim, proof, appliance = claims[key], proofs.get(key), key[0]
        if proof is None or appliance not in sites:
            continue
        here = found.setdefault((claim.account_id, appliance), Fared(appliance, sites[appliance], claim.network))
        watched_s = here.watched_s + claim.watched_s
        if watched_s > 0:
            here.throughput_bps = (here.throughput_bps * here.watched_s + claim.throughput_bps * claim.watched_s) / watched_s
        here.watched_s = watched_s
        here.stalled_s += min(claim.stalled_s, proof.busy_s)
        here.failures += min(claim.failures, proof.failed)
    sums: dict[tuple[str, str], float] = {}
    for (account, _), each in found.items():
        sums[account, each.site] = sums.get((account, each.site), 0.0) + each.exposure_s
    for (account, _), each in found.items():
        whole_s = sums[account, each.site]
        each.weight = each.exposure_s / whole_s if whole_s > 0 else 0.0
    return list(found.values())


def elsewhere(rows: Iterable[Fared]) -> dict[tuple[str, str], float]:
    """By network and site: how those of the network suffer at the other sites, where enough of them are."""
    sums: dict[str, dict[str, tuple[float, float]]] = {}
    for each in rows:
        if each.network:
            by_site = sums.setdefault(each.network, {})
            weight, suffering = by_site.get(each.site, (0.0, 0.0))
            by_site[each.site] = (weight + each.weight, suffering + each.weight * each.suffering)
    found: dict[tuple[str, str], float] = {}
    for network, by_site in sums.items():
        for site in by_site:
            weight = sum(each for name, (each, _) in by_site.items() if name != site)
            if weight >= COMPARED_MIN:
                found[network, site] = sum(each for name, (_, each) in by_site.items() if name != site) / weight
    return found


def believed(claims: Mapping[Key, Claim], proofs: Mapping[Key, Proof], sites: Mapping[str, str]) -> tuple[ApplianceQuality, ...]:
    """Of every appliance that is told of and that its log bears out, by id. ``sites``: where appliances stand."""
    rows = [each for each in fared(claims, proofs, sites) if each.weight > 0]
    others = elsewhere(rows)
    by_appliance: dict[str, list[Fared]] = {}
    for each in rows:
        by_appliance.setdefault(each.appliance, []).append(each)
    return tuple(_quality(appliance, here, others) for appliance, here in sorted(by_appliance.items()))


def _quality(appliance: str, rows: list[Fared], others: Mapping[tuple[str, str], float]) -> ApplianceQuality:
    accounts = sum(each.weight for each in rows)
    compared = [each for each in rows if (each.network, each.site) in others]
    compared_weight = sum(each.weight for each in compared)
    explained = sum(each.weight * others[each.network, each.site] for each in compared)
    return ApplianceQuality(
        appliance=appliance,
        site=rows[0].site,
        accounts=accounts,
        stalled_share=sum(each.weight * each.stalled_share for each in rows) / accounts,
        failed_share=sum(each.weight * each.failed for each in rows) / accounts,
        throughput_bps=sum(each.weight * each.throughput_bps for each in rows) / accounts,
        suffering=sum(each.weight * each.suffering for each in rows) / accounts,
        elsewhere=explained / compared_weight if compared_weight > 0 else 0.0,
        compared=compared_weight / accounts,
    )
