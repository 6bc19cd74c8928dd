r"""Turn WikiExtractor's output into articles with anchors that know their Wikidata ids.

Reads the output folder of `wikiextractor DUMP -o OUT --html-safe "" --links --no-templates`, a redirect file and an id
file of the same language, and writes a dataset folder (columns title, language, text, anchors[start, end, title,
wikidata_id], positions in characters, end exclusive) with manifest.json in it.

    python scripts/preprocess_wikipedia.py --wikiextractor_output_dir jawiki-text --redirect_file jawiki-redirects.tsv \
        --wikidata_id_file wikidata/ja-wikidata-ids.tsv --output_dir jawiki-preprocessed
"""

import click

from leia.base.cli import OUTPUT_FOLDER, command, file_made_by, folder_made_by, num_workers_option


@command
@click.option(
    "--wikiextractor_output_dir",
    type=folder_made_by("run_wikiextractor.py"),
    required=True,
    help="Folder with AA/wiki_00 ...",
)
@click.option(
    "--redirect_file",
    type=file_made_by("extract_wikipedia_redirects.py"),
    required=True,
    help="Made by extract_wikipedia_redirects.py.",
)
@click.option(
    "--wikidata_id_file",
    type=file_made_by("extract_wikidata_ids.py"),
    required=True,
    help="Id file of the articles' own language.",
)
@click.option("--output_dir", type=OUTPUT_FOLDER, required=True, help="Dataset folder to write; replaced whole.")
@num_workers_option
def main(
    wikiextractor_output_dir: str, redirect_file: str, wikidata_id_file: str, output_dir: str, num_workers: int
) -> None:
    from leia.base.datasets import PREPROCESSED_SCHEMA, new_dataset, save_dataset
    from leia.base.step import MANIFEST_NAME, InputIdentities, Tally, write_manifest
    from leia.corpus.preprocessing import preprocess_files

    tallies, ids_tally = (Tally("articles"), Tally("links")), Tally("Wikidata ids")
    with new_dataset(output_dir, PREPROCESSED_SCHEMA) as folder:
        inputs = InputIdentities([wikiextractor_output_dir, redirect_file, wikidata_id_file])
        given = wikiextractor_output_dir, redirect_file, wikidata_id_file
        save_dataset(folder, PREPROCESSED_SCHEMA, preprocess_files(*given, num_workers, tallies, ids_tally))
        write_manifest(folder / MANIFEST_NAME, "preprocess_wikipedia", inputs, {}, [*tallies, ids_tally])
    click.echo("\n".join(map(str, [*tallies, ids_tally])))
    click.echo(f"written: {output_dir}")


if __name__ == "__main__":
    main()
