#!/usr/bin/env bash
# Evaluates a checkpoint on N GPUs (or N CPU processes where there is no GPU).
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash tools/dist_test.sh CONFIG CKPT N [tools/test.py options]

  CONFIG  config file
  CKPT    checkpoint, ours or a released one
  N       processes on this machine: one a GPU; without a GPU, CPU processes (gloo)

several machines: run the same line on each with NNODES, NODE_RANK, MASTER_ADDR (and MASTER_PORT) set
example: bash tools/dist_test.sh CONFIG CKPT 2 --out outputs/predictions
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
if [[ $# -lt 3 ]]; then usage >&2; exit 2; fi

# Paths in the arguments are the caller's: nothing changes the folder.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$project/tools/launch.sh"
htcl_need_file "$1" config
htcl_need_file "$2" checkpoint
htcl_need_count "$3"
htcl_torchrun "$3" "$project/tools/test.py" "$1" "$2" "${@:4}"
