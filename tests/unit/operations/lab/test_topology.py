"""What may stand in the file of an internet, and what it becomes."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from nearcast.base import config
from nearcast.base.config import BadConfiguration, UnreadableConfiguration
from nearcast.operations.lab import bird, shaping
from nearcast.operations.lab.plan import CORE, Plan, plan
from nearcast.operations.lab.product import anycast_tables, door_tables, site_tables
from nearcast.operations.lab.scenarios import table
from nearcast.operations.lab.topology import NODES_MAX, BadTopology, Topology, Viewer, load
from nearcast.system import anycast
from nearcast.system.settings import Settings

TEXT = """
[ours]
at = "ix-a"

[[exchanges]]
name = "ix-a"
[[exchanges]]
name = "ix-b"

[[isps]]
name = "north"
asn = 64601
exchanges = ["ix-a", "ix-b"]
prefixes = ["198.51.100.0/25", "198.51.100.128/25"]
sites = ["rack", "west"]
[[isps]]
name = "south"
asn = 64602
exchanges = ["ix-b"]
prefixes = ["203.0.113.0/24"]

[[sites]]
name = "west"
at = "ix-a"
[[sites]]
name = "east"
at = "ix-b"
[[sites]]
name = "rack"
at = "north"

[[viewers]]
name = "anna"
isp = "north"
address = "198.51.100.10"
down_bps = 20e6
rtt_ms = 20
"""


@pytest.fixture
def whole() -> Topology:
    return config.parse(Topology, TEXT)


@pytest.fixture
def made(whole: Topology) -> Plan:
    return plan(whole)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('at = "ix-a"\n\n[[ex', 'at = "ix-c"\n\n[[ex', "no exchange 'ix-c'"),
        ('name = "south"', 'name = "north"', "taken"),
        ('name = "anna"', 'name = "core"', "taken"),
        ('"203.0.113.0/24"', '"198.51.0.0/16"', "overlaps what is north's"),
        ('"203.0.113.0/24"', '"10.1.0.0/16"', "infrastructure"),
        ('"203.0.113.0/24"', '"0.0.0.0/0"', "overlaps"),
        ('"203.0.113.0/24"', '"203.0.113.1/24"', "no IPv4 prefix"),
        ('at = "north"', 'at = "nowhere"', "neither an exchange nor an ISP"),
        ('sites = ["rack", "west"]', 'sites = ["attic"]', "no site 'attic'"),
        ("198.51.100.10", "203.0.113.10", "not free to anna"),
        ('isp = "north"', 'isp = "weste"', "no ISP 'weste'"),
        ("rtt_ms = 20", "rtt_ms = -1", "rtt_ms"),
        ("rtt_ms = 20", "rtt = 20", "rtt"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, said: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(BadConfiguration) as caught:
        config.parse(Topology, TEXT.replace(old, new), "internet.toml")
    assert said in caught.value.message
    assert caught.value.mistakes[0].line == TEXT[: TEXT.index(old)].count("\n") + 1


def test_an_internet_has_only_so_many_nodes() -> None:
    viewers = "".join(
        f'\n[[viewers]]\nname = "v{number}"\nisp = "south"\naddress = "203.0.113.{number}"\n' for number in range(1, NODES_MAX + 1)
    )
    with pytest.raises(BadConfiguration, match="more than"):
        config.parse(Topology, TEXT + viewers)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableConfiguration):
        load(tmp_path / "none.toml")


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for path in (Path("/dev/zero"), tmp_path):
        with pytest.raises(UnreadableConfiguration, match="is no file"):
            load(path)


def test_every_internet_of_the_project_can_be_planned() -> None:
    found = table.internets()
    assert found
    for topology in found.values():
        plan(topology)
        assert {each.name for each in topology.scenarios} <= set(table.RUNS)


def test_every_address_is_given_once(made: Plan) -> None:
    given = [line.split()[2] for lines in made.setting_up.values() for line in lines if line.startswith("address add")]
    hosts = [each.partition("/")[0] for each in given]
    assert len(set(hosts)) == len(hosts)


def test_every_cable_has_two_ends_of_their_own(made: Plan) -> None:
    ends = [(each.node, each.interface) for each in made.cables] + [(each.peer, each.peer_interface) for each in made.cables]
    assert len(set(ends)) == len(ends)
    assert all(len(interface) <= 15 for _, interface in ends)
    assert {node for node, _ in ends} == {each.name for each in made.nodes}


def test_both_ends_of_a_session_are_in_one_network(made: Plan) -> None:
    own = [line.split()[2] for lines in made.setting_up.values() for line in lines if line.startswith("address add")]
    networks = {ipaddress.ip_interface(each).network for each in own if not each.endswith("/32")}
    for router in made.routers:
        for each in router.sessions:
            assert any(
                ipaddress.ip_address(each.address) in network and ipaddress.ip_address(each.neighbour) in network for network in networks
            ), each


def test_an_isp_prefers_its_first_exchange_and_its_own_premises(made: Plan) -> None:
    north = next(each for each in made.routers if each.isp.name == "north")
    costs = {each.name: each.cost for each in north.sessions if each.ours}
    assert costs["rack"] == costs["west"] == 0
    assert costs["east"] > 0


def test_sites_hear_of_bfd_and_isps_do_not(made: Plan) -> None:
    text = bird.configuration(made.routers[0], bgp_port=179)
    sessions = {part.split()[0]: part for part in text.split("protocol bgp ")[1:]}
    assert "bfd on" in sessions["west"]
    assert "bfd on" not in sessions["south_ix_b"]
    assert "told_1" in text
    assert made.address(CORE) in sessions["collector"]
    assert "bfd" not in bird.configuration(made.routers[0], bgp_port=179, with_bfd=False)


def test_a_slow_line_waits_half_the_round_trip_each_way() -> None:
    anna = Viewer(name="anna", isp="north", address="198.51.100.1", rtt_ms=30, jitter_ms=2, loss=0.01)
    bert = Viewer(name="bert", isp="north", address="198.51.100.2", rtt_ms=8)
    assert shaping.delay_arguments([anna, bert]) == ["0:15:2:0.01:0", "1:15:2:0.01:1", "2:4:0:0:2", "3:4:0:0:3"]
    rules = shaping.delay_rules([anna, bert])
    asked = [(each[4], each[5], each[9]) for each in rules]
    assert asked == [
        ("-o", "anna", "0"),
        ("-i", "anna", "1"),
        ("-o", "bert", "2"),
        ("-i", "bert", "3"),
    ]


def test_a_file_with_mistakes_is_told_of_as_a_lab_s(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text('[ours]\nat = "ix"\n')
    with pytest.raises(BadTopology, match=r"small.toml: `exchanges` must be set") as told:
        load(file)
    assert "lab.md" in told.value.hint, "`nearcast config init` knows nothing of it"


def test_a_bucket_holds_what_comes_between_two_ticks() -> None:
    assert " ".join(shaping.rate("anna", 20e6)) == "qdisc replace dev anna root tbf rate 20000000bit burst 10000 latency 100ms"
    assert shaping.rate("anna", 1e6)[9] == str(shaping.BURST_BYTES_MIN)


def test_a_site_announces_to_every_router_of_its_exchange(whole: Topology, made: Plan) -> None:
    lines = anycast_tables(whole, made, "east")
    assert [each for each in lines if each.startswith("address =")] == [f'address = "{each}"' for each in made.gateways["east"]]
    assert 'isp = "north"' in site_tables(whole)


def test_a_site_has_its_door_at_the_anycast_address_and_an_appliance_behind_it(whole: Topology, made: Plan) -> None:
    lines = [*site_tables(whole), *door_tables(whole, made, "east", "/keys.json"), *anycast_tables(whole, made, "east")]
    settings = config.parse(Settings, "\n".join(lines))
    (door,), (appliance,) = settings.doors, settings.appliances
    assert door.listen == (whole.ours.anycast,)
    assert door.members == {appliance.id: f"http://{made.address('east')}:{appliance.port}"}
    assert [each.target for each in anycast.checks(settings)] == [f"http://{whole.ours.anycast}:{door.port}/healthz"]
