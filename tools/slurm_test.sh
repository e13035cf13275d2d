#!/usr/bin/env bash
# Evaluates a checkpoint on a Slurm cluster.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CKPT [tools/test.py options]

environment: GPUS (all, default 8), GPUS_PER_NODE (default 8), CPUS_PER_TASK (default 5), SRUN_ARGS (more srun options)
example: GPUS=4 GPUS_PER_NODE=4 bash tools/slurm_test.sh gpu eval CONFIG CKPT --out outputs/predictions
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
if [[ $# -lt 4 ]]; then usage >&2; exit 2; fi

# Paths in the arguments are the caller's: nothing changes the folder.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$project/tools/launch.sh"
htcl_need_file "$3" config
htcl_need_file "$4" checkpoint
htcl_srun "$1" "$2" "$project/tools/test.py" "${@:3}"
