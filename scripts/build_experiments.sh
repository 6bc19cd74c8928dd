#!/usr/bin/env bash
# Build the datasets of the experiments in docs/experiments.md, beside those of scripts/quickstart.sh, from the sample.
#
#   bash scripts/build_experiments.sh
#
# Reads the articles and the small model of the quickstart in work/quickstart; writes work/experiments, in about a minute
# and 2 MB. Steps that are complete are passed over. With dumps of your own the commands are the same, with
# extract_articles.py in place of import_articles.py.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"
# shellcheck source=scripts/show_command.sh
source "$here/scripts/show_command.sh"

work=work/quickstart
made=work/experiments
sample="$here/tests/sample"
ids="$made/wikidata"
if [[ ! -f "$work/es/preprocessed/manifest.json" || ! -f "$work/tiny-model/config.json" ]]; then
  echo "error: $work: expected the articles and the model of the quickstart; run bash scripts/quickstart.sh first" >&2
  exit 2
fi

# The ids of five Wikipedias: names of an entity are the titles of its page in each.
run python "$here/scripts/extract_wikidata_ids.py" --dump_file "$sample/wikidata-sample.json" --output_dir "$ids" \
    --languages de,en,es,fr,ja

# English and French texts with links: JSON lines with the title that each span leads to.
for text in "english en" "french fr"; do
    read -r name language <<<"$text"
    run python "$here/scripts/import_articles.py" --text_files "$sample/$name.jsonl" --language "$language" \
        --wikidata_id_file "$ids/$language-wikidata-ids.tsv" --output_dir "$made/$name-articles"
done

# build NAME ARTICLES OPTION...: one training dataset.
build() {
    run python "$here/scripts/build_wikipedia_dataset.py" --model_name "$work/tiny-model" \
        --preprocessed_dataset_dir "$2" --output_dir "$made/$1" "${@:3}"
}

# English text with English names, which strategy `none` leaves as it is: replay.
build english "$made/english-articles" --wikidata_id_file "$ids/en-wikidata-ids.tsv"
# English text with Spanish names: the other direction.
build english-es "$made/english-articles" --pivot_language es --wikidata_id_file "$ids/es-wikidata-ids.tsv"
# French text with English names: a third language.
build french "$made/french-articles" --wikidata_id_file "$ids/en-wikidata-ids.tsv"
# Spanish text with English and German names: two pivot languages.
build spanish-en-de "$work/es/preprocessed" --name_languages en,de \
    --wikidata_id_file "$ids/en-wikidata-ids.tsv" --wikidata_id_file "$ids/de-wikidata-ids.tsv"
# English text with names in three languages, in place of the words, a language a sentence: code switching (EntityCS).
build english-de-fr-ja "$made/english-articles" --name_languages de,fr,ja --names_in_text --sentences \
    --wikidata_id_file "$ids/de-wikidata-ids.tsv" --wikidata_id_file "$ids/fr-wikidata-ids.tsv" \
    --wikidata_id_file "$ids/ja-wikidata-ids.tsv"
