"""Configuration: every mistake at once, with its line; the file that ``init`` writes says what the parser takes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from nearcast.base import config
from nearcast.base.config import BadConfiguration, UnreadableConfiguration, lines_of, parse, read
from nearcast.base.options import MASK, commented_toml, effective, reference, undocumented

Port = Annotated[int, Meta(ge=1, le=65535, description="Where it listens.")]


class Route(Struct, frozen=True, kw_only=True):
    """A row."""

    prefix: Annotated[str, Meta(description="Which clients.")]
    sites: Annotated[tuple[str, ...], Meta(description="Sites, best first.")] = ()


class Server(Struct, frozen=True, kw_only=True):
    """How it listens."""

    port: Port = 8080
    low_s: Annotated[float, Meta(gt=0, description="Low.")] = 1.0
    high_s: Annotated[float, Meta(gt=0, description="High.")] = 2.0
    password: Annotated[str, Meta(description="Its password.")] = ""

    def __post_init__(self) -> None:
        if self.low_s > self.high_s:
            raise ValueError("low_s must not be above high_s")


class Whole(Struct, frozen=True, kw_only=True):
    """Everything."""

    server: Annotated[Server, Meta(description="The server.")] = field(default_factory=Server)
    engine: Annotated[Literal["local", "s3"], Meta(description="Which engine.")] = "local"
    routes: Annotated[tuple[Route, ...], Meta(description="The routes.")] = (Route(prefix="0.0.0.0/0", sites=("a",)),)


def mistakes(text: str, environment: dict[str, str] | None = None) -> list[tuple[int, str, str]]:
    with pytest.raises(BadConfiguration) as caught:
        parse(Whole, text, environment=environment)
    return [(each.line, each.text, each.hint) for each in caught.value.mistakes]


def test_defaults_stand_where_nothing_is_said() -> None:
    assert parse(Whole, "") == Whole()


def test_values_are_taken() -> None:
    text = 'engine = "s3"\n[server]\nport = 9\nlow_s = 1\n[[routes]]\nprefix = "::/0"\n'
    assert parse(Whole, text) == Whole(engine="s3", server=Server(port=9), routes=(Route(prefix="::/0"),))


def test_all_mistakes_at_once_with_their_lines() -> None:
    text = 'engin = "s3"\n\n[server]\nport = 0\nlow_s = "x"\n\n[[routes]]\nprefix = "a"\n[[routes]]\nsites = ["b",\n  3]\nprefix = 4\n'
    found = mistakes(text)
    assert [line for line, _, _ in found] == [1, 4, 5, 10, 12]
    assert found[0][2] == "did you mean `engine`?"
    assert "`server.port`" in found[1][1]
    assert "65535" in found[1][1] or ">= 1" in found[1][1]
    assert "`routes[1].prefix`" in found[4][1]


def test_a_missing_option_is_told_on_the_line_of_its_table() -> None:
    assert mistakes("\n[[routes]]\nsites = []\n") == [(2, "`routes[0].prefix` must be set", "")]


@pytest.mark.parametrize("header", ["[[edge.appliances]]", "[edge.sites.x]", '[edge."a.b"]', "[[ server . routes ]]", "[server.sites.x]"])
def test_a_mistake_in_a_dotted_header_is_told_on_its_line(header: str) -> None:
    ((line, _, _),) = mistakes(f'engine = "s3"\n\n{header}\nid = 1\n')
    assert line == 3


def test_a_table_with_a_line_of_its_own_is_told_there() -> None:
    assert [line for line, _, _ in mistakes("[server.x]\n[server]\nlow_s = 3\nport = 0\n")] == [1, 4]


def test_fields_that_do_not_fit_together() -> None:
    assert mistakes("[server]\nlow_s = 3\n") == [(1, "`server`: low_s must not be above high_s", "")]


def test_a_table_where_a_value_stands_and_the_other_way_round() -> None:
    assert [line for line, _, _ in mistakes("server = 3\n[engine]\nx = 1\n")] == [1, 2]


def test_what_is_not_toml_is_told_with_its_line() -> None:
    ((line, text, _),) = mistakes("a = 1\nb = = 2\n")
    assert line == 2
    assert text.startswith("not TOML")


def test_what_a_row_may_have_is_worked_out_once_for_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    row = msgspec.defstruct("Row", [("prefix", str)])
    rows = msgspec.defstruct("Rows", [("routes", tuple[row, ...], ())])  # type: ignore[valid-type]
    asked: list[type[Struct]] = []
    fields = msgspec.structs.fields

    def counted(kind: type[Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
        asked.append(kind)
        return fields(kind)

    monkeypatch.setattr(msgspec.structs, "fields", counted)
    parse(rows, '[[routes]]\nprefix = "::/0"\n' * 50)
    assert asked == [rows, row]


def test_the_message_names_source_and_count() -> None:
    with pytest.raises(BadConfiguration, match="2 mistakes") as caught:
        parse(Whole, "a = 1\nb = 2\n", "my.toml")
    assert "my.toml:2:" in caught.value.message
    assert caught.value.exit_code == 2


def test_the_environment_overrides() -> None:
    environment = {"NEARCAST_SERVER__PORT": "99", "NEARCAST_HOME": "/x", "NEARCAST_SERVER__PASSWORD": "plain text"}
    assert parse(Whole, "[server]\nport = 9\n", environment=environment).server == Server(port=99, password="plain text")


def test_an_environment_variable_that_names_nothing() -> None:
    assert "NEARCAST_SERVR__PORT" in mistakes("", {"NEARCAST_SERVR__PORT": "99"})[0][1]


def test_lines_pass_over_strings_and_brackets_on_several_lines() -> None:
    text = 'a = """\n[not.a.table]\nb = 1\n"""\nc = [\n  "]", # ]\n]\nd.e = 1\n[t]\n"f g" = 1\n'
    assert lines_of(text) == {("a",): 1, ("c",): 5, ("d",): 8, ("d", "e"): 8, ("t",): 9, ("t", "f g"): 10}
    assert lines_of("[[a.b]]\n[[a.b]]\nc = 1\n[a.d.e]") == {
        ("a",): 1, ("a", "b"): 1, ("a", "b", 0): 1, ("a", "b", 1): 2, ("a", "b", 1, "c"): 3, ("a", "d"): 4, ("a", "d", "e"): 4,
    }  # fmt: skip


@given(st.text(max_size=200))
def test_any_text_is_either_taken_or_refused_with_mistakes(text: str) -> None:
    with contextlib.suppress(BadConfiguration):
        assert isinstance(parse(Whole, text), Whole)


def test_a_file_is_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "whole.toml"
    path.write_bytes("# ö\r\n[server]\rport = 1\n".encode())
    assert read(path) == "# ö\n[server]\nport = 1\n"
    assert read(tmp_path / "none.toml", named=False) == ""
    with pytest.raises(UnreadableConfiguration, match="is not there"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "line"), [("port = 1\n".encode("utf-16"), 1), ("[server]\n# K\xf6ln\n".encode("latin-1"), 2), (b"\x7fELF\n\n\xff", 3)]
)
def test_a_file_that_is_not_utf_8_is_told_to_be_saved_so(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "whole.toml"
    path.write_bytes(content)
    with pytest.raises(UnreadableConfiguration) as caught:
        read(path)
    assert caught.value.message == f"{path}:{line}: not UTF-8"
    assert "save it as UTF-8" in caught.value.hint


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """One that never ends, one that nobody writes, and a folder; not even where nobody has named it."""
    os.mkfifo(tmp_path / "fifo")
    for path in (Path("/dev/zero"), Path("/dev/null"), tmp_path / "fifo", tmp_path):
        for named in (True, False):
            with pytest.raises(UnreadableConfiguration, match="is no file"):
                read(path, named=named)


def test_what_the_shell_has_opened_is_read_and_no_more_than_a_configuration_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["echo", "[server]"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert read(Path(f"/dev/fd/{writer.stdout.fileno()}")) == "[server]\n"
    monkeypatch.setattr(config, "FILE_BYTES_MAX", 1 << 20)
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        with pytest.raises(UnreadableConfiguration, match="longer than 1 MB"):
            read(Path(f"/dev/fd/{writer.stdout.fileno()}"))
        writer.kill()


def test_a_file_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "FILE_BYTES_MAX", 1 << 20)
    path = tmp_path / "whole.toml"
    path.write_bytes(b"#" * (1 << 20))
    assert len(read(path)) == 1 << 20
    path.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(UnreadableConfiguration, match="longer than 1 MB"):
        read(path)


@pytest.mark.parametrize("depth", [50, 300, 1000, 100_000])
def test_what_is_nested_deeply_is_a_mistake_and_no_defect(depth: int) -> None:
    lists, tables = "[" * depth + "]" * depth, "{a = " * depth + "1" + "}" * depth
    for value in (lists, tables):
        for text in (f"unknown = {value}", f"[server]\nport = {value}", f"[[routes]]\nprefix = {value}"):
            with pytest.raises(BadConfiguration):
                parse(Whole, text)
        with pytest.raises(BadConfiguration):
            parse(Whole, "", environment={"NEARCAST_SERVER__PORT": value})
    with pytest.raises(BadConfiguration, match="nested too deeply"):
        parse(Whole, "x = " + "[" * 100_000 + "]" * 100_000)


def test_the_written_file_is_taken_and_changes_nothing() -> None:
    assert parse(Whole, commented_toml(Whole, "Nearcast")) == Whole()


def test_the_written_file_uncommented_gives_the_defaults() -> None:
    text = "\n".join(
        line.removeprefix("# ") for line in commented_toml(Whole, "").splitlines() if " = " in line or line.startswith(("[", "# [["))
    )
    top = text.index("[server]")
    assert parse(Whole, text[text.index("engine") : text.index("engine") + len('engine = "local"')] + "\n" + text[top:]) == Whole()


def test_effective_values_are_toml_and_mask_secrets() -> None:
    shown = tomllib.loads(effective(Whole(server=Server(password="hush"))))
    assert shown["server"]["password"] == MASK
    assert shown["server"]["port"] == 8080
    assert shown["routes"] == [{"prefix": "0.0.0.0/0", "sites": ["a"]}]


def test_the_reference_names_every_option() -> None:
    text = reference(Whole)
    for name in ("port", "low_s", "engine", "prefix", "sites"):
        assert f"`{name}`" in text
    assert "≥ 1 ≤ 65535" in text


def test_an_option_without_description_is_found() -> None:
    class Bare(Struct, frozen=True):
        x: int = 1

    assert undocumented(Bare) == ["x"]
    assert undocumented(Whole) == []
