"""``nearcast dns``: a rollover from its start to its end, and what backup and restore say of the key."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from nearcast.base.errors import NearcastError
from nearcast.base.paths import Home
from nearcast.cli import main
from nearcast.steering.dns import keyring
from nearcast.system import settings, signing
from nearcast.system.dns import key_path
from nearcast.system.steering_checks import signing_key
from nearcast.system.stores import database_path

WORKERS = ("dns-1", "dns-2")
CONFIG = '[steering.dns]\nzone = "cdn.example"\nport = 5399\nworkers = 2\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    found.config.write_text(CONFIG)
    return found


def run(home: Home, *arguments: str) -> Result:
    found = CliRunner().invoke(main.cli, ["--home", str(home.root), *arguments])
    assert found.exit_code == 0, found.exception
    return found


def refused(home: Home, *arguments: str) -> str:
    """The error that a command ends with, and its hint."""
    found = CliRunner().invoke(main.cli, ["--home", str(home.root), *arguments]).exception
    assert isinstance(found, NearcastError), found
    return f"{found.code} {found.message} {found.hint}"


def long_ago(home: Home) -> None:
    """As if the stage had been written a month before, and all workers had begun with it at once."""
    ring = keyring.load(key_path(home))
    keyring.save(key_path(home), ring._replace(since_s=ring.since_s - 30 * 86400))
    for each in WORKERS:
        (home.run / f"{each}.keys").unlink(missing_ok=True)
        signing.note(home, each, ring, ring.since_s - 30 * 86400)


def shown(home: Home) -> tuple[str, list[tuple[str, str]]]:
    found = json.loads(run(home, "dns", "keys", "--json").stdout)
    return found["stage"], [(each["ds"], each["use"]) for each in found["keys"]]


def test_a_rollover_from_start_to_end(home: Home) -> None:
    old = run(home, "dns", "ds").stdout.strip()
    assert shown(home) == ("stable", [(old, "signs answers")])
    assert "NC3064" in refused(home, "dns", "rollover", "next")
    run(home, "dns", "rollover", "start")
    assert "NC3064" in refused(home, "dns", "rollover", "start")
    assert run(home, "dns", "ds").stdout.strip() == old
    stage, ((first, _), (new, use)) = shown(home)
    assert (stage, first, use) == ("published", old, "published beside it")
    assert "dns-1, dns-2 have not begun" in refused(home, "dns", "rollover", "next")
    assert [each.found[:27] for each in signing_key(home, settings.load(home))] == ["dns-1, dns-2 have not begun"]
    assert json.loads(run(home, "dns", "keys", "--json").stdout)["late"] == ["dns-1", "dns-2"]
    assert "nearcast dns reload" in run(home, "dns", "keys").stderr
    for each in WORKERS:
        signing.note(home, each, keyring.load(key_path(home)), time.time())
    assert "lasts" in refused(home, "dns", "rollover", "next")
    assert [each.found for each in signing_key(home, settings.load(home))] == ["a rollover is published"]
    long_ago(home)
    assert "NC3064" in refused(home, "dns", "rollover", "next", "--ds-replaced")
    run(home, "dns", "rollover", "next")
    assert run(home, "dns", "ds").stdout.strip() == new
    assert run(home, "dns", "delegation").stdout.splitlines()[-1] == new
    assert "nearcast dns reload" in refused(home, "dns", "rollover", "next", "--ds-replaced")
    long_ago(home)
    assert "--ds-replaced" in refused(home, "dns", "rollover", "next")
    run(home, "dns", "rollover", "next", "--ds-replaced", "--ds-ttl", "3600")
    assert shown(home)[1] == [(new, "signs answers"), (old, "was before; still published")]
    assert "NC3064" in refused(home, "dns", "rollover", "cancel")
    assert "NC3064" in refused(home, "dns", "rollover", "next")
    long_ago(home)
    run(home, "dns", "rollover", "next")
    assert shown(home) == ("stable", [(new, "signs answers")])
    assert [each.state for each in signing_key(home, settings.load(home))] == ["note"]
    long_ago(home)
    assert [each.state for each in signing_key(home, settings.load(home))] == ["good"]
    assert "no rollover" in run(home, "dns", "keys").stderr
    assert "no worker runs here" in run(home, "dns", "reload").stderr


def test_a_ttl_of_the_old_ds_is_never_dropped_without_a_word(home: Home) -> None:
    """Without --ds-replaced no stage is to last for it."""
    found = CliRunner().invoke(main.cli, ["--home", str(home.root), "dns", "rollover", "next", "--ds-ttl", "3600"], standalone_mode=False)
    assert isinstance(found.exception, click.UsageError)
    assert "--ds-replaced" in found.exception.message


def test_without_signatures_there_is_nothing_to_roll(home: Home) -> None:
    home.config.write_text(CONFIG + "dnssec = false\n")
    for command in (("dns", "rollover", "start"), ("dns", "keys"), ("dns", "reload"), ("dns", "ds")):
        assert "NC0254" in refused(home, *command)
    assert not list(signing_key(home, settings.load(home)))


def test_a_key_that_cannot_be_read_is_told(home: Home) -> None:
    run(home, "dns", "ds")
    key_path(home).chmod(0o644)
    assert "NC3060" in refused(home, "dns", "keys")
    assert [each.state for each in signing_key(home, settings.load(home))] == ["bad"]


def test_backup_and_restore_tell_when_the_key_is_not_there(home: Home, tmp_path: Path) -> None:
    with sqlite3.connect(database_path(home)) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    assert "is not there" in run(home, "backup", "--secrets", str(tmp_path / "none")).stderr
    run(home, "dns", "ds")
    key = key_path(home).read_bytes()
    assert "is not in it" in run(home, "backup", str(tmp_path / "plain")).stderr
    assert "dns.pem" in (told := run(home, "backup", "--secrets", str(tmp_path / "whole")).stderr)
    assert "is not in it" not in told
    key_path(home).unlink()
    told = run(home, "restore", str(tmp_path / "plain")).stderr
    assert "is missing" in told
    assert "another host" in told
    assert "this archive holds it" in run(home, "restore", str(tmp_path / "whole")).stderr
    assert not key_path(home).exists()
    assert "is missing" not in run(home, "restore", "--secrets", str(tmp_path / "whole")).stderr
    assert key_path(home).read_bytes() == key
    key_path(home).unlink()
    home.config.write_text("")
    assert "is missing" not in run(home, "restore", str(tmp_path / "plain")).stderr
