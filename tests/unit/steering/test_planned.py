"""A plan is rehearsed as if it were in force: what routers tell goes through the new filter, and the table is compiled anew."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.model.route import Announcement, Route
from nearcast.model.services import PlannedGeography, PlannedIsp, RehearseQuestion
from nearcast.model.site import Site
from nearcast.steering.announced import BadPlan
from nearcast.steering.planned import NotRehearsed, Present, rehearsed
from nearcast.steering.rehearse import ALL, World, movement
from nearcast.steering.routes import Table
from nearcast.steering.routes.bgp import Update
from nearcast.steering.routes.countries import middle
from nearcast.steering.routes.places import geography_of
from nearcast.steering.routes.rib import REFUSED_MAX, Rib
from nearcast.steering.routes.settings import BgpSettings, GeographicSettings, Isp
from nearcast.steering.settings import SteeringSettings

SITES = (
    Site(name="north", zone="n", latitude=60.0, longitude=10.0),
    Site(name="south", zone="s", latitude=40.0, longitude=10.0),
    Site(name="rack", zone="r", isp="riverbank"),
)
RIVERBANK = Isp(name="riverbank", asn=64511, sites=("rack", "north"), allow=("20.0.0.0/12",), prefixes_max=3)
HILLSIDE = Isp(name="hillside", asn=64512, sites=("south",), allow=("30.0.0.0/8",))
IN_FORCE = SteeringSettings(
    sites=SITES,
    routes=(Route(prefix="0.0.0.0/0", sites=("north", "south")),),
    isps=(RIVERBANK, HILLSIDE),
    bgp=BgpSettings(asn=64500),
    geographic=GeographicSettings(blocks={"NO": ("50.0.0.0/8",)}),
)
TOLD = {"riverbank": ("20.1.0.0/16", "20.2.0.0/16", "21.0.0.0/8"), "hillside": ("30.1.0.0/16",)}


def ribs(isps: Iterable[Isp], asn: int, told: Mapping[str, Sequence[str]]) -> dict[str, Rib]:
    """What the routers told, taken in as the collector does."""
    found = {each.name: Rib(each, asn) for each in isps}
    for name, rib in found.items():
        for prefix in told.get(name, ()):
            rib.apply(Update("127.0.0.11", (ip_network(prefix),), (), (ASNS[name],)))
        rib.changes()
    return found


ASNS = {"riverbank": 64511, "hillside": 64512, "lakeside": 64513}


def in_force(steering: SteeringSettings, told: Mapping[str, Sequence[str]], *, refused: bool = True) -> Present:
    """As it is once all routers told everything. ``refused``: as where ISPs change, not only plan."""
    taken = ribs(steering.isps, steering.bgp.asn, told) if steering.bgp.asn else {}
    announced = [each for rib in taken.values() for each in rib.everything()]
    table = Table.of(steering.routes, steering.sites, announced, geography=geography_of(steering.geographic.blocks))
    held = {name: tuple(rib.held(refused=refused)) for name, rib in taken.items()}
    return Present(steering, table, {name: rib.prefixes for name, rib in taken.items()}, held)


PRESENT = in_force(IN_FORCE, TOLD)


def planned(isp: Isp) -> PlannedIsp:
    return PlannedIsp(name=isp.name, asn=isp.asn, sites=isp.sites, allow=isp.allow, prefixes_max=isp.prefixes_max)


def moved(question: RehearseQuestion) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(each.prefix, each.before, each.after) for each in rehearsed(PRESENT, question, 100).moved]


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


# --- what an ISP plans ------------------------------------------------------------------------------------------------

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
