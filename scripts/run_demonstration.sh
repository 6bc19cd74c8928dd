#!/usr/bin/env bash
# The effect of the method, shown on an invented world: docs/demonstration.md tells what it is and what came out.
#
#   SHORT=1 bash scripts/run_demonstration.sh    3 arms x 2 seeds: a quarter of an hour on 2 cores
#   bash scripts/run_demonstration.sh            9 arms x 5 seeds: an hour and a quarter
#   GPU=1 bash scripts/run_demonstration.sh      a larger world and a larger model, on one GPU
#   SEEDS="1 2 3" ROWS=none,right ...            these seeds, and these rows of configs/tables/demonstration.yaml
#   WORK=work/deeper SHAPE="--num_layers 6" ...  another model (options of make_tiny_model.py), in a folder of its own;
#                                                SIZES: another world (options of make_invented_world.py);
#                                                BASE_CONFIG, ARM_CONFIG: other training files
#
# Everything is written to work/demonstration (GPU=1: work/demonstration-gpu), or to WORK. Stop it at any time: the same command
# continues, and the full form takes over what the short one has made. JOBS seeds are made at a time (as many as there
# are cores; GPU=1: 2); what their steps print is in seed<number>.log there.
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

table=configs/tables/demonstration.yaml
rows=none,right,shuffled,right_p1,left,replace,no_name_loss,no_tags,parallel
seeds="1 2 3 4 5"
if [[ "${SHORT:-0}" != 0 ]]; then
    rows=none,right,shuffled
    seeds="1 2"
fi
rows="${ROWS:-$rows}"
read -ra seeds <<<"${SEEDS:-$seeds}"

if [[ "${GPU:-0}" == 0 ]]; then
    work="${WORK:-work/demonstration}"
    jobs="${JOBS:-$(nproc)}"
    machine=configs/accelerate/cpu.yaml
    config=configs/train/demonstration
    sizes="" # as make_invented_world.py has them of itself: 120 entities, 6 relations of 8 values, 100 bridges
    shape="--num_layers 3" # 0.7 million parameters
    vocabulary=4000        # more than there are words, so that each word is one token
    export OMP_NUM_THREADS=1
else
    work="${WORK:-work/demonstration-gpu}"
    jobs="${JOBS:-2}" # they share the GPU
    machine=configs/accelerate/single_gpu.yaml
    config=configs/train/demonstration_gpu
    sizes="--entities 1200 --bridges 1000 --locals 600 --name_pieces 120 --questions 320"
    sizes+=" --base_sentences 800000 --target_sentences 500000"
    shape="--num_layers 12 --hidden_size 768 --num_heads 12" # 87 million parameters
    vocabulary=900                                           # so few that names are made of several tokens
fi
base_config="${BASE_CONFIG:-${config}_base.yaml}"
arm_config="${ARM_CONFIG:-$config.yaml}"
read -ra sizes <<<"$sizes ${SIZES:-}"
read -ra shape <<<"--tie_embeddings --vocab_size $vocabulary $shape ${SHAPE:-}"
mkdir -p "$work"
exec 9>>"$work/.lock" # held by the steps, too: one that outlives this script still writes
if ! flock -n 9; then
    echo "error: $work: $(<"$work/.lock") writes here; wait for it or stop it" >&2
    exit 1
fi
echo "process $$ on $(hostname), since $(date '+%Y-%m-%d %H:%M:%S')," >"$work/.lock"

exec 3>&1
tell() { echo "$(date '+%H:%M:%S') seed $seed: $*" >&3; } # for the person who waits; all else goes to the seed's log

# make_seed: everything of `seed`, from the world to the results of the arms
make_seed() {
    local folder=$work/seed$seed part dump language articles ids purpose known
    tell "an invented world, its Wikipedias, the training datasets"
    run python scripts/make_invented_world.py --seed "$seed" --output_dir "$folder/world" "${sizes[@]}"
    # The ids of the pages; then those where an entity has the English page of another one.
    run python scripts/extract_wikidata_ids.py --languages en,qaa --output_dir "$folder/ids" \
        --dump_file "$folder/world/wikidatawiki-wb_items_per_site.sql.gz"
    run python scripts/extract_wikidata_ids.py --languages en,qaa --output_dir "$folder/ids-shuffled" \
        --dump_file "$folder/world/wikidatawiki-shuffled-wb_items_per_site.sql.gz"
    # The articles that the base model reads, those of the arms, and those with pairs of names.
    for part in base:enwiki:en target:qaawiki:qaa parallel:qaawiki-parallel:qaa; do
        IFS=: read -r part dump language <<<"$part"
        dump=$folder/world/$dump-pages-articles.xml.bz2
        run python scripts/extract_wikipedia_redirects.py --dump_file "$dump" --output_file "$folder/$part-redirects.tsv"
        run python scripts/extract_articles.py --dump_file "$dump" --redirect_file "$folder/$part-redirects.tsv" \
            --wikidata_id_file "$folder/ids/$language-wikidata-ids.tsv" --output_dir "$folder/$part"
    done
    [[ -f "$folder/scratch/config.json" ]] ||
        run python scripts/make_tiny_model.py --preprocessed_dataset_dir "$folder/base" \
            --preprocessed_dataset_dir "$folder/target" --preprocessed_dataset_dir "$folder/parallel" \
            --output_dir "$folder/scratch" --seed "$seed" "${shape[@]}"
    # The training datasets; a text that states what nobody is to know stops everything.
    for part in base:base:ids:base target:target:ids:target parallel:parallel:ids:target \
        shuffled:target:ids-shuffled:target; do
        IFS=: read -r part articles ids purpose <<<"$part"
        run python scripts/build_wikipedia_dataset.py --model_name "$folder/scratch" \
            --preprocessed_dataset_dir "$folder/$articles" --output_dir "$folder/data-$part" \
            --wikidata_id_file "$folder/$ids/en-wikidata-ids.tsv"
        run python scripts/check_training_text.py --purpose "$purpose" --world_dir "$folder/world" \
            --dataset_dir "$folder/data-$part" --model_name "$folder/scratch"
    done

    tell "the base model"
    run env RUN_NAME="base_seed$seed" OUTPUT_DIR="$folder/base-model" MODEL_NAME_OR_PATH="$folder/scratch" \
        WIKIPEDIA_DATASET_DIR="$folder/data-base" TRAIN_CONFIG="$base_config" ACCELERATE_CONFIG="$machine" SEED="$seed" \
        RESUME=1 ./train.sh --keep_checkpoints 0
    fill_table base
    known=$(python scripts/check_base_model.py --results_dir "$work/results/base_seed$seed") # or stops here
    tell "$known"

    tell "the arms: $rows"
    fill_table "$rows"
    tell "done"
}

# fill_table ROWS: trains and evaluates what of these rows is not there
fill_table() {
    run env ACCELERATE_CONFIG="$machine" FACTS_DIR="$work/seed$seed/world" NUM_PROCESSES=1 \
        python scripts/run_table.py --run --table "$table" --rows "$1" --seeds "$seed" --train_config "$arm_config" \
        --model_name_or_path "$work/seed{seed}/base-model" --dataset_dir "$work/seed{seed}/data-{dataset}" \
        --models_dir "$work/models" --results_dir "$work/results"
}

workers=()
for ((worker = 0; worker < jobs && worker < ${#seeds[@]}; worker++)); do
    (
        for ((number = worker; number < ${#seeds[@]}; number += jobs)); do
            seed=${seeds[number]}
            log=$work/seed$seed.log
            trap 'tell "failed; $log ends:"; tail -n 2 "$log" >&3' ERR
            make_seed >"$log" 2>&1
        done
    ) &
    workers+=($!)
done
failed=0
for worker in "${workers[@]}"; do
    wait "$worker" || failed=1
done
((failed == 0)) || exit 1

python scripts/make_results_table.py --table "$table" --results_dir "$work/results" --output_dir "$work/tables" >/dev/null
run python scripts/summarise_demonstration.py --table "$table" --results_dir "$work/results" --output_dir "$work"
