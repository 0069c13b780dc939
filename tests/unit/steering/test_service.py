from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.base.errors import Unavailable
from nearcast.model.health import ApplianceHealth, HealthSnapshot
from nearcast.model.services import SteerQuestion
from nearcast.policy import capability
from nearcast.steering.paths import Paths
from nearcast.steering.routes import Table
from nearcast.steering.service import EXPIRY_STEP_S, FIRST_VIEW_S, NoEdge, SteeringService
from nearcast.steering.settings import SteeringSettings
from nearcast.steering.view import NO_VIEW, View

from .fleets import health

ROOT = b"r" * 32
FLEET = (health("fra-1", "frankfurt"), health("bom-1", "mumbai"), health("sin-1", "singapore"), health("dal-1", "dallas"))
SETTINGS = SteeringSettings()


class Published:
    """What other processes publish: a table and a view."""

    def __init__(self, *appliances: ApplianceHealth) -> None:
        self.shown = NO_VIEW
        self.live = True
        self.there = True
        self.show(*appliances)

    def show(self, *appliances: ApplianceHealth, source: str = "live") -> None:
        snapshot = HealthSnapshot(version=self.shown.snapshot.version + 1, published_s=5.0, appliances=appliances, source=source)  # type: ignore[arg-type]
        self.shown = View(snapshot, {})

    def view(self) -> View:
        return self.shown

    def table(self) -> Table:
        if not self.there:
            raise Unavailable("no table yet")
        return Table.of(SETTINGS.routes, SETTINGS.sites)


def service(published: Published) -> SteeringService:
    return SteeringService(SETTINGS, published, published, ROOT, VirtualClock())


def question(client: str = "127.0.0.1", count: int = 3, expires_at: int = 1_800_000_000) -> SteerQuestion:
    return SteerQuestion(client_address=client, title_id="t_film", expires_at=expires_at, count=count)


async def test_three_signed_answers_in_distinct_sites() -> None:
    answer = await service(Published(*FLEET)).choose(question())
    assert [each.site for each in answer.edges] == ["frankfurt", "mumbai", "singapore"]
    assert answer.source == "live"
    assert answer.prefix == "127.0.0.0/8"
    assert not answer.unsettled
    key = capability.edge_key(ROOT, "bom-1")
    assert answer.edges[1].base_url == "http://bom-1.example" + capability.edge_path(key, "t_film", 1_800_000_000)
    assert len({each.base_url.split("/")[4] for each in answer.edges}) == 3, "each appliance has a key of its own"


async def test_the_clients_prefix_decides() -> None:
    answer = await service(Published(*FLEET)).choose(question("::ffff:203.0.113.5", 1))
    assert [each.appliance for each in answer.edges] == ["dal-1"]
    assert answer.prefix == "203.0.113.0/24"


async def test_spare_edges_are_further_ones_and_unsettle_nothing() -> None:
    made = service(Published(*FLEET))
    alone = await made.choose(question())
    for spare, further in ((0, []), (1, ["dal-1"]), (5, ["dal-1"]), (99, ["dal-1"]), (-1, [])):
        answer = await made.choose(replace(question(), spare=spare))
        assert (answer.edges, answer.unsettled) == (alone.edges, False)
        assert [each.appliance for each in answer.spare] == further
    key = capability.edge_key(ROOT, "dal-1")
    assert (await made.choose(replace(question(), spare=1))).spare[0].base_url == "http://dal-1.example" + capability.edge_path(
        key, "t_film", 1_800_000_000
    )


async def test_a_sick_fleet_is_still_an_answer_and_says_so() -> None:
    answer = await service(Published(health("fra-1", "frankfurt", state="down"))).choose(question())
    assert (answer.source, answer.unsettled) == ("last-known", True)
    assert [each.appliance for each in answer.edges] == ["fra-1"]


async def test_a_full_fleet_is_live() -> None:
    answer = await service(Published(health("fra-1", "frankfurt", load="full", share=0.97))).choose(question())
    assert (answer.source, answer.unsettled) == ("live", True)


async def test_what_is_not_kept_up_to_date_is_last_known() -> None:
    published = Published(*FLEET)
    made = service(published)
    published.live = False
    assert (await made.choose(question())).source == "last-known"
    published.live = True
    assert (await made.choose(question())).source == "live"
    published.show(*FLEET, source="last-known")
    answer = await made.choose(question())
    assert (answer.source, len(answer.edges)) == ("last-known", 3)


async def test_without_a_table_the_configured_routes_serve() -> None:
    published = Published(*FLEET)
    published.there = published.live = False
    made = service(published)
    answer = await made.choose(question("203.0.113.5"))
    assert answer.edges[0].appliance == "dal-1"
    assert answer.source == "last-known"
    published.there = published.live = True
    assert (await made.choose(question())).source == "live"


async def test_no_edge_was_ever_heard_of() -> None:
    with pytest.raises(NoEdge):
        await service(Published()).choose(question())


async def test_the_start_waits_for_a_view_but_not_for_ever() -> None:
    clock, published = VirtualClock(), Published()
    published.shown = NO_VIEW
    made = SteeringService(SETTINGS, published, published, ROOT, clock)

    async def passes(seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            await asyncio.sleep(0)
            await clock.advance(0.1)

    starting = asyncio.create_task(made.start())
    await passes(1.0)
    assert not starting.done()
    published.show(*FLEET)
    await passes(0.3)
    assert starting.done()
    published.shown = NO_VIEW
    starting = asyncio.create_task(made.start())
    await passes(FIRST_VIEW_S + 0.5)
    assert starting.done()


async def test_paths_are_signed_by_the_key_that_the_edge_has() -> None:
    answer = await service(Published(health("fra-1", "frankfurt", key_generation=3))).choose(question(count=1))
    key = capability.edge_key(ROOT, "fra-1", 3)
    assert answer.edges[0].base_url == "http://fra-1.example" + capability.edge_path(key, "t_film", 1_800_000_000, 3)
    assert key != capability.edge_key(ROOT, "fra-1")


def test_an_appliance_that_moves_is_named_with_its_new_site() -> None:
    paths = Paths(ROOT)
    (before,) = paths.choices((health("fra-1", "frankfurt"),), "t", 300)
    (after,) = paths.choices((health("fra-1", "mumbai"),), "t", 300)
    assert (before.site, after.site) == ("frankfurt", "mumbai")
    assert before.base_url == after.base_url


async def test_paths_end_at_whole_five_minutes_and_never_early() -> None:
    made = service(Published(*FLEET))
    found = {(await made.choose(question(expires_at=1_800_000_000 + second))).edges[0].base_url for second in range(1, EXPIRY_STEP_S + 1)}
    assert len(found) == 1
    assert f"/{1_800_000_000 + EXPIRY_STEP_S}/" in found.pop()


def test_what_is_kept_of_paths_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast.steering.paths.SIGNERS_MAX", 20)
    paths = Paths(ROOT)
    fleet = [health(f"fra-{number}", "frankfurt") for number in range(70)]
    first = [paths.choices([each], "t", 300) for each in fleet]
    assert len(paths._signers) <= 20
    assert [paths.choices([each], "t", 300) for each in fleet] == first


def test_an_appliance_with_another_key_or_address_is_signed_for_anew() -> None:
    paths, before = Paths(ROOT), health("fra-1", "frankfurt")
    for after in (before, health("fra-1", "frankfurt", key_generation=1), replace(before, address="http://other.example/"), before):
        (found,) = paths.choices([after], "t", 300)
        key = capability.edge_key(ROOT, "fra-1", after.key_generation)
        assert found.base_url == after.address.rstrip("/") + capability.edge_path(key, "t", 300, after.key_generation)
