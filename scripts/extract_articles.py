r"""Extract the articles of a Wikipedia from its dump: plain text, and links that know their Wikidata ids.

Reads a dump of pages (.xml.bz2, .xml.gz or .xml; one file, several, or the folder that holds them), a redirect file and
an id file of the same language, and writes a dataset folder (columns title, language, text, anchors[start, end, title,
wikidata_id], positions in characters, end exclusive) with manifest.json in it, which says where each link went.

    python scripts/extract_articles.py --dump_file jawiki-dump --redirect_file jawiki-redirects.tsv \
        --wikidata_id_file wikidata/ja-wikidata-ids.tsv --output_dir jawiki-preprocessed
"""

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    allow_missing_parts_option,
    allow_truncated_option,
    dump_option,
    input_file,
    num_workers_option,
    output_option,
    overwrite_option,
    step_command,
)


@step_command
@dump_option
@input_file("--redirect_file", "extract_wikipedia_redirects.py")
@input_file("--wikidata_id_file", "extract_wikidata_ids.py", "Id file of the articles' own language.")
@output_option("--output_dir", OUTPUT_FOLDER, "Dataset folder to write; replaced as a whole.")
@num_workers_option
@click.option("--variant", help="Writing to choose where a text has several, say zh-hant.",
    show_default="the first that the language falls back to")  # fmt: skip
@allow_missing_parts_option
@allow_truncated_option
@overwrite_option
def main(
    dump_file: tuple[str, ...],
    redirect_file: str,
    wikidata_id_file: str,
    output_dir: str,
    num_workers: int,
    variant: str | None,
    allow_missing_parts: bool,
    allow_truncated: bool,
    overwrite: bool,
) -> None:
    from leia.base.datasets import PREPROCESSED_SCHEMA, NewDataset, save_dataset
    from leia.base.step import open_step
    from leia.corpus.dump_parts import as_inputs, find_parts
    from leia.corpus.extraction import extract_articles

    files = redirect_file, wikidata_id_file
    inputs, output = [*as_inputs(dump_file), *files], NewDataset(output_dir, PREPROCESSED_SCHEMA)
    options = {"variant": variant, "allow_missing_parts": allow_missing_parts, "allow_truncated": allow_truncated}
    with open_step("extract_articles", inputs, output, options, overwrite) as step:
        parts = find_parts(dump_file, allow_missing_parts)
        batches = extract_articles(parts, *files, num_workers, step, variant, allow_truncated)
        save_dataset(step.target, PREPROCESSED_SCHEMA, batches)


if __name__ == "__main__":
    main()
