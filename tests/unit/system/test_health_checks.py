"""What doctor says of sites at which nobody outside looks, and of probes that are too slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearcast.base.config import parse
from nearcast.base.paths import Home
from nearcast.system import health_checks
from nearcast.system.settings import Settings

SITES = """
[steering]
routes = [{{ prefix = "{prefix}", sites = ["a", "b"] }}]
[[steering.sites]]
name = "a"
{more}
[[steering.sites]]
name = "b"
[[steering.isps]]
name = "acme"
asn = 64601
[[appliances]]
id = "a-1"
site = "a"
port = 8101
"""
SECOND = '[[appliances]]\nid = "a-2"\nsite = "a"\nport = 8102\n'


@pytest.mark.parametrize(
    ("more", "prefix", "appliances", "state", "said"),
    [
        ("", "198.51.100.0/24", "", None, ""),
        ('reach = "public"\nisp = "acme"', "198.51.100.0/24", "", None, ""),
        ('isp = "acme"', "198.51.100.0/24", "", "note", "not said who reaches it"),
        ('reach = "isp"\nisp = "acme"', "198.51.100.0/24", "", "note", "its one appliance's own reports decide"),
        ('reach = "isp"', "198.51.100.0/24", SECOND, "good", "the 2 appliances there decide"),
        ('reach = "isp"', "0.0.0.0/0", SECOND, "bad", "the default route sends anybody there"),
    ],
)
def test_from_where_a_site_is_looked_at(tmp_path: Path, more: str, prefix: str, appliances: str, state: str | None, said: str) -> None:
    whole = parse(Settings, SITES.format(more=more, prefix=prefix) + appliances)
    home = Home(tmp_path)
    found = list(health_checks.run(home, whole))
    assert [each.state for each in found] == ([state] if state else [])
    assert all(said in each.found and (each.cure or each.state == "good") for each in found)


@pytest.mark.parametrize(("rules", "count"), [("failures = 2", 0), ("timeout_s = 1.1", 0), ("timeout_s = 1.5", 1), ("failures = 5", 1)])
def test_probes_that_take_long_are_told(rules: str, count: int) -> None:
    assert len(list(health_checks.looks(parse(Settings, f"[steering.health]\n{rules}\n")))) == count


@pytest.mark.parametrize(("count", "said"), [(200, []), (1000, ["1000 edges"]), (3000, ["frozen", "3000 edges"])])
def test_how_long_many_edges_make_probes_take_is_told(count: int, said: list[str]) -> None:
    found = [each.found for each in health_checks.looks(parse(Settings, ""), count)]
    assert len(found) == len(said)
    assert all(word in each for word, each in zip(said, found, strict=True))
