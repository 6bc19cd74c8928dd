"""Make a table of the paper from the results of many runs, the authors' numbers beside ours.

Reads a table file of configs/tables/ and RESULTS_DIR/<run>/<task>_<k>shot.json(l), as evaluate.sh writes them; prints
the table as Markdown and, with --output_dir, writes NAME.md, NAME.tex, NAME.csv, NAME.png and NAME.svg there (NAME is
the table file's). Without any result it is the authors' table.

    python scripts/make_results_table.py --table configs/tables/table1.yaml --results_dir results --output_dir tables
"""

from pathlib import Path

import click

from leia.base.cli import EXISTING_FILE, OUTPUT_FOLDER, command, input_folder


@command
@click.option("--table", required=True, type=EXISTING_FILE, help="A file of configs/tables/.")
@input_folder(
    "--results_dir", "evaluate.sh", "Holds a folder of results a run; none: the authors' table.", required=False
)
@click.option("--output_dir", type=OUTPUT_FOLDER, help="For the table in all formats and the figure.")
@click.option("--note", default="", help="A line above the table and the figure, say what the models are.")
def main(table: str, results_dir: str | None, output_dir: str | None, note: str) -> None:
    from leia.base.outputs import write_file
    from leia.tables.definition import load_table
    from leia.tables.rendering import to_csv, to_latex, to_markdown
    from leia.tables.table import fill

    content = load_table(Path(table))
    cells = fill(content, Path(results_dir) if results_dir else None)
    markdown = to_markdown(content, cells, note)
    click.echo(markdown)
    if output_dir:
        from leia.reports.figures import draw_gains, save_figure

        base = Path(output_dir) / Path(table).stem
        texts = {".md": markdown, ".tex": to_latex(content, cells, note), ".csv": to_csv(content, cells)}
        for suffix, text in texts.items():
            write_file(f"{base}{suffix}", text)
        for suffix in (".png", ".svg"):
            save_figure(draw_gains(content, cells, note), Path(f"{base}{suffix}"))
        click.echo(f"written: {base}.md, .tex, .csv, .png, .svg")


if __name__ == "__main__":
    main()
