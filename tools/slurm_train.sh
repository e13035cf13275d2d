#!/usr/bin/env bash
# Trains a config on a Slurm cluster.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [tools/train.py options]

environment: GPUS (all, default 8), GPUS_PER_NODE (default 8), CPUS_PER_TASK (default 5), SRUN_ARGS (more srun options)
example: GPUS=16 bash tools/slurm_train.sh gpu htcl projects/configs/occupancy/semantickitti/htcl_egopose.py --resume
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
if [[ $# -lt 3 ]]; then usage >&2; exit 2; fi

# Paths in the arguments are the caller's: nothing changes the folder.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$project/tools/launch.sh"
htcl_need_file "$3" config
htcl_srun "$1" "$2" "$project/tools/train.py" "${@:3}"
