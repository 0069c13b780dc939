"""From a click to a picture: the figures of the first living path, each beside its limit or its peer from the same run.

    python -m bench.press_play [--json] [--only first,memory,click,dead,play,second,ingest]

A system of its own is started by ``make up`` in an empty home, on free ports, and removed at the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.e2e.harness import System, new_system

from bench import plain_ffmpeg, start, viewing
from bench.report import Figure, show

MEASURES: dict[str, Callable[[System], list[Figure]]] = {
    "first": start.first_start,
    "memory": start.idle_memory,
    "click": viewing.click_to_frame,
    "dead": viewing.dead_first_edge,
    "play": viewing.play_api,
    "second": start.second_start,
    "ingest": plain_ffmpeg.ingest,
}
"""In the order in which they are measured: ``first`` needs the empty home, ``second`` one that has run."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.press_play", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--only", default=",".join(MEASURES), help="some of: %(default)s")
    options = parser.parse_args(arguments)
    names = options.only.split(",")
    unknown = [each for each in names if each not in MEASURES]
    if unknown:
        parser.error(f"there is no figure {', '.join(unknown)}; there are: {', '.join(MEASURES)}")
    figures: list[Figure] = []
    with new_system(demo=True) as system:
        for name in MEASURES:
            if name in names:
                print(f"measuring {name} …", file=sys.stderr, flush=True)
                figures += MEASURES[name](system)
    return show("press play", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
