"""`nearcast down` while the system is still starting: whatever had begun is ended, and nothing comes after."""

from __future__ import annotations

import time

import pytest

from tests.e2e.harness import PATIENCE_S, new_system, wait_for


@pytest.mark.parametrize("after_s", [0.6, 0.9, 1.2, 2.0])
def test_down_soon_after_up(after_s: float) -> None:
    with new_system() as system, system.popen("up", "--no-demo") as up:
        time.sleep(after_s)
        launched = (system.home.run / "starting.json").exists()
        down = system.cli("down")
        assert down.returncode == 0, down.stderr
        if not launched:  # down came before there was anything to end: it ends what up has started since, as it does at any time
            up.wait(PATIENCE_S)
            system.run("down")
        up.communicate(timeout=PATIENCE_S)
        began = wait_for("everything to end", lambda: not system.pids())
        assert began
        time.sleep(1.0)
        assert not system.pids(), "nothing starts afterwards"
