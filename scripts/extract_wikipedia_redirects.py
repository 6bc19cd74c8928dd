r"""Extract the redirects of a Wikipedia from its pages-articles dump.

Reads a dump (.xml.bz2, .xml.gz or .xml) and writes OUTPUT_FILE with one `title<TAB>target` a line, chains of redirects
followed to their end, and OUTPUT_FILE.manifest.json with what was kept and dropped.

    python scripts/extract_wikipedia_redirects.py \
        --dump_file jawiki-20230701-pages-articles-multistream.xml.bz2 --output_file jawiki-redirects.tsv
"""

from leia.base.cli import (
    OUTPUT_FILE,
    allow_truncated_option,
    dump_option,
    output_option,
    overwrite_option,
    step_command,
)
from leia.base.outputs import NewFile
from leia.base.step import open_step
from leia.corpus.redirects import read_redirects, write_redirects


@step_command
@dump_option("Dump <lang>wiki-<date>-pages-articles*.xml.bz2.")
@output_option("--output_file", OUTPUT_FILE, "File to write, say jawiki-redirects.tsv.")
@allow_truncated_option
@overwrite_option
def main(dump_file: str, output_file: str, allow_truncated: bool, overwrite: bool) -> None:
    options = {"allow_truncated": allow_truncated}
    with open_step("extract_wikipedia_redirects", [dump_file], NewFile(output_file), options, overwrite) as step:
        write_redirects(read_redirects(dump_file, step, allow_truncated), step.target)


if __name__ == "__main__":
    main()
