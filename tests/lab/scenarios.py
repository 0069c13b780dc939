"""How a scenario of the lab is a test: skipped with a reason where the machine cannot hold a lab, and its figures printed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nearcast.operations.lab import needs
from nearcast.operations.lab.scenarios.outcome import Outcome
from nearcast.operations.lab.topology import Scenario

BUSY = 4
"""A figure may be so often its limit here, where other tests share two cores; `nearcast lab run` holds it to the limit itself."""
REPEATS_MAX = 2


def able() -> None:
    """Skip the test where the machine lacks something, and say what."""
    if lacking := needs.missing():
        pytest.skip(needs.reason(lacking))


def judged(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    """Print each figure beside its limit, and fail where one is far past it. A count that must be 0 must be 0."""
    with capsys.disabled():
        for row in outcome.rows:
            note = f"; {row.note}" if row.note else ""
            print(f"\nlab: {outcome.scenario}: {row.what}: {row.figure:.3g} {row.unit} (limit {row.limit:g} {row.unit}{note})", end="")
    assert outcome.rows
    assert {row.what: row.figure for row in outcome.rows if row.figure > BUSY * row.limit} == {}


def briefly(scenario: Scenario) -> Scenario:
    """The same with fewer repeats: what is proven here is that it works, and `nearcast lab run` measures."""
    return replace(scenario, repeats=min(scenario.repeats, REPEATS_MAX))
