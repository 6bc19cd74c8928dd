#!/usr/bin/env bash
# Fine-tune a model with LEIA. The defaults are the paper's run; give what differs by variables:
#
#   WIKIPEDIA_DATASET_DIR=work/ja/dataset RUN_NAME=leia-ja ./train.sh
#   RESUME=1 RUN_NAME=leia-ja ... ./train.sh        # continue from the newest checkpoint
#   TASKS=xcsqa_ja NUM_FEWSHOT_SAMPLES=4 ... ./train.sh    # score the model while it trains, too; tasks of your own
#                                                           # lie in the folder INCLUDE_PATH
#   FIND_MICRO_BATCH=1 ... ./train.sh               # first find the micro batch that trains fastest, in minutes
#   ... ./train.sh --dry_run --gpu_memory_gb 80 --tokens_per_second 50000    # start nothing: step, memory, disk, time
#   ... ./train.sh --learning_rate 1e-5             # further arguments go to scripts/train.py
#
# A configuration that names its dataset, or several `sources`, needs no WIKIPEDIA_DATASET_DIR.
#
# Reads the dataset and the model; writes checkpoints and the model to OUTPUT_DIR. SIGTERM (a pre-emption) and Ctrl-C
# are heard within about ten seconds and save a checkpoint of the last whole step, unless there is one; the exit code is
# 143 then. Where memory does not suffice it is 3.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/scripts/environment.sh"

# The experiment. A variable that is not set leaves the setting to TRAIN_CONFIG.
RUN_NAME="${RUN_NAME:-leia}"
OUTPUT_DIR="${OUTPUT_DIR:-runs/$RUN_NAME}"
TRAIN_CONFIG="${TRAIN_CONFIG:-$here/configs/train/llama2_7b.yaml}"

# The machine: the paper's is one node of 8 GPUs under DeepSpeed ZeRO-3.
ACCELERATE_CONFIG="${ACCELERATE_CONFIG:-$here/configs/accelerate/zero3_8gpu.yaml}"

if [[ "$RUN_NAME" == */* || "$RUN_NAME" == .* ]]; then
  echo "error: RUN_NAME is '$RUN_NAME'; expected a plain name (OUTPUT_DIR names another folder)" >&2
  exit 2
fi
for file in "$TRAIN_CONFIG" "$ACCELERATE_CONFIG"; do
  if [[ ! -f "$file" ]]; then
    echo "error: $file: there is no such file; TRAIN_CONFIG is one of $here/configs/train, ACCELERATE_CONFIG of" \
      "$here/configs/accelerate" >&2
    exit 2
  fi
done

arguments=(
  --config "$TRAIN_CONFIG"
  ${WIKIPEDIA_DATASET_DIR:+--wikipedia_dataset_dir "$WIKIPEDIA_DATASET_DIR"}
  "--output_dir=$OUTPUT_DIR" # with =, since the names may begin with a dash
  "--run_name=$RUN_NAME"
  ${MODEL_NAME_OR_PATH:+--model_name_or_path "$MODEL_NAME_OR_PATH"}
  ${ENTITY_NAME_INSERTION_STRATEGY:+--entity_name_insertion_strategy "$ENTITY_NAME_INSERTION_STRATEGY"}
  ${ENTITY_NAME_INSERTION_PROB:+--entity_name_insertion_prob "$ENTITY_NAME_INSERTION_PROB"}
  ${NO_SEPARATOR_TOKENS:+--no_separator_tokens "$NO_SEPARATOR_TOKENS"}
  ${LEARNING_RATE:+--learning_rate "$LEARNING_RATE"}
  ${SEED:+--seed "$SEED"}
  ${OFFLOAD_OPTIMIZER_DEVICE:+--offload_optimizer_device "$OFFLOAD_OPTIMIZER_DEVICE"}
  ${TASKS:+--tasks "$TASKS"}
  ${NUM_FEWSHOT_SAMPLES:+--num_fewshot_samples "$NUM_FEWSHOT_SAMPLES"}
  ${INCLUDE_PATH:+--include_path "$INCLUDE_PATH"}
)
if [[ "${RESUME:-0}" == 1 ]]; then
  arguments+=(--resume_from_checkpoint last)
fi

launcher=(-m leia.training.launch)
if [[ "${FIND_MICRO_BATCH:-0}" == 1 ]]; then
  launcher=("$here/scripts/find_micro_batch.py" --run) # which hands over to the launcher
fi

# A dry run starts no process of the machine that it is about.
for word in "$@"; do
  if [[ "$word" == --dry_run ]]; then
    export ACCELERATE_CONFIG LAUNCH_ARGS="${LAUNCH_ARGS:-}"
    exec python "$here/scripts/train.py" "${arguments[@]}" "$@"
  fi
done

# LAUNCH_ARGS: options of accelerate launch, --num_machines and the like, from the Slurm launcher
# shellcheck disable=SC2086  # it holds several words
exec python "${launcher[@]}" --config_file "$ACCELERATE_CONFIG" ${LAUNCH_ARGS:-} \
  "$here/scripts/train.py" "${arguments[@]}" "$@"
