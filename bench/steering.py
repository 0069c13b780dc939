"""Steering's figures, each beside its limit: the route table, the decisions, the balance over appliances.

    python -m bench.steering [--json] [--seed N] [--only WORD]

Each group of rows is one function of a seed; ``--only`` runs those groups whose name holds WORD.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import steering_balance, steering_decisions, steering_health, steering_routes
from bench.report import Figure, show

GROUPS: dict[str, Callable[[int], list[Figure]]] = {
    "compile": steering_routes.compiling,
    "announce": steering_routes.announcing,
    "lookup": steering_routes.looking_up,
    "rehearse": steering_routes.rehearsing,
    "decide": steering_decisions.deciding,
    "balance": steering_balance.balancing,
    "health": steering_health.watching,
    "watching": steering_health.costs,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.steering", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: %(default)s)")
    parser.add_argument("--only", default="", help="the groups of rows whose name holds this: " + ", ".join(GROUPS))
    options = parser.parse_args(arguments)
    chosen = [group for name, group in GROUPS.items() if options.only in name]
    if not chosen:
        parser.error(f"there is no group {options.only!r}, only {', '.join(GROUPS)}")
    return show("steering", [figure for group in chosen for figure in group(options.seed)], as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
