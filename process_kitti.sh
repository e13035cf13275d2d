#!/usr/bin/env bash
# Makes the training labels labels/XX/NNNNNN_1_1.npy from the SemanticKITTI voxel files.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bash process_kitti.sh [options]

  --data-root DIR      root of the data (default: $SEMANTICKITTI_ROOT, else data/occupancy/semanticKITTI/RGB)
  --lidarseg-root DIR  further root to look for voxels in
  --out DIR            folder to write to (default: labels/ beside the sequences folder)
  --sequences XX ...   sequences (default: those of 00-10 that have voxel labels)
  --scales S ...       of 1_1 1_2 1_8 (default: 1_1)
  --jobs N             processes (default: all cores)
  --overwrite          make finished files anew
  --allow-unknown      unknown raw ids become 255 instead of an error

example: bash process_kitti.sh --data-root /datasets/semantickitti --scales 1_1 1_2 --jobs 8
USAGE
}
for argument in "$@"; do
  if [[ "$argument" == "-h" || "$argument" == "--help" ]]; then usage; exit 0; fi
done

# Paths in the arguments are the caller's: nothing changes the folder.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$project/tools/launch.sh"
"$(htcl_python)" "$project/tools/data_converter/make_labels.py" "$@"
