"""What an earlier writer left, as far as it is whole: after a power cut it may not be."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import structlog

from nearcast.steering.routes.arrays import Damaged, load
from nearcast.steering.routes.folder import BASE_MAGIC, base_path, generations, log_path
from nearcast.steering.routes.log import LogReader

_log = structlog.get_logger("routes")


class Last(NamedTuple):
    """``version`` of the table at ``position``, up to where the log of ``generation`` is whole. All are 0 where there is nothing."""

    generation: int = 0
    version: int = 0
    position: int = 0


def last(folder: Path, named: int) -> Last:
    """``named``: the generation in force by the state. Where that, or what it names, was lost, the newest that is whole counts.

    What is lost is told in the log. Raises OSError where files are there but cannot be read.
    """
    for generation in dict.fromkeys((named, *reversed(generations(folder)))):
        try:
            if generation:
                load(base_path(folder, generation), BASE_MAGIC)
                return _with_log(folder, generation)
        except (Damaged, FileNotFoundError) as error:
            _log.error("the last route table is not used", problem=str(error), code=Damaged.code, hint=Damaged.cure)
    return Last()


def _with_log(folder: Path, generation: int) -> Last:
    path = log_path(folder, generation)
    try:
        log = LogReader(path)
    except (Damaged, FileNotFoundError) as error:
        _say(str(error))
        return Last(generation)
    version = log.first_version + sum(1 for _ in log.read())
    if log.due:
        _say(f"{path} is damaged at {log.position} of {log.committed} bytes")
    return Last(generation, version, log.position)


def _say(problem: str) -> None:
    _log.warning("changes to the route table are lost; routers tell them again", problem=problem, code=Damaged.code, hint=Damaged.cure)
