"""A plan is rehearsed as if it were in force: what routers tell goes through the new filter, and the table is compiled anew."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.route import Announcement, Route
from nearcast.model.services import PlannedGeography, PlannedIsp, RehearseQuestion
from nearcast.model.site import Site
from nearcast.steering.announced import BadPlan
from nearcast.steering.planned import NotRehearsed, rehearsed
from nearcast.steering.rehearse import ALL, World, movement
from nearcast.steering.routes.configured import spread
from nearcast.steering.routes.countries import middle
from nearcast.steering.routes.settings import BgpSettings, GeographicSettings, Isp
from nearcast.steering.settings import SteeringSettings
from tests.unit.steering.plans import ASNS, HILLSIDE, IN_FORCE, PRESENT, RIVERBANK, SITES, in_force, moved, planned, ribs


def test_a_site_that_goes_moves_those_whom_it_served() -> None:
    isps = (planned(replace(RIVERBANK, sites=("north",))), planned(HILLSIDE))
    assert moved(RehearseQuestion(sites=SITES[:2], isps=isps)) == [
        ("20.1.0.0/16", ("rack", "north", "south"), ("north", "south")),
        ("20.2.0.0/16", ("rack", "north", "south"), ("north", "south")),
    ]


def test_a_site_that_comes_serves_whom_it_is_near() -> None:
    north, east = middle("NO")
    found = rehearsed(PRESENT, RehearseQuestion(sites=(*SITES, Site(name="oslo", latitude=north, longitude=east))), 1)
    assert [(each.prefix, each.after) for each in found.moved] == [("50.0.0.0/8", ("oslo", "north", "south"))]
    assert found.changes == ("the site oslo comes",)


def test_a_site_that_no_route_names_is_told_of() -> None:
    said = "no route names the site attic: whom it serves as a last resort is decided by loads, and not compared"
    sites = (*SITES, Site(name="attic"))
    comes = rehearsed(PRESENT, RehearseQuestion(sites=sites), 1)
    assert (comes.moved_total, comes.changes) == (0, ("the site attic comes", said))
    there = in_force(replace(IN_FORCE, sites=sites), {})
    assert rehearsed(there, RehearseQuestion(sites=SITES), 1).changes == ("the site attic goes", said)
    assert rehearsed(there, RehearseQuestion(routes=IN_FORCE.routes), 1).changes == ()
    routes = (Route(prefix="0.0.0.0/0", sites=("north", "attic")),)
    assert rehearsed(PRESENT, RehearseQuestion(sites=sites, routes=routes), 1).changes == ("the site attic comes",)
    zoned = (*SITES, Site(name="attic", zone="z"))
    named = in_force(replace(IN_FORCE, sites=sites, routes=routes), {})
    assert said not in rehearsed(named, RehearseQuestion(sites=zoned), 1).changes
    left = named._replace(table=named.table.altered((), spread(routes, {each.name for each in sites})))
    assert said in rehearsed(left, RehearseQuestion(sites=zoned), 1).changes, "what named it was withdrawn since"


def test_of_an_isp_that_comes_what_it_is_planned_to_announce_is_compared() -> None:
    lakeside = PlannedIsp(name="lakeside", asn=64513, sites=("south",), allow=("60.0.0.0/8",), prefixes_max=10)
    isps = (planned(RIVERBANK), planned(HILLSIDE), lakeside)
    alone = rehearsed(PRESENT, RehearseQuestion(isps=isps), 10)
    assert (alone.moved_total, alone.changes) == (
        0,
        ("the ISP lakeside comes: what it announces is known once its session is up, and compared as far as it is planned",),
    )
    told = tuple(Announcement(prefix=each, site="", source="lakeside") for each in ("60.1.0.0/16", "70.0.0.0/8"))
    found = rehearsed(PRESENT, RehearseQuestion(isps=isps, announce=told), 10)
    assert [(each.prefix, each.before, each.after) for each in found.moved] == [("60.1.0.0/16", ("north", "south"), ("south", "north"))]
    assert [(each.prefix, each.source) for each in found.refused] == [("70.0.0.0/8", "lakeside")]
    assert found.changes == (
        "the ISP lakeside comes: compared is what it is planned to announce; what it will is known once its session is up",
    )


def test_a_site_that_leaves_an_isp_serves_everybody_whom_a_route_gives_it() -> None:
    isps = (planned(replace(RIVERBANK, sites=("north",))), planned(HILLSIDE))
    sites = (*SITES[:2], Site(name="rack", zone="r"))
    routes = (Route(prefix="0.0.0.0/0", sites=("north", "rack")),)
    found = rehearsed(PRESENT, RehearseQuestion(sites=sites, isps=isps, routes=routes), 100)
    assert found.moved[0].before == ("north", "south")
    assert {each.after for each in found.moved} >= {("north", "rack"), ("south", "north", "rack")}
    assert "the site rack stands in the network of no ISP instead of riverbank" in found.changes


def test_a_zone_changes_who_is_the_alternate() -> None:
    """Answers are in failure domains of their own as far as there are such."""
    sites = (replace(SITES[0], zone="r"), *SITES[1:])
    assert moved(RehearseQuestion(sites=sites))[:1] == [("20.1.0.0/16", ("rack", "north", "south"), ("rack", "south", "north"))]


def test_parents_move_nobody_whose_title_is_there_and_that_is_told() -> None:
    sites = (replace(SITES[0], tier="exchange"), replace(SITES[1], parents=("north",)), SITES[2])
    found = rehearsed(PRESENT, RehearseQuestion(sites=sites), 100)
    assert found.moved_total == 0
    [told] = found.changes
    assert told.startswith("the site south fills from north instead of the origin")


def test_a_narrower_allow_list_refuses_what_is_announced_now_and_a_wider_one_takes_what_is_refused_now() -> None:
    isps = (planned(replace(RIVERBANK, allow=("20.1.0.0/16", "21.0.0.0/8"))), planned(HILLSIDE))
    found = rehearsed(PRESENT, RehearseQuestion(isps=isps), 100)
    assert [(each.source, each.why) for each in found.refused] == [
        ("riverbank", "20.2.0.0/16 is not in the ISP's allow list (NC3025)"),
    ]
    assert [(each.prefix, each.source) for each in found.accepted] == [("21.0.0.0/8", "riverbank")]
    assert [(each.prefix, each.after[0]) for each in found.moved] == [("21.0.0.0/8", "rack"), ("20.2.0.0/16", "north")]
    assert (found.refused_total, found.accepted_total) == (1, 1)


def test_a_lower_maximum_holds_back_what_is_beyond_it() -> None:
    found = rehearsed(PRESENT, RehearseQuestion(isps=(planned(replace(RIVERBANK, prefixes_max=1)), planned(HILLSIDE))), 100)
    assert [(each.prefix, each.why[-7:-1]) for each in found.refused] == [("20.2.0.0/16", "NC3029")]


def test_without_sessions_nobody_announces() -> None:
    found = rehearsed(PRESENT, RehearseQuestion(asn=0), 100)
    assert {each.prefix for each in found.moved} == {"20.1.0.0/16", "20.2.0.0/16", "30.1.0.0/16"}
    assert found.changes == ("our own AS number is 0 instead of 64500: no BGP sessions are taken",)


def test_what_is_in_force_moves_nobody() -> None:
    question = RehearseQuestion(
        sites=SITES,
        isps=tuple(map(planned, IN_FORCE.isps)),
        asn=64500,
        routes=IN_FORCE.routes,
        geographic=PlannedGeography(blocks={"NO": ("50.0.0.0/8",)}),
    )
    found = rehearsed(PRESENT, question, 100)
    assert (found.moved_total, found.refused, found.accepted, found.changes) == (0, (), (), ())


def test_lists_are_as_long_as_they_may_be_and_totals_tell_the_rest() -> None:
    found = rehearsed(PRESENT, RehearseQuestion(isps=(planned(replace(RIVERBANK, allow=())), planned(HILLSIDE))), 1)
    assert (len(found.moved), found.moved_total, len(found.refused), found.refused_total) == (1, 2, 1, 2)


def test_an_mmdb_file_that_is_not_in_force_is_not_guessed_at() -> None:
    with pytest.raises(NotRehearsed, match="was not read"):
        rehearsed(PRESENT, RehearseQuestion(geographic=PlannedGeography(mmdb="/etc/shadow")), 100)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (RehearseQuestion(sites=()), r"isps\[0\].sites: there is no site 'rack'"),
        (RehearseQuestion(sites=SITES[1:]), r"isps\[0\].sites: there is no site 'north'"),
        (RehearseQuestion(sites=(*SITES, SITES[0])), "two sites named north"),
        (RehearseQuestion(sites=(replace(SITES[0], isp="nobody"), *SITES[1:])), "no ISP 'nobody'"),
        (RehearseQuestion(sites=(replace(SITES[0], latitude=float("nan")), *SITES[1:])), "no latitude"),
        (RehearseQuestion(sites=(replace(SITES[0], longitude=float("inf")), *SITES[1:])), "no longitude"),
        (RehearseQuestion(sites=(replace(SITES[0], longitude=None), *SITES[1:])), "has no longitude"),
        (RehearseQuestion(sites=(replace(SITES[0], parents=("north",)), *SITES[1:])), "no exchange"),
        (RehearseQuestion(sites=(replace(SITES[0], tier="moon"), *SITES[1:])), "moon"),
        (RehearseQuestion(isps=(planned(RIVERBANK), planned(RIVERBANK))), "two ISPs named"),
        (RehearseQuestion(isps=(PlannedIsp(name="Riverbank!", asn=64511), planned(RIVERBANK))), r"regex.*isps\[0\].name"),
        (RehearseQuestion(isps=(replace(planned(RIVERBANK), asn=2**32),)), "4294967295"),
        (RehearseQuestion(isps=(replace(planned(RIVERBANK), asn=64500),)), "our own number"),
        (RehearseQuestion(isps=(replace(planned(RIVERBANK), prefixes_max=0),)), ">= 1"),
        (RehearseQuestion(isps=(replace(planned(RIVERBANK), allow=("20.0.0.1/8",)),)), "20.0.0.1/8"),
        (RehearseQuestion(isps=(replace(planned(HILLSIDE), sites=("rack",)), planned(RIVERBANK))), "stands in the network of riverbank"),
        (RehearseQuestion(isps=()), "no ISP 'riverbank'"),
        (RehearseQuestion(asn=-1), ">= 0"),
        (RehearseQuestion(asn=64511), "our own number"),
        (RehearseQuestion(geographic=PlannedGeography(blocks={"XX": ("20.0.0.0/8",)})), "XX"),
        (RehearseQuestion(geographic=PlannedGeography(blocks={"DE": ("20.0.0.0",), "FR": ("20.0.0.0/32",)})), "given to DE already"),
        (RehearseQuestion(routes=(Route(prefix="0.0.0.0/0", sites=("rack",)),)), "stands in the network of riverbank"),
        (RehearseQuestion(routes=IN_FORCE.routes * 2), "two routes"),
        (RehearseQuestion(routes=(Route(prefix="::/129", sites=("north",)),)), "not a prefix"),
    ],
)
def test_plans_that_no_configuration_could_be(question: RehearseQuestion, said: str) -> None:
    with pytest.raises(BadPlan, match=said) as caught:
        rehearsed(PRESENT, question, 100)
    assert caught.value.hint


# --- against what would be in force -----------------------------------------------------------------------------------


BLOCKS: tuple[dict[str, tuple[str, ...]], ...] = ({}, {"DE": ("20.1.0.0/18",)}, {"ZA": ("30.0.0.0/9", "20.0.0.0/9")})


def some_settings(chance: random.Random) -> SteeringSettings:
    names = ["north", *chance.sample(("south", "east", "rack"), chance.randrange(4))]
    known = chance.sample(tuple(ASNS), chance.randrange(4))
    sites = tuple(
        Site(
            name=name,
            zone=chance.choice(("", "x", "y")),
            isp=chance.choice(("", *known)) if name != "north" else "",
            latitude=(place := chance.choice((None, 10.0, 50.0))),
            longitude=place,
        )
        for name in names
    )
    isps = tuple(
        Isp(
            name=name,
            asn=ASNS[name],
            sites=tuple(each.name for each in chance.sample(sites, len(sites)) if each.isp in ("", name) and chance.random() < 0.7),
            allow=tuple(chance.sample(("20.0.0.0/12", "20.1.0.0/16", "30.0.0.0/8", "2a00::/20"), chance.randrange(4))),
            prefixes_max=chance.choice((1, 100, 100)),
        )
        for name in known
    )
    open_ = tuple(each.name for each in sites if not each.isp)
    routes = (Route(prefix="0.0.0.0/0", sites=open_), Route(prefix="20.1.128.0/17", sites=tuple(names)))
    blocks = chance.choice(BLOCKS)
    return SteeringSettings(
        sites=sites,
        isps=isps,
        routes=routes[: chance.randrange(1, 3)],
        bgp=BgpSettings(asn=chance.choice((0, 64500, 64500, 64500))),
        geographic=GeographicSettings(blocks=blocks),
    )


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_who_would_move_is_who_moves_once_it_is_in_force(seed: int) -> None:
    chance = random.Random(seed)
    before, after = some_settings(chance), some_settings(chance)
    prefixes = ("20.1.0.0/16", "20.1.1.0/24", "20.2.0.0/16", "30.1.0.0/16", "2a00:100::/24", "9.0.0.0/8")
    told = {name: sorted(chance.sample(prefixes, chance.randrange(6))) for name in ASNS}
    present = in_force(before, told)
    question = RehearseQuestion(
        sites=after.sites,
        isps=tuple(map(planned, after.isps)),
        asn=after.bgp.asn,
        routes=after.routes,
        geographic=PlannedGeography(blocks=after.geographic.blocks),
    )
    found = rehearsed(present, question, 10_000)
    kept = {name: of for name, of in told.items() if before.bgp.asn and name in {each.name for each in before.isps}}
    if any(each.prefixes_max == 1 for each in (*before.isps, *after.isps)):
        return  # which one of them comes first is the router's to say
    then = in_force(after, kept)
    now, later = (World(each.table, {site.name: site for site in each.settings.sites}) for each in (present, then))
    wanted = movement(now, later, ALL, 10_000)
    assert (found.moved, found.moved_total) == (wanted.moved, wanted.total)
    if before.bgp.asn and after.bgp.asn:
        had, have = served(before, told), served(after, kept)
        assert {(each.source, each.prefix) for each in found.accepted} == have - had
        named = {each.name for each in after.isps if each.sites}
        assert {(each.source, each.prefix) for each in found.refused if each.source in named} == {
            each for each in had - have if each[0] in named
        }


def served(steering: SteeringSettings, told: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """ISP and prefix of all that is announced for a site."""
    return {(name, each.prefix) for name, rib in ribs(steering.isps, steering.bgp.asn, told).items() for each in rib.everything()}
