"""Logs are one JSON object a line, with process and request, for our lines and foreign ones alike."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from nearcast.base import context, log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_names_process_request_and_what_was_given() -> None:
    out = io.StringIO()
    log.configure("play", stream=out)
    token = context.request_id.set("r_1")
    structlog.get_logger("x").info("session", title_id="t_1", count=3)
    context.request_id.reset(token)
    (line,) = lines(out)
    assert list(line)[:4] == ["timestamp", "level", "process", "event"]
    assert (line["process"], line["request_id"], line["event"], line["title_id"], line["count"]) == ("play", "r_1", "session", "t_1", 3)


def test_foreign_lines_look_the_same() -> None:
    out = io.StringIO()
    log.configure("play", stream=out)
    logging.getLogger("library").warning("odd: %s", 7)
    logging.getLogger("library").info("chatter")
    (line,) = lines(out)
    assert (line["event"], line["level"], line["process"]) == ("odd: 7", "warning", "play")


def test_a_trace_is_part_of_its_line() -> None:
    out = io.StringIO()
    log.configure("play", stream=out)
    try:
        raise KeyError("missing")
    except KeyError:
        structlog.get_logger("x").exception("defect")
    (line,) = lines(out)
    assert line["exception"][0]["exc_type"] == "KeyError"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_trace_tells_no_values(kind: type[io.StringIO]) -> None:
    """Arguments of a call that failed may be a password or a key: they have no place in a log."""
    out = kind()
    log.configure("play", stream=out)

    def sign_in(password: str) -> None:
        raise ValueError("defect")

    try:
        sign_in(" ".join(["correct", "horse"]))
    except ValueError:
        structlog.get_logger("x").exception("defect")
        logging.getLogger("library").exception("defect")
    assert "sign_in" in out.getvalue()
    assert "correct horse" not in out.getvalue()


def test_a_full_disk_fails_nobody() -> None:
    """A line that cannot be written is lost; the request on whose behalf it was written is not."""

    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    log.configure("play", stream=Full())
    structlog.get_logger("x").info("session")
    logging.getLogger("library").warning("odd")


def test_the_level_is_kept() -> None:
    out = io.StringIO()
    log.configure("play", level="warning", stream=out)
    structlog.get_logger("x").info("quiet")
    assert out.getvalue() == ""


def test_what_json_does_not_know_is_shown_all_the_same() -> None:
    out = io.StringIO()
    log.configure("play", stream=out)
    structlog.get_logger("x").info("odd", value=object)
    assert "object" in lines(out)[0]["value"]


def test_a_terminal_gets_readable_lines() -> None:
    out = Terminal()
    log.configure("play", stream=out)
    structlog.get_logger("x").info("session")
    assert "session" in out.getvalue()
    assert not out.getvalue().startswith("{")
