"""What an ISP plans to announce or withdraw, and what is remembered of what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.route import Announcement
from nearcast.model.services import RehearseQuestion
from nearcast.steering.announced import BadPlan
from nearcast.steering.planned import Present, rehearsed
from nearcast.steering.rehearse import ALL, World, movement
from nearcast.steering.routes import Table
from nearcast.steering.routes.bgp import Update
from nearcast.steering.routes.rib import REFUSED_MAX, Rib
from tests.unit.steering.plans import HILLSIDE, IN_FORCE, PRESENT, RIVERBANK, SITES, TOLD, in_force, planned, ribs

FULL = replace(IN_FORCE, isps=(replace(RIVERBANK, prefixes_max=1), HILLSIDE))


def plan(*prefixes: str, isp: str = "riverbank", site: str = "", path: Sequence[int] = ()) -> tuple[Announcement, ...]:
    return tuple(Announcement(prefix=each, site=site, source=isp, as_path=tuple(path)) for each in prefixes)


def outcome(present: Present, question: RehearseQuestion) -> tuple[list[str], list[str], list[str]]:
    """What moves to the ISP's own site, what is refused, and what waited and is taken."""
    found = rehearsed(present, question, 100)
    here = [each.prefix for each in found.moved if each.after[0] == "rack"]
    return here, [f"{each.prefix} {each.why[-7:-1]}" for each in found.refused], [each.prefix for each in found.accepted]


def test_what_is_withdrawn_makes_room_for_what_is_announced() -> None:
    present = in_force(FULL, {"riverbank": ("20.1.0.0/16",)})
    swap = RehearseQuestion(withdraw=plan("20.1.0.0/16"), announce=plan("20.2.0.0/16", "20.3.0.0/16"))
    assert outcome(present, swap) == (["20.2.0.0/16"], ["20.3.0.0/16 NC3029"], [])
    part = RehearseQuestion(withdraw=plan("20.1.0.0/16", site="rack"), announce=plan("20.2.0.0/16"))
    assert outcome(present, part) == ([], ["20.2.0.0/16 NC3029"], [])  # it is announced for its other site


def test_what_waits_comes_in_when_something_goes() -> None:
    present = in_force(FULL, {"riverbank": ("20.1.0.0/16", "20.2.0.0/16", "20.3.0.0/16")})
    assert outcome(present, RehearseQuestion(withdraw=plan("20.1.0.0/16"))) == (["20.2.0.0/16"], [], ["20.2.0.0/16"])
    assert outcome(present, RehearseQuestion(withdraw=plan("20.1.0.0/16", "20.2.0.0/16")))[2] == ["20.3.0.0/16"]
    assert outcome(present, RehearseQuestion(withdraw=plan("20.9.0.0/16"))) == ([], [], [])
    swap = RehearseQuestion(withdraw=plan("20.1.0.0/16"), announce=plan("20.4.0.0/16"))
    assert outcome(present, swap) == (["20.4.0.0/16"], [], [])


def test_what_is_announced_and_refused_goes_and_makes_room() -> None:
    """Treat-as-withdraw, as the collector does."""
    present = in_force(FULL, {"riverbank": ("20.1.0.0/16", "20.2.0.0/16")})
    looped = RehearseQuestion(announce=plan("20.1.0.0/16", path=(64511, 64500)))
    assert outcome(present, looped) == (["20.2.0.0/16"], ["20.1.0.0/16 NC3027"], ["20.2.0.0/16"])


def test_a_withdrawal_makes_room_under_new_settings_too() -> None:
    present = in_force(replace(FULL, isps=(replace(RIVERBANK, prefixes_max=2), HILLSIDE)), {"riverbank": TOLD["riverbank"][:2]})
    question = RehearseQuestion(isps=tuple(map(planned, FULL.isps)), withdraw=plan("20.1.0.0/16"))
    assert [each.prefix for each in rehearsed(present, question, 100).moved] == ["20.1.0.0/16"]


def test_without_sessions_nothing_that_waits_comes_in() -> None:
    present = in_force(FULL, {"riverbank": ("20.1.0.0/16", "20.2.0.0/16")})
    assert outcome(present, RehearseQuestion(asn=0, withdraw=plan("20.1.0.0/16"))) == ([], [], [])


@pytest.mark.parametrize(
    "question",
    [
        RehearseQuestion(announce=plan("20.4.0.0/16", "20.4.0.0/16")),
        RehearseQuestion(announce=plan("2a00:100::/24", "2a00:0100::/24")),
        RehearseQuestion(announce=(*plan("20.4.0.0/16"), *plan("20.4.0.0/16", site="rack"))),
        RehearseQuestion(withdraw=plan("20.1.0.0/16", "20.1.0.0/16")),
    ],
)
def test_a_prefix_is_planned_once(question: RehearseQuestion) -> None:
    with pytest.raises(BadPlan, match="twice by riverbank for the site rack"):
        rehearsed(PRESENT, question, 100)


def test_a_prefix_is_either_announced_or_withdrawn() -> None:
    both = RehearseQuestion(announce=plan("20.1.0.0/16"), withdraw=plan("20.1.0.0/16", site="rack"))
    with pytest.raises(BadPlan, match="announced and withdrawn by riverbank for the site rack") as caught:
        rehearsed(PRESENT, both, 100)
    assert "leave one of them out" in caught.value.hint
    moved = RehearseQuestion(announce=plan("20.1.0.0/16", site="north"), withdraw=plan("20.1.0.0/16", site="rack"))
    assert [(each.before[0], each.after[0]) for each in rehearsed(PRESENT, moved, 100).moved] == [("rack", "north")]


@pytest.mark.parametrize("verb", ["announce", "withdraw"])
def test_an_isp_plans_for_its_own_sites_alone(verb: str) -> None:
    """As ``Rib`` has it: what it announces is for these, wherever else there are sites."""
    there = plan("20.1.0.0/16", site="south")
    with pytest.raises(BadPlan, match="'south' is none of those that serve what the ISP riverbank announces") as caught:
        rehearsed(PRESENT, replace(RehearseQuestion(), **{verb: there}), 100)
    assert "there are: rack, north" in caught.value.hint
    given_it = tuple(map(planned, (replace(RIVERBANK, sites=("rack", "south")), HILLSIDE)))
    rehearsed(PRESENT, replace(RehearseQuestion(isps=given_it), **{verb: there}), 100)


def test_without_a_site_an_isp_has_nothing_to_plan_for() -> None:
    idle = tuple(map(planned, (replace(RIVERBANK, sites=()), HILLSIDE)))
    with pytest.raises(BadPlan, match="no site serves what the ISP riverbank announces"):
        rehearsed(PRESENT, RehearseQuestion(isps=idle, announce=plan("20.4.0.0/16", site="rack")), 100)


def test_a_prefix_may_be_planned_for_each_site_by_itself() -> None:
    alone = Announcement(prefix="20.4.0.0/16", site="north", source="riverbank", order=1)
    question = RehearseQuestion(announce=(*plan("20.4.0.0/16", site="rack"), alone))
    assert outcome(in_force(FULL, {}), question) == (["20.4.0.0/16"], [], [])  # it takes one place


POOL = ("20.1.0.0/16", "20.1.1.0/24", "20.2.0.0/16", "20.3.0.0/16", "21.0.0.0/8", "20.4.0.0/16")


@settings(max_examples=100)
@given(
    st.permutations(POOL).flatmap(lambda each: st.integers(0, len(each)).map(lambda count: each[:count])),
    st.lists(st.tuples(st.sampled_from(POOL), st.booleans()), unique_by=lambda each: each[0], max_size=4),
    st.lists(st.sampled_from(POOL), unique=True, max_size=4),
    st.integers(1, 4),
)
def test_a_plan_comes_to_what_the_collector_would_make_of_it(
    told: Sequence[str], announced: Sequence[tuple[str, bool]], withdrawn: Sequence[str], most: int
) -> None:
    assume(len({*told, *(prefix for prefix, _ in announced)}) <= 2 * most)  # so many are remembered of a router
    withdrawn = [each for each in withdrawn if all(each != prefix for prefix, _ in announced)]
    isp = replace(RIVERBANK, prefixes_max=most)
    steering = replace(IN_FORCE, isps=(isp,))
    present = in_force(steering, {"riverbank": told}, refused=False)
    rib = ribs((isp,), 64500, {"riverbank": told})["riverbank"]
    paths = {prefix: (64511,) if fit else (64511, 64500) for prefix, fit in announced}
    question = RehearseQuestion(
        announce=tuple(each for prefix, path in paths.items() for each in plan(prefix, path=path)), withdraw=plan(*withdrawn)
    )
    before, waited = {each.prefix for each in rib.everything()}, {each.prefix for each in rib.held()}
    rib.apply(Update("127.0.0.11", (), tuple(map(ip_network, withdrawn)), ()))
    refused = {prefix for each, path in paths.items() for prefix, _ in rib.apply(Update("127.0.0.11", (ip_network(each),), (), path))}
    rib.changes()
    after = {each.prefix for each in rib.everything()}
    found = rehearsed(present, question, 100)
    then = Table.of(steering.routes, SITES, rib.everything(), geography=present.table.geography)
    sites = {each.name: each for each in SITES}
    assert found.moved == movement(World(present.table, sites), World(then, sites), ALL, 100).moved
    assert {each.prefix for each in found.refused} == refused | (paths.keys() - after)
    assert {each.prefix for each in found.accepted} == (after - before - paths.keys()) & waited


# --- what is remembered of what was refused ---------------------------------------------------------------------------


def update(*announced: str, withdrawn: Sequence[str] = (), router: str = "127.0.0.11") -> Update:
    return Update(router, tuple(map(ip_network, announced)), tuple(map(ip_network, withdrawn)), (64511,))


def held(rib: Rib) -> list[str]:
    return [each.prefix for each in rib.held()]


def test_what_is_refused_is_remembered_until_it_is_withdrawn_or_its_session_ends() -> None:
    rib = Rib(RIVERBANK, 64500)
    rib.apply(update("8.8.8.0/24", "8.8.4.0/24", "20.1.0.0/16"))
    assert held(rib) == ["8.8.8.0/24", "8.8.4.0/24"]
    rib.apply(update(withdrawn=["8.8.8.0/24"]))
    assert held(rib) == ["8.8.4.0/24"]
    rib.drop("127.0.0.11")
    assert held(rib) == []


def test_what_waits_beyond_the_maximum_is_held_too() -> None:
    rib = Rib(replace(RIVERBANK, prefixes_max=1), 64500)
    rib.apply(update("20.1.0.0/16", "20.2.0.0/16", "20.3.0.0/16", "8.8.8.0/24"))
    rib.changes()
    assert tuple(rib.held(refused=False)) == (Announcement(prefix="20.2.0.0/16", site="", source="riverbank", as_path=(64511,)),)


def test_a_flood_of_refused_prefixes_is_remembered_in_part() -> None:
    rib = Rib(RIVERBANK, 64500)
    rib.apply(update(*(f"8.{number // 256}.{number % 256}.0/24" for number in range(REFUSED_MAX + 10))))
    assert len(held(rib)) == REFUSED_MAX
    assert held(rib)[0] == "8.0.10.0/24"  # the oldest went first
