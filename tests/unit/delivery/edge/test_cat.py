"""Common Access Tokens: each limit by itself, then through the real nginx to the film."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import CWT, COSEKey
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from nearcast.base.clock import SystemClock, VirtualClock
from nearcast.base.errors import NearcastError
from nearcast.base.web import serve_asgi
from nearcast.delivery.edge import cat
from nearcast.delivery.edge.cat import Asked, BadTokenKeys, Exchange, read_keys, read_token, verify
from nearcast.delivery.edge.keys import EdgeKeys, MacKey
from nearcast.policy import capability
from tests.ports import free_port

from ..making import ROOT, film, publish, running_edge, running_origin
from .serving import serving

NAME = "ab" * 32 + ".mp4"
NOW_S = 1_800_000_000.0
SECRET = {"kty": "oct", "alg": "HS256", "kid": "one", "k": base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")}
OTHER = {**SECRET, "k": base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")}
ASKED = Asked(method="GET", scheme="https", host="fra-1.example", port=8101, path=f"/cat/t_film/{NAME}", audience=("fra-1",))


def b64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


PRIVATE = ec.generate_private_key(ec.SECP256R1())
NUMBERS = PRIVATE.private_numbers()
PUBLIC_JWK = {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "two"}
PUBLIC_JWK |= {"x": b64(NUMBERS.public_numbers.x), "y": b64(NUMBERS.public_numbers.y)}
PRIVATE_JWK = {**PUBLIC_JWK, "d": b64(NUMBERS.private_value)}


def token(claims: dict[Any, Any], jwk: dict[str, str] = SECRET, *, tagged: bool = False) -> str:
    key = COSEKey.from_jwk(dict(jwk))
    writer = CWT.new()
    make = writer.encode_and_mac if jwk["kty"] == "oct" else writer.encode_and_sign
    return base64.urlsafe_b64encode(make({4: int(NOW_S) + 60, 5: 0, **claims}, key, tagged=tagged)).decode().rstrip("=")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [SECRET, PUBLIC_JWK]}))
    return path


def exchange(keys: Path) -> Exchange:
    held = EdgeKeys(current=MacKey(0, capability.edge_key(ROOT, "fra-1")))
    return Exchange("fra-1", "frankfurt", "https://fra-1.example:8101", keys, lambda: held, VirtualClock(NOW_S))


@pytest.mark.parametrize("jwk", [SECRET, PRIVATE_JWK])
@pytest.mark.parametrize("tagged", [False, True])
def test_a_good_token_becomes_a_path_that_ends_with_it(keys: Path, jwk: dict[str, str], tagged: bool) -> None:
    key = capability.edge_key(ROOT, "fra-1")
    path = exchange(keys).path(token({}, jwk, tagged=tagged), ASKED)
    assert path == capability.edge_path(key, "t_film", int(NOW_S) + 60) + NAME
    late = exchange(keys).path(token({4: int(NOW_S) + 10**6}, jwk, tagged=tagged), ASKED)
    assert late == capability.edge_path(key, "t_film", int(NOW_S) + cat.PATH_S_MAX) + NAME


GOOD: list[dict[Any, Any]] = [
    {1: "somebody", 2: "viewer", 6: 1, 7: b"id"},
    {310: 1, 308: 0},
    {313: ["HEAD", "GET"]},
    {3: "fra-1"},
    {3: ["elsewhere", "fra-1"]},
    {312: {0: {0: "https"}, 1: {0: "fra-1.example"}, 2: {0: "8101"}, 3: {1: "/cat/t_film/", 2: ".mp4", 3: "film"}}},
    {312: {5: {0: "/cat/t_film"}, 6: {0: NAME}, 7: {0: "ab" * 32}, 8: {0: ".mp4"}, 4: {0: ""}}},
    {312: {3: {-1: hashlib.sha256(f"/cat/t_film/{NAME}".encode()).digest()}}},
    {322: {4: [403, {}]}, 323: {0: 0}},
]
BAD: list[tuple[dict[Any, Any], str]] = [
    ({4: int(NOW_S)}, "NC2022"),
    ({5: int(NOW_S) + 1}, "NC2022"),
    ({310: 2}, "NC2024"),
    ({308: 1}, "NC2024"),
    ({308: 2}, "NC2024"),
    ({311: [b"\x7f"]}, "NC2024"),
    ({316: ["DE"]}, "NC2024"),
    ({99999: 1}, "NC2024"),
    ({"mine": 1}, "NC2024"),
    ({313: ["POST"]}, "NC2023"),
    ({313: "GET"}, "NC2023"),
    ({3: "bom-1"}, "NC2023"),
    ({312: {1: {0: "bom-1.example"}}}, "NC2023"),
    ({312: {3: {1: "/cat/t_film/", 2: ".m3u8"}}}, "NC2023"),
    ({312: {3: {-1: bytes(32)}}}, "NC2023"),
    ({312: {3: {4: [".*"]}}}, "NC2024"),
    ({312: {9: {0: "x"}}}, "NC2024"),
    ({312: {3: "/"}}, "NC2024"),
    ({312: {3: {0: 5}}}, "NC2024"),
    ({312: "all"}, "NC2021"),
    ({4: float("nan")}, "NC2021"),
]


@pytest.mark.parametrize("claims", GOOD)
def test_claims_that_allow_it(claims: dict[Any, Any]) -> None:
    assert verify({4: int(NOW_S) + 60, **claims}, ASKED, NOW_S) == int(NOW_S) + 60


@pytest.mark.parametrize(("claims", "code"), BAD)
def test_claims_that_do_not(claims: dict[Any, Any], code: str) -> None:
    with pytest.raises(NearcastError) as caught:
        verify({4: int(NOW_S) + 60, **claims}, ASKED, NOW_S)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_token_without_an_end_is_refused() -> None:
    with pytest.raises(cat.TokenUnsupported, match="exp"):
        verify({1: "x"}, ASKED, NOW_S)


@given(
    claims=st.dictionaries(
        st.integers(-10, 330) | st.text(max_size=3),
        st.recursive(st.integers() | st.text() | st.binary(), st.lists, max_leaves=8),
        max_size=8,
    )
)
def test_whatever_the_claims_are_it_is_a_verdict(claims: dict[Any, Any]) -> None:
    with contextlib.suppress(cat.TokenDamaged, cat.TokenExpired, cat.TokenElsewhere, cat.TokenUnsupported):
        verify(claims, ASKED, NOW_S)


@given(raw=st.binary(max_size=300))
def test_nothing_but_a_proved_token_is_read(raw: bytes) -> None:
    proofs = [COSEKey.from_jwk(dict(SECRET)), COSEKey.from_jwk(dict(PUBLIC_JWK))]
    for prefix in (b"", b"\xd1\x84", b"\xd2\x84", b"\xd8\x3d\xd1\x84"):
        with pytest.raises(cat.TokenDamaged):
            read_token(base64.urlsafe_b64encode(prefix + raw).decode().rstrip("="), proofs)


def test_forged_tokens(keys: Path) -> None:
    bare = base64.urlsafe_b64encode(b"\xa1\x04\x1a\x7f\xff\xff\xff").decode()  # {4: …}, claims without any proof
    good = token({})
    confused = token({}, {**SECRET, "k": PUBLIC_JWK["x"]})  # the public key as if it were a secret
    nameless = token({}, {key: value for key, value in SECRET.items() if key != "kid"})
    for text in (nameless, "%%", "x" * 5000, bare, token({}, OTHER), good[:-1] + ("A" if good[-1] != "A" else "B"), good[:-8], confused):
        with pytest.raises(cat.TokenDamaged):
            exchange(keys).path(text, ASKED)
    with pytest.raises(cat.TokenMissing):
        exchange(keys).path("", ASKED)


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"keys": [{"kty": "RSA"}]}', '{"keys": 5}', json.dumps({"keys": [{**SECRET, "alg": "HS384"}]})],
)
def test_keys_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(BadTokenKeys):
        read_keys(path)
    with pytest.raises(BadTokenKeys):
        read_keys(tmp_path / "absent")


async def ask(given_to: Exchange, token: str, host: str = "fra-1.example:8101") -> int:
    scope = {
        "type": "http",
        "method": "GET",
        "path": ASKED.path,
        "query_string": f"CAT={token}".encode(),
        "headers": [(b"host", host.encode())],
    }
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await given_to.application()(scope, None, send)  # type: ignore[arg-type]
    return int(said[0]["status"])


@pytest.mark.parametrize(
    "claims", [{3: "dal-1"}, {3: "http://dal-1"}, {312: {1: {0: "dal-1"}}}, {312: {2: {0: "80"}}}, {312: {0: {0: "http"}}}]
)
async def test_the_name_in_the_request_counts_for_nothing(keys: Path, claims: dict[Any, Any]) -> None:
    for host in ("dal-1", "DAL-1:80", "fra-1.example:8101"):
        assert await ask(exchange(keys), token(claims), host) == 403


@pytest.mark.parametrize("audience", ["fra-1", "frankfurt", "https://fra-1.example:8101", "fra-1.example"])
async def test_names_of_its_own_count_by_whatever_name_it_is_called(keys: Path, audience: str) -> None:
    claims = {3: audience, 312: {0: {0: "https"}, 1: {0: "fra-1.example"}, 2: {0: "8101"}}}
    assert await ask(exchange(keys), token(claims), "127.0.0.1") == 307


def test_keys_are_read_anew(keys: Path) -> None:
    given_to = exchange(keys)
    with pytest.raises(cat.TokenDamaged):
        given_to.path(token({}, OTHER), ASKED)
    keys.write_text(json.dumps({"keys": [OTHER]}))
    assert given_to.path(token({}, OTHER), ASKED)
    with pytest.raises(cat.TokenDamaged):
        given_to.path(token({}), ASKED)


def test_an_empty_set_of_keys_lets_nobody_in_and_is_no_error(keys: Path) -> None:
    given_to = exchange(keys)
    keys.write_text('{"keys": []}')
    with pytest.raises(cat.TokenDamaged):
        given_to.path(token({}), ASKED)
    assert given_to.problem is None


@pytest.mark.parametrize("break_it", [lambda path: path.write_text("oops"), Path.unlink, lambda path: path.write_bytes(b"")])
def test_keys_that_cannot_be_read_let_nobody_in_and_it_is_told_once(keys: Path, break_it: Callable[[Path], object]) -> None:
    good, given_to = keys.read_text(), exchange(keys)
    assert given_to.path(token({}), ASKED)
    break_it(keys)
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(cat.TokenDamaged):
                given_to.path(token({}), ASKED)
            assert given_to.problem is not None
            assert given_to.problem.code == "NC2025"
    assert [(each["log_level"], each["code"], bool(each["hint"])) for each in logs] == [("error", "NC2025", True)]
    keys.write_text(good)
    assert given_to.path(token({}), ASKED)
    assert given_to.problem is None


def test_keys_that_are_missing_at_the_start_stop_nothing(keys: Path) -> None:
    good = keys.read_text()
    keys.unlink()
    given_to = exchange(keys)
    assert given_to.problem is not None
    keys.write_text(good)
    assert given_to.path(token({}), ASKED)


async def test_a_foreign_player_from_its_token_to_the_film(tmp_path: Path, keys: Path) -> None:
    own_port = free_port()
    data = film(5000)
    async with running_origin() as origin, serving(tmp_path / "edge", origin, cat_keys=str(keys), admin_port=own_port) as edge:
        item = await publish(origin.store, data)
        path = f"/cat/t_film/{item.file.name}"
        given_to = Exchange("fra-1", "frankfurt", edge.settings.public_address, keys, lambda: edge.server.keys, SystemClock())
        assert (await edge.get(path)).status_code == 502, "nobody there to verify it"
        with socket.create_server(("127.0.0.1", own_port)):
            assert (await edge.get(path)).status_code == 502, "somebody there who does not answer"
        server = await serve_asgi(given_to.application(), "127.0.0.1", own_port)
        try:
            limits = {1: {0: "127.0.0.1"}, 2: {0: str(edge.settings.port)}, 3: {0: path}}
            good = token({4: int(time.time()) + 60, 312: limits})
            ways: list[dict[str, Any]] = [
                {"headers": {"cta-common-access-token": good}},
                {"headers": {"cookie": f"a=b; CTA-Common-Access-Token={good}; c=d"}},
                {"params": {"CAT": good}},
            ]
            for way in ways:
                answer = await edge.client.get(path, **way)
                assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
                assert answer.headers["access-control-allow-origin"] == "*"
                got = await edge.client.get(answer.headers["location"], headers={"range": "bytes=0-99"})
                assert (got.status_code, got.content) == (206, data[:100])
            refused: list[tuple[dict[str, Any], int, str]] = [
                ({}, 401, "NC2020"),
                ({"params": {"CAT": token({4: 5})}}, 401, "NC2022"),
                ({"params": {"CAT": token({4: int(time.time()) + 60, 312: {3: {0: "/"}}})}}, 403, "NC2023"),
            ]
            for way, status, code in refused:
                answer = await edge.client.get(path, **way)
                assert (answer.status_code, answer.json()["code"]) == (status, code)
                assert answer.json()["hint"]
                assert "request_id" not in answer.json()
            for method in ("POST", "PUT", "DELETE", "TRACE"):
                answer = await edge.client.request(method, path, params={"CAT": good})
                assert answer.status_code == 405
            assert (await edge.client.options(path)).headers["access-control-allow-headers"].endswith("CTA-Common-Access-Token")
            assert (await edge.get("/cat/t_film/../x.mp4")).status_code == 404
            elsewhere = token({4: int(time.time()) + 60, 3: "dal-1"})
            answer = await edge.client.get(path, headers={"host": "dal-1", "cta-common-access-token": elsewhere})
            assert (answer.status_code, answer.json()["code"]) == (403, "NC2023")
            crowd = await asyncio.gather(*(edge.client.get(path) for _ in range(300)))
            assert {each.status_code for each in crowd} == {401, 429}, "strangers cannot keep Python busy"
        finally:
            await server.stop(0.2)
        await edge.client.aclose()
        edge.client = httpx.AsyncClient()


async def test_without_keys_there_is_no_such_door(tmp_path: Path) -> None:
    async with running_origin() as origin, serving(tmp_path, origin) as edge:
        assert (await edge.get(f"/cat/t_film/{NAME}")).status_code == 404


async def test_an_appliance_without_its_token_keys_serves_and_tells(tmp_path: Path) -> None:
    keys, own_port, data = tmp_path / "keys.json", free_port(), film(5000)
    async with running_edge(tmp_path / "edge", cat_keys=str(keys), admin_port=own_port) as edge:
        item = await publish(edge.origin.store, data)
        assert (await edge.get(edge.path(item.file.name))).content == data
        assert edge.agent.report().problem.startswith("NC2025: ")
        assert [(each.code, bool(each.hint)) for each in edge.agent.status().troubles if each.code] == [("NC2025", True)]
        good, path = token({4: int(time.time()) + 60}), f"/cat/t_film/{item.file.name}"
        await until_status(edge.client, path, good, 401)
        keys.write_text(json.dumps({"keys": [SECRET]}))
        await until_status(edge.client, path, good, 307)
        assert edge.agent.report().problem == ""


async def until_status(client: httpx.AsyncClient, url: str, token: str, status: int) -> None:
    for _ in range(400):
        found = (await client.get(url, params={"CAT": token})).status_code
        if found == status:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"{found}, not {status}")
