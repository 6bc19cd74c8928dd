r"""Count how many links of the articles give a name to insert, and why the others do not: the build's own rule.

Reads a dataset folder of extract_articles.py (its manifest.json knows the links dropped before) and the id file of
the pivot language, prints the funnel and with --json writes it to a file, which make_corpus_report.py reads.

    python scripts/compute_link_stats.py --preprocessed_dataset_dir jawiki-preprocessed \
        --wikidata_id_file wikidata/en-wikidata-ids.tsv --json jawiki-link-stats.json
"""

from typing import Any

import click

from leia.base.cli import articles_option, command, options_of, pivot_ids_option, statistics_file_option
from leia.data.names import NameRule


@command
@articles_option
@pivot_ids_option
@statistics_file_option
@options_of(NameRule)
def main(preprocessed_dataset_dir: str, wikidata_id_file: str, json_file: str | None, **names: Any) -> None:
    from leia.base.datasets import open_articles
    from leia.base.outputs import write_file
    from leia.base.step import Counts, read_manifest
    from leia.base.text import to_json
    from leia.data.encoding import distinct_qids
    from leia.data.names import read_pivot_titles
    from leia.reports.statistics import describe_links, link_statistics

    articles = open_articles(preprocessed_dataset_dir)
    titles = read_pivot_titles(wikidata_id_file, distinct_qids(articles), NameRule(**names), Counts())
    statistics = link_statistics(articles, read_manifest(preprocessed_dataset_dir), titles)
    click.echo(describe_links(statistics))
    if json_file is not None:
        write_file(json_file, to_json(statistics))


if __name__ == "__main__":
    main()
