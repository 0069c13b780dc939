"""The rules of the house that can be counted: imports, sizes, errors, documentation, locks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast.base.config import parse
from nearcast.base.options import tables, undocumented
from nearcast.cli import docs
from nearcast.steering.routes.bgp import Reason
from nearcast.system import settings, table

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From the first statement to the last: arguments and docstring are for reading."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


def test_imports_point_one_way() -> None:
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_fit_in_a_head() -> None:
    assert {str(each.relative_to(ROOT)): lines for each in SOURCES if (lines := len(each.read_text().splitlines())) > FILE_LINES_MAX} == {}


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{each.name}": body_lines(each)
        for path in SOURCES
        for each in functions(path)
        if body_lines(each) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_modules_say_what_they_are_for() -> None:
    assert [str(each.relative_to(ROOT)) for each in SOURCES if not ast.get_docstring(ast.parse(each.read_text()))] == []


def test_tests_mirror_the_source() -> None:
    """A folder of unit tests is named as the room it tests."""
    rooms = {each.name for each in (ROOT / "src" / "nearcast").iterdir() if (each / "__init__.py").exists()}
    tested = {each.name for each in (ROOT / "tests" / "unit").iterdir() if (each / "__init__.py").exists()}
    assert tested <= rooms
    assert rooms - tested == set(), "rooms without unit tests"


# --- errors -----------------------------------------------------------------------------------------------------------

RANGES = {
    "base": ("NC00", "NC01", "NC02"),
    "system": ("NC02",),
    "cli": ("NC01", "NC02"),
    "operations": ("NC02",),
    "media": ("NC1",),
    "delivery": ("NC2",),
    "steering": ("NC3",),
    "control": ("NC4",),
    "policy": ("NC4", "NC2040"),
    "insight": ("NC46",),
}


def test_error_codes_are_unique() -> None:
    codes = [each.code for each in docs.error_classes()]
    codes += [code for code, _, _ in docs.set_up_errors()]
    codes += json.loads(docs.PLAYER_ERRORS.read_text())
    codes += [each.code for each in Reason]
    assert [code for code, count in Counter(codes).items() if count > 1] == []


def test_every_code_that_is_told_stands_on_the_page_of_errors() -> None:
    page = docs.errors_page()
    told = {code for file in SOURCES for code in re.findall(r"\bNC\d{4}\b", file.read_text())}
    assert sorted(code for code in told if f"| {code} |" not in page) == []


def test_every_error_of_the_set_up_is_known() -> None:
    told = [code for code, _, _ in docs.set_up_errors()]
    assert sorted(re.findall(r"NC\d{4}", docs.SET_UP.read_text())) == told
    assert all(code.startswith("NC09") for code in told)


def test_errors_say_what_they_are_and_what_cures_them() -> None:
    for each in docs.error_classes():
        assert re.fullmatch(r"NC\d{4}", each.code), each
        assert each.__doc__, each
        assert each.cure or each.code in ("NC0000", "NC0011"), f"{each.__name__} has no cure"  # the root; one that carries another's


def test_error_codes_lie_in_the_range_of_their_room() -> None:
    for each in docs.error_classes():
        room = each.__module__.split(".")[1]
        assert each.code.startswith(RANGES[room]), f"{each.__name__} of {room} has {each.code}"


# --- documentation ----------------------------------------------------------------------------------------------------


def test_every_setting_is_described() -> None:
    assert undocumented(settings.Settings) == []


def test_generated_pages_are_fresh() -> None:
    assert docs.stale() == [], "run `make docs`"


def test_every_setting_stands_in_the_reference() -> None:
    page = (docs.FOLDER / "configuration.md").read_text()
    names = {each.path[-1] for found in tables(settings.Settings) for each in found.options}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_written_configuration_is_taken_and_changes_nothing() -> None:
    assert parse(settings.Settings, settings.commented()) == settings.Settings()


def test_pages_link_to_what_is_there() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} → {target}")
    assert broken == []


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_whoever_puts_nearcast_on_the_path_is_told_to_name_the_home(page: str) -> None:
    """From another folder, `nearcast titles` once found no system."""
    text = (ROOT / page).read_text()
    assert 'PATH="$PWD/.venv/bin:$PATH"' in text
    assert re.search(r'^    export .*NEARCAST_HOME="\$PWD/\.nearcast"', text, re.MULTILINE)


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    names = {each.name for each in table.SERVICES}
    bulkheads = {each.name: each for each in table.BULKHEADS}
    assert len(names) == len(table.SERVICES)
    for service in table.SERVICES:
        assert set(service.needs) <= names, service
        assert bulkheads[service.bulkhead].build == service.build, service
    for bulkhead in table.BULKHEADS:
        assert set(bulkhead.after) <= set(bulkheads), bulkhead


def test_the_table_computes_nothing() -> None:
    """Rows, names and types: no function, no branch, no loop, and no import but of the Struct they are made of."""
    tree = ast.parse((ROOT / "src" / "nearcast" / "system" / "table.py").read_text())
    computing = (ast.FunctionDef, ast.If, ast.For, ast.While, ast.Lambda, ast.ListComp, ast.Try)
    assert not [node for node in ast.walk(tree) if isinstance(node, computing)]
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"__future__", "msgspec"}


# --- locks ------------------------------------------------------------------------------------------------------------

LOCKS = [*ROOT.glob("*.lock"), *(ROOT / "deploy").glob("*.lock"), ROOT / "web" / "package-lock.json"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda each: each.name)
def test_locks_hold_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    if lock.suffix == ".json":
        packages = json.loads(text)["packages"]
        text = json.dumps({name: {key: value for key, value in each.items() if key != "funding"} for name, each in packages.items()})
        assert '"resolved"' not in text
    assert re.findall(r"https?://\S+|--(?:extra-)?index-url|--find-links", text) == []


@pytest.mark.parametrize("lock", [each for each in LOCKS if each.suffix == ".lock"], ids=lambda each: each.name)
def test_python_locks_pin_and_hash_everything(lock: Path) -> None:
    pinned = re.findall(r"^([a-zA-Z0-9._-]+)==", lock.read_text(), re.MULTILINE)
    assert pinned
    for block in re.split(r"\n(?=[a-zA-Z0-9._-]+==)", lock.read_text()):
        if re.match(r"[a-zA-Z0-9._-]+==", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_npm_locks_bear_hashes() -> None:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    assert [name for name, each in packages.items() if name and not each.get("link") and "integrity" not in each] == []
