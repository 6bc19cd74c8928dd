"""The files of a judged collection in a folder: queries, judgements and documents, in TREC's formats or simpler ones.

    queries.tsv    or queries.trec, topics*           `id<TAB>text`, or <top><num>...<title>...<desc>...</top>
    qrels.txt                                         `query iteration document relevance`
    documents.jsonl or documents.trec (or those .gz)  {"id": ..., "text": ...}, or <DOC><DOCNO>...<TEXT>...</DOC>

The readers of TREC's formats are our own, because those of `ir_datasets` want each tag at the start of a line, skip a
last document without a line break, write an index beside the file, and do not know CLEF's tags (<DE-title>, <LD>).
"""

import gzip
import html
import json
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from leia.base.errors import InputError, UsageError
from leia.base.text import read_written_pairs

FIELDS = ("title", "desc", "narr")
"""Of a TREC topic."""

_TEXT_TAGS = ("TITLE", "HEADLINE", "HEAD", "TI", "LEAD", "LEADPARA", "LD", "TEXT", "TX")
"""What holds the text of a TREC document, in the news of TREC and CLEF."""

_FIELD = re.compile(
    r"<(?:[a-z]{2}-)?(num|title|desc|narr)\b[^>]*>\s*(?:(?:number|topic|description|narrative)\s*:)?([^<]*)",
    re.IGNORECASE,
)
_IN_TAGS = re.compile(rf"<({'|'.join(_TEXT_TAGS)})\b[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_DOCNO = re.compile(r"<DOCNO>\s*(.*?)\s*</DOCNO>", re.DOTALL | re.IGNORECASE)
_END = re.compile(r"</DOC>", re.IGNORECASE)


def read_queries(folder: Path, fields: Sequence[str], encoding: str) -> dict[str, str]:
    """Query id -> text, in the order of the file; of a topic its `fields`."""
    if not fields or not set(fields) <= set(FIELDS):
        raise UsageError(
            f"fields of a topic: expected some of {', '.join(FIELDS)}, found {', '.join(fields) or 'none'}"
        )
    path = _the_file(folder, ("queries.tsv", "queries.trec", "topics*"), "the queries")
    if path.suffix == ".tsv":
        advice = "write a query a line"
        rows = [(f"{path}:{line}", *row) for line, *row in read_written_pairs(path, "query id", "text", advice)]
    else:
        rows = list(_topics(path, fields, encoding))
    queries: dict[str, str] = {}
    for where, query, text in rows:
        if query in queries:
            raise InputError(f"{where}: expected each query once, found {query!r} again; remove one of them")
        queries[query] = text
    if not queries:
        raise InputError(f"{path}: expected queries, found an empty file; write id<TAB>text, a query a line")
    return queries


def _topics(path: Path, fields: Sequence[str], encoding: str) -> Iterator[tuple[str, str, str]]:
    """Where each topic stands, its id, its text."""
    _, *topics = re.split("<top>", "".join(line for _, line in _lines(path, encoding)), flags=re.IGNORECASE)
    if not topics:
        raise InputError(f"{path}: expected topics <top>...</top>, found none; write queries.tsv (id<TAB>text) instead")
    for number, topic in enumerate(topics, 1):
        found = {name.lower(): " ".join(html.unescape(text).split()) for name, text in _FIELD.findall(topic)}
        query = found.get("num", "")
        for name in ("num", *fields):
            if not found.get(name):
                which = f"topic {query}" if query else f"topic number {number} in the file"
                raise InputError(f"{path}: {which}: expected a <{name}> with text, found none; add it or leave it out")
        yield f"{path}: topic number {number} in the file", query, " ".join(found[name] for name in fields)


def read_judgements(folder: Path) -> dict[str, dict[str, int]]:
    """Query -> document -> relevance, in the order of qrels.txt."""
    path = _the_file(folder, ("qrels.txt",), "the judgements")
    judgements: dict[str, dict[str, int]] = {}
    for number, line in _lines(path, "utf-8"):
        if not line.strip():
            continue
        try:
            query, _, document, written = line.split()
            relevance = int(written)
        except ValueError:
            raise InputError(
                f"{path}:{number}: expected `query iteration document relevance` with a whole number at the end, found "
                f"{line.strip()[:60]!r}; correct the line"
            ) from None
        if document in judgements.setdefault(query, {}):
            raise InputError(
                f"{path}:{number}: expected one judgement of query {query} and document {document}, found a second "
                "one; remove one of them"
            )
        judgements[query][document] = relevance
    if not judgements:
        expected = "`query iteration document relevance`, a judgement a line"
        raise InputError(f"{path}: expected judgements, found an empty file; write {expected}")
    return judgements


def read_documents(folder: Path, wanted: Collection[str], encoding: str) -> dict[str, str]:
    """Document id -> text of those documents that are `wanted`; "" where one has no text. The file is streamed."""
    names = ("documents.jsonl", "documents.jsonl.gz", "documents.trec", "documents.trec.gz")
    path = _the_file(folder, names, "the documents")
    rows = _json_documents(path, wanted) if ".jsonl" in path.name else _trec_documents(path, wanted, encoding)
    documents: dict[str, str] = {}
    for number, document, text in rows:
        if document in documents:
            raise InputError(
                f"{path}:{number}: expected each document once, found {document!r} again; remove one of them"
            )
        documents[document] = text
    if documents and not any(documents.values()):
        kinds = ", ".join(f"<{tag}>" for tag in _TEXT_TAGS) if ".trec" in path.name else "text"
        advice = "write documents.jsonl instead, a document a line"
        raise InputError(f"{path}: expected documents with {kinds}, found no text in any; {advice}")
    return documents


def _json_documents(path: Path, wanted: Collection[str]) -> Iterator[tuple[int, str, str]]:
    for number, line in _lines(path, "utf-8"):
        try:
            row = json.loads(line)
            document, text = row["id"], row["text"]
            if not isinstance(document, str) or not isinstance(text, str):
                raise TypeError("both are strings")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f'{path}:{number}: expected {{"id": "...", "text": "..."}}, found {line[:60]!r} ({error}); '
                "correct the line"
            ) from error
        if document in wanted:
            yield number, document, " ".join(text.split())


def _trec_documents(path: Path, wanted: Collection[str], encoding: str) -> Iterator[tuple[int, str, str]]:
    """The line where each wanted document ends, its id, and what stands in `_TEXT_TAGS`, without further markup."""
    for number, content in _trec_blocks(path, encoding):
        docno = _DOCNO.search(content)
        if docno is None or not docno[1]:
            raise InputError(
                f"{path}:{number}: expected a <DOCNO> in the document that ends here, found none; add it or remove the "
                "document"
            )
        if docno[1] in wanted:
            text = " ".join(re.sub("<[^>]*>", " ", inner) for _, inner in _IN_TAGS.findall(content))
            yield number, docno[1], " ".join(html.unescape(text).split())


def _trec_blocks(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """What stands before each </DOC>, with the number of its line."""
    number, block = 0, []
    for number, rest in _lines(path, encoding):
        while end := _END.search(rest):
            yield number, "".join([*block, rest[: end.start()]])
            block, rest = [], rest[end.end() :]
        block.append(rest)
    if "<DOC>" in "".join(block).upper():
        raise InputError(f"{path}:{number}: expected </DOC>, found the end of the file; is it cut off? Copy it again")


def _the_file(folder: Path, patterns: Sequence[str], what: str) -> Path:
    """The one file of the folder that matches one of `patterns`."""
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        advice = "keep one of them" if found else "add it"
        raise InputError(f"{folder}: expected {what} in one file {' or '.join(patterns)}, found {names}; {advice}")
    return found[0]


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """The lines of a file, gzipped or not, with their numbers."""
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding=encoding, newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not {encoding} after line {number:,}; name its --encoding (latin-1, say) or convert it"
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        message = f"{path}: expected a gzip file, found a broken one after line {number:,} ({error}); copy it again"
        raise InputError(message) from error
