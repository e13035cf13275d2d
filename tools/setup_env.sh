#!/usr/bin/env bash
# Makes the project's own Python environment (.venv): pinned packages and the package itself.
# Runs again only when the pins, the build settings or the interpreter changed.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash tools/setup_env.sh [--no-compiler]

Creates .venv in the repository with Python 3.11 or 3.12 and the packages of requirements/lock.txt, then installs htcl
into it (editable). `make demo` and `make test` call it; a second run skips what is done.

  --no-compiler  takes mmcv without its C++ operators, none of which HTCL calls: no compiler, and 7 minutes less
                 (`make setup NO_COMPILER=1`; later calls of make keep it)

environment:
  PYTHON   the Python 3.11 or 3.12 to use (default: python3.11, python3.12, python3)
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
compile=1
if [[ "${1:-}" == "--no-compiler" ]]; then compile=0; shift; fi
if [[ $# -gt 0 ]]; then usage >&2; exit 2; fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() { echo "setup: $1" >&2; exit 1; }

find_python() {
  local candidate
  local candidates=(python3.11 python3.12 python3)
  if [[ -n "${PYTHON:-}" ]]; then candidates=("$PYTHON"); fi
  for candidate in "${candidates[@]}"; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  return 1
}
if [[ -n "${PYTHON:-}" ]]; then no_python="$PYTHON is not a Python 3.11 or 3.12"; else no_python="Python 3.11 or 3.12 not found"; fi
python=$(find_python) || fail "$no_python (the pinned packages are tested with it). Install it, or name it: make PYTHON=/path/to/python3.11 ..."

package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

stamp=.venv/.htcl-setup
# An environment that was made without a compiler stays so: `make test` does not ask for one.
if [[ -f "$stamp-no-compiler" ]]; then compile=0; fi
fingerprint=$( { cat requirements/lock.txt requirements/mmcv_operators_stand_in.py pyproject.toml setup.py; "$python" --version; pwd; } | sha256sum | cut -d' ' -f1)
fingerprint+=" $compile"
if [[ -f "$stamp" && "$(cat "$stamp")" == "$fingerprint" ]]; then exit 0; fi

"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python has no venv module. Debian and Ubuntu: install $package-venv"
if (( compile )); then
"$python" - <<'EOF' || fail "Python.h not found: mmcv compiles C++ code. Debian and Ubuntu: install $package-dev, or do without: make setup NO_COMPILER=1"
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())
EOF
command -v "${CXX:-g++}" >/dev/null 2>&1 || fail "no C++ compiler (${CXX:-g++}) found: mmcv compiles C++ code. Debian and Ubuntu: install g++, or do without: make setup NO_COMPILER=1"
fi
if [[ ! -d .venv ]]; then
  free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
  if (( free_gb < 12 )); then fail "only ${free_gb} GB free here; the environment needs 12 GB (torch brings its CUDA libraries)"; fi
fi

what="and mmcv is compiled (7 minutes on 2 cores)"
if (( ! compile )); then what="and nothing is compiled"; fi
echo "setup: making .venv with $("$python" --version) (7 GB): the first time 3 GB are downloaded $what"
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
lock=requirements/lock.txt
if (( ! compile )); then
  # The same mmcv as a wheel of Python alone.
  lock=.venv/lock-no-compiler.txt
  sed 's/^mmcv==/mmcv-lite==/' requirements/lock.txt >"$lock"
  : >"$stamp-no-compiler"
fi
.venv/bin/uv pip sync "${quiet[@]}" --compile-bytecode "$lock" || fail "installing requirements/lock.txt failed (the lines above say why); run the command again to go on"
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable . || fail "installing the htcl package failed"
if (( ! compile )); then
  site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cp requirements/mmcv_operators_stand_in.py "$site/mmcv/_ext.py" || fail "mmcv-lite has no folder mmcv in $site"
fi
echo "$fingerprint" >"$stamp"
echo "setup: done. To use it: source .venv/bin/activate"
