"""Typed TOML configuration: a text becomes a frozen Struct, or a list of every mistake in it, each with its line.

Types, ranges and descriptions stand once, in the Structs that the rooms declare; this file reads them by ``msgspec.inspect``.
``tomllib`` tells no lines, so ``lines_of`` finds them again by a scan of the text.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path as File
from typing import Any, ClassVar, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from nearcast.base.errors import BadInput

T = TypeVar("T", bound=Struct)
Path = tuple[str | int, ...]

FILE_BYTES_MAX = 64 << 20
"""A million routes. What is longer is no configuration."""
_HANDED = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""What the shell has opened for us may be a pipe (``routes diff <(…)``): its writer is there, and ends."""
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*((?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)")
_LINE_IN_MESSAGE = re.compile(r"\(at line (\d+), column \d+\)")


class Mistake(Struct, frozen=True, kw_only=True):
    """One thing that is wrong. ``line`` counts from 1; 0 where it stands in no line (an environment variable)."""

    line: int
    key: str
    text: str
    hint: str = ""


class BadConfiguration(BadInput):
    """The configuration has mistakes; all of them are told at once."""

    code: ClassVar[str] = "NC0101"
    cure = "correct the lines named; `nearcast config init` writes a commented file with every option"

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        places = [f"{source}:{each.line}" if each.line else source for each in mistakes]  # what is missing has no line
        lines = [f"{at}: {each.text}" + (f" ({each.hint})" if each.hint else "") for at, each in zip(places, mistakes, strict=True)]
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n  ".join([f"the configuration has {count}", *lines]))


class Unfitting(ValueError):
    """What a ``__post_init__`` raises for a mistake further down, so that its own line is told: ``path`` from the Struct on."""

    def __init__(self, path: Path, text: str, hint: str = "") -> None:
        super().__init__(f"{text} ({hint})" if hint else text)
        self.path, self.text, self.hint = path, text, hint


class UnreadableConfiguration(BadInput):
    """The configuration file cannot be read."""

    code = "NC0102"
    cure = "check that the file is there and that you may read it"


# --- pure: from text to Struct ----------------------------------------------------------------------------------------


def parse(
    kind: type[T],
    text: str,
    source: str = "nearcast.toml",
    environment: Mapping[str, str] | None = None,
    look: Callable[[T], Iterable[Unfitting]] = lambda built: (),
) -> T:
    """``text`` as a ``kind``. Raises BadConfiguration with every mistake. ``environment`` overrides: see ``overrides``; ``look``: what is
    wrong with the whole that it cannot know of itself."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE_IN_MESSAGE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        message = _LINE_IN_MESSAGE.sub("", str(error)).strip()
        raise BadConfiguration(source, [Mistake(line=line, key="", text=f"not TOML: {message}")]) from error
    except RecursionError as error:
        raise BadConfiguration(source, [Mistake(line=0, key="", text="not TOML that can be read: nested too deeply")]) from error
    mistakes: list[Mistake] = []
    for path, value in overrides(kind, environment or {}, mistakes):
        _put(raw, path, value)
    lines = lines_of(text)
    built: T = _build(kind, raw, (), lines, mistakes)
    if not mistakes:
        mistakes = [_unfitting((), error, lines) for error in look(built)]
    if mistakes:
        raise BadConfiguration(source, sorted(mistakes, key=lambda each: each.line))
    return built


def lines_of(text: str) -> dict[Path, int]:
    """The line on which each table and each key of a valid TOML text begins, by path; arrays of tables count from 0."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    inside = ""  # what ends the value that runs over several lines: """ or ''' or a count of brackets
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        if inside or depth:
            inside, depth = _scan(line, inside, depth)
            continue
        header = _HEADER.match(line)
        if header and not _KEY.match(line):
            table = _indexed(_parts(header[2]), counts, new=header[1] == "[[")
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            path = table + _parts(key[1])
            for end in range(len(table) + 1, len(path) + 1):
                lines.setdefault(path[:end], number)
            inside, depth = _scan(line[key.end() :], "", 0)
    for path, number in list(lines.items()):  # `[a.b]` and `[[a.b]]` tell where `a` begins, where no line of its own does
        for end in range(1, len(path)):
            lines.setdefault(path[:end], number)
    return lines


def overrides(kind: type[Struct], environment: Mapping[str, str], mistakes: list[Mistake]) -> list[tuple[Path, Any]]:
    """What ``NEARCAST_GATEWAY__PORT=9000`` says: two underscores part the tables, the value is TOML or else plain text.

    Variables without two underscores are not configuration (``NEARCAST_HOME``) and are left alone.
    """
    found: list[tuple[Path, Any]] = []
    for name, text in sorted(environment.items()):
        if not name.startswith("NEARCAST_") or "__" not in name:
            continue
        path = tuple(name.removeprefix("NEARCAST_").lower().split("__"))
        if path[0] not in _fields(kind):
            mistakes.append(Mistake(line=0, key=name, text=f"the environment variable {name} names no option"))
            continue
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            value = text
        found.append((path, value))
    return found


def _put(raw: dict[str, Any], path: Path, value: Any) -> None:
    for part in path[:-1]:
        raw = raw.setdefault(str(part), {})
        if not isinstance(raw, dict):
            return
    raw[str(path[-1])] = value


def _parts(text: str) -> Path:
    return tuple(next(part for part in match.groups() if part is not None) for match in _PART.finditer(text))


def _indexed(names: Path, counts: dict[Path, int], *, new: bool) -> Path:
    """``names`` with the index of the current element after every array of tables on the way."""
    path: Path = ()
    for position, name in enumerate(names):
        path += (name,)
        if new and position == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path += (counts[path],)
    return path


def _scan(text: str, inside: str, depth: int) -> tuple[str, int]:
    """Whether a value goes on past this line: the open triple quote, and how many brackets are open."""
    at = 0
    while at < len(text):
        if inside:
            end = text.find(inside, at)
            if end < 0:
                return inside, depth
            at, inside = end + 3, ""
            continue
        character = text[at]
        if text.startswith(('"""', "'''"), at):
            inside = text[at : at + 3]
            at += 3
            continue
        if character in "\"'":
            at = _after_string(text, at)
            continue
        if character == "#":
            break
        depth += (character in "[{") - (character in "]}")
        at += 1
    return inside, depth


def _after_string(text: str, at: int) -> int:
    quote = text[at]
    at += 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" and quote == '"' else 1
    return at + 1


# --- from file to text ------------------------------------------------------------------------------------------------


def read(path: File, *, named: bool = True) -> str:
    """The text of a file; of one that is not there, though nobody has ``named`` it, empty. Raises UnreadableConfiguration.

    Neither waits for what may never come (a FIFO) nor takes what never ends (a device).
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not str(path).startswith(_HANDED):
            raise UnreadableConfiguration(f"{path} is no file", hint="name a file that holds the text: no folder, device or named pipe")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        if not named:
            return ""
        raise UnreadableConfiguration(f"{path} is not there") from error
    except OSError as error:
        raise UnreadableConfiguration(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > FILE_BYTES_MAX:
        raise UnreadableConfiguration(
            f"{path} is longer than {FILE_BYTES_MAX >> 20} MB", hint="see that it is the file that you mean: no configuration is that long"
        )
    try:
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")  # as text files are read everywhere
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableConfiguration(f"{path}:{line}: not UTF-8", hint="save it as UTF-8, which TOML is always written in") from error


# --- building, with every mistake -------------------------------------------------------------------------------------


def _build(kind: Any, raw: Any, path: Path, lines: Mapping[Path, int], mistakes: list[Mistake]) -> Any:
    """``raw`` as ``kind``; mistakes are appended and answered with None."""
    plain = bare(kind)
    if isinstance(plain, type) and issubclass(plain, Struct):
        return _build_struct(plain, raw, path, lines, mistakes)
    element = element_struct(plain)
    if element is not None and isinstance(raw, list):
        built = [_build(element, each, (*path, index), lines, mistakes) for index, each in enumerate(raw)]
        return tuple(built)
    if element is not None and isinstance(raw, dict) and get_origin(plain) is dict:
        return {key: _build(element, each, (*path, key), lines, mistakes) for key, each in raw.items()}
    if isinstance(raw, float) and not math.isfinite(raw):  # TOML knows inf and nan, which pass every bound or none
        mistakes.append(_mistake(path, lines, f"`{dotted(path)}`: expected a number that there is, found {raw}"))
        return None
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at `$")[0]
        mistakes.append(_mistake(path, lines, f"`{dotted(path)}`: {reason[:1].lower()}{reason[1:]}, found {_shown(raw)}"))
        return None


@functools.cache
def _fields(kind: type[Struct]) -> dict[str, FieldInfo]:
    """By the names that the text has. Each time they are asked for, their annotations are evaluated: half of the time of a long list."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _build_struct(kind: type[Struct], raw: Any, path: Path, lines: Mapping[Path, int], mistakes: list[Mistake]) -> Any:
    if not isinstance(raw, dict):
        mistakes.append(_mistake(path, lines, f"`{dotted(path)}` is a table, found {_shown(raw)}"))
        return None
    fields = _fields(kind)
    before = len(mistakes)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key in fields:
            values[fields[key].name] = _build(fields[key].type, value, (*path, key), lines, mistakes)
            continue
        close = difflib.get_close_matches(key, fields, n=1, cutoff=0.6)
        hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(sorted(fields))}"
        hint = getattr(kind, "renamed", {}).get(key, hint)  # what older versions had, and what stands for it now
        mistakes.append(_mistake((*path, key), lines, f"`{dotted((*path, key))}` is no option", hint))
    for key, field in fields.items():
        if key not in raw and field.required:
            mistakes.append(_mistake(path, lines, f"`{dotted((*path, key))}` must be set"))
    if len(mistakes) > before:
        return None
    try:
        return kind(**values)
    except Unfitting as error:
        mistakes.append(_unfitting(path, error, lines))
        return None
    except ValueError as error:  # what __post_init__ says of fields that do not fit together
        mistakes.append(_mistake(path, lines, f"`{dotted(path)}`: {error}" if path else str(error)))
        return None


def _mistake(path: Path, lines: Mapping[Path, int], text: str, hint: str = "") -> Mistake:
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 0)
    return Mistake(line=line, key=dotted(path), text=text, hint=hint)


def _unfitting(path: Path, error: Unfitting, lines: Mapping[Path, int]) -> Mistake:
    whole = (*path, *error.path)
    return _mistake(whole, lines, f"`{dotted(whole)}`: {error.text}", error.hint)


def _shown(raw: Any) -> str:
    text = "a table" if isinstance(raw, dict) else repr(raw)
    return text if len(text) <= 40 else text[:37] + "…"


def dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def bare(kind: Any) -> Any:
    """A type without ``Annotated`` and without ``| None``."""
    while hasattr(kind, "__metadata__"):
        kind = get_args(kind)[0]
    options = [each for each in get_args(kind) if each is not type(None)]
    if type(None) in get_args(kind) and len(options) == 1:
        return bare(options[0])
    return kind


def element_struct(kind: Any) -> type[Struct] | None:
    """The Struct that a ``tuple[X, ...]``, ``list[X]`` or ``dict[str, X]`` is made of, if it is."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin not in (tuple, list, dict) or not arguments:
        return None
    element = bare(arguments[1] if origin is dict else arguments[0])
    return element if isinstance(element, type) and issubclass(element, Struct) else None
