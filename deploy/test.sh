#!/usr/bin/env bash
# Runs every test: deploy/test.sh [arguments of pytest]
#
# Most tests wait for processes, so two lots run side by side: whole systems in the browser and in the lab, and all the rest. What the
# first lot says is shown as it comes, what the second said when both are done.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
rest_log="$(mktemp)"
trap 'rm -f "$rest_log"' EXIT
whole=()
for each in tests/lab tests/e2e; do [ -d "$each" ] && whole+=("$each"); done
unset NEARCAST_HOME

"$python" -m pytest tests/architecture tests/unit tests/contract tests/faults "$@" >"$rest_log" 2>&1 &
rest=$!
trap 'kill "$rest" 2>/dev/null; rm -f "$rest_log"' INT TERM
"$python" -m pytest "${whole[@]}" "$@"
whole_status=$?
wait "$rest"
rest_status=$?
cat "$rest_log"
[ "$whole_status" = 0 ] && [ "$rest_status" = 0 ]
