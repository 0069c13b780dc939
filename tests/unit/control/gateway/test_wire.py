"""Requests and answers as bytes."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.base.errors import Problem
from nearcast.control.gateway import headers
from nearcast.control.gateway.errors import BadRequest, BodyTooLarge, Gone
from nearcast.control.gateway.wire import Answer, Message, Request, accepts_gzip, compressed, problem_answer


def request(*parts: bytes, query: bytes = b"", gone: bool = False, **fields: str) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1 or gone} for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()]
    return Request({"method": "POST", "path": "/", "headers": named, "query_string": query}, receive)


async def test_a_body_in_parts() -> None:
    assert await request(b"ab", b"", b"c").body(3) == b"abc"


async def test_a_body_that_tells_its_length_is_refused_unread() -> None:
    asked = request(content_length="1000000000000")
    with pytest.raises(BodyTooLarge):
        await asked.body(10)


async def test_a_body_that_does_not_tell_is_refused_in_time() -> None:
    with pytest.raises(BodyTooLarge):
        await request(*[b"x" * 10] * 100).body(55)


async def test_a_client_that_goes_away() -> None:
    with pytest.raises(Gone):
        await request(b"ab", gone=True).body(10)


def test_queries() -> None:
    assert request(query=b"q=caf%C3%A9+noir&row=").query() == {"q": "café noir", "row": ""}
    assert request(query=b"a=1&a=2").query() == {"a": "2"}
    for damaged in (b"q=%ff%fe", b"q=\xff", b"&".join([b"a=1"] * 200)):
        with pytest.raises(BadRequest):
            request(query=damaged).query()


def test_cookies() -> None:
    asked = request(cookie='a=1; nearcast=abc-_9; b="x"')
    assert asked.cookie("nearcast") == "abc-_9"
    assert asked.cookie("none") == ""
    assert request().cookie("nearcast") == ""


@pytest.mark.parametrize(
    ("header", "yes"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("br", False),
        ("", False),
        ("x-gzip", False),
    ],
)
def test_who_reads_gzip(header: str, yes: bool) -> None:
    assert accepts_gzip(header) is yes


def test_compression_where_it_pays() -> None:
    big, small = b'{"a":1}' * 1000, b"{}"
    answer = compressed(Answer(body=big, media_type="application/json"), "gzip")
    assert gzip.decompress(answer.body) == big
    assert answer.headers == {"vary": "accept-encoding", "content-encoding": "gzip"}
    assert compressed(Answer(body=big, media_type="application/json"), "br").body == big
    assert compressed(Answer(body=small, media_type="application/json"), "gzip").body == small
    assert compressed(Answer(body=big, media_type="image/jpeg"), "gzip").body == big
    assert compressed(Answer(body=big, media_type="application/json", compress=False), "gzip").body == big


def test_answers_do_not_share_headers() -> None:
    Answer().headers["a"] = "1"
    assert Answer().headers == {}


def test_problems() -> None:
    answer = problem_answer(Problem(code="NC0006", message="down", status=503))
    assert (answer.status, answer.headers["retry-after"], answer.headers["cache-control"]) == (503, "1", "no-store")
    assert problem_answer(Problem(code="NC0004", message="no", status=401)).headers["www-authenticate"] == "Bearer"


@given(st.text(max_size=100))
def test_request_ids_are_sane_or_ours(inbound: str) -> None:
    found = headers.request_id(inbound, "r_made")
    assert found == "r_made" or (found == inbound and 4 <= len(found) <= 64 and found.isascii() and " " not in found and "\n" not in found)


def test_a_sane_request_id_is_kept() -> None:
    assert headers.request_id("0af7651916cd43dd-8448eb211c80319c", "r_made") == "0af7651916cd43dd-8448eb211c80319c"


def test_cookies_that_sign_in_and_out() -> None:
    assert headers.session_cookie("tok", 90.9, tls=True) == "nearcast=tok; Path=/; Max-Age=90; HttpOnly; SameSite=Strict; Secure"
    assert headers.session_cookie("", 90, tls=False) == "nearcast=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"


def test_the_policy_lets_media_in_from_edges_and_scripts_from_nowhere_else() -> None:
    policy = dict(part.split(" ", 1) for part in headers.content_security_policy(["https://fra.example.org:8101"]).split("; "))
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["media-src"].split() == ["'self'", "blob:", "data:", "https://fra.example.org:8101"]
    assert policy["connect-src"].split()[-1] == "https://fra.example.org:8101"
    names = [name for name, _ in headers.security_headers((), tls=False)]
    assert b"strict-transport-security" not in names
    assert b"strict-transport-security" in [name for name, _ in headers.security_headers((), tls=True)]
