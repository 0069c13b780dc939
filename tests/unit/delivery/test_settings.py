from __future__ import annotations

import pytest

from nearcast.delivery.settings import EdgeSettings, FillSettings


def edge(**more: object) -> EdgeSettings:
    return EdgeSettings(**{"id": "fra-1", "site": "frankfurt", "port": 8101, **more})  # type: ignore[arg-type]  # checked by the test


def test_the_public_address() -> None:
    assert edge().public_address == "http://127.0.0.1:8101"
    assert edge(listen=("0.0.0.0",)).public_address == "http://127.0.0.1:8101"
    assert edge(listen=("::",)).public_address == "http://[::1]:8101"
    assert edge(listen=("::1",)).public_address == "http://[::1]:8101"
    assert edge(tls_certificate="/c", tls_key="/k").public_address == "https://127.0.0.1:8101"
    assert edge(address="https://edge.example/").public_address == "https://edge.example"
    assert edge(listen=("::",)).health_host == "::1"


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="come together"):
        edge(tls_certificate="/c")
    with pytest.raises(ValueError, match="listen takes addresses"):
        edge(listen=("here",))


def test_spans_of_hours() -> None:
    assert FillSettings(peak="").peak == ""
    with pytest.raises(ValueError, match="no span of time"):
        FillSettings(window="18:00-18:00")
    with pytest.raises(ValueError, match="no span of time"):
        FillSettings(peak="18:00-18:00")
