r"""Extract the text of a Wikipedia's articles, with their links, by WikiExtractor.

Reads a pages-articles dump (.xml.bz2, .xml.gz or .xml) and writes OUTPUT_DIR/AA/wiki_00 ... and manifest.json there:
runs `wikiextractor DUMP -o OUT --html-safe "" --links --no-templates`, the dump decompressed and checked on the way,
so that OUT is whole or not there.

    python scripts/run_wikiextractor.py \
        --dump_file jawiki-20230701-pages-articles-multistream.xml.bz2 --output_dir jawiki-text
"""

import click

from leia.base.cli import EXISTING_FILE, OUTPUT_FOLDER, command
from leia.base.pool import available_cores


@command
@click.option("--dump_file", type=EXISTING_FILE, required=True, help="Dump <lang>wiki-<date>-pages-articles*.xml.bz2.")
@click.option("--output_dir", type=OUTPUT_FOLDER, required=True, help="Folder for AA/wiki_00 ...; replaced whole.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=available_cores,
    show_default="all cores",
    help="Processes that extract; the output does not depend on it.",
)
@click.option("--allow_truncated", is_flag=True, help="Use what stands before the break of a dump that broke off.")
def main(dump_file: str, output_dir: str, processes: int, allow_truncated: bool) -> None:
    from leia.corpus.wikiextractor import extract_articles

    tally = extract_articles(dump_file, output_dir, processes, allow_truncated)
    click.echo(f"{tally}\nwritten: {output_dir}")


if __name__ == "__main__":
    main()
