#!/usr/bin/env bash
# Trains a config on N GPUs (or N CPU processes where there is no GPU).
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash run.sh CONFIG N [tools/train.py options]

  CONFIG  config file, e.g. projects/configs/occupancy/semantickitti/temporal_baseline.py
  N       processes on this machine: one a GPU; without a GPU, CPU processes (gloo)

MAX_RESTARTS=3 in front starts all processes again, up to 3 times, when one has died; give --resume too
several machines: run the same line on each with NNODES, NODE_RANK, MASTER_ADDR (and MASTER_PORT) set
example: bash run.sh projects/configs/occupancy/mini/htcl_egopose.py 2 --resume
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
if [[ $# -lt 2 ]]; then usage >&2; exit 2; fi

# Paths in the arguments are the caller's: nothing changes the folder.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$project/tools/launch.sh"
htcl_need_file "$1" config
htcl_need_count "$2"
htcl_torchrun "$2" "$project/tools/train.py" "$1" "${@:3}"
