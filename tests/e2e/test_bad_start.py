"""Starts that cannot be: a port in use, a configuration with mistakes, a second start while the first runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.e2e.harness import System, link_in, login, new_system, refused


def test_a_port_that_is_taken_names_the_process() -> None:
    with new_system() as other, socket.create_server(("127.0.0.1", other.gateway_port)):
        said = refused(other.cli("up", "--no-demo"), str(other.gateway_port), str(os.getpid()))
        assert "python" in said or "pytest" in said
        assert other.pids() == [], "nothing is left running"


def test_a_taken_edge_port_names_the_process_too() -> None:
    with new_system() as other, socket.create_server(("127.0.0.1", other.edge_ports["sin-1"])):
        refused(other.cli("up", "--no-demo"), str(other.edge_ports["sin-1"]), str(os.getpid()))
        assert other.pids() == []


def test_a_bad_configuration_is_told_at_once_with_lines(tmp_path: Path) -> None:
    with new_system() as other:
        other.home.config.write_text('[network]\ngateway_prt = 80\nupload_port = "many"\n\n[log]\nlevel = "loud"\n\n[nowhere]\nx = 1\n')
        for verb in (("config", "check"), ("up", "--no-demo")):
            said = refused(other.cli(*verb), "NC0101", "gateway_port", "did you mean")
            for line in (2, 3, 6, 8):
                assert f"nearcast.toml:{line}:" in said, said
        assert other.pids() == []


def test_text_that_is_not_toml() -> None:
    with new_system() as other:
        other.home.config.write_text("[network]\ngateway_port = = 1\n")
        assert "nearcast.toml:2:" in refused(other.cli("config", "check"), "NC0101")


def test_an_unknown_verb_and_an_unknown_option(system: System) -> None:
    for arguments in (("dance",), ("up", "--sideways"), ("ingest",)):
        done = system.cli(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_second_up_answers_with_a_fresh_link(system: System) -> None:
    before = system.status.supervisor
    out = system.run("up", "--no-demo")
    assert system.status.supervisor == before, "the same system goes on"
    assert login(system.url, link_in(out).partition("/#/link/")[2])


def test_status_shows_every_process(system: System) -> None:
    out = system.run("status")
    for name in ("gateway", "play", "browse", "record", "fleet", "origin", "edge-fra-1", "edge-bom-1", "edge-sin-1", "edge-dal-1"):
        assert name in out


def test_doctor_finds_nothing_wrong(system: System) -> None:
    done = system.cli("doctor")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_written_configuration_is_a_valid_one(tmp_path: Path) -> None:
    with new_system() as other:
        other.home.config.unlink()
        other.run("config", "init")
        other.run("config", "check")
        assert "gateway_port" in other.run("config", "show")
