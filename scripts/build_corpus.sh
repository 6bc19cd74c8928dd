#!/usr/bin/env bash
# From two dumps to the training dataset of one language. A step whose output is complete says so and does nothing, so
# the same command continues where an earlier run was stopped, however it was stopped.
#
#     LANG=ja MODEL_NAME_OR_PATH=meta-llama/Llama-2-7b-hf bash scripts/build_corpus.sh
#
# Variables (each has a default):
#   LANG                   language code of the Wikipedia, as in its address: ja, sw, zh-min-nan ...     (no default)
#   MODEL_NAME_OR_PATH     model whose tokenizer is used, on the hub or in a folder       (meta-llama/Llama-2-7b-hf)
#   WIKIPEDIA_DUMP_DATE    date of the Wikipedia dump, 2026-01-01 or 20260101                (the newest complete one)
#   WIKIDATA_DUMP_DATE     date of the Wikidata dump                                         (the newest complete one)
#   WIKIPEDIA_DATA_DIR     folder for the dump, the redirects and the articles                        (work/wikipedia)
#   WIKIDATA_DATA_DIR      folder for the Wikidata dump and the ids; languages can share it             (work/wikidata)
#   WIKIPEDIA_DATASET_DIR  folder of the training dataset                          (work/datasets/<wiki>-<model's name>)
#   WIKIDATA_SOURCE        sql: the table of the sitelinks, about 2 GB; json: the whole dump, over 100 GB         (sql)
#   PIVOT_LANGUAGE         language of the inserted names                                                          (en)
#   NUM_WORKERS            processes; the outputs do not depend on it                                       (all cores)
#   WIKIPEDIA_DUMP_FILE    a dump that lies on disk, a file or a folder of parts, used as it is          (is downloaded)
#   WIKIDATA_DUMP_FILE     the same for Wikidata (.json.bz2 or .sql.gz)                                  (is downloaded)
#   DUMP_SITE              a mirror of the dump site                                      (https://dumps.wikimedia.org)
#   ARCHIVE_SITE           where dumps are that left the dump site                                (https://archive.org)
#   PYTHON                 the Python to use     (that of the active environment, else .venv/bin/python of the project)
#   DRY_RUN=1              print the commands, as a shell script, and run nothing
#
# Which date? The newest, unless you name one; the dumps know theirs, so that the same command goes on with it later. For
# another date name another folder. The paper's is in the archive: WIKIPEDIA_DUMP_DATE and WIKIDATA_DUMP_DATE 20230701.
set -euo pipefail
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/show_command.sh
source "$ROOT/scripts/show_command.sh" # `run` prints a command and runs it
fail() { printf 'error: %s\n' "$1" >&2 && exit "${2:-2}"; } # 2: wrong use
if [[ $# -gt 0 ]]; then
    [[ $1 == --help || $1 == -h ]] || fail "expected variables and no arguments, found ${1@Q}; see bash $0 --help"
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
fi

# The settings. LANG is the locale of a shell, too: here it is a language code, and the steps get a UTF-8 locale.
language=${LANG:-} pivot=${PIVOT_LANGUAGE:-en} workers=${NUM_WORKERS:-$(nproc)}
for code in "$language" "$pivot"; do # as in leia.corpus.titles, but told by the names of the variables
    [[ $code =~ ^[a-z]{2,12}([-_][a-z0-9]{1,12}){0,2}$ ]] ||
        fail "LANG, PIVOT_LANGUAGE: expected language codes like ja or zh-min-nan, found ${code@Q}"
done
[[ $workers =~ ^[1-9][0-9]*$ ]] || fail "NUM_WORKERS: expected a number of processes, found ${workers@Q}"
export LC_ALL=C.UTF-8 LANG=C.UTF-8 PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}
[[ ! -d $ROOT/.venv/bin || -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]] || PATH=$ROOT/.venv/bin:$PATH
python=${PYTHON:-$(command -v python3)} work=$ROOT/work
packages="'click', 'datasets', 'msgspec', 'rapidgzip', 'transformers'"
"$python" -P -c "from importlib.util import find_spec; assert all(map(find_spec, ($packages)))" 2>/dev/null ||
    fail "$python lacks packages of the project; run: $python -m pip install -r $ROOT/requirements.txt" 1
model=${MODEL_NAME_OR_PATH:-meta-llama/Llama-2-7b-hf} model=${model%/}
wikipedia_dir=${WIKIPEDIA_DATA_DIR:-$work/wikipedia} wikipedia_dir=${wikipedia_dir%/}
wikidata_dir=${WIKIDATA_DATA_DIR:-$work/wikidata} wikidata_dir=${wikidata_dir%/}
dumps=(--language "$language" --wikipedia_data_dir "$wikipedia_dir" --wikidata_data_dir "$wikidata_dir"
    ${DUMP_SITE:+--dump_site "$DUMP_SITE"} ${ARCHIVE_SITE:+--archive_site "$ARCHIVE_SITE"}
    ${WIKIDATA_SOURCE:+--wikidata_source "$WIKIDATA_SOURCE"}
    ${WIKIPEDIA_DUMP_DATE:+--wikipedia_dump_date "$WIKIPEDIA_DUMP_DATE"}
    ${WIKIDATA_DUMP_DATE:+--wikidata_dump_date "$WIKIDATA_DUMP_DATE"}
    ${WIKIPEDIA_DUMP_FILE:+--wikipedia_dump_file "$WIKIPEDIA_DUMP_FILE"}
    ${WIKIDATA_DUMP_FILE:+--wikidata_dump_file "$WIKIDATA_DUMP_FILE"})

# The files: ja is the wiki jawiki, zh-min-nan is zh_min_nanwiki. The dump of the pages is a folder of one part or more.
names=$("$python" "$ROOT/scripts/download_dumps.py" "${dumps[@]}" --print_names)
read -r wiki wikipedia_dump wikidata_dump <<<"$names"
wikipedia_dump=${WIKIPEDIA_DUMP_FILE:-$wikipedia_dir/$wikipedia_dump}
wikidata_dump=${WIKIDATA_DUMP_FILE:-$wikidata_dir/$wikidata_dump}
redirects=$wikipedia_dir/$wiki-redirects.tsv articles=$wikipedia_dir/$wiki-preprocessed
ids=$wikidata_dir/ids-$pivot-$language ids_here=$ids/$language-wikidata-ids.tsv ids_pivot=$ids/$pivot-wikidata-ids.tsv
dataset=${WIKIPEDIA_DATASET_DIR:-$work/datasets/$wiki-${model##*/}} dataset=${dataset%/}

[[ ${DRY_RUN:-0} == 0 ]] || show_command export LC_ALL=C.UTF-8 LANG=C.UTF-8 PYTHONPATH="$PYTHONPATH"
# A step is killed with this script, so that the next run does not meet it.
if command -v setpriv >/dev/null; then started_by=(setpriv --pdeathsig KILL --); fi

# Writes nothing. A tokenizer that does not serve (a gated model, a missing package) is told now, not hours later in step 5.
check=("$python" "$ROOT/scripts/check_tokenizer.py" --model_name "$model")
if [[ ${DRY_RUN:-0} != 0 ]]; then
    show_command "${check[@]}"
else
    told=$("${started_by[@]}" "${check[@]}" 2>&1) || fail "MODEL_NAME_OR_PATH: ${told##*error: }" 1
    printf '%s\n' "$told"
fi

# 1. Writes the two dumps, checked. Japanese: 4.5 GB. Wikidata: 2 GB as the table of the sitelinks, over 100 GB as JSON,
# which has no more of them. A used-up dump may be deleted, its NAME.export.json not: it is not downloaded again then.
run "$python" "$ROOT/scripts/download_dumps.py" "${dumps[@]}" --wikipedia_used_by "$redirects" \
    --wikipedia_used_by "$articles" --wikidata_used_by "$ids_here" --wikidata_used_by "$ids_pivot"

# 2. Writes one `title<TAB>target` a redirect. Takes minutes: a corrupt dump is found here, before step 4 takes hours.
run "$python" "$ROOT/scripts/extract_wikipedia_redirects.py" --dump_file "$wikipedia_dump" --output_file "$redirects"

# 3. Writes one `title<TAB>QID` a page, for the language and for the pivot in one pass. English has 10 million rows.
run "$python" "$ROOT/scripts/extract_wikidata_ids.py" --dump_file "$wikidata_dump" --output_dir "$ids" \
    --languages "$pivot,$language"

# 4. Writes the articles as plain text with anchors that know their Wikidata ids. The longest step: see
# docs/benchmarks.md for the hours that it takes. The paper's own way there is in docs/corpus.md.
run "$python" "$ROOT/scripts/extract_articles.py" --dump_file "$wikipedia_dump" --redirect_file "$redirects" \
    --wikidata_id_file "$ids_here" --output_dir "$articles" --num_workers "$workers"

# 5. Writes the token ids, the positions of the entities and the tokens of their names: what training reads.
run "$python" "$ROOT/scripts/build_wikipedia_dataset.py" --model_name "$model" --preprocessed_dataset_dir "$articles" \
    --wikidata_id_file "$ids_pivot" --output_dir "$dataset" --pivot_language "$pivot" --num_workers "$workers"

# 6. Prints what is in the dataset and which links became names, and writes both as JSON beside it. Counts every time.
run "$python" "$ROOT/scripts/compute_dataset_stats.py" --wikipedia_dataset_dir "$dataset" \
    --json "$dataset.dataset-statistics.json"
run "$python" "$ROOT/scripts/compute_link_stats.py" --preprocessed_dataset_dir "$articles" \
    --wikidata_id_file "$ids_pivot" --pivot_language "$pivot" --json "$dataset.link-statistics.json"

printf '# The dataset lies in %s; look at samples with:\n# %s\n' "${dataset@Q}" \
    "$(show_command python scripts/preview_dataset.py --model_name "$model" --dataset_dir "$dataset")"
