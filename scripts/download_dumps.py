r"""Download the two dumps that a corpus is made from: the pages of a Wikipedia, and Wikidata.

Reads the dump site and writes WIKIPEDIA_DATA_DIR/<wiki>-<date>-pages-articles-multistream.xml.bz2 and
WIKIDATA_DATA_DIR/wikidatawiki-<date>-wb_items_per_site.sql.gz (or wikidata-<date>-all.json.bz2), checked against the
checksums of the site. What came of a download that was stopped lies in the folder `incomplete` there, and the next run
continues it. A dump that is on disk is used as it is, after a look at its first bytes.

    python scripts/download_dumps.py --language ja --wikipedia_dump_date 20230701 --wikidata_dump_date 20230701 \
        --wikipedia_data_dir work/wikipedia --wikidata_data_dir work/wikidata
"""

from pathlib import Path

import click

from leia.base.cli import OUTPUT_FOLDER, command, option, output_option
from leia.corpus.downloads import Need, pages_dump, wikidata_dump
from leia.corpus.dumps import check_wikipedia_dump
from leia.corpus.titles import site_of_language
from leia.corpus.wikidata import check_wikidata_dump

FILE, ANY_PATH = click.Path(dir_okay=False, path_type=Path), click.Path(path_type=Path)
USED_BY = "Output that is made from it (repeatable): when all are complete, the dump is not downloaded again."


@command
@click.option("--language", required=True, help="Language code of the Wikipedia, as in its address.")
@output_option("--wikipedia_data_dir", OUTPUT_FOLDER, "Folder for the dump of the pages.")
@output_option("--wikidata_data_dir", OUTPUT_FOLDER, "Folder for the dump of Wikidata.")
@option("The pages", "--wikipedia_dump_date", default="20230701", help="Date of the dump, YYYYMMDD.")
@option("The pages", "--wikipedia_dump_file", type=FILE, help="A dump on disk to use instead.")
@option("The pages", "--wikipedia_used_by", type=ANY_PATH, multiple=True, help=USED_BY)
@option("Wikidata", "--wikidata_source", type=click.Choice(["sql", "json"]), show_default="sql",
    help="sql: the table of the sitelinks, about 2 GB; json: all of Wikidata, over 100 GB.")  # fmt: skip
@option("Wikidata", "--wikidata_dump_date", show_default="20230701 for sql, 20230703 for json",
    help="Date of the dump, YYYYMMDD.")  # fmt: skip
@option("Wikidata", "--wikidata_dump_file", type=FILE, help="A dump on disk to use instead.")
@option("Wikidata", "--wikidata_used_by", type=ANY_PATH, multiple=True, help=USED_BY)
@click.option("--dump_site", default="https://dumps.wikimedia.org", help="The dump site, or a mirror of it.")
@click.option("--print_names", is_flag=True, help="Print the names of the wiki and of the two dumps, and do no more.")
@click.option("--dry_run", is_flag=True, help="Print what would be downloaded.")
def main(
    language: str,
    wikipedia_data_dir: str,
    wikidata_data_dir: str,
    wikipedia_dump_date: str,
    wikipedia_dump_file: Path | None,
    wikipedia_used_by: tuple[Path, ...],
    wikidata_source: str | None,
    wikidata_dump_date: str | None,
    wikidata_dump_file: Path | None,
    wikidata_used_by: tuple[Path, ...],
    dump_site: str,
    print_names: bool,
    dry_run: bool,
) -> None:
    pages = pages_dump(dump_site, language, wikipedia_dump_date)
    sitelinks = wikidata_dump(dump_site, wikidata_source or "sql", wikidata_dump_date)
    if print_names:
        click.echo(f"{site_of_language(language)} {pages.name} {sitelinks.name}")
        return
    wikipedia = Need(pages, Path(wikipedia_data_dir), wikipedia_dump_file, wikipedia_used_by)
    wikidata = Need(sitelinks, Path(wikidata_data_dir), wikidata_dump_file, wikidata_used_by)
    for need in (wikipedia, wikidata):
        need.check_given()
    if wikipedia.path.is_file():
        check_wikipedia_dump(wikipedia.path, language)
    if wikidata.path.is_file():
        check_wikidata_dump(wikidata.path, wikidata_source)
    for need in (wikipedia, wikidata):
        need.provide(dry_run)


if __name__ == "__main__":
    main()
