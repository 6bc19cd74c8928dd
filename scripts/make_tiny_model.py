"""Make a small Llama from scratch with a tokenizer of its own, to try the pipeline without a download.

Reads the texts of one or more folders of extract_articles.py; writes a folder that AutoTokenizer and
AutoModelForCausalLM load.

    python scripts/make_tiny_model.py --preprocessed_dataset_dir work/ja/preprocessed --output_dir work/tiny-model
"""

from typing import Any

import click

from leia.base.cli import OUTPUT_FOLDER, command, input_folder, option


@command
@input_folder(
    "--preprocessed_dataset_dir",
    "extract_articles.py",
    "A folder of extract_articles.py; may be given more than once.",
    multiple=True,
)
@click.option("--output_dir", type=OUTPUT_FOLDER, required=True, help="The folder for the model and its tokenizer.")
@click.option("--vocab_size", type=click.IntRange(min=512), default=2000, help="Tokens at most, 256 bytes among them.")
@click.option("--seed", type=int, default=42, help="Seed of the random weights.")
@option("Shape", "--hidden_size", type=click.IntRange(8), default=128, help="Width of the layers.")
@option("Shape", "--num_layers", type=click.IntRange(1), default=2, help="Layers.")
@option("Shape", "--num_heads", type=click.IntRange(1), default=4, help="Attention heads.")
@option("Shape", "--tie_embeddings", is_flag=True, help="One matrix for the tokens read and those foreseen.")
def main(preprocessed_dataset_dir: tuple[str, ...], output_dir: str, vocab_size: int, seed: int, **shape: Any) -> None:
    from leia.base.datasets import open_articles
    from leia.training.tiny_model import make_tiny_model

    texts = [text for path in preprocessed_dataset_dir for text in open_articles(path)["text"]]
    parameters = make_tiny_model(texts, output_dir, vocab_size, seed, **shape)
    click.echo(f"{output_dir}: a Llama of {parameters:,} parameters with random weights")


if __name__ == "__main__":
    main()
