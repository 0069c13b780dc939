"""Routes as data, and what becomes of a request's texts."""

from __future__ import annotations

import contextlib
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from nearcast.control.gateway.api.table import ROUTES
from nearcast.control.gateway.errors import BadRequest
from nearcast.control.gateway.routes import Route, Table, allowed, bind, converted, decoded

TABLE = Table(ROUTES)


class Body(Struct, forbid_unknown_fields=True):
    number: int
    text: str = ""


class Query(Struct):
    number: Annotated[int, Meta(ge=0)] = 0
    part: float = 0.0
    flag: bool = False
    text: str = ""


async def handler(call: object, title_id: str, body: Body) -> Body:
    return body


def decode(raw: bytes) -> Body:
    found: Body = decoded(Body, msgspec.json.Decoder(Body).decode, raw)
    return found


def test_a_handler_and_its_row_must_fit() -> None:
    bound = bind(Route(method="PUT", path="/x/{title_id}", handler=handler, summary=""))
    assert (bound.parameters, bound.body, bound.answer) == (("title_id",), Body, Body)
    with pytest.raises(TypeError, match="title_id"):
        bind(Route(method="PUT", path="/x", handler=handler, summary=""))
    with pytest.raises(TypeError, match="twice"):
        Table([Route(method="PUT", path="/x/{title_id}", handler=handler, summary="")] * 2)


def test_paths_find_their_route_and_nothing_else_does() -> None:
    table = Table(ROUTES)
    found = table.find("/api/v1/titles/t_abc/poster.jpg")
    assert found is not None
    assert found[1] == {"title_id": "t_abc"}
    for path in (
        "/api/v1/titles/",
        "/api/v1/titles/a b",
        "/api/v1/titles/../x",
        "/api/v1/titles/a/b",
        "/api/v1/titles/a\n",
        "/api/v1/title",
        "/api/v1/titles/posterXjpg/poster-jpg",
        "/api/v1/sessions/short/steering",
        "//api/v1/titles",
        "/API/v1/titles",
        "/api/v1/titles/" + "x" * 65,
    ):
        assert table.find(path) is None, path


@given(st.text(max_size=100))
def test_no_path_raises(path: str) -> None:
    TABLE.find(path)


def test_every_route_is_found_by_an_example_of_its_path() -> None:
    table = Table(ROUTES)
    for route in ROUTES:
        path = route.path.replace("{session_id}", "S" * 40)
        for name in ("title_id", "profile_id", "account_id", "job_id"):
            path = path.replace(f"{{{name}}}", "t_1")
        found = table.find(path)
        assert found is not None, route.path
        assert found[0][route.method].route is route


def test_the_allow_header() -> None:
    assert allowed(["GET", "PUT"]) == "GET, HEAD, OPTIONS, PUT"
    assert allowed(["POST"]) == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"nonsense", "not JSON"),
        (b"[]", "does not fit"),
        (b'{"text":"x"}', "`number`"),
        (b'{"number":"1"}', "$.number"),
        (b'{"number":1.5}', "$.number"),
        (b'{"number":1,"extra":2}', "`extra`"),
        (b'{"number":1,"text":"\xff"}', "UTF-8"),
        (b'{"number":1}x', "not JSON"),
        (b'{"number":' + b"[" * 50_000, "deep"),
        (b"[" * 500_000, "deep"),
    ],
)
def test_bodies_that_do_not_fit_say_why(raw: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(raw)
    assert message in caught.value.message


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert decode(b'{"number":3.0}') == Body(number=3)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_body_or_a_bad_request(raw: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(decode(raw), Body)


@given(st.dictionaries(st.sampled_from(["number", "part", "flag", "text", "other"]), st.text(max_size=30)))
def test_any_query_is_converted_or_a_bad_request(texts: dict[str, str]) -> None:
    try:
        found = converted(texts, Query, "query")
    except BadRequest:
        return
    assert found.number >= 0
    assert found.text == texts.get("text", "")


def test_queries_are_read_as_json_writes_them() -> None:
    assert converted({"part": "1.5e-3"}, Query, "query") == Query(part=0.0015)
    for where, words in (("query", "the query does not fit"), ("headers", "the headers do not fit")):
        with pytest.raises(BadRequest, match=words):
            converted({"number": "x"}, Query, where)
    assert converted({"number": "12", "part": "0.5", "flag": "true", "text": "12"}, Query, "query") == Query(12, 0.5, True, "12")
    for odd in (
        {"number": "1.5"},
        {"number": "٣"},
        {"number": "-1"},
        {"number": ""},
        {"flag": "1"},
        {"flag": "True"},
        {"part": "nan"},
        {"part": "Infinity"},
    ):
        with pytest.raises(BadRequest):
            converted(odd, Query, "query")
