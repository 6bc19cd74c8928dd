r"""Stop a demonstration whose base model could show nothing: it must know the facts and both languages.

Reads the results of the base model on crosslingual_facts_qaa; leia/demonstration/measures.py tells what is asked for.

    python scripts/check_base_model.py --results_dir work/demonstration/results/base_seed1
"""

from pathlib import Path

import click

from leia.base.cli import command, input_folder


@command
@input_folder("--results_dir", "evaluate.sh", "The results of the base model.")
def main(results_dir: str) -> None:
    from leia.demonstration.measures import check_base

    click.echo(check_base(Path(results_dir)))


if __name__ == "__main__":
    main()
