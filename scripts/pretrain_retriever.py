r"""Train a re-ranker on aligned sections of Wikipedias in two or more languages.

Reads the folder that build_aligned_sections.py writes and a BERT; writes to --output_dir the model before training and
after each epoch (epoch-0, epoch-1 ...), losses.jsonl, and the state from which the same command goes on after the last
complete epoch, with the same batches; with a greater --epochs it trains longer. In several processes: torchrun
--nproc_per_node 8 scripts/pretrain_retriever.py and the same options.

    python scripts/pretrain_retriever.py --data_dir work/retrieval --pairs es-ja \
        --base_model bert-base-multilingual-uncased --output_dir runs/retriever
"""

from pathlib import Path
from typing import Any

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    CommaSeparated,
    command,
    input_folder,
    options_of,
    output_option,
    overwrite_option,
)
from leia.base.errors import UsageError
from leia.retrieval.recipe import PretrainingSettings


@command
@input_folder("--data_dir", "build_aligned_sections.py")
@click.option("--pairs", type=CommaSeparated(), default="", show_default="all", help="Pairs of languages: es-ja,en-es.")
@click.option("--base_model", default="bert-base-multilingual-uncased", help="BERT in a folder or on the hub.")
@click.option("--from_scratch", is_flag=True, help="For trials: a small BERT instead, its words those of the sections.")
@output_option("--output_dir", OUTPUT_FOLDER, "Folder for the epochs and the losses.")
@options_of(PretrainingSettings)
@overwrite_option
def main(
    data_dir: str,
    pairs: tuple[str, ...],
    base_model: str,
    from_scratch: bool,
    output_dir: str,
    overwrite: bool,
    **settings: Any,
) -> None:
    if from_scratch and click.get_current_context().get_parameter_source("base_model").name == "COMMANDLINE":
        raise UsageError("--from_scratch, --base_model: expected one of both")
    from leia.retrieval.pretraining_run import pretrain

    model = None if from_scratch else base_model
    pretrain(Path(data_dir), pairs, model, Path(output_dir), PretrainingSettings(**settings), overwrite)


if __name__ == "__main__":
    main()
