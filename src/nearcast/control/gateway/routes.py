"""Routes as data: what an address takes and answers stands in its row and its handler's types, and nowhere else.

Dispatch, decoding, OpenAPI and the reference page all read the same rows. A handler is ``async (call, …)``; it names what it
wants: the ids of its path, ``body``, ``query`` or ``headers`` (each a Struct), and returns a Struct, an Answer or None (204).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, get_type_hints

import msgspec
from msgspec import Struct

from nearcast.control.gateway.errors import BadRequest
from nearcast.control.gateway.wire import JSON, Answer
from nearcast.model.account import Role

Handler = Callable[..., Awaitable[Any]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

PATTERNS = {"title_id": r"[A-Za-z0-9_-]{1,64}", "session_id": r"[A-Za-z0-9_-]{16,2000}"}
"""What an id in a path looks like, by its name; any other is like a title's."""
_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


class Route(Struct, frozen=True, kw_only=True):
    """One address and method. ``role`` None: anybody. ``fresh``: whether the sign-in still counts is asked of accounts.

    ``errors``: statuses besides those that follow from the rest (400 with input, 401 and 403 with a role, 404 with an id …).
    ``media_type`` names the answer where it is not JSON. ``body_bytes_max``: of the request, where it is more than all may have.
    ``cors``: players from elsewhere may read it; its path is a capability.
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    role: Role | None = None
    fresh: bool = False
    status: int = 200
    errors: tuple[int, ...] = ()
    media_type: str = JSON
    body_bytes_max: int = 0
    any_content_type: bool = False
    cors: bool = False
    finish: Callable[[Any, Any], Answer] | None = None
    """Makes the HTTP answer of the call and what the handler returned, where more than its JSON is to go out."""


def for_admins(
    method: Method, path: str, handler: Handler, summary: str, *, status: int = 200, errors: tuple[int, ...] = (), body_bytes_max: int = 0
) -> Route:
    """What administrators alone may ask."""
    return Route(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        role="admin",
        status=status,
        errors=errors,
        body_bytes_max=body_bytes_max,
    )


class Bound(Struct, frozen=True, kw_only=True):
    """A route with what its handler's types say, and decoders made of that."""

    route: Route
    parameters: tuple[str, ...]
    pattern: re.Pattern[str]
    body: Any
    query: type[Struct] | None
    headers: type[Struct] | None
    answer: type[Struct] | None
    decode_body: Callable[[bytes], Any] | None


def bind(route: Route) -> Bound:
    """Read the handler's types. Raises TypeError for a handler that does not fit its row."""
    hints = get_type_hints(route.handler, include_extras=True)
    returns = hints.pop("return")
    names = list(inspect.signature(route.handler).parameters)[1:]
    parameters = tuple(_PARAMETER.findall(route.path))
    wrong = set(parameters).symmetric_difference(names) - {"body", "query", "headers"}
    if wrong:
        raise TypeError(f"{route.method} {route.path}: {', '.join(sorted(wrong))} stand in the path or the handler, but not in both")
    body = hints.get("body")
    pattern = _PARAMETER.sub(
        lambda found: f"(?P<{found[1]}>{id_pattern(found[1])})", re.escape(route.path).replace(r"\{", "{").replace(r"\}", "}")
    )
    return Bound(
        route=route,
        parameters=parameters,
        pattern=re.compile(pattern),
        body=body,
        query=hints.get("query"),
        headers=hints.get("headers"),
        answer=returns if returns not in (Answer, type(None)) else None,
        decode_body=msgspec.json.Decoder(body).decode if body else None,
    )


def id_pattern(name: str) -> str:
    return PATTERNS.get(name, PATTERNS["title_id"])


class Table:
    """All routes, found by method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.bound = tuple(bind(route) for route in routes)
        self._plain: dict[str, dict[str, Bound]] = {}
        self._patterns: dict[int, list[tuple[re.Pattern[str], dict[str, Bound]]]] = {}
        by_path: dict[str, dict[str, Bound]] = {}
        for each in self.bound:
            methods = by_path.setdefault(each.route.path, {})
            if each.route.method in methods:
                raise TypeError(f"{each.route.method} {each.route.path} stands twice in the table")
            methods[each.route.method] = each
        for path, methods in by_path.items():
            if "{" in path:
                pattern = next(iter(methods.values())).pattern
                self._patterns.setdefault(path.count("/"), []).append((pattern, methods))
            else:
                self._plain[path] = methods

    def find(self, path: str) -> tuple[Mapping[str, Bound], Mapping[str, str]] | None:
        """The methods at ``path`` and the ids in it; None: there is nothing."""
        if methods := self._plain.get(path):
            return methods, {}
        for pattern, methods in self._patterns.get(path.count("/"), ()):
            if found := pattern.fullmatch(path):
                return methods, found.groupdict()
        return None


def allowed(methods: Iterable[str]) -> str:
    """The Allow header: what is there, and what goes without saying."""
    names = set(methods) | {"OPTIONS"}
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))


# --- from text to Structs ---------------------------------------------------------------------------------------------


def decoded(kind: Any, decode: Callable[[bytes], Any], body: bytes) -> Any:
    """The body as a ``kind``, by its decoder. Raises BadRequest, which names the field, for anything that does not fit."""
    try:
        try:
            return decode(body)
        except msgspec.ValidationError:
            # JSON Schema counts 3.0 among the whole numbers, msgspec does not: the second look is only for what failed.
            return msgspec.convert(whole(msgspec.json.decode(body)), kind)
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise BadRequest("the body is not UTF-8") from error
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body does not fit: {error}") from error
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}" if body.strip() else "the body is empty, JSON is wanted") from error


def whole(value: Any) -> Any:
    """``value`` with every float that is a whole number as an int."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [whole(each) for each in value]
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    return value


def converted(texts: Mapping[str, str], kind: type[Struct], where: str) -> Any:
    """Query fields or headers as a Struct: numbers and truth values read as JSON writes them. Raises BadRequest."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values = {name: _value(text, fields[name].type) for name, text in texts.items() if name in fields}
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the {where} {'do' if where == 'headers' else 'does'} not fit: {error}") from error


def _value(text: str, kind: Any) -> Any:
    plain = getattr(kind, "__origin__", kind)
    if plain is int and _INTEGER.fullmatch(text):
        return int(text)
    if plain is float and _NUMBER.fullmatch(text):
        return float(text)
    if plain is bool and text in ("true", "false"):
        return text == "true"
    return text
