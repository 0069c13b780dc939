"""The web app's files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.control.gateway.errors import NoSuchAddress, NoWebApp
from nearcast.control.gateway.static import INDEX, WebApp, cache_control, found_at

KNOWN = frozenset({"/index.html", "/assets/app-B3kd92Lm.js", "/icon.svg"})


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", INDEX),
        ("/index.html", INDEX),
        ("/title/t_abc", ""),
        ("/nosuch", ""),
        ("/\x00", ""),
        ("/assets/app-B3kd92Lm.js", "/assets/app-B3kd92Lm.js"),
        ("/assets/none.js", ""),
        ("/favicon.ico", ""),
        ("/../etc/passwd", ""),
        ("/..", ""),
        ("//etc/passwd", ""),
        ("/assets/../icon.svg", ""),
        ("/assets//icon.svg", ""),
        ("/icon.svg/", ""),
    ],
)
def test_what_answers_for_a_path(path: str, file: str) -> None:
    assert found_at(path, KNOWN) == file


@given(st.text(max_size=60))
def test_only_known_files_are_ever_served(path: str) -> None:
    assert found_at(path, KNOWN) in KNOWN | {""}
    assert found_at(path, frozenset()) == ""


def test_names_with_a_hash_are_kept_for_good() -> None:
    assert "immutable" in cache_control("/assets/app-B3kd92Lm.js")
    assert "immutable" in cache_control("/assets/app-B3kd92Lm.js.map")
    assert cache_control("/index.html") == cache_control("/assets/app.js") == cache_control("/sw-B3kd92Lm.js") == "no-cache"


async def test_files_are_compressed_and_known_by_their_content(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.get("/assets/app-B3kd92Lm.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "answer = 42" in answer.text
    assert int(answer.headers["content-length"]) < 200
    plain = await anybody.get("/assets/app-B3kd92Lm.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content
    again = await anybody.get("/assets/app-B3kd92Lm.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_app_answers_at_the_root(anybody: httpx.AsyncClient) -> None:
    for path in ("/", "/index.html", "/#/title/t_abc"):
        answer = await anybody.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "content-security-policy" in answer.headers
    head = await anybody.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path", ["/nosuch", "/nothing.png", "/title/t_abc", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%00", "/assets/nosuch.js"]
)
async def test_what_is_not_there_is_not_answered_with_the_app(anybody: httpx.AsyncClient, path: str) -> None:
    answer = await anybody.get(path)
    assert (answer.status_code, answer.json()["code"], bool(answer.json()["hint"])) == (404, "NC4705", True)


async def test_other_methods(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.post("/", json={})
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "NC4706", "GET, HEAD, OPTIONS")
    assert (await anybody.options("/")).status_code == 204


@pytest.mark.parametrize("path", ["/.secret", "/leak.txt", "/../outside.txt", "/assets/../.secret", "/%2e%2e/outside.txt"])
async def test_nothing_hidden_or_outside_is_served(anybody: httpx.AsyncClient, path: str) -> None:
    answer = await anybody.get(path)
    assert b"outside" not in answer.content
    assert answer.content != b"no"


async def test_a_new_build_is_noticed(web_root: Path) -> None:
    web = WebApp(web_root)
    first = await web.answer("/", "", "")
    (web_root / "index.html").write_text("<!doctype html>new")
    (web_root / "assets" / "new-AAAAAAAA.js").write_text("1")
    os.utime(web_root / "index.html", ns=(1, 1))
    assert (await web.answer("/", "", "")).body != first.body
    assert (await web.answer("/assets/new-AAAAAAAA.js", "", "")).status == 200


async def test_what_the_build_compressed_is_used(web_root: Path) -> None:
    (web_root / "icon.svg.gz").write_bytes(gzip.compress(b"<svg/>", mtime=0)[:4])
    answer = await WebApp(web_root).answer("/icon.svg", "gzip", "")
    assert len(answer.body) == 4
    with pytest.raises(NoSuchAddress):
        await WebApp(web_root).answer("/icon.svg.gz", "", "")


async def test_no_web_app(tmp_path: Path) -> None:
    for root in (None, tmp_path / "none", tmp_path):
        with pytest.raises(NoWebApp):
            await WebApp(root).answer("/", "", "")
        with pytest.raises(NoSuchAddress):
            await WebApp(root).answer("/a.js", "", "")
