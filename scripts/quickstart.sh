#!/usr/bin/env bash
# The whole pipeline on the sample wiki of tests/sample, in an environment that it sets up itself.
#
#   bash scripts/quickstart.sh          under 5 minutes after installation on 2 cores
#
# Two tiny Wikipedias (Spanish and Japanese) go from the dump to the table, step by step as real ones do: corpus,
# preview, training, evaluation. Everything is written to work/quickstart (some MB), which each call empties first.
# Models of this size prove only that the pipeline works.
set -euo pipefail
if [ "$#" -gt 0 ]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ "$1" == --help || "$1" == -h ]] && exit 0
    exit 2
fi
# shellcheck source=scripts/set_up.sh
source "$(dirname "${BASH_SOURCE[0]}")/set_up.sh"
# shellcheck source=scripts/show_command.sh
source scripts/show_command.sh # `run` prints a command and runs it
export HF_HUB_OFFLINE=1     # nothing is downloaded: the tokenizer and the model are made on the spot

sample=tests/sample
work=work/quickstart
languages=(es ja)
mkdir -p work
exec 9>>work/.quickstart.lock # held by the steps, too: one that outlives this script still writes
if ! flock -n 9; then
    echo "error: $work: $(<work/.quickstart.lock) writes here; wait for it or stop it" >&2
    exit 1
fi
echo "process $$ on $(hostname), since $(date '+%Y-%m-%d %H:%M:%S')," >work/.quickstart.lock
rm -rf "$work"
mkdir -p "$work/dumps"

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

step "1. Dumps, compressed as the dump site does"
bzip2 -c "$sample/wikidata-sample.json" >"$work/dumps/wikidata-all.json.bz2"
for language in "${languages[@]}"; do
    bzip2 -c "$sample/${language}wiki-sample-pages-articles.xml" >"$work/dumps/${language}wiki-pages-articles.xml.bz2"
done
ls -sh "$work/dumps"

step "2. Wikidata ids: which page is which entity, in each Wikipedia and in the English one, which gives the names"
run python scripts/extract_wikidata_ids.py --dump_file "$work/dumps/wikidata-all.json.bz2" \
    --output_dir "$work/wikidata" --languages "en,es,ja"

step "3. Redirects: other names of a page that links may use"
for language in "${languages[@]}"; do
    run python scripts/extract_wikipedia_redirects.py --output_file "$work/$language/redirects.tsv" \
        --dump_file "$work/dumps/${language}wiki-pages-articles.xml.bz2"
done

step "4. Articles: plain text, and links that know their Wikidata ids"
for language in "${languages[@]}"; do
    folder="$work/$language"
    run python scripts/extract_articles.py --dump_file "$work/dumps/${language}wiki-pages-articles.xml.bz2" \
        --redirect_file "$folder/redirects.tsv" --wikidata_id_file "$work/wikidata/$language-wikidata-ids.tsv" \
        --output_dir "$folder/preprocessed"
done

step "5. A small Llama and its tokenizer, made from the sample (a real run takes a model of the hub here)"
run python scripts/make_tiny_model.py --preprocessed_dataset_dir "$work/es/preprocessed" \
    --preprocessed_dataset_dir "$work/ja/preprocessed" --output_dir "$work/tiny-model"

step "6. The training datasets: tokens, and which of them a name can be put beside"
for language in "${languages[@]}"; do
    folder="$work/$language"
    run python scripts/build_wikipedia_dataset.py --model_name "$work/tiny-model" \
        --preprocessed_dataset_dir "$folder/preprocessed" --wikidata_id_file "$work/wikidata/en-wikidata-ids.tsv" \
        --output_dir "$folder/dataset"
done

step "7. What training will read: names between tags, beside the links (the page is for a browser)"
run python scripts/preview_dataset.py --model_name "$work/tiny-model" --dataset_dir "$work/es/dataset" \
    --max_length 128 --num_samples 2 | cat # in a terminal it would wait for a key after each block
run python scripts/preview_dataset.py --model_name "$work/tiny-model" --dataset_dir "$work/ja/dataset" \
    --max_length 512 --num_samples 8 --preprocessed_dataset_dir "$work/ja/preprocessed" \
    --wikidata_id_file "$work/wikidata/en-wikidata-ids.tsv" --html "$work/preview.html"

step "8. Statistics: what is in the datasets, and which links became names"
for language in "${languages[@]}"; do
    run python scripts/compute_dataset_stats.py --wikipedia_dataset_dir "$work/$language/dataset" \
        --json "$work/$language/dataset-statistics.json"
    run python scripts/compute_link_stats.py --preprocessed_dataset_dir "$work/$language/preprocessed" \
        --wikidata_id_file "$work/wikidata/en-wikidata-ids.tsv" --json "$work/$language/link-statistics.json"
done
run python scripts/make_corpus_report.py --output_dir "$work/corpus" \
    --corpus "$work/es/dataset-statistics.json" "$work/es/link-statistics.json" \
    --corpus "$work/ja/dataset-statistics.json" "$work/ja/link-statistics.json"

step "9. Fine-tuning: without names (none: the plain-Wikipedia baseline), and with names to the right of the links"
for language in "${languages[@]}"; do
    for strategy in none right; do
        run env RUN_NAME="${language}_$strategy" OUTPUT_DIR="$work/models/${language}_$strategy" \
            MODEL_NAME_OR_PATH="$work/tiny-model" WIKIPEDIA_DATASET_DIR="$work/$language/dataset" \
            ENTITY_NAME_INSERTION_STRATEGY="$strategy" TRAIN_CONFIG=configs/train/tiny_cpu.yaml \
            ACCELERATE_CONFIG=configs/accelerate/cpu.yaml ./train.sh
    done
done

step "10. How the trainings went: losses, learning rate and speed as one figure"
run python scripts/make_training_report.py --run_dir "$work/models/es_none" --run_dir "$work/models/es_right" \
    --run_dir "$work/models/ja_none" --run_dir "$work/models/ja_right" --output_file "$work/training.svg"

step "11. Evaluation: the base model, and each fine-tuned model in its language"
run env MODEL_NAME_OR_PATH="$work/tiny-model" TASKS=xcodah_es,xcsqa_es,xcodah_ja,xcsqa_ja NUM_FEWSHOT_SAMPLES=0,4,0,4 \
    RESULTS_DIR="$work/results/base" XCSR_DIR=tests/sample/xcsr NUM_PROCESSES=1 ./evaluate.sh
for language in "${languages[@]}"; do
    for strategy in none right; do
        name="${language}_$strategy"
        run env MODEL_NAME_OR_PATH="$work/models/$name" TASKS="xcodah_$language,xcsqa_$language" NUM_FEWSHOT_SAMPLES=0,4 \
            RESULTS_DIR="$work/results/$name" XCSR_DIR=tests/sample/xcsr NUM_PROCESSES=1 ./evaluate.sh
    done
done

step "12. The table"
run python scripts/make_results_table.py --table configs/tables/quickstart.yaml --results_dir "$work/results" \
    --output_dir "$work/tables" --note "Tiny models from scratch: this shows that the pipeline works, and nothing else."

cat <<EOF

Done. Look at:
  $work/preview.html              the augmented text in a browser; move the slider, switch the strategy
  $work/{es,ja}/dataset           the training datasets, with manifest.json
  $work/corpus/                   both datasets side by side, as tables and a figure
  $work/models/                   four models, loadable by transformers
  $work/training.svg              their losses, learning rate and speed
  $work/tables/                   the table as Markdown, LaTeX, CSV and figures

What the method does, shown in a quarter of an hour on an invented world (docs/demonstration.md):
  SHORT=1 bash scripts/run_demonstration.sh
Next, a real language (README, "A real language"):
  LANG=ja MODEL_NAME_OR_PATH=meta-llama/Llama-2-7b-hf bash scripts/build_corpus.sh
The scripts by hand: source .venv/bin/activate
EOF
