r"""Put the corpora of several languages side by side: tables for a paper's appendix and a figure.

Reads for each language the files that compute_dataset_stats.py --json and compute_link_stats.py --json wrote, and
writes to OUTPUT_DIR corpus.md (sizes, from links to names, most frequent names), corpus.tex (sizes) and the figure as
corpus.svg and corpus.pdf.

    python scripts/make_corpus_report.py --corpus ja-dataset-stats.json ja-link-stats.json \
        --corpus es-dataset-stats.json es-link-stats.json --output_dir corpus-report
"""

import click

from leia.base.cli import OUTPUT_FOLDER, InputPath, command


@command
@click.option(
    "--corpus",
    "corpora",
    type=(InputPath("compute_dataset_stats.py --json"), InputPath("compute_link_stats.py --json")),
    multiple=True,
    required=True,
    metavar="DATASET_STATS LINK_STATS",
    help="The two JSON files of one language; once for each language.",
)
@click.option(
    "--output_dir", type=OUTPUT_FOLDER, required=True, help="Folder to write; an earlier report there is replaced."
)
def main(corpora: tuple[tuple[str, str], ...], output_dir: str) -> None:
    from leia.base.outputs import new_folder
    from leia.reports.corpus_report import REPORT_FILES, draw_corpora, read_corpus, to_latex, to_markdown
    from leia.reports.figures import save_figure

    read = [read_corpus(*files) for files in corpora]
    with new_folder(output_dir, replaceable=REPORT_FILES) as folder:
        (folder / "corpus.md").write_text(to_markdown(read), encoding="utf-8")
        (folder / "corpus.tex").write_text(to_latex(read), encoding="utf-8")
        for name in ("corpus.svg", "corpus.pdf"):
            save_figure(draw_corpora(read), folder / name)
    click.echo(f"written: {output_dir}")


if __name__ == "__main__":
    main()
