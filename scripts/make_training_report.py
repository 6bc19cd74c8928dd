r"""Draw the losses, learning rate, gradient norm and speed of one or more training runs from their own logs.

Reads trainer_state.json of each run of train.sh (of a run that has not ended, that of its newest checkpoint) and writes
one figure, a line a run.

    python scripts/make_training_report.py --run_dir runs/ja_none_seed42 --run_dir runs/ja_right_p0.5_seed42 \
        --output_file training.svg
"""

from pathlib import Path

import click

from leia.base.cli import command, input_folder

IMAGE_FORMATS = ("svg", "png", "pdf")


def image_file(_: click.Context, __: click.Parameter, value: str) -> Path:
    if Path(value).suffix.removeprefix(".") not in IMAGE_FORMATS:
        raise click.BadParameter(f"{value!r} does not end in .{', .'.join(IMAGE_FORMATS)}")
    return Path(value)


@command
@input_folder("--run_dir", "train.sh", "OUTPUT_DIR of a run of train.sh; may be given more than once.", multiple=True)
@click.option(
    "--output_file",
    type=click.Path(dir_okay=False),
    required=True,
    callback=image_file,
    help="The figure: .svg, .png or .pdf.",
)
def main(run_dir: tuple[str, ...], output_file: Path) -> None:
    from leia.reports.figures import draw_runs, read_log, save_figure

    runs = [read_log(Path(path)) for path in run_dir]
    save_figure(draw_runs(runs), output_file)
    click.echo("\n".join([*(run.describe() for run in runs), f"written: {output_file}"]))


if __name__ == "__main__":
    main()
