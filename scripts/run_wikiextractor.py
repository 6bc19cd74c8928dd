r"""Extract the text of a Wikipedia's articles, with their links, by WikiExtractor.

Reads a pages-articles dump (.xml.bz2, .xml.gz or .xml, one file or all its parts) and writes OUTPUT_DIR/AA/wiki_00 ...
and manifest.json there: runs `wikiextractor DUMP -o OUT --html-safe "" --links --no-templates`, the dump decompressed
and checked on the way, so that OUT is complete or not there.

    python scripts/run_wikiextractor.py \
        --dump_file jawiki-20230701-pages-articles-multistream.xml.bz2 --output_dir jawiki-text
"""

from leia.base.cli import (
    OUTPUT_FOLDER,
    allow_missing_parts_option,
    allow_truncated_option,
    dump_option,
    output_option,
    overwrite_option,
    step_command,
    workers_option,
)


@step_command
@dump_option
@output_option("--output_dir", OUTPUT_FOLDER, "Folder for AA/wiki_00 ...; replaced as a whole.")
@workers_option("--processes", "Processes that extract; the output does not depend on it.")
@allow_missing_parts_option
@allow_truncated_option
@overwrite_option
def main(
    dump_file: tuple[str, ...],
    output_dir: str,
    processes: int,
    allow_missing_parts: bool,
    allow_truncated: bool,
    overwrite: bool,
) -> None:
    from importlib.metadata import version

    from leia.base.outputs import NewFolder
    from leia.base.step import open_step
    from leia.corpus.dump_parts import as_inputs, find_parts
    from leia.corpus.wikiextractor import OUTPUT_FILES, WIKIEXTRACTOR_OPTIONS, extract_articles

    options = {"wikiextractor": version("wikiextractor"), "arguments": WIKIEXTRACTOR_OPTIONS}
    options |= {"allow_missing_parts": allow_missing_parts, "allow_truncated": allow_truncated}
    output = NewFolder(output_dir, OUTPUT_FILES)
    with open_step("run_wikiextractor", as_inputs(dump_file), output, options, overwrite) as step:
        extract_articles(find_parts(dump_file, allow_missing_parts), step.target, processes, step, allow_truncated)


if __name__ == "__main__":
    main()
