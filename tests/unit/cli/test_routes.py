"""What `nearcast routes` shows: sources, one viewer explained, a change rehearsed; and what it refuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from nearcast.base.config import BadConfiguration
from nearcast.base.errors import NearcastError, NotFound, Unavailable
from nearcast.base.paths import Home
from nearcast.cli import main, reach, routes
from nearcast.model.services import Catalog, TitleQuestion
from nearcast.system import settings
from tests.fakes.routing import FakeRouting

NEW = """
[steering.bgp]
asn = 64500
[[steering.sites]]
name = "north"
zone = "n"
[[steering.sites]]
name = "south"
zone = "s"
[[steering.sites]]
name = "rack"
zone = "r"
isp = "riverbank"
[[steering.isps]]
name = "riverbank"
asn = 64511
sites = ["rack"]
allow = ["20.0.0.0/12"]
[[steering.routes]]
prefix = "0.0.0.0/0"
sites = ["north", "south"]
"""
SAME = '[[steering.routes]]\nprefix = "203.0.113.0/24"\nsites = ["south", "north"]\n'


class Titles:
    async def title(self, question: TitleQuestion) -> None:
        if question.title_id == "t_later":
            raise Unavailable("the catalog is down")
        if question.title_id != "t_film":
            raise NotFound(f"there is no title {question.title_id!r}")


@pytest.fixture
def routing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRouting:
    monkeypatch.setenv("NEARCAST_HOME", str(tmp_path / "home"))
    made = FakeRouting()
    system = SimpleNamespace(client=lambda protocol, **_: Titles() if protocol is Catalog else made)
    monkeypatch.setattr(reach, "converse", lambda body: asyncio.run(body(system)))
    return made


def run(*arguments: str) -> None:
    routes.command.main(list(arguments), standalone_mode=False)


def test_the_sources_are_listed_and_their_problems_told(routing: FakeRouting, capsys: pytest.CaptureFixture[str]) -> None:
    last = "8.8.8.0/24 is not in the ISP's allow list (NC3025)"
    problem = "127.0.0.11: closing connection"
    routing.isp = replace(routing.isp, state="down", refused=1200, problem=problem, last_refused=last, last_refused_at=1_700_000_000.5)
    run()
    said = capsys.readouterr()
    assert said.out.splitlines()[2].split() == ["riverbank", "BGP", "down", "1", "1,200"]
    assert "riverbank: 127.0.0.11: closing connection" in said.err
    assert f"riverbank: last refused at 2023-11-14 22:13:20 UTC: {last}" in said.err
    assert "table 3: 3 IPv4 and 0 IPv6 prefixes, compiled 2023-11-1" in said.err
    assert ", no changes since" in said.err
    assert "3 of 3 appliances up" in said.err


def test_an_explanation_says_where_and_why_and_who_was_rejected(routing: FakeRouting, capsys: pytest.CaptureFixture[str]) -> None:
    run("explain", "::ffff:203.0.113.7", "--title", "t_film")
    said = capsys.readouterr()
    assert "what the play service has given since" in said.err
    lines = said.out.splitlines()
    assert lines[0] == (
        "::ffff:203.0.113.7 (counted as 203.0.113.7) goes to south-1 in south for t_film, "
        "by the route 203.0.113.0/24, then north-1 in north"
    )
    assert [line.split()[-2:] for line in lines[3:5]] == [["longest", "prefix"], ["the", "order"]]
    rejected = next(line for line in lines if line.startswith("rack-1"))
    assert "rejected" in rejected
    assert "riverbank" in rejected


def test_an_address_that_only_the_default_holds(routing: FakeRouting, capsys: pytest.CaptureFixture[str]) -> None:
    run("explain", "10.0.0.1", "--count", "1")
    assert capsys.readouterr().out.splitlines()[0] == "10.0.0.1 goes to north-1 in north, by the default route"


def test_an_address_that_nothing_holds(routing: FakeRouting, capsys: pytest.CaptureFixture[str]) -> None:
    run("explain", "2001:db8::7")
    assert "though no route holds it" in capsys.readouterr().out.splitlines()[0]


def test_a_plan_of_an_isp_is_rehearsed_with_its_refusals(routing: FakeRouting, capsys: pytest.CaptureFixture[str]) -> None:
    run("diff", "--announce", "20.2.0.0/16", "--announce", "8.8.8.0/24", "--isp", "riverbank", "--as-path", "64511, 64999", "--med", "7")
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith("refused: 8.8.8.0/24 is not in the ISP's allow list (NC3025)")
    assert said.out.splitlines()[2].split() == ["20.2.0.0/16", "65,536", "addresses", "north,", "south", "rack,", "north,", "south"]
    assert "1 prefix would move" in said.err
    asked = routing.calls[-1].announce[0]
    assert (asked.source, asked.as_path, asked.med, asked.site) == ("riverbank", (64511, 64999), 7, "")


def test_new_routes_are_compared_with_those_in_force(routing: FakeRouting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.toml").write_text(NEW)
    run("diff", str(tmp_path / "new.toml"), "--withdraw", "20.1.0.0/16", "--isp", "riverbank", "--limit", "1")
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["20.1.0.0/16"]
    assert "2 prefixes would move; 1 smaller ones are not listed" in said.err


def test_nobody_moves_where_nothing_changes(routing: FakeRouting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.toml").write_text(NEW + SAME)
    run("diff", str(tmp_path / "new.toml"))
    assert capsys.readouterr().out == "nobody would move\n"


def test_sites_and_isps_of_the_file_are_compared_too(routing: FakeRouting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = NEW.replace('"20.0.0.0/12"', '"20.4.0.0/16"').replace('zone = "s"', 'zone = "n"') + SAME
    (tmp_path / "new.toml").write_text(new)
    run("diff", str(tmp_path / "new.toml"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "the site south is in the zone n instead of the zone s",
        "the ISP riverbank may also announce 20.4.0.0/16",
        "the ISP riverbank may no longer announce 20.0.0.0/12",
        "refused, of riverbank: 20.1.0.0/16 is not in the ISP's allow list (NC3025)",
    ]
    assert [line.split()[0] for line in lines[5:]] == ["20.1.0.0/16"]


def test_what_the_environment_sets_it_sets_for_the_new_file_too(
    routing: FakeRouting, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a variable, and by an option that the last start was given."""
    home = Home(tmp_path / "home")
    home.make()
    (tmp_path / "same.toml").write_text(NEW.replace("asn = 64500", "asn = 65000") + SAME)
    run("diff", str(tmp_path / "same.toml"))
    assert "our own AS number is 65000 instead of 64500" in capsys.readouterr().out
    monkeypatch.setenv("NEARCAST_STEERING__BGP__ASN", "64500")
    run("diff", str(tmp_path / "same.toml"))
    assert capsys.readouterr().out == "nobody would move\n"
    monkeypatch.delenv("NEARCAST_STEERING__BGP__ASN")
    settings.remember(home, {"NEARCAST_STEERING__BGP__ASN": "64500"})
    run("diff", str(tmp_path / "same.toml"))
    assert capsys.readouterr().out == "nobody would move\n"


def test_what_cannot_be_rehearsed_is_told(routing: FakeRouting, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(NEW + '[steering.geographic]\nmmdb = "/srv/city.mmdb"\n')
    with pytest.raises(NearcastError) as caught:
        run("diff", str(tmp_path / "new.toml"))
    assert caught.value.code == "NC3036"


@pytest.mark.parametrize("arguments", [(), ("explain", "20.1.2.3"), ("diff", "--withdraw", "20.1.0.0/16", "--isp", "riverbank")])
def test_all_of_it_as_json(routing: FakeRouting, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    run(*arguments, "--json")
    assert isinstance(json.loads(capsys.readouterr().out), dict)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("explain", "nobody"), "NC3032"),
        (("explain", "20.1.2.3", "--title", "t_none"), "NC0002"),
        (("diff", "--announce", "20.2.0.0/16", "--isp", "riverbnak"), "NC3033"),
        (("diff", "--announce", "20.2.0/16", "--isp", "riverbank"), "NC3034"),
        (("diff", "--announce", "20.2.0.0/16", "--isp", "riverbank", "--site", "rock"), "NC3034"),
        (("diff", "--announce", "20.2.0.0/16", "--isp", "riverbank", "--as-path", "64511 x"), "NC0251"),
        (("diff", "--announce", "20.2.0.0/16", "--isp", "riverbank", "--as-path", "0"), "NC0251"),
    ],
)
def test_bad_input_has_a_code_and_a_hint(routing: FakeRouting, arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(NearcastError) as caught:
        run(*arguments)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_bad_file_is_told_with_its_line(routing: FakeRouting, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(NEW.replace('"0.0.0.0/0"', "5"))
    with pytest.raises(BadConfiguration, match=r"new.toml:20: .*prefix"):
        run("diff", str(tmp_path / "new.toml"))
    (tmp_path / "new.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(NearcastError) as caught:
        run("diff", str(tmp_path / "new.toml"))
    assert caught.value.code == "NC0102"


@pytest.mark.parametrize("arguments", [("diff",), ("diff", "--announce", "20.2.0.0/16"), ("diff", "nofile.toml")])
def test_usage_is_explained(routing: FakeRouting, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert main.run(["routes", *arguments]) == 2
    assert "error[NC0240]" in capsys.readouterr().err


def test_a_catalog_that_is_down_stops_no_explanation(routing: FakeRouting, capsys: pytest.CaptureFixture[str]) -> None:
    run("explain", "203.0.113.7", "--title", "t_later")
    said = capsys.readouterr()
    assert "was not checked" in said.err
    assert said.out.startswith("203.0.113.7 goes to south-1")
