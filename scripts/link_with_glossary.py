r"""Mark the terms of a glossary in plain texts, each with its English name: what import_articles.py reads.

Reads texts (JSON lines, also .gz or .zst, Parquet, or a dataset of the hub) and a glossary: term<TAB>English name, one
a line. Writes JSON lines [title, text, spans[start, end, name]], positions in characters, end exclusive, with
NAME.manifest.json beside them. Whole words are marked, of terms that overlap the one that begins first, of those that
begin together the longest. Spans that the texts have are not read.

    python scripts/link_with_glossary.py --text_files news.jsonl --glossary terms.tsv --output_file news-linked.jsonl
"""

from typing import Any

import click

from leia.base.cli import OUTPUT_FILE, InputPath, options_of, output_option, overwrite_option, step_command
from leia.corpus.texts import TextSource


@step_command
@options_of(TextSource)
@click.option("--glossary", type=InputPath(dir_okay=False), required=True, help="File of term<TAB>English name.")
@click.option("--ignore_case", is_flag=True, help="Take capital and small letters for the same.")
@output_option("--output_file", OUTPUT_FILE, "JSON lines to write.")
@overwrite_option
def main(glossary: str, ignore_case: bool, output_file: str, overwrite: bool, **texts: Any) -> None:
    import msgspec

    from leia.base.outputs import NewFile
    from leia.base.step import open_step
    from leia.corpus.glossary import link_texts

    source = TextSource(**texts)
    inputs, options = [*source.inputs, glossary], {**source.options, "ignore_case": ignore_case}
    with (
        open_step("link_with_glossary", inputs, NewFile(output_file), options, overwrite) as step,
        step.target.open("wb") as file,
    ):
        for row in link_texts(source, glossary, ignore_case, step):
            file.write(msgspec.json.encode(row) + b"\n")


if __name__ == "__main__":
    main()
