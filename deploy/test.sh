#!/usr/bin/env bash
# Runs every test: deploy/test.sh [arguments of pytest]
#
# Most tests wait for processes, so three lots run side by side: whole systems in the lab and the browser, faults, and all the rest. What
# the first lot says is shown as it comes, what the others said when all are done.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
unset NEARCAST_HOME
logs="$(mktemp -d)"
running=()
trap 'rm -rf "$logs"' EXIT
trap 'kill "${running[@]}" 2>/dev/null; wait; exit 130' INT TERM

"$python" -m pytest tests/faults "$@" >"$logs/faults" 2>&1 &
running+=("$!")
"$python" -m pytest tests/architecture tests/unit tests/contract "$@" >"$logs/rest" 2>&1 &
running+=("$!")
"$python" -m pytest tests/lab tests/e2e "$@"
failed=$?
for each in "${running[@]}"; do wait "$each" || failed=1; done
cat "$logs/faults" "$logs/rest"
exit "$failed"
