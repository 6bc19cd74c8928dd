r"""Publish a dataset on the model hub: Parquet files, and a card that says what it holds and how it was made.

Reads a folder of build_wikipedia_dataset.py, or of extract_articles.py or preprocess_wikipedia.py, and the manifests of
what it was made from, where these lie beside it or are named. Writes the folder that is pushed: README.md (the card),
data/train-*.parquet, manifest.json, dataset_manifest.json. With --repo_id it is pushed, after `hf auth login`; without
it nothing leaves this machine.

    python scripts/push_dataset.py --dataset_dir jawiki-dataset --output_dir jawiki-hub \
        --model_name meta-llama/Llama-2-7b-hf --repo_id owner/jawiki-leia --private
"""

from pathlib import Path

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    CommaSeparated,
    InputPath,
    command,
    input_folder,
    option,
    output_option,
    overwrite_option,
    trust_remote_code_option,
)


@command
@input_folder("--dataset_dir", "build_wikipedia_dataset.py", help="Made by build_wikipedia_dataset.py or "
    "extract_articles.py.")  # fmt: skip
@output_option("--output_dir", OUTPUT_FOLDER, "Folder to write and to push; replaced as a whole.")
@option("Hub", "--repo_id", default=None, help="Push to this dataset (owner/name), which is made where it is missing.")
@option("Hub", "--private/--public", default=None, show_default="the owner's default", help="Of a new dataset.")
@option(
    "Hub", "--max_shard_mb", type=click.IntRange(1), default=500, help="Greatest size of a Parquet file, in 10^6 bytes."
)
@option("Card", "--license", "licence", default=None, show_default="cc-by-sa-4.0, Wikipedia's; none for other texts",
        help="As the hub names it.")  # fmt: skip
@option("Card", "--languages", type=CommaSeparated(), default="", show_default="those of texts and names",
        help="Language codes with commas between.")  # fmt: skip
@option("Card", "--model_name", default=None, help="Tokenizer of a training dataset: show example rows as text.")
@option("Card", "--preprocessed_dataset_dir", type=InputPath("extract_articles.py", file_okay=False), default=None,
        show_default="looked for beside it", help="What the training dataset was made from.")  # fmt: skip
@option("Card", "--wikidata_id_file", type=InputPath("extract_wikidata_ids.py", dir_okay=False), default=None,
        show_default="looked for beside it", help="The one that the build read.")  # fmt: skip
@trust_remote_code_option
@overwrite_option
def main(
    dataset_dir: str,
    output_dir: str,
    repo_id: str | None,
    private: bool | None,
    max_shard_mb: int,
    licence: str | None,
    languages: tuple[str, ...],
    model_name: str | None,
    preprocessed_dataset_dir: str | None,
    wikidata_id_file: str | None,
    trust_remote_code: bool,
    overwrite: bool,
) -> None:
    from leia.reports.hub import check_login, check_repository_name, push_dataset
    from leia.reports.hub_folder import HubDataset, write_hub_folder

    if repo_id is not None:
        check_repository_name(repo_id)
        check_login(repo_id)
    given = [Path(path) for path in (preprocessed_dataset_dir, wikidata_id_file) if path is not None]
    source = HubDataset(dataset_dir, given, languages)
    write_hub_folder(source, output_dir, licence, max_shard_mb * 10**6, model_name, trust_remote_code, overwrite)
    if repo_id is None:
        click.echo("nothing was pushed: look at README.md, then run this command again with --repo_id owner/name")
    else:
        click.echo(f"pushed: {push_dataset(Path(output_dir), repo_id, private)}")


if __name__ == "__main__":
    main()
