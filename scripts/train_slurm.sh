#!/usr/bin/env bash
#SBATCH --job-name=leia
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
# Fine-tune on several nodes under Slurm: one train.sh on each node, with the same variables as on one machine.
#
#   WIKIPEDIA_DATASET_DIR=work/ja/dataset RUN_NAME=leia-ja OUTPUT_DIR=/shared/leia-ja sbatch scripts/train_slurm.sh
#
# Reads and writes what train.sh does; OUTPUT_DIR must lie on a file system that all nodes share. Ten minutes before the
# time ends (--signal above) and on a pre-emption each node's training gets SIGTERM, saves a checkpoint of its last whole
# step unless there is one, and the job is put into the queue again, where it continues. Ten minutes must be enough to
# save a checkpoint. FIND_MICRO_BATCH=1 is for one node (--nodes=1), where each start searches anew.
set -euo pipefail
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,/^set /{/^#SBATCH/d;/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
  exit 0
fi

# Slurm runs a copy of this file, so the project is the folder that sbatch was called in.
here="${SLURM_SUBMIT_DIR:?start this file with sbatch from the project folder}"
export ACCELERATE_CONFIG="${ACCELERATE_CONFIG:-$here/configs/accelerate/zero3_multinode.yaml}"
export RESUME=1 # from the newest checkpoint; without one from the beginning

gpus="${SLURM_GPUS_ON_NODE:-8}"
address="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
port="$((20000 + SLURM_JOB_ID % 20000))" # two jobs on one node must not meet

# Each task takes its rank from SLURM_NODEID, so the quotes keep it for the shell on the node.
export LAUNCH_ARGS="--num_machines $SLURM_NNODES --num_processes $((SLURM_NNODES * gpus)) \
--main_process_ip $address --main_process_port $port"
# shellcheck disable=SC2016
srun bash -c 'LAUNCH_ARGS="$LAUNCH_ARGS --machine_rank $SLURM_NODEID" exec "$0" "$@"' "$here/train.sh" "$@" &
step=$!
trap 'scancel --signal=TERM "$SLURM_JOB_ID.0"' TERM

code=0
wait "$step" || code=$?
while kill -0 "$step" 2>/dev/null; do
  code=0
  wait "$step" || code=$?
done

if [[ "$code" == 143 ]]; then
  echo "saved; the job goes back into the queue"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
