"""The `<language>-wikidata-ids.tsv` files: `title<TAB>QID`, one a line, UTF-8, in the order of the dump.

Titles are written as Wikidata has them; they are normalised where they are looked up.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from leia.base.errors import InputError
from leia.base.step import Tally, kept_by_step
from leia.corpus.titles import normalize_title, site_of_language
from leia.corpus.wikidata import Sitelinks

MADE_BY = "scripts/extract_wikidata_ids.py"
REDIRECTS_MADE_BY = "scripts/extract_wikipedia_redirects.py"


def write_id_files(batches: Iterable[Sitelinks], paths: Mapping[str, Path]) -> dict[str, Tally]:
    """Write the sitelinks to each site to its file in `paths`; return a tally of the rows by site."""
    tallies = {site: Tally(f"{site} titles") for site in paths}
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
    return tallies


def _text(rows: Sequence[bytes]) -> bytes:
    return b"\n".join([*rows, b""])


def _why_unreadable(text: bytes, count: int) -> str:
    """Why `text` cannot be read back as `count` rows; "" when it can."""
    if text.count(b"\t") + text.count(b"\n") + text.count(b"\r") != 2 * count:
        return "title holds a tab or a line break"
    try:
        text.decode()
    except UnicodeDecodeError:
        return "title is no valid Unicode"
    return ""


def check_id_file(path: str | Path, language: str) -> None:
    """Raise `InputError` when the name of an id file says that it is of another Wikipedia than that of `language`."""
    named = re.fullmatch(r"(.+)-wikidata-ids\.tsv", Path(path).name)
    if named and site_of_language(named[1]) != site_of_language(language):
        raise InputError(
            f"{path}: is named as the ids of {named[1]!r}; expected those of {language!r}: {language}-wikidata-ids.tsv"
        )


def check_redirect_file(path: str | Path, language: str) -> None:
    """Raise `InputError` when a redirect file is an id file, or by its name of another Wikipedia than `language`'s."""
    expected = f"{path}: {{}}; expected the redirects of {language!r}, made by {REDIRECTS_MADE_BY}"
    named = re.fullmatch(r"(.+wiki)-redirects\.tsv", Path(path).name)
    if named and named[1] != site_of_language(language):
        raise InputError(expected.format(f"is named as the redirects of {named[1]}"))
    targets = [target for _, target in islice(read_pairs(path, "title<TAB>target", REDIRECTS_MADE_BY), 100)]
    if targets and all(re.fullmatch(r"Q[1-9][0-9]*", target) for target in targets):
        raise InputError(expected.format("is an id file, its second column holds Wikidata ids"))


def read_ids(path: str | Path, language: str) -> tuple[dict[str, str], Tally]:
    """`{normalised title: QID}` of an id file.

    Of rows with one title the last counts; the tally says how many do not.
    """
    ids, rows = {}, 0
    for title, qid in _rows(path):
        ids[normalize_title(title, language)] = qid
        rows += 1
    tally = Tally("Wikidata ids", len(ids))
    tally.drop("a later row has the same title", rows - len(ids))
    return ids, tally


def read_titles(path: str | Path, qids: Container[str]) -> tuple[dict[str, str], Tally]:
    """`{QID: title}` of an id file, for the `qids` asked for only: the file may have ten million rows.

    Of rows with one QID the last counts; the tally says how many do not.
    """
    titles, rows = {}, 0
    for title, qid in _rows(path):
        if qid in qids:
            titles[qid] = title
            rows += 1
    tally = Tally("pivot titles", len(titles))
    tally.drop("a later row has the same Wikidata id", rows - len(titles))
    return titles, tally


def _rows(path: str | Path) -> Iterator[tuple[str, str]]:
    return read_pairs(path, "title<TAB>QID", MADE_BY, second="Q")


def read_pairs(path: str | Path, expected: str, made_by: str, second: str = "") -> Iterator[tuple[str, str]]:
    """The rows of a file of two columns with a tab between; the second starts with `second`.

    Raises `InputError` at the first line that is another, and for a file without a row, unless the step that made it
    wrote down that it found none (a small wiki may have no redirect); the error says what was `expected` and which step
    makes the file.
    """
    number = 0
    with Path(path).open(encoding="utf-8", newline="\n") as file:
        try:
            for number, line in enumerate(file, 1):
                left, tab, right = line.rstrip("\n").partition("\t")
                if not tab or not right.startswith(second):
                    raise InputError(f"{path}:{number}: expected {expected}, found {line[:60]!r}; {made_by} makes it")
                yield left, right
        except UnicodeDecodeError as error:
            message = f"{path}: is not UTF-8 after line {number:,}; expected {expected}; {made_by} makes it"
            raise InputError(message) from error
    if not number and kept_by_step(path, Path(made_by).stem) != 0:
        raise InputError(f"{path}: is empty; expected {expected}; {made_by} makes it")
