# Shared by the shell entry points; sourced, not run, with the project's folder in $project.
# Starts `python SCRIPT ARGS --launcher pytorch` in N processes with torchrun, on this machine or as one node of several.

# The interpreter: the project's environment if it is there, else what PATH gives.
htcl_python() {
  if [[ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" && -x "$project/.venv/bin/python" ]]; then echo "$project/.venv/bin/python"
  elif command -v python >/dev/null 2>&1; then echo python
  else echo python3; fi
}

# htcl_torchrun N SCRIPT ARGS...
htcl_torchrun() {
  local processes=$1
  shift
  local nodes=${NNODES:-1}
  local rendezvous=(--standalone)
  if [[ "$nodes" != 1 ]]; then
    rendezvous=(--nnodes "$nodes" --node_rank "${NODE_RANK:?set NODE_RANK to the rank of this machine, 0 to NNODES-1}"
      --master_addr "${MASTER_ADDR:?set MASTER_ADDR to the address of node 0}" --master_port "${MASTER_PORT:-29500}")
  fi
  "$(htcl_python)" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node "$processes" --max_restarts "${MAX_RESTARTS:-0}" "$@" --launcher pytorch
}

htcl_need_file() {
  if [[ ! -f "$1" ]]; then echo "$(basename "$0"): $2 '$1' does not exist" >&2; exit 1; fi
}

htcl_need_count() {
  if [[ ! "$1" =~ ^[1-9][0-9]*$ ]]; then echo "$(basename "$0"): the number of processes must be a positive integer, got '$1'" >&2; exit 2; fi
}

# htcl_srun PARTITION JOB_NAME SCRIPT ARGS...
htcl_srun() {
  local partition=$1 job=$2
  shift 2
  command -v srun >/dev/null 2>&1 || { echo "$(basename "$0"): srun not found; this script runs on a Slurm cluster" >&2; exit 1; }
  local gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
  if (( gpus < per_node )); then per_node=$gpus; fi
  # shellcheck disable=SC2086  # SRUN_ARGS holds several words
  srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "$(htcl_python)" -u "$@" --launcher slurm
}
