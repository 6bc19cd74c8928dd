"""The cases of `tests/corpus/cases`: wikitext and what a reader sees of it. Their format: README.md beside them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leia.corpus.languages import namespace_names
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.reading import WikitextReader

CASES = Path(__file__).parent / "cases"


@dataclass
class Case:
    """`right` holds the answers that are right: for each its lines."""

    file: str
    name: str
    wiki: str = "es"
    known_fault: str = ""
    wikitext: list[str] = field(default_factory=list)
    right: list[list[str]] = field(default_factory=lambda: [[]])


def read_cases(path: Path) -> list[Case]:
    cases: list[Case] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if heading := re.fullmatch(r"== (.+) ==", line):
            cases.append(Case(path.stem, heading[1]))
        elif line[:1] == ">":
            cases[-1].wikitext.append(line[2:])
        elif line[:1] == "=":
            cases[-1].right[-1].append(line[2:])
        elif line == "or":
            cases[-1].right.append([])
        elif line.startswith("wiki: "):
            cases[-1].wiki = line[6:]
        elif line.startswith("known fault: "):
            cases[-1].known_fault = line[13:]
        elif line and line[0] != "#":
            raise ValueError(f"{path.name}, line {number}: expected a line as README.md names them, found {line!r}")
    return cases


def all_cases() -> list:
    cases = [case for path in sorted(CASES.glob("F*.txt")) for case in read_cases(path)]
    return [
        pytest.param(
            case, id=f"{case.file}: {case.name}", marks=[pytest.mark.xfail(reason=case.known_fault, strict=True)]
        )
        if case.known_fault
        else pytest.param(case, id=f"{case.file}: {case.name}")
        for case in cases
    ]


def reader_of(wiki: str) -> WikitextReader:
    """The reader of a wiki as a case names it: `zh variant=zh-tw`."""
    language, *more = wiki.split()
    options = dict(option.partition("=")[::2] for option in more)
    described = Wiki(f"{language}wiki", language, "case-sensitive" not in options, namespace_names(language))
    return WikitextReader(described, options.get("variant"))


def tidy(text: str) -> str:
    """`text` without what README.md says is not compared."""
    text = re.sub(r"⟦( *)([^⟦→]*?)( *)→([^⟦→]*)⟧", r"\1⟦\2→\4⟧\3", text)
    return "\n".join(line for each in text.split("\n") if (line := re.sub(" +", " ", each).strip(" ")))


@pytest.mark.parametrize("case", all_cases())
def test_a_reader_sees(case):
    read = reader_of(case.wiki).read("\n".join(case.wikitext))
    text = read.text
    for start, end, title in reversed(list(zip(read.starts, read.ends, read.titles, strict=True))):
        text = f"{text[:start]}⟦{text[start:end]}→{title}⟧{text[end:]}"
    assert tidy(text) in [tidy("\n".join(lines)) for lines in case.right]
    assert read.links == len(read.titles) + read.dropped.total()


def test_every_kind_has_its_cases():
    cases = [case for path in CASES.glob("F*.txt") for case in read_cases(path)]
    kinds = {case.file[:3] for case in cases}
    on_dumps = {1, 2, 8, 11, 28}  # kinds of whole dumps, which have tests of their own
    assert kinds == {f"F{number:02}" for number in range(1, 32) if number not in on_dumps}
    for kind in kinds:
        names = [case.name for case in cases if case.file[:3] == kind]
        assert len(names) >= 4 and len(names) == len(set(names)), kind
    assert not [case for case in cases if not case.wikitext or not all(case.right)]
