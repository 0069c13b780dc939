"""A copy of a home that runs, as backups, snapshots and staging systems are made: whoever tries it ends nothing of the original."""

from __future__ import annotations

import copy
import json
import subprocess
import tempfile
from pathlib import Path

from nearcast.base.paths import Home
from tests.e2e.harness import System, refused


def test_a_copy_of_a_running_home_leaves_it_alone(system: System) -> None:
    before = {each.name: each.identity for each in system.status.processes}
    with tempfile.TemporaryDirectory(prefix="nc-") as folder:
        other = copy.copy(system)
        other.home = Home(Path(folder) / "copy")
        other.environment = {**system.environment, "NEARCAST_HOME": str(other.home.root)}
        subprocess.run(["cp", "-a", str(system.home.root), str(other.home.root)], check=True)
        told = other.cli("status", "--json")
        assert told.returncode == 3
        assert json.loads(told.stdout)["processes"] == []
        assert "nothing was running" in other.cli("down").stderr
        refused(other.cli("up", "--no-demo"), "NC0012", "is in use by")
        assert other.pids() == []
    assert {each.name: each.identity for each in system.status.processes} == before
    assert system.status.ready
