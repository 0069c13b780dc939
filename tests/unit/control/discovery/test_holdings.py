"""Holdings told by what changed: an asker and a teller always agree, however often one of them starts anew."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.clock import VirtualClock
from nearcast.control.discovery import DiscoveryService
from nearcast.control.discovery.service import left_out, taken_in
from nearcast.model.services import AppliancesQuestion
from nearcast.model.site import Appliance, ApplianceReport
from nearcast.policy import holdings
from tests.unit.control.discovery.test_service import REPORT

HELD = st.dictionaries(st.sampled_from([f"t_{number}" for number in range(6)]), st.integers(1, 10**12), max_size=6)


def told(now: dict[str, int], base: dict[str, int], **changes: object) -> ApplianceReport:
    """What an appliance reports that knows discovery to have ``base``."""
    report = msgspec.structs.replace(
        REPORT,
        holdings=holdings.changes(base, now) if base else now,
        holdings_digest=holdings.digest(now),
        holdings_base=holdings.digest(base),
    )
    return msgspec.structs.replace(report, **changes)


@given(st.lists(st.tuples(HELD, st.booleans()), max_size=8))
async def test_changes_lead_to_the_whole_and_a_restart_asks_for_all_of_it(steps: list[tuple[dict[str, int], bool]]) -> None:
    discovery = DiscoveryService(clock=VirtualClock())
    base: dict[str, int] = {}
    for now, restarted in steps:
        if restarted:
            discovery = DiscoveryService(clock=VirtualClock())
        answer = await discovery.report(told(now, base))
        if answer.holdings_wanted:
            assert restarted
            answer = await discovery.report(told(now, {}))
        assert not answer.holdings_wanted
        base = now
        (found,) = (await discovery.appliances(AppliancesQuestion())).appliances
        assert found.report.holdings == now
        assert found.report.holdings_digest == holdings.digest(now)


def test_what_builds_on_something_else_leaves_what_was_known() -> None:
    before, whole = taken_in(told({"t_1": 5}, {}), None)
    assert whole
    kept, whole = taken_in(told({"t_1": 5, "t_2": 6, "t_3": 7}, {"t_1": 5, "t_2": 6}), before)
    assert not whole
    assert (kept.holdings, kept.holdings_digest) == (before.holdings, before.holdings_digest)
    lying = told({"t_1": 5, "t_2": 6}, {"t_1": 5}, holdings_digest="0" * 16)
    assert not taken_in(lying, before)[1], "the sum must be what the appliance says it is"


async def test_after_a_restart_holdings_are_unknown_and_not_gone() -> None:
    held, more = {"t_1": 5, "t_2": 6}, {"t_1": 5, "t_2": 6, "t_3": 7}
    known = (appliance(REPORT.id, held),)
    discovery = DiscoveryService(clock=VirtualClock())
    for report in (told(held, held), told(more, held), told(held, held)):
        assert (await discovery.report(report)).holdings_wanted, "however often: it has not been told all of them"
        answer = (await discovery.appliances(AppliancesQuestion(known=holdings.digests(known)))).appliances
        assert holdings.completed(answer, known)[0].report.holdings == held, "who knew them goes on with them"
        (stranger,) = holdings.completed(answer, ())
        assert (stranger.report.holdings, stranger.report.holdings_digest) == ({}, holdings.EMPTY), "who did not asks again"
    for report, now in ((told(more, {}), more), (told({}, more), {})):
        assert not (await discovery.report(report)).holdings_wanted
        answer = (await discovery.appliances(AppliancesQuestion(known=holdings.digests(known)))).appliances
        assert holdings.completed(answer, known)[0].report.holdings == now


def appliance(name: str, held: dict[str, int]) -> Appliance:
    report = msgspec.structs.replace(REPORT, id=name, holdings=held, holdings_digest=holdings.digest(held))
    return Appliance(report=report, age_s=0.0)


@given(st.lists(HELD, max_size=8), st.lists(HELD, max_size=8), st.integers(1, 10))
def test_who_asks_again_comes_to_know_everything(before: list[dict[str, int]], now: list[dict[str, int]], titles_max: int) -> None:
    known = tuple(appliance(str(number), held) for number, held in enumerate(before))
    fleet = tuple(appliance(str(number), held) for number, held in enumerate(now))
    for _ in range(len(fleet) + 1):
        answer = left_out(fleet, holdings.digests(known), titles_max)
        assert sum(len(each.report.holdings) for each in answer) <= max(titles_max, 6)
        known = holdings.completed(answer, known)
    assert known == fleet


def test_what_is_known_is_not_told_again() -> None:
    fleet = (appliance("a", {"t_1": 5}), appliance("b", {}))
    answer = left_out(fleet, holdings.digests(fleet))
    assert [each.report.holdings for each in answer] == [{}, {}]
    assert holdings.completed(answer, fleet) == fleet
