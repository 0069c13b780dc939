"""Measures and logs meet in memory, for some minutes and within bounds."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.insight.quality import BUCKET_S, BUCKETS, FRESH_S, SESSIONS_PER_ACCOUNT, BadQuality, QualityService
from nearcast.model.quality import ApplianceQuality, Measured, QualityReport
from nearcast.model.services import Nothing
from nearcast.model.traffic import Delivered, TrafficReport


def measured(session: str, account: str = "a", **more: object) -> Measured:
    return replace(Measured("fra-1", session, account, 50.0, 10.0, 0, 4e6, "198.51.0.0/16"), **more)


def report(sequence: int, *sessions: Delivered, run: str = "r") -> TrafficReport:
    return TrafficReport(appliance="fra-1", site="fra", run=run, sequence=sequence, sessions=sessions)


def delivered(session: str, busy_s: float = 20.0) -> Delivered:
    return Delivered(session, 1_000_000, busy_s, 0)


async def tell(quality: QualityService, *each: Measured) -> None:
    await quality.measured(QualityReport(measured=each))


async def answer(quality: QualityService) -> tuple[ApplianceQuality, ...]:
    return (await quality.quality(Nothing())).appliances


async def test_a_measure_waits_for_the_log_that_bears_it_out() -> None:
    clock = VirtualClock()
    quality = QualityService(clock)
    await tell(quality, measured("s1"), measured("s1"), measured("s2"))
    assert await answer(quality) == ()
    quality.delivered(report(0, delivered("s1"), delivered("foreign")))
    await clock.advance(FRESH_S)
    (found,) = await answer(quality)
    assert (found.appliance, found.site, found.accounts) == ("fra-1", "fra", 1)
    assert found.stalled_share == pytest.approx(20 / 120), "two beats of one session, each with ten seconds stalled of sixty"


async def test_an_answer_is_given_again_for_a_while() -> None:
    clock = VirtualClock()
    quality = QualityService(clock)
    assert await answer(quality) == ()
    await tell(quality, measured("s1"))
    quality.delivered(report(0, delivered("s1")))
    assert await answer(quality) == ()
    await clock.advance(FRESH_S)
    assert len(await answer(quality)) == 1


async def test_a_report_that_comes_twice_counts_once() -> None:
    clock = VirtualClock()
    quality = QualityService(clock)
    await tell(quality, measured("s1"))
    for _ in range(5):
        quality.delivered(report(0, delivered("s1", 2.0)))
    (found,) = await answer(quality)
    assert found.stalled_share == pytest.approx(2 / 60)  # 52 s are less than the minute that is the least
    quality.delivered(report(0, delivered("s1", 8.0), run="of the next agent"))
    await clock.advance(FRESH_S)
    (found,) = await answer(quality)
    assert found.stalled_share == pytest.approx(10 / 60)


async def test_it_is_forgotten_after_minutes() -> None:
    clock = VirtualClock()
    quality = QualityService(clock)
    await tell(quality, measured("s1"))
    quality.delivered(report(0, delivered("s1")))
    await clock.advance(BUCKET_S * BUCKETS - 1)
    assert len(await answer(quality)) == 1
    await clock.advance(FRESH_S)
    assert await answer(quality) == ()


async def test_an_account_with_thousands_of_sessions_takes_no_more_room() -> None:
    quality = QualityService(VirtualClock())
    await tell(quality, *(measured(f"s{number}") for number in range(5000)))
    assert len(quality._buckets[-1].claims) == SESSIONS_PER_ACCOUNT


async def test_of_too_many_a_sample_is_kept_with_both_sides() -> None:
    clock = VirtualClock()
    quality = QualityService(clock, kept_max=200)
    for number in range(3000):
        await tell(quality, measured(f"s{number}", f"a{number}"))
    quality.delivered(report(0, *(delivered(f"s{number}") for number in range(3000))))
    bucket = quality._buckets[-1]
    assert 50 < len(bucket.claims) <= 200
    assert len(bucket.proofs) <= 200
    assert set(bucket.claims) & set(bucket.proofs) == set(bucket.proofs)
    (found,) = await answer(quality)
    assert found.accounts == len(bucket.proofs)
    await clock.advance(BUCKET_S)
    await tell(quality, measured("s1"))
    assert quality._buckets[-1].share == 2 * bucket.share, "with a new minute it is tried whether more can be kept"


@pytest.mark.parametrize(
    "bad",
    [
        measured(""),
        measured("s" * 101),
        measured("s", ""),
        measured("s", watched_s=-1.0),
        measured("s", stalled_s=float("nan")),
        measured("s", watched_s=float("inf")),
        measured("s", stalled_s=1e6),
        measured("s", failures=-1),
        measured("s", throughput_bps=float("nan")),
        measured("s", throughput_bps=-1.0),
        measured("s", network="n" * 101),
    ],
)
async def test_what_makes_no_sense_is_refused_whole(bad: Measured) -> None:
    quality = QualityService(VirtualClock())
    with pytest.raises(BadQuality):
        await tell(quality, measured("s1"), bad)
    assert not quality._buckets
