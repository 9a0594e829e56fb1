#!/usr/bin/env bash
# Sets up .venv from the hash-locked file, the program itself, and the console; does nothing that is done.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.requirements.sha256
say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      python=$candidate
      break
    fi
  done
fi
[ -n "$python" ] || fail "Python 3.11 or newer is needed (Debian: apt-get install python3); or name one: make PYTHON=/path/to/python3"

make_venv() {
  if command -v uv >/dev/null; then
    uv venv --quiet --python "$python" "$venv" && return
  fi
  "$python" -m venv "$venv" 2>/dev/null && return
  rm -rf "$venv"
  # Debian keeps venv in a package of its own.
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing Debian's python3-venv"
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null && "$python" -m venv "$venv" && return
  fi
  fail "Python cannot make a virtual environment here; install it (Debian: apt-get install python3-venv) and run again"
}

install_packages() {
  say "installing packages (about 1.4 GB on disk; some minutes the first time)"
  if command -v uv >/dev/null; then
    uv pip sync --quiet --python "$venv/bin/python" --require-hashes requirements.lock
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
  else
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --progress-bar off \
      --require-hashes --requirement requirements.lock
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
  fi
}

[ -x "$venv/bin/python" ] || { say "making $venv with $("$python" --version)"; make_venv; }
wanted=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  install_packages || fail "packages could not be installed; is the network there? what is said above tells which one failed"
  echo "$wanted" >"$stamp"
fi
"$venv/bin/python" -m safecity.web.console_build
