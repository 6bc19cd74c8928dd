r"""Sum up a demonstration: its arms by measures with intervals, as JSON, a table and a figure.

Reads a table file of configs/tables/ and what run_table.py --run has put into --results_dir; writes summary.json (arm
-> measure -> mean, low, high, items_low, items_high, chance, seeds), differences.json (arm -> measure -> over plain
text and over shuffled names), table.md and arms.svg, .png to --output_dir. Arms without results are left out.
leia/demonstration/measures.py tells what the measures are.

    python scripts/summarise_demonstration.py --table configs/tables/demonstration.yaml \
        --results_dir work/demonstration/results --output_dir work/demonstration
"""

from pathlib import Path

import click

from leia.base.cli import EXISTING_FILE, OUTPUT_FOLDER, command, input_folder


@command
@click.option("--table", required=True, type=EXISTING_FILE, help="A file of configs/tables/.")
@input_folder("--results_dir", "run_table.py --run", "Holds a folder of results a run.")
@click.option("--output_dir", type=OUTPUT_FOLDER, required=True, help="Folder for the files.")
def main(table: str, results_dir: str, output_dir: str) -> None:
    from leia.base.errors import InputError
    from leia.base.outputs import write_file
    from leia.base.text import to_json
    from leia.demonstration.arms_figure import draw_arms
    from leia.demonstration.measures import read_arms
    from leia.demonstration.summary import summarise, summarise_differences, to_markdown
    from leia.reports.figures import save_figure
    from leia.tables.definition import load_table

    content = load_table(Path(table))
    arms, folder = read_arms(content, Path(results_dir)), Path(output_dir)
    if not arms:
        raise InputError(f"{results_dir}: has no result of {table}; run_table.py --run makes them")
    labels = {row.name: row.label for row in content.rows}
    markdown = to_markdown(arms, labels)
    write_file(folder / "summary.json", to_json(summarise(arms)))
    write_file(folder / "differences.json", to_json(summarise_differences(arms)))
    write_file(folder / "table.md", markdown)
    for suffix in (
        ".svg",
        ".png",
    ):  # drawn for each: a figure that was laid out for one comes out otherwise in the other
        save_figure(draw_arms(arms, labels), folder / f"arms{suffix}")
    click.echo(markdown)
    click.echo(f"written: {folder}/summary.json, differences.json, table.md, arms.svg, arms.png")


if __name__ == "__main__":
    main()
