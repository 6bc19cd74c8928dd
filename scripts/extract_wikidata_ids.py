r"""Extract, for each language asked for, the Wikidata ids of its Wikipedia's pages.

Reads a Wikidata JSON dump (`wikidata-<date>-all.json.bz2`) or, fifty times smaller, the table
`wikidatawiki-<date>-wb_items_per_site.sql.gz`, and writes OUTPUT_DIR/<language>-wikidata-ids.tsv with one
`title<TAB>QID` a line, and OUTPUT_DIR/wikidata-ids.manifest.json with what was kept and dropped.

    python scripts/extract_wikidata_ids.py \
        --dump_file wikidata-20230703-all.json.bz2 --output_dir wikidata --languages "en,ja"
"""

from contextlib import ExitStack
from pathlib import Path

import click

from leia.base.cli import EXISTING_FILE, OUTPUT_FOLDER, checked_by, command
from leia.base.errors import InputError
from leia.base.outputs import new_file
from leia.base.step import InputIdentities, Tally, write_manifest
from leia.corpus.titles import parse_languages, site_of_language


@command
@click.option("--dump_file", type=EXISTING_FILE, required=True, help="Wikidata JSON dump, or wb_items_per_site.sql.gz.")
@click.option("--output_dir", type=OUTPUT_FOLDER, required=True, help="Folder for <language>-wikidata-ids.tsv.")
@click.option(
    "--languages",
    required=True,
    callback=checked_by(parse_languages),
    help='Language codes with commas between, say "en,ja".',
)
@click.option(
    "--max_errors", type=click.IntRange(0), default=0, help="Pass over up to this many broken lines of the JSON dump."
)
@click.option("--allow_truncated", is_flag=True, help="Use what stands before the break of a dump that broke off.")
def main(dump_file: str, output_dir: str, languages: list[str], max_errors: int, allow_truncated: bool) -> None:
    from leia.corpus.dumps import start_of_dump
    from leia.corpus.id_files import write_id_files
    from leia.corpus.wikidata import is_table_dump, read_json_sitelinks, read_sql_sitelinks

    folder = Path(output_dir)
    inputs = InputIdentities([dump_file])
    site_to_code = {site_of_language(code): code for code in languages}
    with ExitStack() as stack:
        # What is entered first is renamed last: the manifest says that the outputs are whole.
        manifest = stack.enter_context(new_file(folder / "wikidata-ids.manifest.json"))
        paths = {
            site: stack.enter_context(new_file(folder / f"{code}-wikidata-ids.tsv"))
            for site, code in site_to_code.items()
        }
        if is_table_dump(start_of_dump(dump_file)):
            tally = Tally("table rows of these Wikipedias")
            sitelinks = read_sql_sitelinks(dump_file, site_to_code, tally, allow_truncated)
        else:
            tally = Tally("entities")
            sitelinks = read_json_sitelinks(dump_file, site_to_code, tally, max_errors, allow_truncated)
        rows = write_id_files(sitelinks, paths)
        missing = [site_to_code[site] for site, count in rows.items() if not count.kept]
        if missing:
            raise InputError(f"{dump_file}: holds no page of the Wikipedia in {', '.join(missing)}; check --languages")
        options = {"languages": languages, "max_errors": max_errors, "allow_truncated": allow_truncated}
        tallies = [tally, *rows.values()]
        write_manifest(manifest, "extract_wikidata_ids", inputs, options, tallies)
    click.echo("\n".join(str(tally) for tally in tallies))
    click.echo(f"written: {', '.join(str(folder / f'{code}-wikidata-ids.tsv') for code in languages)}")


if __name__ == "__main__":
    main()
