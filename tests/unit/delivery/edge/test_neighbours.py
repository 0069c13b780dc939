"""An appliance looks at others, and tells discovery what it found."""

from __future__ import annotations

import os
import signal
import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace

from nearcast.delivery.edge.neighbours import CLOSE, TIMEOUT_S, USUAL, Neighbours, Pace
from nearcast.delivery.settings import EdgeSettings
from nearcast.model.services import ReportAnswer
from nearcast.policy import capability
from nearcast.policy.sight import TOLD_MAX

from ..making import Edge, free_port, running_edge, until


async def freezes_for_a_while(edge: Edge, neighbours: Neighbours) -> None:
    """`fra-1`, until that is seen; and until it is seen again."""
    pids = edge.agent.server.nginx.processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await until(lambda: neighbours.seen == {"fra-1": False, "nobody": False})
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    await until(lambda: neighbours.seen == {"fra-1": True, "nobody": False})


async def test_it_tells_who_is_reached_and_who_freezes(tmp_path: Path) -> None:
    told: list[bool] = []
    async with running_edge(tmp_path) as edge:
        neighbours = Neighbours("fra-2", ssl.create_default_context(), lambda: told.append(True))
        address = edge.settings.public_address
        asked = {"fra-1": f"{address}/healthz", "fra-2": f"{address}/healthz", "nobody": f"http://127.0.0.1:{free_port()}/healthz"}
        neighbours.look_at(asked)
        await until(lambda: neighbours.seen == {"fra-1": True, "nobody": False})
        await freezes_for_a_while(edge, neighbours)
        assert len(told) >= 4
        neighbours.look_at({"fra-1": f"{address}/healthz"})
        assert neighbours.seen == {"fra-1": True}
        await neighbours.stop()
        assert neighbours.seen == {}


async def test_close_by_it_finds_a_closed_port_and_who_freezes_as_well(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        neighbours = Neighbours("", ssl.create_default_context(), lambda: None, CLOSE)
        neighbours.look_at({"fra-1": f"{edge.settings.public_address}/healthz", "nobody": f"http://127.0.0.1:{free_port()}/healthz"})
        await until(lambda: neighbours.seen == {"fra-1": True, "nobody": False})
        await freezes_for_a_while(edge, neighbours)
        await neighbours.stop()


def test_silence_is_borne_with_for_as_long_however_close_the_looks_are() -> None:
    def silent_s(pace: Pace) -> float:
        return (pace.needed("lost") - 1) * pace.interval_s + TIMEOUT_S

    assert silent_s(CLOSE) == pytest.approx(silent_s(USUAL))
    assert CLOSE.needed("refused") == USUAL.needed("refused") == 2


async def test_it_looks_at_so_many_at_most() -> None:
    neighbours = Neighbours("me", ssl.create_default_context(), lambda: None)
    neighbours.look_at({f"e{number:02}": f"http://127.0.0.1:{free_port()}/healthz" for number in range(TOLD_MAX + 5)})
    await until(lambda: len(neighbours.seen) == TOLD_MAX)
    await neighbours.stop()


async def test_its_reports_are_signed_and_have_votes_and_addresses(tmp_path: Path) -> None:
    async with running_edge(tmp_path, ip_addresses=("203.0.113.7", "2001:db8::7")) as edge:
        edge.registry.answer = ReportAnswer(lease_s=3, probe={"other": f"http://127.0.0.1:{free_port()}/healthz"})
        await until(lambda: edge.registry.reports and edge.registry.reports[-1].seen == {"other": False})
        key = capability.report_key(edge.key)
        issued = [each.issued_ms for each in edge.registry.reports]
        assert issued == sorted(set(issued))
        for each in edge.registry.reports:
            assert each.mac == capability.report_mac(key, each)
            assert each.addresses == ("203.0.113.7", "2001:db8::7")


async def test_it_signs_above_what_it_is_told(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        await until(lambda: len(edge.registry.reports) > 1)
        above = edge.registry.reports[-1].issued_ms + 3_600_000
        edge.registry.answer = replace(edge.registry.answer, issued_ms=above)
        await until(lambda: edge.registry.reports[-1].issued_ms > above)
        edge.registry.answer = replace(edge.registry.answer, issued_ms=0)
        await until(lambda: edge.registry.reports[-1].issued_ms > above + 3)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, ("127.0.0.1",)),
        ({"listen": ("::1",)}, ("::1",)),
        ({"address": "https://203.0.113.7:8101"}, ("203.0.113.7",)),
        ({"address": "https://[2001:db8::7]:8101"}, ("2001:db8::7",)),
        ({"address": "https://edge.example", "listen": ("203.0.113.7", "127.0.0.1", "2001:db8::7")}, ("203.0.113.7", "2001:db8::7")),
        ({"address": "https://edge.example", "listen": ("0.0.0.0", "::")}, ()),
        ({"address": "https://[nonsense"}, ()),
        ({"address": "https://edge.example", "ip_addresses": ("203.0.113.9",)}, ("203.0.113.9",)),
    ],
)
def test_addresses_for_the_dns(settings: dict[str, object], found: tuple[str, ...]) -> None:
    assert EdgeSettings(id="a", site="s", port=8101, **settings).public_ips == found  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["edge.example", "0.0.0.0", "224.0.0.1", "", "1.2.3"])
def test_addresses_that_are_none(wrong: str) -> None:
    with pytest.raises(ValueError, match="ip_addresses"):
        EdgeSettings(id="a", site="s", port=8101, ip_addresses=(wrong,))
