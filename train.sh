#!/usr/bin/env bash
# Fine-tune a model with LEIA. The defaults are the paper's run; give what differs by variables:
#
#   WIKIPEDIA_DATASET_DIR=work/ja/dataset RUN_NAME=leia-ja ./train.sh
#   RESUME=1 RUN_NAME=leia-ja ... ./train.sh        # continue from the newest checkpoint
#   ... ./train.sh --learning_rate 1e-5             # further arguments go to scripts/train.py
#
# Reads the dataset and the model; writes checkpoints and the model to OUTPUT_DIR. SIGTERM (a pre-emption) saves a
# checkpoint at the end of the step and exits with 143.
set -euo pipefail
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
  exit 0
fi
here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"

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
if [[ -z "${WIKIPEDIA_DATASET_DIR:-}" ]]; then
  echo "error: WIKIPEDIA_DATASET_DIR is not set; name the dataset folder of build_wikipedia_dataset.py" >&2
  exit 2
fi
if [[ -d "$here/.venv/bin" ]]; then PATH="$here/.venv/bin:$PATH"; fi
if ! command -v accelerate >/dev/null; then
  echo "error: accelerate is not installed; pip install -r requirements.txt" >&2
  exit 2
fi
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"

arguments=(
  --config "$TRAIN_CONFIG"
  --wikipedia_dataset_dir "$WIKIPEDIA_DATASET_DIR"
  "--output_dir=$OUTPUT_DIR" # with =, since the names may begin with a dash
  "--run_name=$RUN_NAME"
)
if [[ -n "${MODEL_NAME_OR_PATH:-}" ]]; then
  arguments+=(--model_name_or_path "$MODEL_NAME_OR_PATH")
fi
if [[ -n "${ENTITY_NAME_INSERTION_STRATEGY:-}" ]]; then
  arguments+=(--entity_name_insertion_strategy "$ENTITY_NAME_INSERTION_STRATEGY")
fi
if [[ -n "${ENTITY_NAME_INSERTION_PROB:-}" ]]; then
  arguments+=(--entity_name_insertion_prob "$ENTITY_NAME_INSERTION_PROB")
fi
if [[ "${RESUME:-0}" == 1 ]]; then
  arguments+=(--resume_from_checkpoint last)
fi

# SIGTERM and Ctrl-C are for the training processes alone, whoever they are sent to: the launcher would give these 30
# seconds and then kill them, and a step of a large model takes longer. So the launcher and its children ignore them
# until training begins to listen, and this shell, which hears them at once, passes them on until all have ended.
rm -f -- "$OUTPUT_DIR/.stopped"
export PET_SIGNALS_TO_HANDLE=SIGHUP # what torch's launcher, within accelerate's, answers to
asked=0
trap 'asked=1' TERM INT
(
  trap '' TERM INT
  # LAUNCH_ARGS: options of accelerate launch, --num_machines and the like, from the Slurm launcher
  # shellcheck disable=SC2086  # it holds several words
  exec python -m leia.training.launch --config_file "$ACCELERATE_CONFIG" ${LAUNCH_ARGS:-} \
    "$here/scripts/train.py" "${arguments[@]}" "$@"
) &
launcher=$!
tell() { pkill -TERM -P "$launcher" || true; }
trap 'asked=1; tell' TERM INT
while kill -0 "$launcher" 2>/dev/null; do
  if [[ "$asked" == 1 ]]; then tell; fi # again, those that had only begun did not hear it
  sleep 0.5 &
  wait $! || true # a signal ends the waiting
done
code=0
wait "$launcher" || code=$?

# The training leaves a mark when SIGTERM ended it after its checkpoint.
if [[ "$code" != 0 && -e "$OUTPUT_DIR/.stopped" ]]; then
  exit 143
elif [[ "$code" != 0 && "$asked" == 1 ]]; then
  saved=("$OUTPUT_DIR"/checkpoint-*)
  if [[ -d "${saved[0]}" ]]; then
    echo "stopped before there was anything new to save; the same command with RESUME=1 continues"
  else
    echo "stopped before the first checkpoint; the same command begins again"
  fi
  exit 143
fi
exit "$code"
