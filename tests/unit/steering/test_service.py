from __future__ import annotations

import pytest
from msgspec.structs import replace

from nearcast.base.clock import VirtualClock
from nearcast.model.services import SteerQuestion
from nearcast.policy import capability
from nearcast.steering.service import NoEdge, SteeringService
from nearcast.steering.settings import SteeringSettings

from .making import appliance
from .test_health import Registry

ROOT = b"r" * 32
FLEET = (
    appliance("fra-1", "frankfurt"),
    appliance("bom-1", "mumbai"),
    appliance("sin-1", "singapore"),
    appliance("dal-1", "dallas"),
)


async def service(registry: Registry) -> SteeringService:
    made = SteeringService(SteeringSettings(), registry, ROOT, VirtualClock())
    await made.health.poll()
    return made


def question(client: str = "127.0.0.1", count: int = 3) -> SteerQuestion:
    return SteerQuestion(client_address=client, title_id="t_film", expires_at=1_800_000_000, count=count)


async def test_three_signed_answers_in_distinct_sites() -> None:
    answer = await (await service(Registry(*FLEET))).choose(question())
    assert [each.site for each in answer.edges] == ["frankfurt", "mumbai", "singapore"]
    assert answer.source == "live"
    assert answer.prefix == "127.0.0.0/8"
    key = capability.edge_key(ROOT, "bom-1")
    assert answer.edges[1].base_url == "http://bom-1.example:8101" + capability.edge_path(key, "t_film", 1_800_000_000)
    assert len({each.base_url.split("/")[4] for each in answer.edges}) == 3, "each appliance has a key of its own"


async def test_the_clients_prefix_decides() -> None:
    answer = await (await service(Registry(*FLEET))).choose(question("::ffff:203.0.113.5", 1))
    assert [each.appliance for each in answer.edges] == ["dal-1"]
    assert answer.prefix == "203.0.113.0/24"


async def test_a_sick_fleet_is_still_an_answer_and_says_so() -> None:
    answer = await (await service(Registry(appliance("fra-1", "frankfurt", state="down")))).choose(question())
    assert answer.source == "last-known"
    assert [each.appliance for each in answer.edges] == ["fra-1"]


async def test_a_fleet_that_fell_silent_is_named_whole() -> None:
    """Leases end one by one: the last to go must not be the only one that a player is given to try."""
    clock, registry = VirtualClock(), Registry(*FLEET)
    made = SteeringService(SteeringSettings(), registry, ROOT, clock)
    await made.health.poll()
    await clock.advance(3.0)
    registry.now = (appliance("dal-1", "dallas", age_s=2.9),)
    await made.health.poll()
    answer = await made.choose(question())
    assert [each.appliance for each in answer.edges] == ["fra-1", "bom-1", "sin-1"]
    assert answer.source == "last-known"
    registry.now = (appliance("dal-1", "dallas"),)
    await made.health.poll()
    answer = await made.choose(question())
    assert [each.appliance for each in answer.edges] == ["dal-1"], "nobody is sent to the departed while one is well"


async def test_no_edge_was_ever_heard_of() -> None:
    with pytest.raises(NoEdge):
        await (await service(Registry())).choose(question())


async def test_paths_are_signed_by_the_key_that_the_edge_has() -> None:
    rotated = appliance("fra-1", "frankfurt")
    rotated = replace(rotated, report=replace(rotated.report, key_generation=3))
    answer = await (await service(Registry(rotated))).choose(question(count=1))
    key = capability.edge_key(ROOT, "fra-1", 3)
    assert answer.edges[0].base_url == "http://fra-1.example:8101" + capability.edge_path(key, "t_film", 1_800_000_000, 3)
    assert key != capability.edge_key(ROOT, "fra-1")
