"""What a configuration's Structs say of themselves: the commented TOML file, the reference page, the effective values.

All three come from the same walk over the typed Structs, so that none of them can differ from what the parser takes.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct

from nearcast.base.config import bare, dotted, element_struct

MASK = "********"
_SECRET = re.compile(r"secret|password|token")
_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("min_length", "at least"), ("max_length", "at most"), ("pattern", "like"))


class Option(Struct, frozen=True, kw_only=True):
    """One setting. ``required``: it has no default."""

    path: tuple[str, ...]
    type_text: str
    description: str
    default: Any
    required: bool
    secret: bool


class Table(Struct, frozen=True, kw_only=True):
    """One table of the file: its own options; ``default`` holds the elements of a repeated table."""

    path: tuple[str, ...]
    description: str
    options: tuple[Option, ...]
    repeated: bool = False
    default: tuple[Any, ...] = ()


def tables(kind: type[Struct], path: tuple[str, ...] = (), description: str = "", default: Any = None) -> Iterator[Table]:
    """Every table of ``kind``, parents before children. ``default`` is an instance whose values are the defaults."""
    options: list[Option] = []
    below: list[Table] = []
    for field in msgspec.structs.fields(kind):
        here = (*path, field.encode_name)
        value = _default(field, default)
        plain = bare(field.type)
        text = _meta(field.type).get("description") or ""
        element = element_struct(plain)
        if isinstance(plain, type) and issubclass(plain, Struct):
            below += tables(plain, here, text or summary(plain), None if value is msgspec.NODEFAULT else value)
        elif element is not None and get_origin(plain) is not dict:
            rows = () if value is msgspec.NODEFAULT else tuple(value)
            (own, *_) = tables(element, here, text or summary(element))
            below.append(msgspec.structs.replace(own, repeated=True, default=rows))
        else:
            options.append(
                Option(
                    path=here,
                    type_text=type_text(field.type),
                    description=text,
                    default=None if value is msgspec.NODEFAULT else value,
                    required=value is msgspec.NODEFAULT,
                    secret=is_secret(field),
                )
            )
    yield Table(path=path, description=description or summary(kind), options=tuple(options))
    yield from below


def _default(field: msgspec.structs.FieldInfo, instance: Any) -> Any:
    if instance is not None:
        return getattr(instance, field.name)
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def summary(kind: type[Struct]) -> str:
    """The first paragraph of a Struct's docstring, on one line; empty where msgspec or nobody wrote one."""
    text = (kind.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def _meta(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in getattr(kind, "__metadata__", ()):
        if isinstance(part, msgspec.Meta):
            names = ("description", "extra", *(bound for bound, _ in _BOUNDS))
            found |= {name: value for name in names if (value := getattr(part, name)) is not None}
    return found


def is_secret(field: msgspec.structs.FieldInfo) -> bool:
    extra = _meta(field.type).get("extra") or {}
    return bool(extra.get("secret", _SECRET.search(field.name) is not None))


def type_text(kind: Any) -> str:
    """``int ≥ 1 ≤ 65535``, ``one of "local", "s3"``, ``list of text``."""
    meta, plain = _meta(kind), bare(kind)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    origin, arguments = get_origin(plain), get_args(plain)
    if origin is typing.Literal:
        text = "one of " + ", ".join(toml(each) for each in arguments)
    elif origin in (tuple, list):
        text = f"list of {type_text(arguments[0])}"
    elif origin is dict:
        text = f"table of {type_text(arguments[1])}"
    else:
        text = names.get(plain, getattr(plain, "__name__", str(plain)))
    bounds = [f"{sign} {meta[name]}" for name, sign in _BOUNDS if name in meta]
    return " ".join([text, *bounds]).removesuffix(r"(?!\n)")  # Python alone has to be told that `$` is the end


def toml(value: Any) -> str:
    """A plain value as TOML writes it."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + " }" if value else "{}"
    if isinstance(value, Struct):
        return toml(msgspec.structs.asdict(value))
    return str(value)


# --- the three texts --------------------------------------------------------------------------------------------------


def commented_toml(kind: type[Struct], title: str) -> str:
    """A file with every option, its description and its default. Options are commented out, so that later defaults stand."""
    out = [f"# {line}".rstrip() for line in title.splitlines()]
    for table in tables(kind):
        if not table.options:
            continue
        out += ["", "", *_comment(table.description)]
        if table.repeated:
            out += _repeated(table)
            continue
        if table.path:
            out += [f"[{'.'.join(table.path)}]"]
        for option in table.options:
            out += ["", *_comment(f"{option.description} ({option.type_text})".strip())]
            out += [f"# {option.path[-1]} = {toml(option.default)}"]
    return "\n".join(out) + "\n"


def _repeated(table: Table) -> list[str]:
    out = [f"#   {option.path[-1]}: {option.description} ({option.type_text})" for option in table.options]
    rows = [{option.path[-1]: getattr(row, option.path[-1]) for option in table.options} for row in table.default]
    for row in rows or [{option.path[-1]: option.default for option in table.options}]:
        out += [f"# [[{'.'.join(table.path)}]]", *(f"# {key} = {toml(value)}" for key, value in row.items()), "#"]
    return out[:-1]


def _comment(text: str, width: int = 110) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "#"
        line += " " + word
    return [*lines, line] if line != "#" else lines


def reference(kind: type[Struct]) -> str:
    """The options as Markdown tables, one section for each table of the file."""
    out: list[str] = []
    for table in tables(kind):
        if not table.options:
            continue
        name = ".".join(table.path)
        head = f"## `[[{name}]]`" if table.repeated else f"## `[{name}]`" if name else "## At the top"
        out += [head, "", table.description, "", "| option | takes | default | |", "|---|---|---|---|"]
        for option in table.options:
            default = "must be set" if option.required else f"`{toml(option.default)}`"
            out += [f"| `{option.path[-1]}` | {_cell(option.type_text)} | {_cell(default)} | {_cell(option.description)} |"]
        if table.repeated and table.default:
            out += ["", "Where none is written:", "", "```toml"]
            for row in table.default:
                out += [f"[[{name}]]", *(f"{option.path[-1]} = {toml(getattr(row, option.path[-1]))}" for option in table.options), ""]
            out[-1:] = ["```"]
        out += [""]
    return "\n".join(out).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def effective(value: Struct, path: tuple[str, ...] = ()) -> str:
    """The values in force as TOML, secrets masked."""
    own: list[str] = []
    below: list[str] = []
    for field in msgspec.structs.fields(type(value)):
        here, found = (*path, field.encode_name), getattr(value, field.name)
        if isinstance(found, Struct):
            below.append(effective(found, here))
        elif isinstance(found, tuple) and found and isinstance(found[0], Struct):
            below += [f"[[{'.'.join(here)}]]\n{_plain(each)}" for each in found]
        elif is_secret(field) and found:
            own.append(f"{field.encode_name} = {toml(MASK)}")
        else:
            own.append(f"{field.encode_name} = {toml(found)}")
    head = [f"[{'.'.join(path)}]"] if path and own else []
    return "\n".join([*head, *own, *([""] if own else []), *below])


def _plain(value: Struct) -> str:
    lines = []
    for field in msgspec.structs.fields(type(value)):
        found = getattr(value, field.name)
        lines.append(f"{field.encode_name} = {toml(MASK if is_secret(field) and found else found)}")
    return "\n".join([*lines, ""])


def undocumented(kind: type[Struct]) -> list[str]:
    """Options without a description: none may be."""
    return [dotted(option.path) for table in tables(kind) for option in table.options if not option.description]
