"""Inputs of any size for `scripts/benchmark.py corpus`: dumps made of a sample that is repeated."""

import bz2
import gzip
import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from leia.corpus.wikiextractor import WIKIEXTRACTOR_OPTIONS

_UNIT_BYTES = 8_000_000
"""What is compressed as one piece and then repeated: several blocks of bzip2."""

_ENTITY_BYTES = 14_000
"""Mean length of an entity in Wikidata's JSON dump (1.6 TB for some 115 million)."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A file or folder, and its MB when decompressed."""

    path: Path
    megabytes: float


@dataclass(frozen=True, slots=True)
class Sources:
    """The dumps that are repeated: pages, Wikidata's JSON, its `wb_items_per_site` table."""

    pages: Path
    entities: Path
    table: Path


@dataclass(frozen=True, slots=True)
class Inputs:
    """Larger dumps, and WikiExtractor's text of the pages."""

    pages: Sized
    entities: Sized
    table: Sized
    text: Sized


def make_inputs(sources: Sources, folder: Path, scale: int) -> Inputs:
    """The inputs in `folder`; each dump has `scale` times the size of the pages dump, or what comes nearest."""
    pages, entities, table = map(read_dump, (sources.pages, sources.entities, sources.table))
    entities = fill_entities(entities)
    size = scale * len(pages)
    return Inputs(
        repeat_pages(pages, folder / "pages-articles.xml.bz2", scale),
        repeat_dump(entities, folder / "all.json.bz2", b"{", b"]", size),
        repeat_dump(table, folder / "wb_items_per_site.sql.gz", b"INSERT", b"/*!40000 ALTER TABLE", size),
        repeat_text(sources.pages, folder, scale),
    )


def read_dump(path: Path) -> bytes:
    """The decompressed contents."""
    with {".bz2": bz2.open, ".gz": gzip.open}.get(path.suffix, open)(path, "rb") as file:
        return file.read()


def fill_entities(dump: bytes) -> bytes:
    """`dump`, its entities brought to the mean length of Wikidata's by made-up statements if they are shorter."""
    chance = random.Random(0)
    lines = dump.decode().splitlines()
    if len(dump) >= _ENTITY_BYTES * len(lines):
        return dump
    for number, line in enumerate(lines):
        line = line.rstrip(",")
        if not line.startswith("{"):
            continue
        entity = json.loads(line)
        entity["claims"] = entity.get("claims") or {}  # PHP writes an empty map as []
        length = len(line.encode())
        while length < _ENTITY_BYTES:
            name, value = f"P{chance.randrange(10, 13_000)}", f"Q{chance.randrange(1, 130_000_000)}"
            statement = {
                "mainsnak": {
                    "snaktype": "value",
                    "property": name,
                    "hash": f"{chance.getrandbits(160):040x}",
                    "datavalue": {"value": {"entity-type": "item", "id": value}, "type": "wikibase-entityid"},
                },
                "type": "statement",
                "id": f"{entity['id']}${chance.getrandbits(128):032X}",
                "rank": "normal",
            }
            entity["claims"].setdefault(name, []).append(statement)
            length += len(json.dumps(statement, separators=(",", ":")))
        lines[number] = json.dumps(entity, separators=(",", ":"), ensure_ascii=False) + ","
    return "\n".join(lines).encode()


def repeat_dump(text: bytes, target: Path, first: bytes, last: bytes, size: int) -> Sized:
    """Write `text` with what lies from the first `first` to the last `last` repeated up to `size` bytes, compressed."""
    start, end = text.index(first), text.rindex(last)
    head, body, foot = text[:start], text[start:end], text[end:]
    if not body.rstrip().endswith((b",", b">", b";")):
        body = body.rstrip() + b",\n"  # the last entity of a JSON dump has no comma after it
    times = max(1, size // len(body))
    copies = min(times, max(1, _UNIT_BYTES // len(body)))
    compress = gzip.compress if target.suffix == ".gz" else bz2.compress
    unit = compress(body * copies)
    with target.open("wb") as file:
        file.write(compress(head))
        for _ in range(times // copies):
            file.write(unit)
        file.write(compress(body * (times % copies) + foot))
    return Sized(target, (len(head) + len(foot) + times * len(body)) / 1e6)


def repeat_pages(text: bytes, target: Path, scale: int) -> Sized:
    """Write `scale` times the pages of a dump, in one dump."""
    return repeat_dump(text, target, b"  <page>", b"</mediawiki>", scale * len(text))


def repeat_text(pages: Path, folder: Path, scale: int) -> Sized:
    """WikiExtractor's output for `pages` (run once: it is not a step of ours), repeated in files of about 1 MB."""
    extracted, repeated = folder / "extracted", folder / "text"
    wikiextractor = Path(sys.executable).with_name("wikiextractor")
    options = [*WIKIEXTRACTOR_OPTIONS, "--quiet"]
    subprocess.run([wikiextractor, pages, "-o", extracted, *options], check=True, capture_output=True)
    text = b"".join(path.read_bytes() for path in sorted(extracted.rglob("wiki_*")))
    copies = max(1, 1_000_000 // len(text))
    for number, start in enumerate(range(0, scale, copies)):
        path = repeated / f"A{number // 100:04}" / f"wiki_{number % 100:02}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text * min(copies, scale - start))
    return Sized(repeated, scale * len(text) / 1e6)
