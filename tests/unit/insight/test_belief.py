"""Claims without proofs count for nothing, an account counts once, and what an access network does is told apart from what a site does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.insight.belief import COMPARED_MIN, STALLED_MAX, Claim, Key, Proof, believed
from nearcast.model.quality import ApplianceQuality
from nearcast.model.site import Site
from nearcast.steering.quality import ACCOUNTS_MIN, DEMOTED_MAX, demotions

SITES = {"fra-1": "fra", "fra-2": "fra", "bom-1": "bom"}
WATCHED_S = 280.0
SLOW = Proof(100_000_000, 200.0, 5)
FAST = Proof(300_000_000, 0.5, 0)
"""Everything at full speed, no errors."""


def claim(
    account: str, stalled_s: float = 0.0, failures: int = 0, *, network: str = "198.51.0.0/16", watched_s: float = WATCHED_S
) -> Claim:
    return Claim(account, network, watched_s, stalled_s, failures, 5e6)


def told(*rows: tuple[str, Claim, Proof | None]) -> dict[str, ApplianceQuality]:
    """Each row a session of its own."""
    claims: dict[Key, Claim] = {}
    proofs: dict[Key, Proof] = {}
    for number, (appliance, each, proof) in enumerate(rows):
        claims[appliance, f"s{number}"] = each
        if proof is not None:
            proofs[appliance, f"s{number}"] = proof
    return {each.appliance: each for each in believed(claims, proofs, SITES)}


def crowd(
    appliance: str, count: int, stalled_s: float = 0.0, proof: Proof = SLOW, *, network: str = "198.51.0.0/16"
) -> list[tuple[str, Claim, Proof | None]]:
    return [(appliance, claim(f"{appliance}-{network}-{number}", stalled_s, network=network), proof) for number in range(count)]


def demoted(found: dict[str, ApplianceQuality]) -> dict[str, float]:
    return demotions(tuple(found.values()), [Site(name="fra"), Site(name="bom")], {}, 3600)


def test_what_players_suffered_and_the_log_bears_out() -> None:
    found = told(*crowd("fra-1", 40, 28.0), *crowd("bom-1", 40))
    here = found["fra-1"]
    assert (here.site, here.accounts, here.suffering) == ("fra", 40, 1.0)
    assert here.stalled_share == pytest.approx(28 / (28 + WATCHED_S))
    assert here.throughput_bps == pytest.approx(5e6)
    assert found["bom-1"].suffering == 0
    assert demoted(found) == {"fra": DEMOTED_MAX}


def test_a_session_that_the_edge_does_not_know_counts_for_nothing() -> None:
    assert told(("fra-1", claim("a", 100), None)) == {}
    assert told(("unknown", claim("a", 100), SLOW)) == {}


def test_who_was_sent_everything_at_full_speed_is_not_believed() -> None:
    """The log has half a second of requests and no error: that much may have been stalled."""
    liars = [("fra-1", claim(f"a{number}", 250.0, 50), FAST) for number in range(1000)]
    found = told(*liars, *crowd("bom-1", 40, 0.0, FAST))
    assert found["fra-1"].stalled_share < 0.002
    assert found["fra-1"].failed_share == 0
    assert demoted(found) == {}


def test_failures_need_failed_answers() -> None:
    found = told(("fra-1", claim("a", 0, 9), Proof(1000, 1.0, 3)), ("fra-2", claim("b", 0, 9), FAST))
    assert (found["fra-1"].failed_share, found["fra-1"].suffering) == (1.0, 1.0)
    assert (found["fra-2"].failed_share, found["fra-2"].suffering) == (0.0, 0.0)


def test_ten_accounts_with_thousands_of_sessions_move_nothing() -> None:
    """Slow on purpose, so that the log bears them out; at both machines of the site."""
    lies = [(f"fra-{1 + number % 2}", claim(f"liar{number % 10}", 300.0, 9), SLOW) for number in range(5000)]
    found = told(*lies, *crowd("fra-1", 30), *crowd("bom-1", 30))
    assert sum(found[each].accounts for each in ("fra-1", "fra-2")) == pytest.approx(40)
    assert demoted(found) == {}


def test_a_bad_hour_of_an_access_network_is_seen_to_be_one() -> None:
    """Its viewers fare as badly where some of them were sent; those of others fare well at both."""
    rows = [*crowd("fra-1", 60, 28.0), *crowd("bom-1", 12, 28.0), *crowd("bom-1", 60, network="203.0.0.0/16")]
    found = told(*rows)
    assert (found["fra-1"].elsewhere, found["fra-1"].compared) == (1.0, 1.0)
    assert demoted(found) == {}
    fine = told(*crowd("fra-1", 60, 28.0), *crowd("bom-1", 12), *crowd("bom-1", 60, network="203.0.0.0/16"))
    assert (fine["fra-1"].elsewhere, fine["fra-1"].compared) == (0.0, 1.0)
    assert demoted(fine) == {"fra": DEMOTED_MAX}


def test_too_few_tell_nothing_of_their_network() -> None:
    few = int(COMPARED_MIN) - 1
    assert told(*crowd("fra-1", 60, 28.0), *crowd("bom-1", few, 28.0))["fra-1"].compared == 0
    assert told(*crowd("fra-1", 60, 28.0, network=""), *crowd("bom-1", 60, 28.0, network=""))["fra-1"].compared == 0, (
        "no address is no network"
    )


def test_a_short_visit_is_no_misery_and_a_quick_leave_is_told() -> None:
    brief = told(("fra-1", claim("a", 0.3, watched_s=4.0), SLOW))["fra-1"]
    assert brief.suffering == pytest.approx(0.3 / 60 / STALLED_MAX)
    left = told(("fra-1", claim("a", 0.0, 3, watched_s=0.0), SLOW), ("bom-1", claim("a"), FAST))
    assert left["fra-1"].suffering == 1.0
    assert left["fra-1"].accounts == 1, "the minutes at another site do not hide it"


claims = st.builds(
    claim,
    st.sampled_from("abcdef"),
    st.floats(0, 300),
    st.integers(0, 20),
    network=st.sampled_from(["", "x", "y"]),
    watched_s=st.floats(0, 300),
)
proofs = st.one_of(st.none(), st.builds(Proof, st.integers(0, 10**9), st.floats(0, 300), st.integers(0, 20)))


@given(st.lists(st.tuples(st.sampled_from(list(SITES)), claims, proofs), max_size=30))
def test_no_account_weighs_more_than_another(rows: list[tuple[str, Claim, Proof | None]]) -> None:
    found = told(*rows)
    for site in ("fra", "bom"):
        there = {each.account_id for appliance, each, proof in rows if SITES[appliance] == site and proof is not None}
        assert sum(each.accounts for each in found.values() if each.site == site) <= len(there) + 1e-9
    for each in found.values():
        assert all(
            0 <= share <= 1 + 1e-9 for share in (each.stalled_share, each.failed_share, each.suffering, each.elsewhere, each.compared)
        )
    assert told(*rows) == found
    assert sum(each.accounts for each in found.values()) < ACCOUNTS_MIN
