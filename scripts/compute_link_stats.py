r"""Count how many links of the articles give a name to insert, and why the others do not: the build's own rule.

Reads a dataset folder of preprocess_wikipedia.py (its manifest.json knows the links dropped before) and the id file of
the pivot language, prints the funnel and with --json writes it to a file, which make_corpus_report.py reads.

    python scripts/compute_link_stats.py --preprocessed_dataset_dir jawiki-preprocessed \
        --wikidata_id_file wikidata/en-wikidata-ids.tsv --json jawiki-link-stats.json
"""

import click

from leia.base.cli import OUTPUT_FILE, checked_by, command, file_made_by, folder_made_by
from leia.corpus.titles import check_language
from leia.data.names import EXCLUDED_NAMESPACES, LIST_PREFIX


@command
@click.option(
    "--preprocessed_dataset_dir",
    type=folder_made_by("preprocess_wikipedia.py"),
    required=True,
    help="Made by preprocess_wikipedia.py.",
)
@click.option(
    "--wikidata_id_file",
    type=file_made_by("extract_wikidata_ids.py"),
    required=True,
    help="Id file of the pivot language.",
)
@click.option("--json", "json_file", type=OUTPUT_FILE, default=None, help="Write the counts to this file too.")
@click.option("--pivot_language", default="en", callback=checked_by(check_language), help="As for the build.")
@click.option("--excluded_namespaces", default=",".join(EXCLUDED_NAMESPACES), help="As for the build.")
@click.option("--list_prefix", default=LIST_PREFIX, help="As for the build.")
def main(
    preprocessed_dataset_dir: str,
    wikidata_id_file: str,
    json_file: str | None,
    pivot_language: str,
    excluded_namespaces: str,
    list_prefix: str,
) -> None:
    from leia.base.datasets import PREPROCESSED_SCHEMA, open_dataset
    from leia.base.outputs import write_json
    from leia.base.step import read_manifest
    from leia.corpus.id_files import check_id_file
    from leia.data.encoding import distinct_qids
    from leia.data.names import parse_namespaces, read_pivot_titles
    from leia.reports.statistics import describe_links, link_statistics

    check_id_file(wikidata_id_file, pivot_language)
    articles = open_dataset(preprocessed_dataset_dir, PREPROCESSED_SCHEMA, "scripts/preprocess_wikipedia.py")
    namespaces = parse_namespaces(excluded_namespaces)
    titles, _ = read_pivot_titles(wikidata_id_file, distinct_qids(articles), namespaces, list_prefix)
    statistics = link_statistics(articles, read_manifest(preprocessed_dataset_dir), titles)
    click.echo(describe_links(statistics))
    if json_file is not None:
        write_json(json_file, statistics)


if __name__ == "__main__":
    main()
