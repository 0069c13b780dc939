"""The OpenAPI 3.1 document and the reference page, both read off the routes: there is nothing to keep in step by hand."""

from __future__ import annotations

import http
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

import nearcast
from nearcast.base.errors import Problem
from nearcast.control.gateway.headers import COOKIE
from nearcast.control.gateway.routes import Bound, Route, bind, id_pattern
from nearcast.control.gateway.wire import JSON

_REF = "#/components/schemas/{name}"
_WORDS = re.compile(r"[^a-z0-9]+")
Schema = dict[str, Any]
_FORMATS = {"ipv4": "IPv4 address", "ipv6": "IPv6 address"}


def statuses(bound: Bound) -> list[int]:
    """Every status besides that of success with which the route may answer."""
    route = bound.route
    found = {400, *route.errors}
    if route.path.startswith("/api/"):
        found |= {503}
    if bound.body is not None:
        found |= {408, 413} | (set() if route.any_content_type else {415})
    if bound.parameters:
        found |= {404}
    if route.role:
        found |= {401}
        if route.role == "admin" or route.method != "GET":
            found |= {403}
    return sorted(found)


def document(groups: Mapping[str, Sequence[Route]]) -> Schema:
    """The whole API as an OpenAPI 3.1 document."""
    bound = {name: [bind(route) for route in routes] for name, routes in groups.items()}
    every = [each for routes in bound.values() for each in routes]
    kinds: list[Any] = [Problem]
    kinds += [kind for each in every for kind in (each.body, each.query, each.headers, each.answer) if kind is not None]
    kinds = list(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_kind = dict(zip(kinds, schemas, strict=True))
    inputs = {each.query.__name__ for each in every if each.query} | {each.headers.__name__ for each in every if each.headers}
    paths: dict[str, Schema] = {}
    for group, routes in bound.items():
        for each in routes:
            paths.setdefault(each.route.path, {})[each.route.method.lower()] = _operation(group, each, by_kind, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nearcast",
            "version": nearcast.__version__,
            "description": "Everything that the web app does, for scripts. Errors are a Problem with a stable code and a hint.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in groups],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in inputs},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _operation(group: str, bound: Bound, by_kind: Mapping[Any, Schema], components: Mapping[str, Schema]) -> Schema:
    route = bound.route
    found: Schema = {
        "tags": [group],
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": [_id_parameter(name) for name in bound.parameters],
        "responses": {str(route.status): _success(bound, by_kind)},
    }
    found["parameters"] += _parameters("query", bound.query, components) + _parameters("header", bound.headers, components)
    if not found["parameters"]:
        del found["parameters"]
    if bound.body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": by_kind[bound.body]}}}
    if route.role:
        found["security"] = [{"bearer": []}, {"cookie": []}]
    for status in statuses(bound):
        found["responses"][str(status)] = _failure(status, by_kind[Problem])
    return found


def operation_id(route: Route) -> str:
    return _WORDS.sub("_", f"{route.method} {route.path.removeprefix('/api/v1')}".lower()).strip("_")


def _success(bound: Bound, by_kind: Mapping[Any, Schema]) -> Schema:
    answer: Schema = {"description": http.HTTPStatus(bound.route.status).phrase}
    if bound.route.status != 204:
        media_type = bound.route.media_type
        schema = by_kind[bound.answer] if bound.answer else {} if media_type == JSON else {"type": "string"}
        answer["content"] = {media_type: {"schema": schema}}
    return answer


def _failure(status: int, problem: Schema) -> Schema:
    answer: Schema = {"description": http.HTTPStatus(status).phrase}
    if status != 304:
        answer["content"] = {JSON: {"schema": problem}}
    return answer


def _id_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{id_pattern(name)}$"}}


def _parameters(where: str, kind: type[Struct] | None, components: Mapping[str, Schema]) -> list[Schema]:
    if kind is None:
        return []
    schema = components[kind.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": where, "required": name in required, "schema": each} for name, each in schema.get("properties", {}).items()
    ]


# --- the reference page -----------------------------------------------------------------------------------------------


def markdown(groups: Mapping[str, Sequence[Route]]) -> str:
    """The API as a page: a table for each group, then what each address takes and answers."""
    out = [
        "# HTTP API",
        "",
        "JSON below the gateway. Whoever is signed in sends `Authorization: Bearer TOKEN`; browsers have the cookie `" + COOKIE + "`.",
        "Errors are a `Problem`: `{code, message, hint, request_id, status}`; the codes are in the reference of errors.",
        "The same as a machine reads it: `/openapi.json`.",
        "",
    ]
    for name, routes in groups.items():
        out += [f"## {name}", "", "| | | who | |", "|---|---|---|---|"]
        out += [f"| `{each.method}` | `{each.path}` | {each.role or 'anybody'} | {each.summary} |" for each in routes]
        out += [""]
        for each in routes:
            out += _section(bind(each))
    return "\n".join(out).rstrip() + "\n"


def _section(bound: Bound) -> list[str]:
    route = bound.route
    out = [f"### `{route.method} {route.path}`", "", f"{route.summary}.", ""]
    for title, kind in (("Query", bound.query), ("Headers", bound.headers), ("Body", bound.body)):
        if kind is not None:
            out += [f"{title}:", "", *_fields(kind), ""]
    answers = f"`{bound.answer.__name__}`" if bound.answer else "nothing" if route.status == 204 else f"`{route.media_type}`"
    failures = ", ".join(str(status) for status in statuses(bound))
    return [*out, f"Answers {route.status} with {answers}; otherwise {failures}.", ""]


def _fields(kind: Any) -> list[str]:
    schemas, components = msgspec.json.schema_components([kind], ref_template=_REF)
    schema = components[schemas[0]["$ref"].rpartition("/")[2]]
    out = ["| field | takes | |", "|---|---|---|"]
    for name, each in schema["properties"].items():
        need = "must be given" if name in schema.get("required", []) else _default(each)
        out.append(f"| `{name}` | {_takes(each)} | {need} |".replace("  ", " "))
    return out


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else f"`{msgspec.json.encode(default).decode()}` by default"


def _takes(schema: Schema) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_takes(each) for each in schema["anyOf"])
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list", "null": "null"}
    text = names.get(schema.get("type", ""), "object")
    if text == "list" and isinstance(schema.get("items"), dict):
        text = f"list of {_takes(schema['items'])}"
    bounds = (
        ("minimum", "≥"),
        ("maximum", "≤"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("minItems", "at least"),
        ("maxItems", "at most"),
    )
    return " ".join([text, *(f"{word} {schema[key]}" for key, word in bounds if key in schema)])
