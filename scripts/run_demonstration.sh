#!/usr/bin/env bash
# The effect of the method, shown on an invented world: docs/demonstration.md tells what it is and what came out.
#
#   bash scripts/run_demonstration.sh            10 arms x 5 seeds: some hours on 2 cores
#   SHORT=1 bash scripts/run_demonstration.sh    3 arms x 2 seeds: a quarter of an hour
#   GPU=1 bash scripts/run_demonstration.sh      a larger world and model, one GPU
#   SEEDS="1 2" ...                              these seeds; ROWS=none,right ... these arms
#
# Everything is written to work/demonstration (with GPU=1: work/demonstration-gpu). Stop it at any time: the same command
# continues, and the full form takes over what the short one has made. JOBS seeds are made at a time, each on one core;
# what they say is in work/demonstration/seed<number>.log.
set -Eeuo pipefail
if [ "$#" -gt 0 ]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ "$1" == --help || "$1" == -h ]] && exit 0
    exit 2
fi
# shellcheck source=scripts/set_up.sh
source "$(dirname "${BASH_SOURCE[0]}")/set_up.sh"
# shellcheck source=scripts/show_command.sh
source scripts/show_command.sh # `run` prints a command and runs it
export HF_HUB_OFFLINE=1     # nothing is downloaded

rows=none,right,shuffled,right_p1,left,replace,no_name_loss,no_tags,parallel
seeds="1 2 3 4 5"
if [[ "${SHORT:-0}" != 0 ]]; then
    rows=none,right,shuffled
    seeds="1 2"
fi
rows="${ROWS:-$rows}"
read -ra seeds <<<"${SEEDS:-$seeds}"
table=configs/tables/demonstration.yaml
work=work/demonstration
machine=configs/accelerate/cpu.yaml
base_config=configs/train/demonstration_base.yaml
arm_config=configs/train/demonstration.yaml
world=()                                                  # the sizes that make_invented_world.py has of itself
model=(--vocab_size 4000 --num_layers 3 --tie_embeddings) # more tokens than there are words: each word is one
jobs="${JOBS:-$(nproc)}"
export OMP_NUM_THREADS=1
if [[ "${GPU:-0}" != 0 ]]; then
    work=work/demonstration-gpu
    machine=configs/accelerate/single_gpu.yaml
    base_config=configs/train/demonstration_gpu_base.yaml
    arm_config=configs/train/demonstration_gpu.yaml
    world=(--entities 1200 --bridges 1000 --locals 600 --name_pieces 120 --base_sentences 800000
        --target_sentences 500000 --questions 320)
    # 88 million parameters; fewer tokens than words need, so that names are made of several
    model=(--vocab_size 900 --num_layers 12 --hidden_size 768 --num_heads 12 --tie_embeddings)
    jobs="${JOBS:-2}" # they share the GPU
    unset OMP_NUM_THREADS
fi
mkdir -p "$work"
exec 9>>"$work/.lock" # held by the steps, too: one that outlives this script still writes
if ! flock -n 9; then
    echo "error: $work: another run writes here; wait for it or stop it" >&2
    exit 1
fi

# tell WORDS: a line for the person who waits; all else goes to the log of the seed
exec 3>&1
tell() { echo "$(date '+%H:%M:%S') seed $seed: $*" >&3; }

make_seed() {
    local seed=$1 folder=$work/seed$1 wiki file
    tell "an invented world, its two Wikipedias, their datasets"
    run python scripts/make_invented_world.py --seed "$seed" --output_dir "$folder/world" "${world[@]}"
    for wiki in "" shuffled-; do
        run python scripts/extract_wikidata_ids.py --languages en,qaa --output_dir "$folder/${wiki}ids" \
            --dump_file "$folder/world/wikidatawiki-${wiki}wb_items_per_site.sql.gz"
    done
    for wiki in base=enwiki target=qaawiki parallel=qaawiki-parallel; do
        file="$folder/world/${wiki#*=}-pages-articles.xml.bz2" wiki="${wiki%=*}"
        run python scripts/extract_wikipedia_redirects.py --dump_file "$file" --output_file "$folder/$wiki-redirects.tsv"
        run python scripts/extract_articles.py --dump_file "$file" --redirect_file "$folder/$wiki-redirects.tsv" \
            --wikidata_id_file "$folder/ids/$([[ $wiki == base ]] && echo en || echo qaa)-wikidata-ids.tsv" \
            --output_dir "$folder/$wiki"
    done
    if [[ ! -f "$folder/scratch/config.json" ]]; then
        run python scripts/make_tiny_model.py --preprocessed_dataset_dir "$folder/base" \
            --preprocessed_dataset_dir "$folder/target" --preprocessed_dataset_dir "$folder/parallel" \
            --output_dir "$folder/scratch" --seed "$seed" "${model[@]}"
    fi
    for wiki in base=base=ids target=target=ids parallel=parallel=ids shuffled=target=shuffled-ids; do
        IFS='=' read -r wiki articles ids <<<"$wiki"
        run python scripts/build_wikipedia_dataset.py --model_name "$folder/scratch" \
            --preprocessed_dataset_dir "$folder/$articles" --wikidata_id_file "$folder/$ids/en-wikidata-ids.tsv" \
            --output_dir "$folder/data-$wiki"
        run python scripts/check_training_text.py --world_dir "$folder/world" --dataset_dir "$folder/data-$wiki" \
            --model_name "$folder/scratch" --purpose "$([[ $wiki == base ]] && echo base || echo target)"
    done

    tell "the base model, made from nothing on the English Wikipedia"
    run env RUN_NAME="base_seed$seed" OUTPUT_DIR="$folder/base-model" MODEL_NAME_OR_PATH="$folder/scratch" \
        WIKIPEDIA_DATASET_DIR="$folder/data-base" TRAIN_CONFIG="$base_config" ACCELERATE_CONFIG="$machine" SEED="$seed" \
        RESUME=1 ./train.sh --keep_checkpoints 0
    fill_table base
    tell "$(python scripts/check_base_model.py --results_dir "$work/results/base_seed$seed")"
    tell "the arms: $rows"
    fill_table "$rows"
    tell "done"
}

# fill_table ROWS: trains and evaluates them, as far as they are not there
fill_table() {
    run env ACCELERATE_CONFIG="$machine" FACTS_DIR="$folder/world" NUM_PROCESSES=1 \
        python scripts/run_table.py --run --table "$table" --train_config "$arm_config" --rows "$1" --seeds "$seed" \
        --models_dir "$work/models" --results_dir "$work/results" --dataset_dir "$work/seed{seed}/data-{dataset}"
}

workers=()
for ((worker = 0; worker < jobs && worker < ${#seeds[@]}; worker++)); do
    (
        for ((number = worker; number < ${#seeds[@]}; number += jobs)); do
            seed=${seeds[number]}
            trap 'tell "failed; the last lines of $work/seed$seed.log:"; tail -n 3 "$work/seed$seed.log" >&3' ERR
            make_seed "$seed" >"$work/seed$seed.log" 2>&1
        done
    ) &
    workers+=($!)
done
failed=0
for worker in "${workers[@]}"; do
    wait "$worker" || failed=1
done
((failed == 0)) || exit 1

run python scripts/make_results_table.py --table "$table" --results_dir "$work/results" --output_dir "$work/tables" \
    >"$work/tables.log"
run python scripts/summarise_demonstration.py --table "$table" --results_dir "$work/results" --output_dir "$work"
