r"""Extract the redirects of a Wikipedia from its pages-articles dump.

Reads a dump (.xml.bz2, .xml.gz or .xml, one file or all its parts) and writes OUTPUT_FILE with one `title<TAB>target` a
line, chains of redirects followed to their end, and OUTPUT_FILE.manifest.json with what was kept and dropped.

    python scripts/extract_wikipedia_redirects.py \
        --dump_file jawiki-20230701-pages-articles-multistream.xml.bz2 --output_file jawiki-redirects.tsv
"""

from leia.base.cli import (
    OUTPUT_FILE,
    allow_missing_parts_option,
    allow_truncated_option,
    dump_option,
    output_option,
    overwrite_option,
    step_command,
)
from leia.base.outputs import NewFile
from leia.base.step import open_step
from leia.corpus.dump_parts import as_inputs, find_parts
from leia.corpus.redirects import read_redirects, write_redirects


@step_command
@dump_option
@output_option("--output_file", OUTPUT_FILE, "File to write, say jawiki-redirects.tsv.")
@allow_missing_parts_option
@allow_truncated_option
@overwrite_option
def main(
    dump_file: tuple[str, ...], output_file: str, allow_missing_parts: bool, allow_truncated: bool, overwrite: bool
) -> None:
    inputs, output = as_inputs(dump_file), NewFile(output_file)
    options = {"allow_missing_parts": allow_missing_parts, "allow_truncated": allow_truncated}
    with open_step("extract_wikipedia_redirects", inputs, output, options, overwrite) as step:
        parts = find_parts(dump_file, allow_missing_parts)
        write_redirects(read_redirects(parts, step, allow_truncated), step.target)


if __name__ == "__main__":
    main()
