"""One small film for all tests of the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.media import films


@pytest.fixture(scope="session")
def small_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of 640x360 at 24 frames per second with a tone."""
    return films.film(tmp_path_factory.mktemp("film") / "small film.mp4", size="640x360", duration_s=3)
