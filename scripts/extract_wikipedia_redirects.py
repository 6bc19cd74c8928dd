r"""Extract the redirects of a Wikipedia from its pages-articles dump.

Reads a dump (.xml.bz2, .xml.gz or .xml) and writes OUTPUT_FILE with one `title<TAB>target` a line, chains of redirects
followed to their end, and OUTPUT_FILE.manifest.json with what was kept and dropped.

    python scripts/extract_wikipedia_redirects.py \
        --dump_file jawiki-20230701-pages-articles-multistream.xml.bz2 --output_file jawiki-redirects.tsv
"""

from pathlib import Path

import click

from leia.base.cli import EXISTING_FILE, OUTPUT_FILE, command
from leia.base.outputs import new_file
from leia.base.step import InputIdentities, write_manifest
from leia.corpus.redirects import read_redirects, write_redirects


@command
@click.option("--dump_file", type=EXISTING_FILE, required=True, help="Dump <lang>wiki-<date>-pages-articles*.xml.bz2.")
@click.option("--output_file", type=OUTPUT_FILE, required=True, help="File to write, say jawiki-redirects.tsv.")
@click.option("--allow_truncated", is_flag=True, help="Use what stands before the break of a dump that broke off.")
def main(dump_file: str, output_file: str, allow_truncated: bool) -> None:
    manifest_file = Path(f"{output_file}.manifest.json")
    # What is entered first is renamed last: the manifest says that the output is whole.
    with new_file(manifest_file) as manifest, new_file(output_file) as rows:
        inputs = InputIdentities([dump_file])
        redirects, tally = read_redirects(dump_file, allow_truncated)
        write_redirects(redirects, rows)
        write_manifest(manifest, "extract_wikipedia_redirects", inputs, {"allow_truncated": allow_truncated}, [tally])
    click.echo(f"{tally}\nwritten: {output_file}")


if __name__ == "__main__":
    main()
