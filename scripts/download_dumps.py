r"""Download the two dumps that a corpus is made from: the pages of a Wikipedia, and Wikidata.

Finds the newest complete exports, or those of a date, on the dump site; a date that has left it, as the paper's
2023-07-01, in the Internet Archive. Writes the folder WIKIPEDIA_DATA_DIR/<wiki>-dump, which holds the pages in one or
more parts, and WIKIDATA_DATA_DIR/wikidatawiki-wb_items_per_site.sql.gz (or wikidata-all.json.bz2); every file is
checked against the checksums of the site. NAME.export.json beside each says of which date it is: the next run continues
with that, whatever is newest then, and a run for another date is refused. A dump of your own is used as it is, after a
look at its first bytes.

    python scripts/download_dumps.py --language ja --wikipedia_data_dir work/wikipedia --wikidata_data_dir work/wikidata
"""

from pathlib import Path

import click

from leia.base.cli import OUTPUT_FOLDER, command, option, output_option
from leia.corpus.downloads import Need, provide
from leia.corpus.dump_parts import files_of
from leia.corpus.dump_sites import Sites, check_date, pages_of, wikidata_as
from leia.corpus.dumps import check_wikipedia_dump
from leia.corpus.titles import site_of_language
from leia.corpus.wikidata import check_wikidata_dump

FILE, ANY_PATH = click.Path(dir_okay=False, path_type=Path), click.Path(path_type=Path)
DATE = "Date of the dump, 2026-01-01 or 20260101."
USED_BY = "Output that is made from it (repeatable): when all are complete, the dump is not downloaded again."


@command
@click.option("--language", required=True, help="Language code of the Wikipedia, as in its address.")
@output_option("--wikipedia_data_dir", OUTPUT_FOLDER, "Folder for the dump of the pages.")
@output_option("--wikidata_data_dir", OUTPUT_FOLDER, "Folder for the dump of Wikidata.")
@option("The pages", "--wikipedia_dump_date", show_default="the newest", help=DATE)
@option("The pages", "--wikipedia_dump_file", type=ANY_PATH, help="A dump on disk, file or folder, to use instead.")
@option("The pages", "--wikipedia_used_by", type=ANY_PATH, multiple=True, help=USED_BY)
@option("Wikidata", "--wikidata_source", type=click.Choice(["sql", "json"]), show_default="sql",
    help="sql: the table of the sitelinks, about 2 GB; json: all of Wikidata, over 100 GB.")  # fmt: skip
@option("Wikidata", "--wikidata_dump_date", show_default="the newest", help=DATE)
@option("Wikidata", "--wikidata_dump_file", type=FILE, help="A dump on disk to use instead.")
@option("Wikidata", "--wikidata_used_by", type=ANY_PATH, multiple=True, help=USED_BY)
@click.option("--dump_site", default="https://dumps.wikimedia.org", help="The dump site, or a mirror of it.")
@click.option("--archive_site", default="https://archive.org", help="The archive of dumps that left the dump site.")
@click.option("--print_names", is_flag=True, help="Print the names of the wiki and of the two dumps, and do no more.")
@click.option("--dry_run", is_flag=True, help="Print what would be downloaded and how large it is, and do no more.")
def main(
    language: str,
    wikipedia_data_dir: str,
    wikidata_data_dir: str,
    wikipedia_dump_date: str | None,
    wikipedia_dump_file: Path | None,
    wikipedia_used_by: tuple[Path, ...],
    wikidata_source: str | None,
    wikidata_dump_date: str | None,
    wikidata_dump_file: Path | None,
    wikidata_used_by: tuple[Path, ...],
    dump_site: str,
    archive_site: str,
    print_names: bool,
    dry_run: bool,
) -> None:
    pages_date = check_date("--wikipedia_dump_date", wikipedia_dump_date)
    wikidata_date = check_date("--wikidata_dump_date", wikidata_dump_date)
    pages, sitelinks = pages_of(language), wikidata_as(wikidata_source or "sql")
    if print_names:
        click.echo(f"{site_of_language(language)} {pages.name} {sitelinks.name}")
        return
    wikipedia = Need(pages, pages_date, Path(wikipedia_data_dir), wikipedia_dump_file, wikipedia_used_by)
    wikidata = Need(sitelinks, wikidata_date, Path(wikidata_data_dir), wikidata_dump_file, wikidata_used_by)
    for need in (wikipedia, wikidata):
        need.check_given()
    if wikipedia_dump_file and wikipedia_dump_file.exists():
        for part in files_of([wikipedia_dump_file]):
            check_wikipedia_dump(part, language)
    if wikidata_dump_file and wikidata_dump_file.is_file():
        check_wikidata_dump(wikidata_dump_file, wikidata_source)
    provide([wikipedia, wikidata], Sites(dump_site, archive_site), dry_run)


if __name__ == "__main__":
    main()
