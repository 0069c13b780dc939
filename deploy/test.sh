#!/usr/bin/env bash
# Runs every test: deploy/test.sh [arguments of pytest]
#
# Most tests wait for processes, so three lots run side by side: whatever watches the long film of the one system that they share, with
# the faults that befall that system, and the media tools last; the lab and the other faults, which have systems of their own; and all the
# rest. What the first lot says is shown as it comes, what the others said when all are done.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
unset NEARCAST_HOME
logs="$(mktemp -d)"
running=()
trap 'rm -rf "$logs"' EXIT
trap 'kill "${running[@]}" 2>/dev/null; wait; exit 130' INT TERM

shared=(tests/faults/test_control_dead.py tests/faults/test_ingest_killed.py tests/contract/test_http.py)
shared+=(tests/unit/media)
elsewhere=("${shared[@]/#/--ignore=}")

"$python" -m pytest tests/lab tests/faults "${elsewhere[@]}" "$@" >"$logs/faults" 2>&1 &
running+=("$!")
"$python" -m pytest tests/architecture tests/unit tests/contract "${elsewhere[@]}" "$@" >"$logs/rest" 2>&1 &
running+=("$!")
"$python" -m pytest tests/e2e "${shared[@]}" "$@"
failed=$?
for each in "${running[@]}"; do wait "$each" || failed=1; done
cat "$logs/faults" "$logs/rest"
exit "$failed"
