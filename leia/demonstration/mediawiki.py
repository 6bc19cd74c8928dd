"""Files as MediaWiki and Wikidata publish them: a dump of pages in many bzip2 streams, the table of sitelinks.

https://www.mediawiki.org/wiki/Help:Export and, for the table, what mysqldump writes.
"""

import bz2
import gzip
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

_PAGES_PER_STREAM = 100

_SITEINFO = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="{code}">
  <siteinfo>
    <sitename>{name} Wikipedia of an invented world</sitename>
    <dbname>{code}wiki</dbname>
    <base>https://{code}.wikipedia.org/wiki/Main_Page</base>
    <generator>make_invented_world.py</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
    </namespaces>
  </siteinfo>
"""

_PAGE = """  <page>
    <title>{title}</title>
    <ns>0</ns>
    <id>{number}</id>
{redirect}    <revision>
      <id>{number}</id>
      <timestamp>2026-01-01T00:00:00Z</timestamp>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def write_dump(path: Path, name: str, code: str, pages: Iterable[tuple[str, str]]) -> int:
    """Write a dump of `pages`, each a title and its wikitext, of the Wikipedia `name` in the language `code`, as
    published: the head, 100 pages a stream, the end. Returns the number of pages."""
    count = 0
    with path.open("wb") as out:
        out.write(bz2.compress(_SITEINFO.format(name=name, code=code).encode()))
        stream = []
        for count, (title, text) in enumerate(pages, 1):
            to = text.removeprefix("#REDIRECT [[").removesuffix("]]") if text.startswith("#REDIRECT") else ""
            redirect = f'    <redirect title="{escape(to)}" />\n' if to else ""
            stream.append(_PAGE.format(title=escape(title), number=count, redirect=redirect, text=escape(text)))
            if len(stream) == _PAGES_PER_STREAM:
                out.write(bz2.compress("".join(stream).encode()))
                stream = []
        out.write(bz2.compress("".join([*stream, "</mediawiki>\n"]).encode()))
    return count


def write_sitelinks(path: Path, rows: Iterable[tuple[int, str, str]]) -> int:
    """Write the table `wb_items_per_site` of `rows`, each a number of an item, a site and a title that holds no sign
    which would be escaped. Returns the number of rows."""
    values = [f"({number},{item},'{site}','{title}')" for number, (item, site, title) in enumerate(rows, 1)]
    lines = ["-- Table structure for table `wb_items_per_site`", "", "INSERT INTO `wb_items_per_site` VALUES"]
    text = "\n".join([*lines, ",\n".join(values) + ";", "", "-- Dump completed", ""])
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return len(values)
