#!/usr/bin/env bash
# Pretraining for retrieval tried out in two made-up languages: MAP before and after, with both objectives and with each.
#
#   bash scripts/run_retrieval_trial.sh               3 trainings x 5 seeds: some 10 minutes on 2 cores
#   SEEDS="1 2" bash scripts/run_retrieval_trial.sh   fewer seeds
#
# Everything is written to work/retrieval-trial (40 MB), or to WORK; the table is the last that is printed, and
# map/table.md there. Stop it at any time: the same command continues. JOBS trainings run at a time (as many as there are
# cores); what they print is in their .log there. ITERATIONS (2000): steps of each objective.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"
# shellcheck source=scripts/show_command.sh
source "$here/scripts/show_command.sh" # `run` prints a command and runs it
export HF_HUB_OFFLINE=1                # nothing is downloaded

work="${WORK:-work/retrieval-trial}"
read -ra seeds <<<"${SEEDS:-1 2 3 4 5}"
jobs="${JOBS:-$(nproc)}"
export OMP_NUM_THREADS=1 # a training on each core; nproc would count it
mkdir -p "$work"

# 2,000 sections to train on; 200 others, of which 10 are judged for each query.
run python "$here/scripts/make_bilingual_trial.py" --output_dir "$work/data"

# A minute to two each. The rows are short and the model is small, so that its rate is 50 times the paper's.
models=()
running=0
for objectives in qlm,rr rr qlm; do
    name="${objectives/,/+}"
    for seed in "${seeds[@]}"; do
        if ((running >= jobs)); then
            wait -n || { echo "error: a training failed; its .log in $work says why" >&2 && exit 1; }
            running=$((running - 1))
        fi
        output="$work/$name-$seed"
        run python "$here/scripts/pretrain_retriever.py" --data_dir "$work/data" --from_scratch --output_dir "$output" \
            --objectives "$objectives" --seed "$seed" --epochs 1 --iterations_per_epoch "${ITERATIONS:-2000}" \
            --batch_size 32 --max_length 32 --learning_rate 5e-4 >"$output.log" 2>&1 &
        running=$((running + 1))
        models+=(--model "$name=$output/epoch-1")
    done
done
while ((running > 0)); do
    wait -n || { echo "error: a training failed; its .log in $work says why" >&2 && exit 1; }
    running=$((running - 1))
done

# The models as they are, without fine-tuning; before training they are the same for all objectives.
before=()
for seed in "${seeds[@]}"; do before+=(--model "before=$work/rr-$seed/epoch-0"); done
run python "$here/scripts/evaluate_retriever.py" "${before[@]}" "${models[@]}" --epochs 0 \
    --collection "judged=$work/data/held_out/a-b" --output_dir "$work/map"
