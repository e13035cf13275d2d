#!/usr/bin/env bash
# Evaluates a checkpoint in one process.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: bash run_eval_kitti.sh CONFIG CKPT [tools/test.py options]

  CONFIG  config file
  CKPT    checkpoint, ours or a released one

example: bash run_eval_kitti.sh projects/configs/occupancy/semantickitti/temporal_baseline.py pretrain/pretrain.pth
EOF
}
if [[ "${1:-}" == "-h" || "${1:-}" == "--help" ]]; then usage; exit 0; fi
if [[ $# -lt 2 ]]; then usage >&2; exit 2; fi

# Paths in the arguments are the caller's: nothing changes the folder.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$project/tools/launch.sh"
htcl_need_file "$1" config
htcl_need_file "$2" checkpoint
"$(htcl_python)" "$project/tools/test.py" "$@"
