#!/usr/bin/env bash
# Trains the mini network for some minutes of a borrowed GPU, from a pack of streets.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: benchmarks/gpu_train.sh PACK MINUTES [OUT] [tools/train.py options but --cfg-options]

Unpacks synthetic streets (tools/pack_streets.py), trains projects/configs/occupancy/mini/htcl_plus.py for
MINUTES in bfloat16 on all but 08, 09 and, of more than eight, the last two; the learning rate follows the time;
scores them on those, and leaves weights, scores and log in OUT (default: work_dirs/gpu_train). No
network and no compiled operators are needed; a second call with --resume goes on.

  CONFIG=...   another config of the synthetic streets
  PYTHON=...   the interpreter (default: .venv/bin/python if there is one, else python3)
  BATCH=...    samples of a step (default: 8); WORKERS=... processes that load (default: 8)

example: benchmarks/gpu_train.sh streets.tar.xz 9 $OUT

Exit status: 0 trained and scored, 1 a step failed, 2 misuse.
TEXT
}

misuse() { echo "gpu_train: $1" >&2; usage >&2; exit 2; }

if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
[[ $# -ge 2 ]] || misuse "expected PACK and MINUTES"
[[ -f "$1" ]] || misuse "$1 does not exist: make it with tools/pack_streets.py pack"
[[ "$2" =~ ^[0-9]+(\.[0-9]+)?$ ]] || misuse "MINUTES is '$2', expected a number"
pack=$(realpath "$1") minutes=$2 out=work_dirs/gpu_train
shift 2
if [[ $# -gt 0 && "$1" != -* ]]; then out=$1; shift; fi
out=$(realpath -m "$out")
for word in "$@"; do
  [[ "$word" != --cfg-options* ]] || misuse "keys of the config are set here: write a config and name it in CONFIG"
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-}
if [[ -z "$python" ]]; then
  python=python3
  [[ ! -x .venv/bin/python ]] || python=.venv/bin/python
fi
export PYTHONPATH="$PWD/projects${PYTHONPATH:+:$PYTHONPATH}"
config=${CONFIG:-projects/configs/occupancy/mini/htcl_plus.py}

# Beside the work dir and not in OUT, which may be what travels back.
mkdir -p "$out"
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
names=$("$python" tools/pack_streets.py unpack "$pack" "$data" | sed 's/.*: //')
IFS=, read -ra streets <<<"$names"
val=() train=()
last=$((${#streets[@]} > 8 ? ${#streets[@]} - 2 : ${#streets[@]}))
for i in "${!streets[@]}"; do
  name=${streets[i]}
  if [[ "$name" == 08 || "$name" == 09 ]] || ((i >= last)); then
    val+=("$name")
  else
    train+=("$name")
  fi
done
if ((${#train[@]} == 0 || ${#val[@]} == 0)); then
  echo "gpu_train: $pack has the streets $names: expected some to train on and 08 or 09 to score" >&2
  exit 1
fi
list() { local IFS=,; echo "$*"; }

keys=("data_root=$data" "train_sequences=$(list "${train[@]}")" "val_sequences=$(list "${val[@]}")"
  "test_dataloader.dataset.sequences=$(list "${val[@]}")" "num_workers=${WORKERS:-8}" "custom_hooks=[]")
echo "gpu_train: ${#train[@]} streets to train on, ${#val[@]} to score (${val[*]}); $minutes minutes"
"$python" tools/train.py "$config" --work-dir "$out" --minutes "$minutes" --amp bfloat16 "$@" \
  --cfg-options "${keys[@]}" "batch_size=${BATCH:-8}" default_hooks.checkpoint.interval=500 \
  train_cfg.val_begin=1000000000
"$python" tools/test.py "$config" "$(cat "$out/last_checkpoint")" --work-dir "$out" --json "$out/scores.json" \
  --cfg-options "${keys[@]}"
echo "gpu_train: weights and scores in $out"
