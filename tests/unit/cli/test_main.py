"""The front door: help, errors with code and hint and exit status, and no trace unless it is asked for."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from nearcast.base.config import parse
from nearcast.base.errors import BadInput, Problem, Remote, RemoteUnavailable, Unavailable, remote
from nearcast.base.paths import Home
from nearcast.cli import main, reach, talk
from nearcast.system import places, settings, start, table

Run = Callable[..., int]
EVERYTHING = """
[[doors]]
id = "fra"
site = "frankfurt"
port = 8443
[steering.dns]
zone = "cdn.example"
port = 8053
[[steering.dns.name_servers]]
name = "ns1"
addresses = ["192.0.2.1"]
[anycast]
asn = 64512
addresses = ["192.0.2.53"]
[[anycast.routers]]
address = "10.0.0.1"
local = "10.0.0.2"
asn = 64500
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEARCAST_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEARCAST_VERBOSE", raising=False)
    return tmp_path / "home"


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("status")
    def command() -> None:
        raise error

    monkeypatch.setattr(main.Verbs, "get_command", lambda *_: command)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in main.VERBS:
        assert verb in shown


@pytest.mark.parametrize("verb", list(main.VERBS))
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: nearcast {verb}")


def test_serve_names_every_kind_of_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["serve", "--help"]) == 0
    shown = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    whole = parse(settings.Settings, EVERYTHING)
    kinds = (table.EDGE_PREFIX, table.DOOR_PREFIX, table.DNS_PREFIX)
    for name in places.processes(whole):
        kind = next((each for each in kinds if name.startswith(each)), "")
        assert any(word.startswith(kind) for word in shown) if kind else name in shown, name


@pytest.mark.parametrize(
    ("arguments", "words", "usage"),
    [
        (["dance"], "dance", "nearcast [OPTIONS] COMMAND"),
        (["up", "--sideways"], "--sideways", "nearcast up [OPTIONS]"),
        (["ingest"], "FILE", "nearcast ingest [OPTIONS] FILE"),
        (["ingest", "f", "--year", "soon"], "soon", "nearcast ingest [OPTIONS] FILE"),
        (["account", "sing"], "sing", "nearcast account"),
        (["serve"], "NAME", "nearcast serve [OPTIONS] NAME"),
    ],
)
def test_what_makes_no_sense_ends_with_2(arguments: list[str], words: str, usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    shown = capsys.readouterr()
    said, hint = shown.err.splitlines()
    assert (shown.out, said[:14]) == ("", "error[NC0240] ")
    assert words in said
    assert hint.startswith(f"hint: {usage}")
    assert "--help" in hint


@pytest.mark.parametrize("group", [[], ["account"], ["keys"]])
def test_a_group_without_its_verb_shows_its_help(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(group) in (0, 2)
    shown = capsys.readouterr()
    assert "Commands:" in shown.out + shown.err


def test_serving_what_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["serve", "nosuch"]) == 2
    said, hint = capsys.readouterr().err.splitlines()
    assert said.startswith("error[NC0204] there is no process nosuch")
    assert hint.startswith("hint: there are: ")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (BadInput("it makes no sense", hint="say it otherwise"), 2, "error[NC0001] it makes no sense\nhint: say it otherwise\n"),
        (Unavailable("nobody answers", hint="wait"), 3, "error[NC0006] nobody answers\nhint: wait\n"),
        (
            Remote(Problem(code="NC1203", message="no video in it", hint="take a film")),
            1,
            "error[NC1203] no video in it\nhint: take a film\n",
        ),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
    ],
)
def test_errors(error: BaseException, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing(monkeypatch, error)
    assert main.run(["status"]) == status
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", words)


def test_a_trace_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing(monkeypatch, BadInput("no"))
    assert main.run(["--verbose", "status"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_is_told_as_one_and_its_trace_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "logs").mkdir(parents=True)
    failing(monkeypatch, ZeroDivisionError("x"))
    assert main.run(["status"]) == 1
    shown = capsys.readouterr().err
    assert "error[NC0010]" in shown
    assert "Traceback" not in shown
    assert str(home / "logs" / "cli.log") in shown
    assert "ZeroDivisionError" in (home / "logs" / "cli.log").read_text()


@pytest.mark.parametrize("verb", ["titles", "jobs", "link", "unpublish x", "edit x --title y", "account list", "ingest x.mp4"])
def test_without_a_system_each_verb_says_so(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(verb.split()) == 3
    shown = capsys.readouterr().err
    assert "error[NC0207]" in shown
    assert "nearcast up" in shown


def test_status_without_a_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status"]) == 3
    assert "no supervisor" in capsys.readouterr().err


def test_down_without_a_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["down"]) == 0
    assert "nothing was running" in capsys.readouterr().err


# --- config -----------------------------------------------------------------------------------------------------------


def test_config_init_check_show(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["config", "init"]) == 0
    assert capsys.readouterr().out.strip() == str(home / "nearcast.toml")
    assert main.run(["config", "check"]) == 0
    assert main.run(["config", "init"]) == 1
    assert "NC0104" in capsys.readouterr().err
    assert main.run(["config", "show"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["network"]["gateway_port"] == 8080


def test_config_check_tells_every_mistake(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / "nearcast.toml").write_text('[network]\ngateway_prt = 1\nupload_port = "x"\n[nowhere]\n')
    assert main.run(["config", "check"]) == 2
    shown = capsys.readouterr().err
    for words in ("nearcast.toml:2:", "did you mean `gateway_port`?", "nearcast.toml:3:", "nearcast.toml:4:"):
        assert words in shown


def test_config_init_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["config", "init", "--output", "-"]) == 0
    assert "gateway_port" in capsys.readouterr().out


# --- talk -------------------------------------------------------------------------------------------------------------


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    talk.table(["name", "size>"], [["a", "1"], ["long name", "1000"]])
    assert capsys.readouterr().out == "name       size\na             1\nlong name  1000\n"


def test_a_reader_that_has_had_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, BrokenPipeError())
    with open("/dev/null", "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert main.run(["status"]) == 0


def test_a_pipe_is_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not talk.interactive()


# --- reach ------------------------------------------------------------------------------------------------------------


def test_a_system_that_answers_that_it_is_overloaded_does_run(home: Path) -> None:
    """Started by hand with `nearcast serve` there is no supervisor; what it answers is not to be taken for silence."""
    start.prepare(Home(home))

    async def overloaded(_system: object) -> None:
        raise remote(Problem(code="NC4505", message="too much", status=503))

    with pytest.raises(RemoteUnavailable, match="too much"):
        reach.converse(overloaded)
