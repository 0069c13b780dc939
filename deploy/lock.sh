#!/usr/bin/env bash
# Resolves every lock anew: versions and hashes, no download addresses. Run after a change to pyproject.toml or web/package.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deploy/setup.sh test
uv="$PWD/.bootstrap/bin/uv"
[ -x "$uv" ] || uv=uv
compile=("$uv" pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11)
"${compile[@]}" pyproject.toml -o requirements.lock
"${compile[@]}" --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
deploy/npm.sh install --package-lock-only --omit-lockfile-registry-resolved
