"""Requests that cannot be, over HTTP: each answered with a Problem (code, message, hint, request id) and its status, never with a 500."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nearcast.control.accounts.settings import AccountsSettings
from tests.e2e.harness import PATIENCE_S, System, account, link_token, problem, wait_for
from tests.e2e.library import Film

PASSWORD = "a long enough sentence"
ATTEMPTS_PER_ACCOUNT = AccountsSettings().attempts_per_account


@pytest.fixture(scope="module")
def admin(system: System) -> Iterator[httpx.Client]:
    with system.client() as found:
        yield found


@pytest.fixture
def plain(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.url, timeout=PATIENCE_S) as found:
        yield found


@pytest.fixture
def viewer(admin: httpx.Client) -> dict[str, Any]:
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    return {**account(admin, email, PASSWORD), "email": email}


def signed_in(plain: httpx.Client, email: str) -> httpx.Client:
    answer = plain.post("/api/v1/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    plain.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return plain


# --- signing in -------------------------------------------------------------------------------------------------------


def test_a_link_signs_in_once(system: System, admin: httpx.Client, plain: httpx.Client) -> None:
    token = link_token(system.link())
    first = plain.post("/api/v1/login", json={"link": token})
    assert first.status_code == 200
    assert first.json()["account"]["role"] == "admin"
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    plain.cookies.clear()
    again = plain.post("/api/v1/login", json={"link": token})
    assert again.status_code == 401
    assert "used" in problem(again)["message"]


def test_a_wrong_link(plain: httpx.Client) -> None:
    answer = plain.post("/api/v1/login", json={"link": "never-issued"})
    assert answer.status_code == 401
    problem(answer)


def test_a_password_signs_in_and_a_wrong_one_does_not(plain: httpx.Client, viewer: dict[str, Any]) -> None:
    wrong = plain.post("/api/v1/login", json={"email": viewer["email"], "password": "not it at all"})
    nobody = plain.post("/api/v1/login", json={"email": "nobody@example.org", "password": "not it at all"})
    assert wrong.status_code == nobody.status_code == 401
    assert problem(wrong)["message"] == problem(nobody)["message"], "the answer does not tell which accounts there are"
    assert signed_in(plain, viewer["email"]).get("/api/v1/me").json()["account"]["id"] == viewer["id"]


def test_too_many_attempts(plain: httpx.Client, viewer: dict[str, Any]) -> None:
    statuses: list[int] = []
    while statuses[-1:] != [429] and len(statuses) < 40:
        answer = plain.post("/api/v1/login", json={"email": viewer["email"], "password": "guess after guess"})
        statuses.append(answer.status_code)
    assert statuses[-1] == 429, statuses
    assert set(statuses[:-1]) <= {401, 503}, "on a machine that is busy a hash may take longer than the call"
    assert statuses.count(401) <= ATTEMPTS_PER_ACCOUNT
    problem(answer)
    right = plain.post("/api/v1/login", json={"email": viewer["email"], "password": PASSWORD})
    assert right.status_code == 429, "the right password must wait as well"


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/home", "/api/v1/titles", "/api/v1/history", "/api/v1/accounts", "/api/v1/ingest"])
def test_nobody_gets_in_without_signing_in(plain: httpx.Client, path: str) -> None:
    answer = plain.get(path)
    assert answer.status_code == 401
    problem(answer)


@pytest.mark.parametrize("path", ["/api/v1/accounts", "/api/v1/ingest", "/api/v1/edges"])
def test_what_is_for_admins_is_not_for_viewers(plain: httpx.Client, viewer: dict[str, Any], path: str) -> None:
    answer = signed_in(plain, viewer["email"]).get(path)
    assert answer.status_code == 403
    problem(answer)


def test_a_forged_token(plain: httpx.Client) -> None:
    answer = plain.get("/api/v1/me", headers={"Authorization": "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
    assert answer.status_code == 401
    problem(answer)


# --- playing ----------------------------------------------------------------------------------------------------------


def test_a_lapsed_subscription_is_402(admin: httpx.Client, plain: httpx.Client, viewer: dict[str, Any], film: Film) -> None:
    client = signed_in(plain, viewer["email"])
    assert client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "d"}}).status_code == 200
    admin.patch(f"/api/v1/accounts/{viewer['id']}", json={"subscription": "lapsed"}).raise_for_status()

    def refusal() -> httpx.Response | None:
        answer = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "d"}})
        return answer if answer.status_code != 200 else None

    answer = wait_for("the entitlement that is kept for seconds to be asked anew", refusal)
    assert answer.status_code == 402
    assert problem(answer)["code"].startswith("NC4")


def test_signing_everybody_out_ends_the_tokens(admin: httpx.Client, plain: httpx.Client, viewer: dict[str, Any], film: Film) -> None:
    client = signed_in(plain, viewer["email"])
    admin.patch(f"/api/v1/accounts/{viewer['id']}", json={"revoke_tokens": True}).raise_for_status()

    def refusal() -> httpx.Response | None:
        answer = client.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "d"}})
        return answer if answer.status_code != 200 else None

    answer = wait_for("the token to be asked about anew", refusal)
    assert answer.status_code == 401
    problem(answer)


def test_unknown_things_are_404(admin: httpx.Client) -> None:
    for answer in (
        admin.get("/api/v1/titles/nosuch"),
        admin.get("/api/v1/titles/nosuch/poster.jpg"),
        admin.post("/api/v1/play", json={"title_id": "nosuch", "device": {"id": "d"}}),
        admin.get("/api/v1/ingest/nosuch"),
        admin.get("/api/v1/nosuch"),
    ):
        assert answer.status_code == 404, answer.request.url
        problem(answer)


def test_an_altered_session_is_refused(admin: httpx.Client, film: Film) -> None:
    session = admin.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "d"}}).json()["session_id"]
    altered = session[:-4] + ("AAAA" if session[-4:] != "AAAA" else "BBBB")
    for path in ("manifest.mpd", "manifest.m3u8", "steering"):
        answer = admin.get(f"/api/v1/sessions/{altered}/{path}")
        assert answer.status_code == 401
        problem(answer)


@pytest.mark.parametrize("device", ["another", ""])
def test_a_licence_is_for_the_device_that_pressed_play(admin: httpx.Client, film: Film, device: str) -> None:
    session = admin.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "this"}}).json()
    question = {"kids": ["AAAAAAAAAAAAAAAAAAAAAA"], "type": "temporary"}
    headers = {"x-nearcast-session": session["session_id"], **({"x-nearcast-device": device} if device else {})}
    answer = admin.post("/api/v1/license", json=question, headers=headers)
    assert answer.status_code in (400, 401, 403)
    problem(answer)


def test_keys_of_another_title_are_not_given(admin: httpx.Client, film: Film) -> None:
    session = admin.post("/api/v1/play", json={"title_id": film.id, "device": {"id": "this"}}).json()
    headers = {"x-nearcast-session": session["session_id"], "x-nearcast-device": "this"}
    answer = admin.post("/api/v1/license", json={"kids": ["AAAAAAAAAAAAAAAAAAAAAA"], "type": "temporary"}, headers=headers)
    assert answer.status_code in (400, 403, 404) or answer.json()["keys"] == []


# --- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"", b'"text"', b"[]", b'{"title_id": 7}', b"\xff\xfe", b'{"title_id":"a","title_id'])
def test_json_that_is_not(admin: httpx.Client, body: bytes) -> None:
    answer = admin.post("/api/v1/play", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    problem(answer)


def test_json_that_is_nested_without_end(admin: httpx.Client) -> None:
    answer = admin.post("/api/v1/play", content=b'{"device":' + b"[" * 50_000, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413, 422)
    problem(answer)


def test_a_body_that_is_too_large(admin: httpx.Client) -> None:
    answer = admin.post("/api/v1/play", content=b" " * 20_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    problem(answer)


def test_a_body_that_is_too_large_and_does_not_say_so(admin: httpx.Client) -> None:
    answer = admin.post("/api/v1/play", content=(b" " * 100_000 for _ in range(200)), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    problem(answer)


def test_a_method_that_is_not_taken(admin: httpx.Client) -> None:
    answer = admin.put("/api/v1/login", json={})
    assert answer.status_code == 405
    problem(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/../secrets/root.key",
        "/..%2fsecrets%2froot.key",
        "/assets/../../secrets/root.key",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%5c..%5cetc%5cpasswd",
        "//etc/passwd",
        "/%00",
        "/api/v1/titles/..%2f..%2f..%2fsecrets/poster.jpg",
        "/api/v1/titles/%2e%2e/thumbnails.jpg",
    ],
)
def test_path_traversal(system: System, path: str) -> None:
    with socket.create_connection(("127.0.0.1", system.gateway_port), timeout=PATIENCE_S) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{system.gateway_port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
    status = int(answer.split(b" ", 2)[1])
    body = answer.partition(b"\r\n\r\n")[2]
    assert b"root:" not in body
    assert (system.home.secrets / "root.key").read_bytes() not in answer
    assert status in (400, 401, 404) or (status == 200 and b"<!doctype html" in body.lower()), answer[:300]


# --- headers ----------------------------------------------------------------------------------------------------------


def test_every_answer_is_named_and_guarded(plain: httpx.Client) -> None:
    answer = plain.get("/")
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src" in policy
    assert "unsafe-eval" not in policy
    assert "frame-ancestors" in policy or "x-frame-options" in answer.headers


def test_large_answers_are_compressed(plain: httpx.Client) -> None:
    answer = plain.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("content-encoding") == "gzip"
    assert answer.json()["openapi"].startswith("3.")
