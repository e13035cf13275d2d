#!/usr/bin/env bash
# Everything worth knowing on a borrowed GPU, in at most eight minutes.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: benchmarks/gpu_check.sh [--cpu-rehearsal] [OUT]

Checks and measures the program on a GPU, without a network and without mmcv's operators:
numbers against the CPU's, prediction and training step in every precision, the heaviest kernels,
the tests that need a GPU. Every step has a time limit (415 s in all) and a log in OUT
(default: work_dirs/gpu_check); a summary comes last.

  --cpu-rehearsal   every step, tiny, on a CPU: tests this script on a machine without a GPU
  PYTHON=...        the interpreter (default: .venv/bin/python if there is one, else python3)

Exit status: 0 all is well, 1 a step failed or there is no GPU, 2 misuse.
TEXT
}

misuse() { echo "gpu_check: $1" >&2; usage >&2; exit 2; }

rehearsal='' out=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    "--cpu-rehearsal") rehearsal=1 ;;
    -*) misuse "unknown option $1" ;;
    *) [ -z "$out" ] || misuse "one folder at most, got $out and $1"; out=$1 ;;
  esac
  shift
done

out=$(realpath -m "${out:-work_dirs/gpu_check}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  [ ! -x .venv/bin/python ] || python=.venv/bin/python
fi
export PYTHONPATH="$PWD/projects${PYTHONPATH:+:$PYTHONPATH}"
status=0
"$python" -c 'import htcl, torch; raise SystemExit(0 if torch.cuda.is_available() else 3)' || status=$?
if [ "$status" = 3 ] && [ -z "$rehearsal" ]; then
  echo "gpu_check: this machine has no GPU that PyTorch can use (--cpu-rehearsal tries the script)" >&2
  exit 1
elif [ "$status" != 0 ] && [ "$status" != 3 ]; then
  echo "gpu_check: $python has no htcl or torch; benchmarks/README.md says how they get here" >&2
  exit 1
fi
mkdir -p "$out"
rm -f "$out"/*.log "$out"/speed/benchmarks.*

summary=()
failed=0
# step NAME SECONDS COMMAND...: runs a command under a time limit, its output to a log too.
step() {
  local name=$1 limit=$2 began=$SECONDS status=0 word
  shift 2
  [ -z "$rehearsal" ] || limit=240
  printf '\n== %s (at most %s s) ==\n' "$name" "$limit"
  timeout --kill-after=5 "$limit" "$@" 2>&1 | tee "$out/$name.log" || status=$?
  case $status in
    0) word=ok ;;
    124 | 137) word='time limit' failed=1 ;;
    *) word="failed ($status)" failed=1 ;;
  esac
  summary+=("$(printf '%-10s %-12s %4d s' "$name" "$word" $((SECONDS - began)))")
}

full=projects/configs/occupancy/semantickitti/htcl_plus.py
speed=("$python" benchmarks/run.py --out "$out/speed" --resume)
if [ -n "$rehearsal" ]; then
  small=(--device cpu --config projects/configs/occupancy/mini/htcl_mono.py)
  step parity 0 "$python" benchmarks/gpu_check.py parity --precision fp32 bf16 "${small[@]}"
  step forward 0 "${speed[@]}" --what forward --repeats 1 "${small[@]}"
  step train 0 "${speed[@]}" --what train --repeats 1 "${small[@]}"
  step kernels 0 "$python" benchmarks/gpu_check.py kernels "${small[@]}"
else
  big=(--device cuda --config "$full")
  step parity 110 "$python" benchmarks/gpu_check.py parity --precision fp32 fp16 bf16 --size 192 640 "${big[@]}"
  step forward 110 "${speed[@]}" --what forward --precision bf16 fp16 fp32 "${big[@]}"
  step train 80 "${speed[@]}" --what train --precision bf16 fp32 "${big[@]}"
  step kernels 45 "$python" benchmarks/gpu_check.py kernels --precision bf16 "${big[@]}"
fi
if ! "$python" -c 'import pytest' 2>/dev/null; then
  summary+=('tests      skipped: pytest is not installed')
elif [ -n "$rehearsal" ]; then
  step tests 0 "$python" -m pytest -m gpu --collect-only tests/test_engine
else
  step tests 70 "$python" -m pytest -m gpu
fi

printf '\n== summary ==\n'
[ ! -f "$out/speed/benchmarks.md" ] || { cat "$out/speed/benchmarks.md"; echo; }
printf '%s\n' "${summary[@]}"
echo "logs and numbers: $out"
exit "$failed"
