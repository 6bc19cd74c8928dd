"""The `<language>-wikidata-ids.tsv` files: `title<TAB>QID`, one a line, UTF-8, in the order of the dump.

Titles are written as Wikidata has them; they are normalised where they are looked up.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from leia.base.errors import DropReason, InputError
from leia.base.step import Counts, kept_by_step
from leia.base.text import read_pairs
from leia.corpus.titles import site_of_language
from leia.corpus.wikidata import Sitelinks

MADE_BY = "scripts/extract_wikidata_ids.py"
REDIRECTS_MADE_BY = "scripts/extract_wikipedia_redirects.py"


def write_id_files(batches: Iterable[Sitelinks], paths: Mapping[str, Path], counts: Counts) -> list[str]:
    """Write the sitelinks to each site to its file in `paths`; return the sites that have none.

    `counts` gets the rows of each site.
    """
    tallies = {site: counts.count(f"{site} titles") for site in paths}
    with ExitStack() as stack:
        files = {site: stack.enter_context(path.open("wb")) for site, path in paths.items()}
        for batch in batches:
            for site, rows in batch.items():
                text = _text(rows)
                if _why_unreadable(text, len(rows)):
                    reasons = [_why_unreadable(_text([row]), 1) for row in rows]
                    tallies[site].dropped.update(filter(None, reasons))
                    rows = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
                    text = _text(rows)
                files[site].write(text)
                tallies[site].kept += len(rows)
    return [site for site, tally in tallies.items() if not tally.kept]


def _text(rows: Sequence[bytes]) -> bytes:
    return b"\n".join([*rows, b""])


def _why_unreadable(text: bytes, count: int) -> str:
    """Why `text` cannot be read back as `count` rows; "" when it can."""
    if text.count(b"\t") + text.count(b"\n") + text.count(b"\r") != 2 * count:
        return DropReason.TITLE_WITH_TAB
    try:
        text.decode()
    except UnicodeDecodeError:
        return DropReason.TITLE_NOT_UNICODE
    return ""


def check_id_file(path: str | Path, language: str) -> None:
    """Raise `InputError` when an id file is by its name of another Wikipedia than `language`'s."""
    named = re.fullmatch(r"(.+)-wikidata-ids\.tsv", Path(path).name)
    if named and site_of_language(named[1]) != site_of_language(language):
        expected = f"expected those of {language!r}: {language}-wikidata-ids.tsv"
        raise InputError(f"{path}: is named as the ids of {named[1]!r}; {expected}")


def check_redirect_file(path: str | Path, language: str) -> None:
    """Raise `InputError` when a redirect file is an id file, or by its name of another Wikipedia than `language`'s."""
    expected = f"{path}: {{}}; expected the redirects of {language!r}, made by {REDIRECTS_MADE_BY}"
    named = re.fullmatch(r"(.+wiki)-redirects\.tsv", Path(path).name)
    if named and named[1] != site_of_language(language):
        raise InputError(expected.format(f"is named as the redirects of {named[1]}"))
    targets = [target for _, target in islice(read_rows(path, "title<TAB>target", REDIRECTS_MADE_BY), 100)]
    if targets and all(re.fullmatch(r"Q[1-9][0-9]*", target) for target in targets):
        raise InputError(expected.format("is an id file, its second column holds Wikidata ids"))


def read_ids(path: str | Path, normalize: Callable[[str], str], counts: Counts) -> dict[str, str]:
    """`{title: QID}` of an id file, titles as `normalize` writes them.

    Of rows with one title the last counts; `counts` says how many do not.
    """
    ids, rows = {}, 0
    for title, qid in _rows(path):
        ids[normalize(title)] = qid
        rows += 1
    tally = counts.count("Wikidata ids")
    tally.kept += len(ids)
    tally.drop(DropReason.SAME_TITLE_LATER, rows - len(ids))
    return ids


def read_titles(path: str | Path, qids: Container[str], counts: Counts) -> dict[str, str]:
    """`{QID: title}` of an id file, for the `qids` asked for only: the file may have ten million rows.

    Of rows with one QID the last counts; `counts` says how many do not.
    """
    titles, rows = {}, 0
    for title, qid in _rows(path):
        if qid in qids:
            titles[qid] = title
            rows += 1
    tally = counts.count("pivot titles")
    tally.kept += len(titles)
    tally.drop(DropReason.SAME_QID_LATER, rows - len(titles))
    return titles


def _rows(path: str | Path) -> Iterator[tuple[str, str]]:
    return read_rows(path, "title<TAB>QID", MADE_BY, second="Q")


def read_rows(path: str | Path, expected: str, made_by: str, second: str = "") -> Iterator[tuple[str, str]]:
    """The rows of an id file or a redirect file, `read_pairs` with an error for a file without a row: unless the step
    that made it wrote down that it found none (a small wiki may have no redirect)."""
    empty = True
    for row in read_pairs(Path(path), expected, f"{made_by} makes it", second):
        empty = False
        yield row
    if empty and kept_by_step(path, Path(made_by).stem) != 0:
        raise InputError(f"{path}: is empty; expected {expected}; {made_by} makes it")
