#!/usr/bin/env bash
# From two dumps to the training dataset of one language, in seven steps. Each step is skipped when its output is
# complete, so the same command goes on where an earlier run was stopped, however it was stopped; when everything is
# there it does nothing.
#
#     LANG=ja MODEL_NAME_OR_PATH=meta-llama/Llama-2-7b-hf bash scripts/build_corpus.sh
#
# Variables (each has a default):
#   LANG                   language code of the Wikipedia, as in its address: ja, sw, zh-min-nan ...     (no default)
#   MODEL_NAME_OR_PATH     model whose tokenizer is used, on the hub or in a folder       (meta-llama/Llama-2-7b-hf)
#   WIKIPEDIA_DUMP_DATE    date of the Wikipedia dump, YYYYMMDD                                  (the paper's: 20230701)
#   WIKIDATA_DUMP_DATE     date of the Wikidata dump                 (the paper's: 20230703 for json, 20230701 for sql)
#   WIKIPEDIA_DATA_DIR     folder for the dump, the text, the redirects and the articles              (work/wikipedia)
#   WIKIDATA_DATA_DIR      folder for the Wikidata dump and the ids; languages can share it             (work/wikidata)
#   WIKIPEDIA_DATASET_DIR  folder of the training dataset                          (work/datasets/<wiki>-<model's name>)
#   WIKIDATA_SOURCE        sql: the table of the sitelinks, about 2 GB; json: the whole dump, over 100 GB         (sql)
#   PIVOT_LANGUAGE         language of the inserted names                                                          (en)
#   NUM_WORKERS            processes; the outputs do not depend on it                                       (all cores)
#   WIKIPEDIA_DUMP_FILE    a dump that lies on disk, used as it is                                       (is downloaded)
#   WIKIDATA_DUMP_FILE     the same for Wikidata (.json.bz2 or .sql.gz)                                  (is downloaded)
#   DUMP_SITE              a mirror of the dump site                                      (https://dumps.wikimedia.org)
#   PYTHON                 the Python to use     (that of the active environment, else .venv/bin/python of the project)
#   DRY_RUN=1              print the commands and run nothing
#
# Which date? The dump site keeps the dumps of the last months only, so the paper's are found on mirrors and archives
# alone. Open https://dumps.wikimedia.org/jawiki/ (with your wiki's name), take the newest date whose page says
# "Dump complete", and the same date for the SQL table of Wikidata if https://dumps.wikimedia.org/wikidatawiki/ has it
# (else the next one before). JSON dumps have dates of their own: https://dumps.wikimedia.org/wikidatawiki/entities/
#
# Needs bash, wget, sha1sum and flock, and the Python packages of requirements.txt.

set -euo pipefail

readonly STEPS=7
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
# shellcheck source=scripts/show_command.sh
source "$ROOT/scripts/show_command.sh"

# `error: ...` in one line; exit code 2 for wrong use, 1 for all else.
fail() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

if [[ $# -gt 0 ]]; then
    [[ $1 == --help || $1 == -h ]] || fail "takes no arguments, only variables; see bash $0 --help" 2
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
    exit 0
fi

# ---------------------------------------------------------------------------------------------------------------------
# What is to be made, and where. All that can be known now is checked now.

# The project's LANG is a language code, which is no locale: it is kept, and the steps get a UTF-8 locale.
language=${LANG:-}
export LC_ALL=C.UTF-8 LANG=C.UTF-8
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}

if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    if [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]]; then
        PYTHON=python
    elif [[ -x $ROOT/.venv/bin/python ]]; then
        PYTHON=$ROOT/.venv/bin/python
    fi
fi
"$PYTHON" -P -c 'import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, ["click", "datasets", "rapidgzip", "simdjson", "transformers", "wikiextractor"])))' ||
    fail "$PYTHON lacks packages of the project; run: $PYTHON -m pip install -r $ROOT/requirements.txt"

# call VARIABLE FUNCTION ARGUMENT...: asks a function of the project, and prints the text that it returns. Fails where it
# returns False, and where it objects, which it does in one line that begins with the VARIABLE.
call() {
    "$PYTHON" -P -c 'import sys
from pkgutil import resolve_name
from leia.base.cli import describe_os_error, fail
from leia.base.errors import InputError
try:
    result = resolve_name(sys.argv[2])(*sys.argv[3:])
except (InputError, OSError) as error:
    fail(f"{sys.argv[1]}: {error if isinstance(error, InputError) else describe_os_error(error)}")
if isinstance(result, str):
    print(result)
sys.exit(result is False)' "$@" 8>&- 9>&-  # the locks are this script's alone
}

# ja is the wiki jawiki, zh-min-nan is zh_min_nanwiki, be-tarask is be_x_oldwiki: on the dump site and in Wikidata.
# A code that is none (or the locale of this shell) ends here, before any path or address is made from it.
call LANG leia.corpus.titles:check_language "$language" >/dev/null || exit 2
wiki=$(call LANG leia.corpus.titles:site_of_language "$language")
pivot=${PIVOT_LANGUAGE:-en}
call PIVOT_LANGUAGE leia.corpus.titles:check_language "$pivot" >/dev/null || exit 2

model=${MODEL_NAME_OR_PATH:-meta-llama/Llama-2-7b-hf}
model=${model%/}
workers=${NUM_WORKERS:-$(nproc)}
source=${WIKIDATA_SOURCE:-sql}
site=${DUMP_SITE:-https://dumps.wikimedia.org}
wikipedia_date=${WIKIPEDIA_DUMP_DATE:-20230701}
wikipedia_dir=${WIKIPEDIA_DATA_DIR:-$ROOT/work/wikipedia}
wikidata_dir=${WIKIDATA_DATA_DIR:-$ROOT/work/wikidata}
dataset=${WIKIPEDIA_DATASET_DIR:-$ROOT/work/datasets/$wiki-${model##*/}}
wikipedia_dir=${wikipedia_dir%/} wikidata_dir=${wikidata_dir%/} dataset=${dataset%/}

case $source in
    # Both hold the same sitelinks. The table is some fifty times smaller, and is dumped on the same days as Wikipedia.
    sql)
        wikidata_date=${WIKIDATA_DUMP_DATE:-20230701}
        wikidata_folder=wikidatawiki/$wikidata_date
        wikidata_name=wikidatawiki-$wikidata_date-wb_items_per_site.sql.gz
        wikidata_sums=wikidatawiki-$wikidata_date-sha1sums.txt
        ;;
    json)
        wikidata_date=${WIKIDATA_DUMP_DATE:-20230703}
        wikidata_folder=wikidatawiki/entities/$wikidata_date
        wikidata_name=wikidata-$wikidata_date-all.json.bz2
        wikidata_sums=wikidata-$wikidata_date-sha1sums.txt
        ;;
    *) fail "WIKIDATA_SOURCE is $source; expected sql or json" 2 ;;
esac
[[ $wikipedia_date =~ ^[0-9]{8}$ ]] || fail "WIKIPEDIA_DUMP_DATE is $wikipedia_date; expected a date like 20230701" 2
[[ $wikidata_date =~ ^[0-9]{8}$ ]] || fail "WIKIDATA_DUMP_DATE is $wikidata_date; expected a date like 20230701" 2
[[ $workers =~ ^[1-9][0-9]*$ ]] || fail "NUM_WORKERS is $workers; expected a number of processes" 2

wikipedia_name=$wiki-$wikipedia_date-pages-articles-multistream.xml.bz2
wikipedia_dump=${WIKIPEDIA_DUMP_FILE:-$wikipedia_dir/$wikipedia_name}
wikidata_dump=${WIKIDATA_DUMP_FILE:-$wikidata_dir/$wikidata_name}
redirects=$wikipedia_dir/$wiki-redirects.tsv
text=$wikipedia_dir/$wiki-text
ids=$wikidata_dir/ids-$pivot-$language
language_ids=$ids/$language-wikidata-ids.tsv
pivot_ids=$ids/$pivot-wikidata-ids.tsv
articles=$wikipedia_dir/$wiki-preprocessed
dataset_statistics=$dataset.dataset-statistics.json
link_statistics=$dataset.link-statistics.json

# ---------------------------------------------------------------------------------------------------------------------
# Small tools.

worked=
dry_run=
[[ -z ${DRY_RUN:-} || ${DRY_RUN:-} == 0 ]] || dry_run=1

# With DRY_RUN all that is printed is a shell script, and what is said are its comments.
say() { printf '%s%s\n' "${dry_run:+# }" "${1//$'\n'/ }"; }
step() { say "step $1 of $STEPS: $2"; }
skip() { say "  complete already: $1"; }

# A step dies with this script, even when it is killed, so that a new run never meets the steps of an old one.
bound=()
if command -v setpriv >/dev/null; then bound=(setpriv --pdeathsig KILL --); fi

run() {
    worked=1
    if [[ -n $dry_run ]]; then
        show_command "$@"
    else
        "${bound[@]}" "$@" 8>&- 9>&-  # the locks are this script's alone
    fi
}

# made_from MANIFEST TOKENIZER INPUT...: is the output of that manifest there, and made from these inputs?
made_from() { call manifest leia.base.step:was_made_from "$@"; }
redirects_are_complete() { [[ -f $redirects ]] && made_from "$redirects.manifest.json" "" "$wikipedia_dump"; }
text_is_complete() { made_from "$text/manifest.json" "" "$wikipedia_dump"; }
ids_are_complete() {
    [[ -f $language_ids && -f $pivot_ids ]] && made_from "$ids/wikidata-ids.manifest.json" "" "$wikidata_dump"
}
articles_are_complete() { made_from "$articles/manifest.json" "" "$text" "$redirects" "$language_ids"; }
wikipedia_dump_is_used_up() { redirects_are_complete && text_is_complete; }
dataset_is_complete() { made_from "$dataset/manifest.json" "${model##*/}" "$articles" "$pivot_ids"; }
statistics_are_complete() {
    [[ $dataset_statistics -nt $dataset/manifest.json && $link_statistics -nt $dataset/manifest.json ]]
}

# not_downloaded CODE ADDRESS: says why, by the exit code of wget (3: it could not write; 4: network; 153: SIGXFSZ).
not_downloaded() {
    [[ $1 != 3 ]] || fail "$incomplete: cannot be written, is the disk full? make space and run this again: it goes on"
    [[ $1 != 4 ]] || fail "$2: cannot be reached; check the network and DUMP_SITE, and run this again: it goes on"
    [[ $1 != 153 ]] || fail "$incomplete: the file-size limit of this shell is too low (ulimit -f)"
    fail "$2: the download broke off (exit code $1 of wget); run this again, it goes on where it stopped"
}

# download FOLDER NAME CHECKSUMS TARGET VARIABLE: what comes lies in TARGET/incomplete until its checksum is right.
# A download that broke off goes on where it stopped: wget tries 20 times, and the next run of this script again.
download() {
    local folder=$site/$1 name=$2 sums=$3 target=$4 variable=$5 incomplete=$4/incomplete
    local options=(--no-verbose --no-hsts --no-use-server-timestamps --timeout=60 --waitretry=30)
    options+=(--retry-on-http-error='429,500,502,503,504')
    if [[ -t 2 ]]; then options+=(--show-progress); fi
    command -v wget >/dev/null || fail "wget is not installed; install it, or name files on disk (see --help)"
    run mkdir -p -- "$incomplete"
    if [[ -z $dry_run ]]; then
        # Two languages may want the same Wikidata dump at once: one of them waits.
        exec 8>>"$incomplete/.$name.lock"
        flock -n 8 || { say "  another run downloads $name; waiting for it" && flock 8; }
        if [[ -f $target/$name ]]; then
            exec 8>&-
            return
        fi
    fi
    local code=0
    run wget "${options[@]}" --quiet --output-document="$incomplete/$sums" "$folder/$sums" || code=$?
    if [[ $code == 8 ]]; then
        fail "$folder/$sums: not there; old dumps leave the site after months: set $variable to a date of ${folder%/*}/"
    fi
    [[ $code == 0 ]] || not_downloaded "$code" "$folder/$sums"
    if [[ -z $dry_run ]]; then
        grep -q -- "  $name\$" "$incomplete/$sums" ||
            fail "$folder/$sums: does not list $name; that dump is not finished, take an earlier $variable"
    fi
    run wget "${options[@]}" --continue --directory-prefix="$incomplete" "$folder/$name" || code=$?
    [[ $code == 0 ]] || not_downloaded "$code" "$folder/$name"
    if [[ -n $dry_run ]]; then
        printf '(cd -- %s && grep %s | sha1sum --check)\n' \
            "$(show_command "$incomplete")" "$(show_command "  $name\$" "$sums")"
    elif ! (cd -- "$incomplete" && grep -- "  $name\$" "$sums" | sha1sum --check --status); then
        rm -f -- "$incomplete/$name"
        fail "$folder/$name: its SHA-1 is not that of $sums; what came was removed, run this again"
    fi
    run mv -- "$incomplete/$name" "$target/$name"
    run rm -f -- "$incomplete/$sums"
    if [[ -z $dry_run ]]; then exec 8>&-; fi
}

# check_dump VARIABLE DUMP USED_UP CHECK ARGUMENT: is it there, and what it is given as? Two files are easily exchanged.
check_dump() {
    if [[ -f $2 ]]; then
        call "$1" "leia.corpus.downloads:$4" "$2" "$5" || exit 2
    elif [[ -n ${!1:-} ]] && ! $3; then
        fail "$1: $2: there is no such file" 2
    fi
}

# provide DUMP USED_UP FOLDER NAME CHECKSUMS TARGET VARIABLE: a dump that is there or used up is not downloaded.
provide() {
    if [[ -f $1 ]]; then
        skip "$1"
    elif $2; then
        skip "$1 is used up"
    else
        download "${@:3}"
    fi
}

# ---------------------------------------------------------------------------------------------------------------------
# One run a wiki and folder; the lock ends with this process, however that ends.

check_dump WIKIPEDIA_DUMP_FILE "$wikipedia_dump" wikipedia_dump_is_used_up check_wikipedia_dump "$language"
check_dump WIKIDATA_DUMP_FILE "$wikidata_dump" ids_are_complete check_wikidata_dump "${WIKIDATA_SOURCE:-}"

say "$wiki: from ${wikipedia_dump##*/} and ${wikidata_dump##*/} to $dataset"
if [[ -n $dry_run ]]; then
    run export LC_ALL=C.UTF-8 LANG=C.UTF-8 PYTHONPATH="$PYTHONPATH"
else
    mkdir -p -- "$wikipedia_dir" "$wikidata_dir"
    lock=$wikipedia_dir/.$wiki.build_corpus.lock
    exec 9>>"$lock"
    flock -n 9 || fail "$wikipedia_dir: $(<"$lock") builds $wiki here; wait for it or stop it"
    holder="process $$ on $(hostname) (since $(date '+%Y-%m-%d %H:%M:%S'))"
    reason=$({ printf '%s' "$holder" >"$lock"; } 2>&1) || fail "$wikipedia_dir: ${reason##*: }; mend that and run this again"

    # A tokenizer that does not load (no access to a gated model, a typing error) would be seen hours later in step 6.
    dataset_is_complete || call MODEL_NAME_OR_PATH leia.data.tokenizers:load_tokenizer "$model"
fi

# ---------------------------------------------------------------------------------------------------------------------
# Writes the two dumps, checked against the checksums of the dump site. Japanese: 4.5 GB. Wikidata: about 2 GB as the
# table wb_items_per_site, over 100 GB as JSON (WIKIDATA_SOURCE=json); only the sitelinks are needed, and both hold all
# of them. A dump that is on disk is used as it is, and one that is used up may be deleted: it is not fetched again.
step 1 "the dumps"
provide "$wikipedia_dump" wikipedia_dump_is_used_up \
    "$wiki/$wikipedia_date" "$wikipedia_name" "$wiki-$wikipedia_date-sha1sums.txt" "$wikipedia_dir" WIKIPEDIA_DUMP_DATE
provide "$wikidata_dump" ids_are_complete \
    "$wikidata_folder" "$wikidata_name" "$wikidata_sums" "$wikidata_dir" WIKIDATA_DUMP_DATE

# Writes one `title<TAB>target` a redirect. Decompresses the dump to its last byte on all cores, which takes minutes
# where WikiExtractor takes hours: so a dump that breaks off or is corrupt is found here, before step 3.
step 2 "redirects"
if redirects_are_complete; then
    skip "$redirects"
else
    run "$PYTHON" "$ROOT/scripts/extract_wikipedia_redirects.py" --dump_file "$wikipedia_dump" \
        --output_file "$redirects"
fi

# Writes the articles' text with their links, in files of 1 MB (AA/wiki_00 ...). This is
#     wikiextractor DUMP -o OUT --html-safe "" --links --no-templates
# run so that its output is whole or not there. The longest step: one process reads the dump for all others. Measured
# with 2 processes on a busy machine of 2 cores: 85 articles/s on 204 long Japanese ones, 566 on 903 short Latgalian
# ones; extrapolated, the 2.2 million pages of Japanese (redirects among them) take at most 7 hours there.
step 3 "text of the articles (WikiExtractor)"
if text_is_complete; then
    skip "$text"
else
    run "$PYTHON" "$ROOT/scripts/run_wikiextractor.py" --dump_file "$wikipedia_dump" --output_dir "$text" \
        --processes "$workers"
fi

# Writes one `title<TAB>QID` a page, for the language and for the pivot in one pass. English has 10 million rows.
step 4 "Wikidata ids"
if ids_are_complete; then
    skip "$language_ids"
    skip "$pivot_ids"
else
    run "$PYTHON" "$ROOT/scripts/extract_wikidata_ids.py" --dump_file "$wikidata_dump" --output_dir "$ids" \
        --languages "$pivot,$language"
fi

# Writes the articles as plain text with anchors that know their Wikidata ids.
step 5 "articles with anchors"
if articles_are_complete; then
    skip "$articles"
else
    run "$PYTHON" "$ROOT/scripts/preprocess_wikipedia.py" --wikiextractor_output_dir "$text" \
        --redirect_file "$redirects" --wikidata_id_file "$language_ids" --output_dir "$articles" \
        --num_workers "$workers"
fi

# Writes the token ids, the positions of the entities and the tokens of their names: what training reads.
step 6 "training dataset"
if dataset_is_complete; then
    skip "$dataset"
else
    run "$PYTHON" "$ROOT/scripts/build_wikipedia_dataset.py" --model_name "$model" \
        --preprocessed_dataset_dir "$articles" --wikidata_id_file "$pivot_ids" --output_dir "$dataset" \
        --pivot_language "$pivot" --num_workers "$workers"
fi

# Prints what is in the dataset and which links became names, and writes both as JSON beside the dataset.
step 7 "statistics"
if statistics_are_complete; then
    skip "$dataset_statistics"
    skip "$link_statistics"
else
    run "$PYTHON" "$ROOT/scripts/compute_dataset_stats.py" --wikipedia_dataset_dir "$dataset" \
        --json "$dataset_statistics"
    run "$PYTHON" "$ROOT/scripts/compute_link_stats.py" --preprocessed_dataset_dir "$articles" \
        --wikidata_id_file "$pivot_ids" --pivot_language "$pivot" --json "$link_statistics"
fi

[[ -n $worked ]] || say "nothing was left to do"
say "the dataset lies in $dataset; look at samples with:"
say "  $(show_command python scripts/preview_dataset.py --model_name "$model" --dataset_dir "$dataset")"
