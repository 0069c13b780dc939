"""An edge's path is a capability that nginx alone checks: altered, expired, of another title or another edge it opens nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from nearcast.policy.capability import edge_key, edge_path
from nearcast.system import secrets
from tests.e2e.harness import PATIENCE_S, System
from tests.e2e.library import Film

get = partial(httpx.get, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[httpx.Client]:
    with system.client() as found:
        yield found


@pytest.fixture(scope="module")
def session(client: httpx.Client, film: Film) -> dict[str, Any]:
    answer = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "tokens"}})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def base_url(session: dict[str, Any]) -> str:
    return str(session["edges"][0]["base_url"])


@pytest.fixture(scope="module")
def file_name(session: dict[str, Any]) -> str:
    return str(re.findall(r"<BaseURL>([0-9a-f]{64}\.mp4)</BaseURL>", session["manifest"])[0])


def from_nginx(answer: httpx.Response) -> bool:
    """Whether nginx itself wrote this answer, not a Python process behind it."""
    return str(answer.headers.get("server", "")).startswith("nginx")


def test_the_three_edges_stand_in_three_sites_and_hold_the_film(session: dict[str, Any], file_name: str) -> None:
    edges = session["edges"]
    assert len(edges) == 3
    assert len({each["site"] for each in edges}) == 3
    for each in edges:
        answer = get(each["base_url"] + file_name, headers={"Range": "bytes=0-99"})
        assert answer.status_code == 206
        assert len(answer.content) == 100
        assert from_nginx(answer)


def test_an_altered_mac_is_refused_by_nginx(base_url: str, file_name: str) -> None:
    parts = base_url.split("/")
    mac = parts[4]
    parts[4] = ("A" if mac[0] != "A" else "B") + mac[1:]
    answer = get("/".join(parts) + file_name)
    assert answer.status_code == 403
    assert from_nginx(answer)


def test_a_later_expiry_than_was_signed_is_refused(base_url: str, file_name: str) -> None:
    parts = base_url.split("/")
    parts[5] = str(int(parts[5]) + 3600)
    answer = get("/".join(parts) + file_name)
    assert (answer.status_code, from_nginx(answer)) == (403, True)


def test_an_expired_path_is_refused(system: System, base_url: str, film: Film, file_name: str) -> None:
    found = urlsplit(base_url)
    appliance = next(name for name, port in system.edge_ports.items() if port == found.port)
    key = edge_key(secrets.load(system.home.secrets).root, appliance)
    fresh = get(f"http://{found.netloc}{edge_path(key, film.id, int(time.time()) + 60)}{file_name}")
    assert fresh.status_code == 200, "the key is the right one"
    answer = get(f"http://{found.netloc}{edge_path(key, film.id, int(time.time()) - 5)}{file_name}")
    assert (answer.status_code, from_nginx(answer)) == (403, True)


def test_another_titles_path_is_refused(client: httpx.Client, base_url: str, clear_film: Film) -> None:
    other = client.post("/api/v1/play", json={"title_id": clear_film.id, "device": {"id": "tokens"}}).json()
    name = re.findall(r"<BaseURL>([0-9a-f]{64}\.mp4)</BaseURL>", other["manifest"])[0]
    parts = base_url.split("/")
    parts[6] = clear_film.id
    answer = get("/".join(parts) + name)
    assert (answer.status_code, from_nginx(answer)) == (403, True)
    inside = get(base_url + name)
    assert inside.status_code in (403, 404), "the file of another title is not below this title's path"


def test_another_edges_path_is_refused(session: dict[str, Any], file_name: str) -> None:
    first, second = (urlsplit(each["base_url"]) for each in session["edges"][:2])
    answer = get(f"http://{second.netloc}{first.path}{file_name}")
    assert (answer.status_code, from_nginx(answer)) == (403, True)


def test_a_range_past_the_end_is_416(base_url: str, file_name: str) -> None:
    answer = get(base_url + file_name, headers={"Range": "bytes=99999999999-"})
    assert (answer.status_code, from_nginx(answer)) == (416, True)
    assert answer.headers["content-range"].startswith("bytes */")


def test_a_file_that_is_not_there_is_404(base_url: str) -> None:
    assert get(f"{base_url}{'0' * 64}.mp4").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../../../../conf/nginx.conf", "%2e%2e/%2e%2e/%2e%2e/conf/nginx.conf", "..%2f..%2f..%2fconf%2fnginx.conf", "%00", "..%5c..%5cconf"],
)
def test_an_edge_gives_nothing_outside_of_its_titles(base_url: str, path: str) -> None:
    found = urlsplit(base_url)
    with httpx.Client(timeout=PATIENCE_S) as plain:
        request = plain.build_request("GET", f"http://{found.netloc}/")
        request.url = request.url.copy_with(raw_path=(found.path + path).encode())  # as it stands: httpx would tidy it
        answer = plain.send(request)
    assert answer.status_code in (400, 403, 404)
    assert b"secure_link" not in answer.content


def test_a_browser_on_the_gateways_page_may_read_it(system: System, base_url: str, file_name: str) -> None:
    answer = get(base_url + file_name, headers={"Origin": system.url, "Range": "bytes=0-9"})
    assert answer.headers["access-control-allow-origin"] in ("*", system.url)
    exposed = answer.headers.get("access-control-expose-headers", "").lower()
    assert "content-range" in exposed
