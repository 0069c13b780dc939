"""The films of the running system: ingested by the real command line, once, and found on every edge before a test plays them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import films
from tests.e2e.harness import System, wait_for

NAME = "Regatta"
CLEAR_NAME = "Open Harbour"


@dataclass
class Film:
    """A title that can be played."""

    id: str
    name: str
    duration_s: float
    title: dict[str, Any]


@dataclass
class Library:
    """Films by need; each is made when first asked for."""

    system: System
    folder: Path
    made: dict[str, Film] = field(default_factory=dict)

    def film(self) -> Film:
        return self.made.get(NAME) or self._make(
            NAME,
            films.long_film(self.folder),
            "--subtitles",
            films.subtitles(self.folder),
            "--audio",
            f"{films.dub(self.folder)}:fr",
        )

    def clear_film(self) -> Film:
        return self.made.get(CLEAR_NAME) or self._make(CLEAR_NAME, films.generated(self.folder / "harbour.mp4"), "--clear")

    def _make(self, name: str, path: Path, *arguments: str | Path) -> Film:
        title = self.system.ingest(path, name, *arguments)
        film = Film(id=title["id"], name=name, duration_s=title["runtime_s"], title=title)
        self.wait_placed(film)
        self.made[name] = film
        return film

    def wait_placed(self, film: Film, appliances: int = 4) -> None:
        """Until so many edges hold all of it."""
        files = [path for path in (self.system.home.origin / "titles" / film.id).iterdir() if path.suffix == ".mp4"]
        folders = [self.system.home.edges / name / "placed" / film.id for name in self.system.edge_ports]

        def placed() -> bool:
            return sum(all((folder / each.name).is_file() for each in files) for folder in folders) >= appliances

        wait_for(f"{film.name} to be on {appliances} edges", placed)
