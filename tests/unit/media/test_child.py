"""What a worker process gets from the fleet, and what it must not get."""

from __future__ import annotations

import pytest

from nearcast.media import child


def test_no_secret_is_in_a_workers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "NEARCAST_LICENSE_MASTER_KEY"):
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("NEARCAST_FFMPEG", "/opt/ffmpeg")
    found = child._environment()
    assert "hush" not in found.values()
    assert found["NEARCAST_FFMPEG"] == "/opt/ffmpeg"
    assert found["PYTHONPATH"]
