"""The whole circle, step by step: what viewers suffer is believed, moves some of them, and what these suffer is believed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from nearcast.insight.belief import Claim, Proof, believed
from nearcast.model.site import Site
from nearcast.steering.quality import DEMOTED_MAX, FALL_S, demotions

SITES = (Site(name="fra"), Site(name="bom"))
STANDS = {"fra-1": "fra", "bom-1": "bom"}
STEP_S = 15.0
WINDOW = 20
STALLED = 0.2
ACCOUNTS, OTHERS = 150, 60
BUSY = Proof(10**8, 1e6, 0)


def an_hour(stalls: Callable[[float, str], bool]) -> list[float]:
    """The share of *fra* at each step, where viewers of one network go first, and those of another network are at *bom* and content."""
    share: dict[str, float] = {}
    window: deque[list[tuple[str, Claim]]] = deque(maxlen=WINDOW)
    found = []
    for step in range(int(3600 / STEP_S)):
        moved = int(share.get("fra", 0.0) * ACCOUNTS)
        served = ["bom-1" if number < moved else "fra-1" for number in range(ACCOUNTS)]
        stalled_s = [STALLED * STEP_S * stalls(step * STEP_S, each) for each in served]
        window.append(
            [
                (each, Claim(f"x{n}", "x", STEP_S - lost_s, lost_s, 0, 5e6))
                for n, (each, lost_s) in enumerate(zip(served, stalled_s, strict=True))
            ]
        )
        claims = {("bom-1", f"y{n}"): Claim(f"y{n}", "y", 300.0, 0.0, 0, 5e6) for n in range(OTHERS)}
        for beats in window:
            for appliance, claim in beats:
                key = (appliance, claim.account_id)
                claims[key] = claims[key].plus(claim) if key in claims else claim
        share = demotions(believed(claims, dict.fromkeys(claims, BUSY), STANDS), SITES, share, STEP_S)
        assert "bom" not in share
        found.append(share.get("fra", 0.0))
    return found


def test_a_sick_site_keeps_a_fifth_away_until_it_is_well() -> None:
    well_s = 1800.0
    shares = an_hour(lambda now_s, appliance: appliance == "fra-1" and now_s < well_s)
    sick, well = shares[: int(well_s / STEP_S)], shares[int(well_s / STEP_S) :]
    assert sick[8:] == [DEMOTED_MAX] * (len(sick) - 8), "from the second minute on, and without flapping"
    assert well == sorted(well, reverse=True)
    assert well[-1] == 0.0
    back_s = STEP_S * next(step for step, share in enumerate(well) if share < DEMOTED_MAX / 2)
    assert FALL_S / 2 <= back_s < FALL_S


def test_a_bad_hour_of_an_access_network_is_tried_out_on_a_few() -> None:
    """They fare no better elsewhere. From time to time it is tried again."""
    shares = an_hour(lambda now_s, appliance: True)
    assert 0 < max(shares) <= 0.06
    assert sum(shares) / len(shares) < 0.03
