"""Count what a training dataset holds: articles, tokens, entities, names, and how they are spread over the articles.

Reads a dataset folder of build_wikipedia_dataset.py, prints the counts and with --json writes them to a file, which
make_corpus_report.py reads.

    python scripts/compute_dataset_stats.py --wikipedia_dataset_dir jawiki-dataset --json jawiki-dataset-stats.json
"""

import click

from leia.base.cli import command, input_folder, statistics_file_option, trust_remote_code_option


@command
@input_folder("--wikipedia_dataset_dir", "build_wikipedia_dataset.py")
@statistics_file_option
@click.option("--model_name", default=None, help="Tokenizer of the dataset: list the most inserted names too.")
@trust_remote_code_option
def main(wikipedia_dataset_dir: str, json_file: str | None, model_name: str | None, trust_remote_code: bool) -> None:
    from leia.base.datasets import open_training_dataset
    from leia.base.outputs import write_file
    from leia.base.step import read_manifest
    from leia.base.text import to_json
    from leia.reports.statistics import dataset_statistics, describe_dataset, most_inserted_names

    dataset = open_training_dataset(wikipedia_dataset_dir)
    manifest = read_manifest(wikipedia_dataset_dir)
    statistics = dataset_statistics(dataset, manifest)
    if model_name is not None:
        from leia.data.tokenizers import check_dataset, load_tokenizer
        from leia.reports.preview import TokenTexts

        tokenizer = load_tokenizer(model_name, trust_remote_code)
        check_dataset(dataset, tokenizer, manifest, wikipedia_dataset_dir)
        texts = TokenTexts(tokenizer)
        statistics["top_names"] = [[texts.join(ids).strip(), count] for ids, count in most_inserted_names(dataset)]
    click.echo(describe_dataset(statistics))
    if json_file is not None:
        write_file(json_file, to_json(statistics))


if __name__ == "__main__":
    main()
