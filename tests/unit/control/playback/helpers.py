"""What tests of manifests share."""

from __future__ import annotations

from nearcast.control.playback import selection
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import Rendition
from nearcast.model.route import EdgeChoice
from nearcast.model.title import Publication

STEERING = "https://films.example.org/api/v1/sessions/abc/steering?a=1&b=2"


def manifest_of(publication: Publication) -> Manifest:
    assert publication.manifest is not None
    return publication.manifest


def edges(*names: str) -> tuple[EdgeChoice, ...]:
    return tuple(
        EdgeChoice(pathway=name, site=name[:3], appliance=name, base_url=f"http://{name}.example.org/v1/mac/9/t_film/") for name in names
    )


def all_of(manifest: Manifest) -> tuple[tuple[Rendition, ...], tuple[Rendition, ...]]:
    return selection.renditions(manifest, ("AUDIO", "SD", "HD", "UHD"), 4320)
