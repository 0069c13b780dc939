"""From where the page of a system may fetch."""

from __future__ import annotations

from pathlib import Path

from nearcast.base.paths import Home
from nearcast.control.gateway.settings import GatewaySettings
from nearcast.delivery.settings import EdgeSettings
from nearcast.system.gateway import edge_origins, own_origins
from nearcast.system.settings import NetworkSettings, Settings

EDGES = (
    EdgeSettings(id="a", site="frankfurt", port=8101),
    EdgeSettings(id="b", site="mumbai", port=8102, address="https://b.example:8443/"),
)


def test_edges_as_players_are_given_them(tmp_path: Path) -> None:
    assert edge_origins(Home(tmp_path), Settings(appliances=EDGES)) == ("http://127.0.0.1:8101", "https://b.example:8443")
    named = Settings(network=NetworkSettings(public_name="films.example.org"), appliances=EDGES)
    assert edge_origins(Home(tmp_path), named) == ("https://films.example.org:8101", "https://b.example:8443")


def test_manifests_and_uploads_as_browsers_are_given_them() -> None:
    assert own_origins(Settings()) == ("http://127.0.0.1:8080", "http://127.0.0.1:8090")
    proxied = Settings(gateway=GatewaySettings(public_url="https://films.example.org"))
    assert own_origins(proxied)[0] == "https://films.example.org"
