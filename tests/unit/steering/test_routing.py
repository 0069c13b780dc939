"""The Routing service explains by the decision itself, and rehearses what the filter would take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from nearcast.model.route import Announcement, Route
from nearcast.model.services import ExplainQuestion, Nothing, PlannedIsp, RehearseQuestion, SourceStatus
from nearcast.steering.announced import BadPlan, NoIsp
from nearcast.steering.decide import Decider
from nearcast.steering.routing import NoAddress, RoutingService, address_of
from nearcast.steering.view import View
from tests.unit.steering.routed import (
    COMPILED_AT,
    EVERYWHERE,
    ISP,
    SETTINGS,
    VIEW,
    Sight,
    service,
)


async def test_an_explanation_is_the_decision() -> None:
    sight = Sight()
    found = await service(sight).explain(ExplainQuestion(address="20.1.2.3", title_id="t"))
    decider = Decider(SETTINGS.sites)
    decider.use(sight.table(), sight.view())
    decided = decider.decide("20.1.2.3", "t")
    chosen = [each.appliance for each in found.considered if each.verdict == "chosen"]
    assert chosen == [each.id for each in decided.appliances]
    assert chosen[0] == "rack-1"
    assert (found.prefix, found.table_version, found.last_known) == ("20.1.0.0/16", 3, False)
    assert [(each.site, each.source) for each in found.candidates[:2]] == [("rack", "riverbank"), ("north", "riverbank")]
    assert all(each.why for each in found.considered)


async def test_who_is_rejected_is_told_with_the_reason() -> None:
    found = await service().explain(ExplainQuestion(address="30.1.2.3"))
    rejected = {each.appliance: each.why for each in found.considered if each.verdict == "rejected"}
    assert "rack-1" in rejected  # an ISP's site serves only what was announced to it
    assert "riverbank" in rejected["rack-1"]


async def test_ipv4_mapped_addresses_count_as_ipv4() -> None:
    found = await service().explain(ExplainQuestion(address="::ffff:20.1.2.3"))
    assert (found.address, found.counted_as, found.prefix) == ("::ffff:20.1.2.3", "20.1.2.3", "20.1.0.0/16")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        *(
            (each, "is not an IP address", "203.0.113.7")
            for each in ("", "nearcast.example", "20.1.2", "1.2.3.4.5", "::g", "[::g]", "a:443")
        ),
        ("20.1.2.0/24", "is a prefix", "alone: 20.1.2.0"),
        ("20.1.2.3:443", "with a port", "alone: 20.1.2.3"),
        ("[2a00::7]:443", "with a port", "alone: 2a00::7"),
        ("[2a00::7]", "in brackets", "alone: 2a00::7"),
        ("fe80::1%eth0", "with a zone", "alone: fe80::1"),
        ("[fe80::1%25eth0]", "in brackets", "alone: fe80::1"),
        (" 20.1.2.3", "white space", "alone: 20.1.2.3"),
    ],
)
def test_what_is_no_address_is_not_explained(text: str, said: str, hint: str) -> None:
    with pytest.raises(NoAddress, match=said) as caught:
        address_of(text)
    assert (caught.value.status, caught.value.exit_code) == (400, 2)
    assert hint in caught.value.hint


async def test_an_old_view_is_told() -> None:
    old = View(replace(VIEW.snapshot, source="last-known"), VIEW.holdings)
    assert (await service(Sight(old)).explain(ExplainQuestion(address="20.1.2.3"))).last_known


async def test_new_routes_move_those_below_them() -> None:
    routes = (SETTINGS.routes[0], Route(prefix="30.128.0.0/9", sites=("south", "north")))
    found = await service().rehearse(RehearseQuestion(routes=routes))
    assert [(each.prefix, each.addresses, each.before, each.after) for each in found.moved] == [
        ("30.0.0.0/9", 2.0**23, ("south", "north"), ("north", "south"))
    ]


async def test_the_routes_in_force_move_nobody() -> None:
    assert (await service().rehearse(RehearseQuestion(routes=SETTINGS.routes))).moved_total == 0


async def test_a_planned_announcement_goes_to_the_sites_of_the_isp() -> None:
    planned = Announcement(prefix="20.2.0.0/16", site="", source="riverbank")
    found = await service().rehearse(RehearseQuestion(announce=(planned,)))
    assert found.refused == ()
    assert [(each.prefix, each.before, each.after) for each in found.moved] == [
        ("20.2.0.0/16", ("north", "south"), ("rack", "north", "south"))
    ]


async def test_a_planned_withdrawal_moves_only_its_own() -> None:
    gone = Announcement(prefix="20.1.0.0/16", site="", source="riverbank")
    found = await service().rehearse(RehearseQuestion(withdraw=(gone,)))
    assert [(each.prefix, each.before, each.after) for each in found.moved] == [
        ("20.1.0.0/16", ("rack", "north", "south"), ("north", "south"))
    ]


async def test_what_the_filter_would_refuse_moves_nobody_and_is_told() -> None:
    planned = [
        Announcement(prefix=prefix, site="", source="riverbank", as_path=path)
        for prefix, path in (
            ("0.0.0.0/0", ()),
            ("99.0.0.0/16", ()),
            ("20.2.0.0/16", (64511, 64500)),
            ("20.3.0.0/16", ()),  # the second of two: taken
            ("20.4.0.0/16", ()),  # one too many
            ("20.1.0.0/16", ()),  # announced already: no more than before
        )
    ]
    found = await service().rehearse(RehearseQuestion(announce=tuple(planned)))
    assert [(each.prefix, each.why[-7:-1]) for each in found.refused] == [
        ("0.0.0.0/0", "NC3022"),
        ("99.0.0.0/16", "NC3025"),
        ("20.2.0.0/16", "NC3027"),
        ("20.4.0.0/16", "NC3029"),
    ]
    assert [each.prefix for each in found.moved] == ["20.3.0.0/16"]


async def test_what_waits_is_asked_for_where_it_counts_and_comes_in() -> None:
    asked: list[tuple[str, bool]] = []

    def held(isp: str, *, refused: bool) -> Iterator[Announcement]:
        asked.append((isp, refused))
        yield Announcement(prefix="20.9.0.0/16", site="", source=isp, as_path=(64511,))

    sight = Sight()
    full = replace(SETTINGS, isps=(replace(ISP, prefixes_max=1),))
    isp = SourceStatus(name="riverbank", kind="bgp", state="up", prefixes=1)
    made = RoutingService(full, sight, sight, lambda: (isp,), held=held)
    found = await made.rehearse(RehearseQuestion(withdraw=(Announcement(prefix="20.1.0.0/16", site="", source="riverbank"),)))
    assert [(each.prefix, each.source) for each in found.accepted] == [("20.9.0.0/16", "riverbank")]
    assert [(each.prefix, each.after[0]) for each in found.moved] == [("20.1.0.0/16", "north"), ("20.9.0.0/16", "rack")]
    assert asked == [("riverbank", False)]
    await made.rehearse(EVERYWHERE)
    same = PlannedIsp(name="riverbank", asn=64511, sites=ISP.sites, allow=ISP.allow, prefixes_max=1)
    await made.rehearse(RehearseQuestion(isps=(same,), asn=64500))
    assert asked[1:] == []
    await made.rehearse(RehearseQuestion(isps=(replace(same, prefixes_max=2), PlannedIsp(name="hillside", asn=64512))))
    await made.rehearse(RehearseQuestion(asn=0))
    assert asked[1:] == [("riverbank", True)] * 2


async def test_nonsense_is_refused_with_a_hint() -> None:
    asked = service()
    with pytest.raises(NoIsp) as caught:
        await asked.rehearse(RehearseQuestion(announce=(Announcement(prefix="20.2.0.0/16", site="", source="riverbnak"),)))
    assert "riverbank" in caught.value.hint
    with pytest.raises(BadPlan, match="the site 'rock' is none of those"):
        await asked.rehearse(RehearseQuestion(announce=(Announcement(prefix="20.2.0.0/16", site="rock", source="riverbank"),)))
    with pytest.raises(BadPlan, match="not a prefix"):
        await asked.rehearse(RehearseQuestion(announce=(Announcement(prefix="20.2.0", site="", source="riverbank"),)))
    with pytest.raises(BadPlan, match="does not exist"):
        await asked.rehearse(RehearseQuestion(routes=(Route(prefix="20.0.0.0/8", sites=("nowhere",)),)))


async def test_the_status_tells_where_routes_come_from() -> None:
    found = await service().status(Nothing())
    assert (found.version, found.prefixes_ipv4, found.prefixes_ipv6, found.overlay) == (3, 3, 0, 0)
    assert [(each.name, each.kind, each.state, each.prefixes) for each in found.sources] == [
        ("config", "config", "loaded", 2),
        ("blocks", "geographic", "down", 1),
        ("riverbank", "bgp", "up", 1),
    ]
    assert found.sources[1].problem == "no address of it is in the table yet"
    assert found.health is VIEW.snapshot
    assert found.compiled_at == COMPILED_AT


async def test_the_status_tells_why_the_file_of_geography_does_not_count() -> None:
    asked = RoutingService(SETTINGS, sight := Sight(), sight, tuple, unread=lambda: "it is being read")
    geography = (await asked.status(Nothing())).sources[1]
    assert (geography.state, geography.problem) == ("down", "it is being read")
