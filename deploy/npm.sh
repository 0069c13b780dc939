#!/usr/bin/env bash
# npm in web/, with the machine's Node or the one that deploy/setup.sh brought.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ -x "$root/.bootstrap/node/bin/npm" ]; then export PATH="$root/.bootstrap/node/bin:$PATH"; fi
cd "$root/web"
exec npm --silent "$@"
