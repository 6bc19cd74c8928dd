r"""Turn texts from elsewhere than Wikipedia into articles with anchors, of which the training dataset is built.

Reads files (JSON lines, also .gz or .zst, or Parquet) or a dataset of the hub: a text a row, perhaps with a title and
with spans [start, end, and title, wikidata_id or name], positions in characters, end exclusive. Writes a dataset folder
as extract_articles.py does, with manifest.json in it; where a span has a name, anchors have a field name too.

    python scripts/import_articles.py --text_files news.jsonl --language ja --redirect_file jawiki-redirects.tsv \
        --wikidata_id_file wikidata/ja-wikidata-ids.tsv --output_dir news-preprocessed
"""

from typing import Any

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    input_file,
    option,
    options_of,
    output_option,
    overwrite_option,
    step_command,
)
from leia.corpus.texts import TextSource

SPANS, OPTIONAL = "Spans", {"required": False, "show_default": "none; needed where a span has a title alone"}


@step_command
@options_of(TextSource)
@click.option("--language", required=True, help="Language of the texts: the code of its Wikipedia.")
@option(SPANS, "--spans_column", default="spans", help="Column of the spans; it may be missing.")
@option(SPANS, "--drop_bad_spans", is_flag=True, help="Leave spans out that are none, and count them; else an error.")
@input_file("--redirect_file", "extract_wikipedia_redirects.py", "Redirects of the language.", **OPTIONAL)
@input_file("--wikidata_id_file", "extract_wikidata_ids.py", "Id file of the language.", **OPTIONAL)
@output_option("--output_dir", OUTPUT_FOLDER, "Dataset folder to write; replaced as a whole.")
@overwrite_option
def main(
    language: str,
    spans_column: str,
    drop_bad_spans: bool,
    redirect_file: str | None,
    wikidata_id_file: str | None,
    output_dir: str,
    overwrite: bool,
    **texts: Any,
) -> None:
    from leia.base.datasets import PREPROCESSED_SCHEMA, NewDataset, save_articles
    from leia.base.step import open_step
    from leia.corpus.importing import import_articles

    source = TextSource(**texts)
    files = redirect_file, wikidata_id_file
    spans = {"spans_column": spans_column, "drop_bad_spans": drop_bad_spans}
    inputs, options = [*source.inputs, *filter(None, files)], {**source.options, "language": language, **spans}
    output = NewDataset(output_dir, PREPROCESSED_SCHEMA)
    with open_step("import_articles", inputs, output, options, overwrite) as step:
        save_articles(step.target, import_articles(source, language, step, *files, **spans))


if __name__ == "__main__":
    main()
