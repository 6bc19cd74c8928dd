r"""Load the tokenizer of a model, to see before hours of work whether it will do.

Reads the tokenizer from the hub or a folder, prints what it is and what a later step cannot do with it, and writes
nothing. A wrong name, a model that is shown only after `hf auth login`, a missing package, or a tokenizer that training
cannot take is told in one line.

    python scripts/check_tokenizer.py --model_name meta-llama/Llama-2-7b-hf
"""

import click

from leia.base.cli import command, trust_remote_code_option


@command
@click.option("--model_name", required=True, help="Model (hub name or folder) whose tokenizer is used.")
@trust_remote_code_option
def main(model_name: str, trust_remote_code: bool) -> None:
    from leia.data.suitability import check_suitability
    from leia.data.tokenizers import count_ids, load_tokenizer

    tokenizer = load_tokenizer(model_name, trust_remote_code)
    for note in check_suitability(tokenizer, model_name):
        click.echo(note, err=True)
    click.echo(f"{model_name}: the tokenizer loads; it has {count_ids(tokenizer):,} ids")


if __name__ == "__main__":
    main()
