#!/usr/bin/env bash
# Makes the project's own Python environment (.venv): pinned packages and the package itself.
# Runs again only when the pins, the build settings or the interpreter changed.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash tools/setup_env.sh

Creates .venv in the repository with Python 3.11 and the packages of requirements/lock.txt, then installs htcl
into it (editable). `make demo` and `make test` call it; a second run skips what is done.

environment:
  PYTHON   the Python 3.11 interpreter to use (default: python3.11, else python3)
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
if [[ $# -gt 0 ]]; then usage >&2; exit 2; fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() { echo "setup: $1" >&2; exit 1; }

find_python() {
  local candidate
  local candidates=(python3.11 python3)
  if [[ -n "${PYTHON:-}" ]]; then candidates=("$PYTHON"); fi
  for candidate in "${candidates[@]}"; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  return 1
}
if [[ -n "${PYTHON:-}" ]]; then no_python="$PYTHON is not a Python 3.11"; else no_python="Python 3.11 not found"; fi
python=$(find_python) || fail "$no_python (the pinned packages are tested with it). Install it, or name it: make PYTHON=/path/to/python3.11 ..."

fingerprint=$( { cat requirements/lock.txt pyproject.toml setup.py; "$python" --version; pwd; } | sha256sum | cut -d' ' -f1)
stamp=.venv/.htcl-setup
if [[ -f "$stamp" && "$(cat "$stamp")" == "$fingerprint" ]]; then exit 0; fi

"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python has no venv module. Debian and Ubuntu: install python3.11-venv"
"$python" - <<'EOF' || fail "Python.h not found: mmcv compiles C++ code. Debian and Ubuntu: install python3.11-dev"
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())
EOF
command -v "${CXX:-g++}" >/dev/null 2>&1 || fail "no C++ compiler (${CXX:-g++}) found: mmcv compiles C++ code. Debian and Ubuntu: install g++"
if [[ ! -d .venv ]]; then
  free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
  if (( free_gb < 12 )); then fail "only ${free_gb} GB free here; the environment needs 12 GB (torch brings its CUDA libraries)"; fi
fi

echo "setup: making .venv with $("$python" --version) (7 GB): the first time 3 GB are downloaded and mmcv is compiled (7 minutes on 2 cores)"
if [[ ! -x .venv/bin/python ]]; then "$python" -m venv .venv; fi
uv_pin=$(grep '^uv==' requirements/lock.txt)
if [[ ! -x .venv/bin/uv ]]; then
  .venv/bin/python -m pip install -qq --disable-pip-version-check "$uv_pin" || fail "could not install $uv_pin from the package index"
fi
export VIRTUAL_ENV="$PWD/.venv"
# Without a terminal to draw its progress on, uv would list two hundred packages.
quiet=()
if [[ ! -t 2 ]]; then quiet=(--quiet); fi
# Compiled here, once: where Python may not write its caches, every start would compile torch and all others anew.
.venv/bin/uv pip sync "${quiet[@]}" --compile-bytecode requirements/lock.txt || fail "installing requirements/lock.txt failed (the lines above say why); run the command again to go on"
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable . || fail "installing the htcl package failed"
echo "$fingerprint" >"$stamp"
echo "setup: done."
