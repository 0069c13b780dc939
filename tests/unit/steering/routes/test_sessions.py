"""What sessions tell becomes what the table is told: the best of several routers, the maximum, and what a lost session keeps."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.route import Announcement
from nearcast.steering.routes.bgp import Reason, parse
from nearcast.steering.routes.rib import Changes
from nearcast.steering.routes.sessions import GRACE_S, HELD_S, SWEEP_S, Sessions
from nearcast.steering.routes.settings import Isp
from tests.unit.steering.routes.telling import ISP, OURS, announce, end_of_rib, state, withdraw

FIRST, SECOND = ISP.routers


class Heard:
    """Sessions, and the table as it is told."""

    def __init__(self, isp: Isp = ISP, most: int | None = None) -> None:
        self.most = most
        self.sessions = Sessions((isp,), OURS, 0.0)
        self.table: dict[tuple[str, str], Announcement] = {}
        self.now_s, self.unix_s = 0.0, 1_700_000_000.0
        self.refused: list[tuple[str, Reason]] = []
        self.steps = 0

    def hear(self, *lines: bytes) -> None:
        for line in lines:
            refused, _ = self.sessions.receive(parse(line), self.now_s, self.unix_s)
            self.refused += [(each.prefix, each.reason) for each in refused]

    def wait(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.sessions.tick(self.now_s)

    def take(self, changes: Changes) -> None:
        for each in changes.withdraw:
            del self.table[each.prefix, each.site]
        for each in changes.announce:
            self.steps += 1
            self.table[each.prefix, each.site] = each

    @property
    def prefixes(self) -> list[str]:
        """Those that the table has now, of the first site; the second has the same."""
        for rib in self.sessions.ribs.values():
            self.take(rib.changes(self.most))
            while rib.pending:
                self.take(rib.changes(self.most))
        by_site = [sorted(prefix for prefix, of in self.table if of == site) for site in ISP.sites]
        assert by_site[0] == by_site[1]
        return by_site[0]


def test_what_is_announced_serves_the_sites_of_the_isp_in_their_order() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16", path=(64511, 64999), med=7))
    assert heard.prefixes == ["20.1.0.0/16"]
    assert heard.table["20.1.0.0/16", "exchange"] == Announcement(
        prefix="20.1.0.0/16", site="exchange", source="riverbank", as_path=(64511, 64999), med=7, order=1
    )


def test_the_best_of_two_routers_stands_and_the_other_follows() -> None:
    heard = Heard()
    heard.hear(state("up"), state("up", router=SECOND))
    heard.hear(announce("20.1.0.0/16", path=(64511, 64999)), announce("20.1.0.0/16", med=9, router=SECOND))
    assert heard.prefixes == ["20.1.0.0/16"]
    assert heard.table["20.1.0.0/16", "rack"].med == 9
    heard.hear(withdraw("20.1.0.0/16", router=SECOND))
    assert heard.prefixes == ["20.1.0.0/16"]
    assert heard.table["20.1.0.0/16", "rack"].as_path == (64511, 64999)
    heard.hear(withdraw("20.1.0.0/16"))
    assert heard.prefixes == []


def test_what_is_told_again_changes_nothing() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16"))
    assert heard.prefixes == ["20.1.0.0/16"]
    heard.hear(announce("20.1.0.0/16"))
    assert heard.prefixes == ["20.1.0.0/16"]
    assert heard.steps == len(ISP.sites)


def test_a_refused_announcement_withdraws_the_one_before() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16", "20.2.0.0/16"))
    heard.hear(announce("20.1.0.0/16", path=(64511, OURS)))
    assert heard.prefixes == ["20.2.0.0/16"]
    assert heard.refused == [("20.1.0.0/16", Reason.LOOP)]


def test_a_bad_prefix_does_not_cost_its_neighbours() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16", "0.0.0.0/0", "8.8.8.0/24", "2a00:100::/32"))
    assert heard.prefixes == ["20.1.0.0/16", "2a00:100::/32"]
    source = heard.sessions.sources()[0]
    assert (source.prefixes, source.refused, source.state) == (2, 2, "up")
    assert source.last_refused == "8.8.8.0/24 is not in the ISP's allow list (NC3025)"
    assert source.last_refused_at == heard.unix_s


def test_what_is_beyond_the_maximum_waits_and_comes_in_as_others_go() -> None:
    heard = Heard()
    prefixes = [f"20.{number}.0.0/16" for number in range(1, 6)]
    heard.hear(state("up"), *(announce(each) for each in prefixes))
    assert heard.prefixes == prefixes[:3]
    source = heard.sessions.sources()[0]
    assert (source.prefixes, source.refused) == (3, 2)
    assert "2 prefixes wait" in source.problem
    assert "NC3029" in source.problem
    heard.hear(withdraw(prefixes[0]))
    assert heard.prefixes == prefixes[1:4]
    heard.hear(withdraw(prefixes[4]), withdraw(prefixes[1]))
    assert heard.prefixes == prefixes[2:4]
    assert "wait" not in heard.sessions.sources()[0].problem


def test_a_flood_is_remembered_only_up_to_twice_the_maximum() -> None:
    heard = Heard()
    heard.hear(state("up"), announce(*(f"20.1.{number}.0/24" for number in range(100))))
    assert len(heard.prefixes) == 3
    rib = heard.sessions.ribs["riverbank"]
    assert rib.waiting == 3
    assert len(heard.refused) == 94
    assert rib.refused[Reason.MAXIMUM] == 97


def test_of_many_changes_some_are_told_at_once_withdrawals_first() -> None:
    sessions = Sessions((replace(ISP, prefixes_max=10),), OURS, 0.0)
    rib = sessions.ribs["riverbank"]
    old, new = ([f"20.{number}.0.0/16" for number in range(first, first + 5)] for first in (0, 5))
    for each in (state("up"), announce(*old)):
        sessions.receive(parse(each), 0.0)
    assert len(rib.changes().announce) == 10
    for each in (announce(*new), announce(*old[:2], med=7), withdraw(*old[2:])):
        sessions.receive(parse(each), 0.0)
    told = []
    while rib.pending:
        before, found = rib.pending, rib.changes(most=4)  # two prefixes, at two sites each
        assert 0 < len(found.announce) + len(found.withdraw) <= 4
        assert rib.pending < before
        told.append((len(found.withdraw), len(found.announce)))
    assert told == [(4, 0), (2, 2), (0, 4), (0, 4), (0, 4)]
    assert sorted(each.prefix for each in rib.everything() if each.site == "rack") == sorted([*old[:2], *new])


def test_a_session_ended_on_purpose_withdraws_at_once() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16"))
    assert heard.prefixes
    heard.hear(state("down", "notification received (6,2)"))
    assert heard.prefixes == []


def test_a_lost_session_is_kept_for_a_grace() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16"), state("down", "closing connection"))
    heard.wait(GRACE_S - 0.01)
    assert heard.prefixes == ["20.1.0.0/16"]
    assert heard.sessions.sources()[0].state == "down"
    assert "kept for a while" in heard.sessions.sources()[0].problem
    heard.wait(0.01)
    assert heard.prefixes == []


def test_a_session_that_comes_back_loses_only_what_it_does_not_tell_again() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16", "20.2.0.0/16", "2a00:100::/32"), state("down", "closing connection"))
    heard.wait(1.0)
    heard.hear(state("up"), announce("20.2.0.0/16"))
    assert heard.prefixes == ["20.1.0.0/16", "20.2.0.0/16", "2a00:100::/32"]
    heard.hear(end_of_rib(4))
    assert heard.prefixes == ["20.2.0.0/16", "2a00:100::/32"]
    heard.hear(end_of_rib(6))
    assert heard.prefixes == ["20.2.0.0/16"]
    heard.wait(HELD_S + SWEEP_S)
    assert heard.prefixes == ["20.2.0.0/16"]


def test_a_router_without_ends_of_rib_is_swept_after_a_while() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16"), state("down", "closing connection"), state("up"))
    heard.wait(SWEEP_S - 0.01)
    assert heard.prefixes == ["20.1.0.0/16"]
    heard.wait(0.01)
    assert heard.prefixes == []


def test_when_our_own_speaker_falls_nobody_is_moved_for_a_while() -> None:
    heard = Heard()
    heard.hear(state("up"), announce("20.1.0.0/16"))
    heard.sessions.lost("our speaker fell", heard.now_s)
    heard.wait(HELD_S - 0.01)
    assert heard.prefixes == ["20.1.0.0/16"]
    heard.wait(0.01)
    assert heard.prefixes == []


def test_one_router_down_leaves_what_the_other_tells() -> None:
    heard = Heard()
    heard.hear(state("up"), state("up", router=SECOND), announce("20.1.0.0/16"), announce("20.1.0.0/16", "20.2.0.0/16", router=SECOND))
    heard.hear(state("down", "notification sent (4,0)", router=SECOND))
    assert heard.prefixes == ["20.1.0.0/16"]


def test_strangers_change_nothing() -> None:
    heard = Heard()
    heard.hear(state("up", router="127.0.0.99"), announce("20.1.0.0/16", router="127.0.0.99"))
    assert heard.prefixes == []


def test_what_is_left_from_before_goes_once_all_is_told() -> None:
    heard = Heard()
    assert heard.sessions.settled(0.0) == []
    heard.hear(state("up"), end_of_rib(4), end_of_rib(6), state("up", router=SECOND), end_of_rib(4, SECOND))
    assert heard.sessions.settled(1.0) == []
    heard.hear(end_of_rib(6, SECOND))
    assert heard.sessions.settled(1.0) == ["riverbank"]
    assert heard.sessions.settled(2.0) == []


def test_what_is_left_from_before_goes_when_an_isp_does_not_come_back() -> None:
    heard = Heard()
    assert heard.sessions.settled(HELD_S - 0.01) == []
    assert heard.sessions.settled(HELD_S) == ["riverbank"]


def test_an_isp_without_routers_says_so() -> None:
    source = Heard(replace(ISP, routers=())).sessions.sources()[0]
    assert (source.state, source.problem) == ("down", "no router is configured")


def test_an_isp_that_nobody_serves_says_so() -> None:
    sessions = Sessions((replace(ISP, sites=()),), OURS, 0.0)
    for each in (state("up"), announce("20.1.0.0/16"), state("up", router=SECOND)):
        sessions.receive(parse(each), 0.0)
    assert sessions.ribs["riverbank"].changes() == ((), ())
    source = sessions.sources()[0]
    assert (source.state, source.prefixes) == ("up", 1)
    assert source.problem == "no site serves what it announces: name them as its sites"


@given(st.integers(0, 2**32 - 1), st.sampled_from((None, 1, 4)))
def test_the_table_is_always_what_the_routers_tell(seed: int, most: int | None) -> None:
    """Against a plain model: the union of what the routers that are up have announced, at most the maximum."""
    chance, heard = random.Random(seed), Heard(most=most)
    pool = [f"20.{number}.0.0/16" for number in range(1, 7)]
    told: dict[str, set[str]] = {FIRST: set(), SECOND: set()}
    up: dict[str, bool] = {FIRST: False, SECOND: False}
    for _ in range(40):
        router, prefix = chance.choice((FIRST, SECOND)), chance.choice(pool)
        if not up[router]:
            heard.hear(state("up", router=router))
            up[router] = True
        elif chance.random() < 0.1:
            heard.hear(state("down", "notification received (6,4)", router=router))
            up[router], told[router] = False, set()
        elif chance.random() < 0.6:
            heard.hear(announce(prefix, med=chance.randrange(1, 4), router=router))
            told[router].add(prefix)
        else:
            heard.hear(withdraw(prefix, router=router))
            told[router].discard(prefix)
        there = told[FIRST] | told[SECOND]
        if chance.random() < 0.3:
            continue  # and more comes before the table is told
        prefixes = heard.prefixes
        assert set(prefixes) <= there
        assert len(prefixes) == min(len(there), ISP.prefixes_max)
        assert heard.sessions.ribs["riverbank"].waiting == len(there) - len(prefixes)
        assert sorted(each.prefix for each in heard.sessions.ribs["riverbank"].everything() if each.site == "rack") == prefixes
