"""The data of `crosslingual_facts`: facts that stand in a pivot language (English) and in a target language.

Reads `FACTS_DIR/*.jsonl`, facts in our own layout, or `BMLAMA_DIR/<language>.tsv`, BMLAMA-17 or -53; README.md shows
both. Nothing here needs more than the harness; the YAML files refer to it.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets

SPLIT = "test"
MASK = "<mask>"
WITHOUT_SPACES = ("bo", "ja", "km", "lo", "my", "th", "yue", "zh")
"""Languages whose words stand together: a candidate follows its question at once."""
SOURCES = ("FACTS_DIR", "BMLAMA_DIR")
BMLAMA = "the folder of TSV files BMLAMA17 or BMLAMA53 of github.com/Betswish/Cross-Lingual-Consistency"

logger = logging.getLogger(__name__)

Fact = dict[str, Any]
"""`id`, `relation`, `status`, `question` {language: text}, `candidates` {language: [text]}, `answer` (an index), and
perhaps `entity` {language: text}: how the entity is called in the question."""


def load_facts(language: str | None = None, **_: Any) -> dict[str, datasets.Dataset]:
    """The facts that stand in both languages. Without `language`: FACTS_LANGUAGE, or the only one beside the pivot.

    Raises `FileNotFoundError` or `ValueError`; the message says which file or line, and what was expected.
    """
    pivot = os.environ.get("FACTS_PIVOT") or "en"
    named = [name for name in SOURCES if os.environ.get(name)]
    if len(named) != 1:
        found = (
            f"both {' and '.join(SOURCES)} are set; unset one" if named else f"neither {' nor '.join(SOURCES)} is set"
        )
        raise FileNotFoundError(
            f"{found}. FACTS_DIR (--facts_dir) names a folder of facts as JSON lines, "
            f"BMLAMA_DIR (--bmlama_dir) {BMLAMA}"
        )
    folder = Path(os.environ[named[0]])
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder; {named[0]} must name one")
    if named == ["FACTS_DIR"]:
        facts = _read_facts(folder)
        language = _target(language, pivot, {code for fact in facts for code in fact["question"]}, folder)
        facts = [fact for fact in facts if {pivot, language} <= fact["question"].keys()]
    else:
        language = _target(language, pivot, {path.stem for path in folder.glob("*.tsv")}, folder)
        facts = _read_bmlama(folder, pivot, language)
    if not facts:
        raise ValueError(f"{folder}: has no fact in both {pivot} and {language}")
    return {SPLIT: datasets.Dataset.from_list([_item(fact, pivot, language) for fact in facts])}


def _target(language: str | None, pivot: str, known: set[str], folder: Path) -> str:
    """The target language, when the data has it and the pivot."""
    language = language or os.environ.get("FACTS_LANGUAGE") or None
    others = sorted(known - {pivot})
    if language is None and len(others) != 1:
        raise ValueError(
            f"{folder}: has {len(others)} languages beside {pivot} ({', '.join(others)}); "
            "name one: crosslingual_facts_<lang>, or FACTS_LANGUAGE"
        )
    language = language or others[0]
    if language == pivot:
        raise ValueError(
            f"the facts are to be asked in {pivot} and in another language; FACTS_PIVOT and the task agree"
        )
    for code in (pivot, language):
        if code not in known:
            raise FileNotFoundError(f"{folder}: has nothing in the language {code}; it has {', '.join(sorted(known))}")
    return language


def _read_facts(folder: Path) -> list[Fact]:
    facts, seen = [], set()
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    fact = json.loads(line)
                    problem = _problem(fact)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    problem = f"found another line ({error!r})"
                else:
                    problem = problem or ("its id occurs twice" if fact["id"] in seen else "")
                if problem:
                    raise ValueError(
                        f"{path}:{number}: expected a fact with id, relation, status, question, candidates and answer; "
                        f"{problem}"
                    )
                seen.add(fact["id"])
                facts.append(fact)
    if not facts:
        raise FileNotFoundError(
            f"{folder}: has no fact in *.jsonl; FACTS_DIR must name a folder of facts as JSON lines"
        )
    return facts


def _problem(fact: Fact) -> str:
    """What is wrong with a fact that has all fields, or ""."""
    question, candidates, answer = fact["question"], fact["candidates"], fact["answer"]
    for name in ("id", "relation", "status"):
        if not isinstance(fact[name], str):
            return f"its {name} is {fact[name]!r}, no text"
    if question.keys() != candidates.keys():
        return "its question and its candidates are in different languages"
    for language, texts in candidates.items():
        if not question[language].strip() or question[language].count(MASK) > 1:
            return f"its question in {language} is empty or has more than one {MASK}"
        proper = isinstance(texts, list) and all(isinstance(text, str) and text.strip() for text in texts)
        if not proper or len(set(texts)) != len(texts):
            return f"its candidates in {language} are not different texts"
    numbers = set(map(len, candidates.values()))
    if len(numbers) != 1 or min(numbers) < 2:
        return "its candidates are fewer than two, or not equally many in each language"
    entity = fact.get("entity")
    if entity is not None and (entity.keys() != question.keys() or any(not name for name in entity.values())):
        return "its entity is not named in the languages of its question"
    for language, name in (entity or {}).items():
        if name not in question[language]:
            return f"its question in {language} does not hold its entity {name}"
    if type(answer) is not int or not 0 <= answer < min(numbers):
        return f"its answer {answer!r} is not the number of a candidate, counted from 0"
    return ""


def _read_bmlama(folder: Path, pivot: str, language: str) -> list[Fact]:
    """The facts whose candidates stand at the same places in both languages; the others are counted and left out.

    Names that hold a comma, or two names that are one in the other language, move the candidates against each other.
    """
    rows, other_rows = (_read_table(folder / f"{code}.tsv") for code in (pivot, language))
    if len(rows) != len(other_rows):
        raise ValueError(
            f"{folder}: {pivot}.tsv has {len(rows)} facts, {language}.tsv {len(other_rows)}; expected the same facts "
            "line by line"
        )
    facts = []
    for number, (row, other) in enumerate(zip(rows, other_rows, strict=True), 2):
        if min(len(row), len(other)) < 3:
            continue
        names, other_names = row[2].split(", "), other[2].split(", ")
        if row[1] not in names or len(names) < 2:
            continue
        answer = names.index(row[1])
        subject = row[3] if len(row) > 3 else ""
        fact = {
            "id": str(number),
            "relation": row[0].replace(subject, "[X]").replace(MASK, "[Y]") if subject in row[0] and subject else "",
            "status": "unknown",
            "question": {pivot: row[0], language: other[0]},
            "candidates": {pivot: names, language: other_names},
            "answer": answer,
        }
        if not _problem(fact) and other_names[answer] == other[1]:
            facts.append(fact)
    if left_out := len(rows) - len(facts):
        logger.warning(
            "%s: %d of %d facts are left out: their candidates in %s and %s do not stand at the same places",
            *(folder, left_out, len(rows), pivot, language),
        )
    return facts


def _read_table(path: Path) -> list[list[str]]:
    """The cells of each line after the first: prompt, answer, candidates with commas, subject."""
    head, *lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    if head.rstrip("\r").split("\t")[:3] != ["Prompt", "Ans", "Candidate Ans"]:
        raise ValueError(
            f"{path}: expected the columns Prompt, Ans, Candidate Ans, Subject; BMLAMA_DIR must name {BMLAMA}"
        )
    return [[cell.strip() for cell in line.split("\t")] for line in lines]


def _item(fact: Fact, pivot: str, language: str) -> dict[str, Any]:
    item = {name: fact[name] for name in ("id", "relation", "status", "answer")} | {
        "pivot": pivot,
        "language": language,
    }
    for code, ending in ((pivot, "_pivot"), (language, "")):
        candidates = fact["candidates"][code]
        context, continuations = ask(fact["question"][code], candidates, code)
        item |= {f"context{ending}": context, f"continuations{ending}": continuations, f"choices{ending}": candidates}
    names = fact.get("entity")
    item["entities"] = [{"text": names[language], "name": names[pivot]}] if names else []
    return item


def ask(question: str, candidates: Sequence[str], language: str) -> tuple[str, list[str]]:
    """The context, and what follows it for each candidate.

    A candidate stands in the place of `<mask>`, and what comes after the mask is scored with it. Without a mask it
    follows the question, with a space between in languages that have spaces. White space in front of a candidate is
    scored with the candidate.
    """
    before, mask, after = question.partition(MASK)
    if not mask and not question[-1:].isspace() and language not in WITHOUT_SPACES:
        before += " "
    context = before.rstrip()
    return context, [before[len(context) :] + candidate + after for candidate in candidates]
