#!/usr/bin/env bash
# Evaluate one model; further arguments go to scripts/evaluate.py (see its --help).
#
#   MODEL_NAME_OR_PATH=models/ja TASKS=xcodah_ja,xcsqa_ja NUM_FEWSHOT_SAMPLES=0,4 RESULTS_DIR=results/ja ./evaluate.sh
#
# Reads the model, and the data from the hub or, offline, from folders: XCSR_DIR (in the layout of the official archive),
# JAPANESE_DIR, FACTS_DIR, BMLAMA_DIR; tasks of your own from the folder INCLUDE_PATH (docs/evaluation.md).
# Writes RESULTS_DIR/<task>_<k>shot.json and .jsonl (a line an item), and prints a table. What is finished is not run
# again, so the same command continues after an interruption.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/scripts/environment.sh"

# What to evaluate: tasks or groups with commas between, and one number of examples a task. The defaults are the
# paper's two benchmarks, in all 16 languages.
TASKS="${TASKS:-xcodah,xcsqa}"
NUM_FEWSHOT_SAMPLES="${NUM_FEWSHOT_SAMPLES:-0,4}"

# The machine: NUM_PROCESSES is one a GPU unless given; ACCELERATE_CONFIG, a file of accelerate, wins over it.
ACCELERATE_CONFIG="${ACCELERATE_CONFIG:-}"

for name in MODEL_NAME_OR_PATH RESULTS_DIR; do
  if [[ -z "${!name:-}" ]]; then
    echo "error: $name is not set; name the model to evaluate and a folder for its results" >&2
    exit 2
  fi
done
if [[ -n "${NUM_PROCESSES:-}" && ! "$NUM_PROCESSES" =~ ^[1-9][0-9]*$ ]]; then
  echo "error: NUM_PROCESSES is '$NUM_PROCESSES'; expected a number above 0" >&2
  exit 2
fi

evaluate=(
  "$here/scripts/evaluate.py"
  --model_name_or_path "$MODEL_NAME_OR_PATH"
  --tasks "$TASKS"
  --num_fewshot_samples "$NUM_FEWSHOT_SAMPLES"
  --results_dir "$RESULTS_DIR"
  "$@"
)
if [[ -n "$ACCELERATE_CONFIG" ]]; then
  exec python -m leia.training.launch --config_file "$ACCELERATE_CONFIG" "${evaluate[@]}"
fi
NUM_PROCESSES="${NUM_PROCESSES:-$(python -c 'import torch; print(max(1, torch.cuda.device_count()))')}"
if [[ "$NUM_PROCESSES" == 1 ]]; then
  exec python "${evaluate[@]}"
fi
# --multi_gpu is accelerate's word for several processes, on a CPU too.
exec python -m leia.training.launch --multi_gpu --num_processes "$NUM_PROCESSES" --num_machines 1 \
  --mixed_precision no --dynamo_backend no "${evaluate[@]}"
