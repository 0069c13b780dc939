"""What players measured moves at most a fifth of a site's viewers, and nobody can move more by shouting."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.quality import ApplianceQuality
from nearcast.model.site import Site
from nearcast.steering.quality import ACCOUNTS_MIN, DEMOTED_MAX, FALL_S, LIARS, RISE_S, STEEPNESS, Demoting, demotions

SITES = tuple(Site(name=name) for name in ("fra", "bom", "sin"))
NAMES = [each.name for each in SITES]
ROUNDING = 1e-9

shares = st.floats(0, 1)


def quality(
    site: str, suffering: float, accounts: float = 200, *, elsewhere: float = 0.0, compared: float = 0.0, name: str = ""
) -> ApplianceQuality:
    return ApplianceQuality(
        appliance=name or f"{site}-1",
        site=site,
        accounts=accounts,
        stalled_share=0.0,
        failed_share=0.0,
        throughput_bps=0.0,
        suffering=suffering,
        elsewhere=elsewhere,
        compared=compared,
    )


qualities = st.lists(
    st.builds(
        quality,
        st.sampled_from([*NAMES, "elsewhere"]),
        shares,
        st.floats(0, 1e6),
        elsewhere=shares,
        compared=shares,
        name=st.sampled_from([f"a{number}" for number in range(6)]),
    ),
    max_size=6,
    unique_by=lambda each: each.appliance,
)
befores = st.dictionaries(st.sampled_from(NAMES), st.floats(0, DEMOTED_MAX))
times = st.floats(0, 3600)


def settled(*told: ApplianceQuality, before: dict[str, float] | None = None) -> dict[str, float]:
    """Where the shares stand when it goes on like this."""
    return demotions(told, SITES, before or {}, 86_400)


@given(qualities, befores, st.floats(-10, 1e6))
def test_never_more_than_a_fifth_and_only_of_known_sites(told: list[ApplianceQuality], before: dict[str, float], elapsed_s: float) -> None:
    found = demotions(told, SITES, before, elapsed_s)
    assert set(found) <= set(NAMES)
    assert all(0 < share <= DEMOTED_MAX for share in found.values())


@given(qualities, befores, times, st.randoms())
def test_the_same_for_the_same_whatever_the_order(
    told: list[ApplianceQuality], before: dict[str, float], elapsed_s: float, order: random.Random
) -> None:
    first = demotions(told, SITES, before, elapsed_s)
    order.shuffle(told)
    assert demotions(told, SITES[::-1], before, elapsed_s) == first


@given(qualities, befores, times, st.sampled_from(NAMES), shares)
def test_worse_is_never_better(told: list[ApplianceQuality], before: dict[str, float], elapsed_s: float, site: str, more: float) -> None:
    worse = [replace(each, suffering=max(each.suffering, more)) if each.site == site else each for each in told]
    calm, bad = (demotions(each, SITES, before, elapsed_s) for each in (told, worse))
    assert bad.get(site, 0.0) >= calm.get(site, 0.0) - ROUNDING
    for other in NAMES:
        if other != site:
            assert bad.get(other, 0.0) <= calm.get(other, 0.0) + ROUNDING, "nobody is blamed for what others suffer"


@given(st.floats(ACCOUNTS_MIN, 1e5), st.floats(0, LIARS), shares, st.booleans())
def test_ten_accounts_that_lie_together_move_nothing(accounts: float, liars: float, others: float, several: bool) -> None:
    """Where nobody else suffers. With however many sessions, at however many appliances: together they weigh what they weigh."""
    lied = quality("fra", 1.0, liars / 2 if several else liars, name="fra-1")
    more = [quality("fra", 1.0, liars / 2, name="fra-2")] if several else []
    told = [lied, *more, quality("fra", 0.0, accounts, name="fra-3"), quality("bom", others)]
    assert "fra" not in settled(*told)


@given(qualities, befores, times, st.sampled_from(NAMES), shares)
def test_one_account_moves_next_to_nothing(
    told: list[ApplianceQuality], before: dict[str, float], elapsed_s: float, site: str, claimed: float
) -> None:
    there = sum(each.accounts for each in told if each.site == site)
    if there < ACCOUNTS_MIN:
        told = [*told, quality(site, 0.0, ACCOUNTS_MIN, name="more")]
        there += ACCOUNTS_MIN
    one = quality(site, claimed, 1.0, name="one")
    with_it, without = (demotions(each, SITES, before, elapsed_s).get(site, 0.0) for each in ([*told, one], told))
    assert abs(with_it - without) <= DEMOTED_MAX / STEEPNESS * 4 / there + ROUNDING


def test_a_site_that_is_worse_than_the_others_is_demoted_and_they_are_not() -> None:
    assert settled(quality("fra", 0.8), quality("bom", 0.05), quality("sin", 0.05)) == {"fra": DEMOTED_MAX}
    mild = settled(quality("fra", 0.3), quality("bom", 0.02), quality("sin", 0.02))
    assert 0 < mild["fra"] < DEMOTED_MAX


def test_who_suffers_everywhere_blames_nobody() -> None:
    assert settled(*(quality(site, 0.6) for site in NAMES)) == {}
    assert settled(quality("fra", 1.0)) == {}, "nothing to compare it with"


def test_an_access_network_is_not_the_fault_of_the_site_that_serves_it() -> None:
    others = (quality("bom", 0.0), quality("sin", 0.0))
    assert settled(quality("fra", 0.7), *others) == {"fra": DEMOTED_MAX}, "as long as nobody of it was tried elsewhere"
    assert settled(quality("fra", 0.7, elsewhere=0.7, compared=1.0), *others) == {}
    assert settled(quality("fra", 0.7, elsewhere=0.0, compared=1.0), *others) == {"fra": DEMOTED_MAX}, "elsewhere they fare well"


def test_a_few_accounts_tell_nothing() -> None:
    few = ACCOUNTS_MIN - 1
    assert settled(quality("fra", 1.0, few), quality("bom", 0.0)) == {}
    assert settled(quality("fra", 1.0, few / 2, name="a"), quality("fra", 1.0, few / 2 + 1, name="b"), quality("bom", 0.0)), "of one site"


def test_it_rises_in_a_minute_and_falls_in_a_quarter_of_an_hour() -> None:
    demoting = Demoting(SITES)
    bad = [quality("fra", 0.9), quality("bom", 0.0)]
    assert demoting.look(bad, 1000.0) == {}, "what was before is not known"
    assert demoting.look(bad, 1000.0 + RISE_S / 2) == {"fra": DEMOTED_MAX / 2}
    assert demoting.look(bad, 1000.0 + 2 * RISE_S) == {"fra": DEMOTED_MAX}
    good = [quality("fra", 0.0), quality("bom", 0.0)]
    later = demoting.look(good, 1000.0 + 2 * RISE_S + FALL_S / 2)["fra"]
    assert abs(later - DEMOTED_MAX / 2) < 1e-9
    assert demoting.look([], 1000.0 + 2 * RISE_S + 1.01 * FALL_S) == {}, "silence, too, lets it come back"


def test_what_wavers_at_the_edge_does_not_flap() -> None:
    share, seen = {"fra": 0.05}, set()
    for number in range(200):
        suffering = 0.05 + 0.2 + (0.02 if number % 2 else -0.02)
        share = demotions([quality("fra", suffering), quality("bom", 0.0)], SITES, share, 5.0)
        seen.add(round(share.get("fra", 0.0), 6))
    assert len(seen) <= 5, sorted(seen)
