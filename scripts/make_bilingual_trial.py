r"""Make a collection in two made-up languages, on which pretraining for retrieval can be tried out in minutes.

Writes what build_aligned_sections.py writes, in the languages a and b: sections, which of them are aligned, and a
judged collection of others that are held out.

    python scripts/make_bilingual_trial.py --output_dir work/retrieval-trial/data
"""

from pathlib import Path

import click

from leia.base.cli import OUTPUT_FOLDER, command, output_option, overwrite_option


@command
@output_option("--output_dir", OUTPUT_FOLDER, "Folder to write; replaced as a whole.")
@click.option("--aligned", type=click.IntRange(1), default=2000, help="Aligned sections to train on.")
@click.option("--held_out", type=click.IntRange(10), default=200, help="Sections of the judged collection.")
@click.option("--seed", type=int, default=0, help="Of all that is drawn.")
@overwrite_option
def main(output_dir: str, aligned: int, held_out: int, seed: int, overwrite: bool) -> None:
    from leia.base.outputs import NewFolder
    from leia.base.step import open_step
    from leia.retrieval.bilingual_trial import write_trial

    options = {"aligned": aligned, "held_out": held_out, "seed": seed}
    writes = NewFolder(output_dir, ("sections", "aligned", "held_out"), made_by="make_bilingual_trial")
    with open_step("make_bilingual_trial", [], writes, options, overwrite) as step:
        for what, number in write_trial(Path(step.target), aligned, held_out, seed).items():
            step.count(what).kept = number


if __name__ == "__main__":
    main()
