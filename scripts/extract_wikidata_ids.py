r"""Extract, for each language asked for, the Wikidata ids of its Wikipedia's pages.

Reads a Wikidata JSON dump (`wikidata-<date>-all.json.bz2`) or, fifty times smaller, the table
`wikidatawiki-<date>-wb_items_per_site.sql.gz`, and writes OUTPUT_DIR/<language>-wikidata-ids.tsv with one
`title<TAB>QID` a line, and OUTPUT_DIR/wikidata-ids.manifest.json with what was kept and dropped.

    python scripts/extract_wikidata_ids.py \
        --dump_file wikidata-20230703-all.json.bz2 --output_dir wikidata --languages "en,ja"
"""

from pathlib import Path

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    allow_truncated_option,
    output_option,
    overwrite_option,
    step_command,
    wikidata_dump_option,
)
from leia.base.errors import InputError
from leia.base.outputs import NewFiles
from leia.base.step import open_step
from leia.corpus.titles import parse_languages, site_of_language


@step_command
@wikidata_dump_option("Wikidata JSON dump, or wb_items_per_site.sql.gz.")
@output_option("--output_dir", OUTPUT_FOLDER, "Folder for <language>-wikidata-ids.tsv.")
@click.option("--languages", required=True, help='Language codes with commas between, say "en,ja".')
@click.option(
    "--max_errors", type=click.IntRange(0), default=0, help="Pass over up to this many broken lines of the JSON dump."
)
@allow_truncated_option
@overwrite_option
def main(
    dump_file: str, output_dir: str, languages: str, max_errors: int, allow_truncated: bool, overwrite: bool
) -> None:
    from leia.corpus.id_files import write_id_files
    from leia.corpus.wikidata import read_sitelinks

    folder, codes = Path(output_dir), parse_languages(languages)
    languages_of = {site_of_language(code): code for code in codes}
    files = {site: folder / f"{code}-wikidata-ids.tsv" for site, code in languages_of.items()}
    output = NewFiles(files, folder / "wikidata-ids.manifest.json")
    options = {"languages": codes, "max_errors": max_errors, "allow_truncated": allow_truncated}
    with open_step("extract_wikidata_ids", [dump_file], output, options, overwrite) as step:
        sitelinks = read_sitelinks(dump_file, files, step, max_errors, allow_truncated)
        missing = [languages_of[site] for site in write_id_files(sitelinks, step.target, step)]
        if missing:
            raise InputError(f"{dump_file}: holds no page of the Wikipedia in {', '.join(missing)}; check --languages")


if __name__ == "__main__":
    main()
