"""The items of the Japanese benchmarks, from the folder that JAPANESE_DIR names, else from the hub.

The folder holds the benchmarks' own files:

    jcommonsenseqa-v1.1/train-v1.1.json, valid-v1.1.json
    niilc/NIILC-ECQA2015_test.xml
    jemhopqa/dev.json
    jaqket_v1/train_questions.json, dev1_questions.json, candidate_entities.json.gz
    jaqket_v2/train_jaqket_59.350.json, dev_jaqket_59.350.json
    jsquad-v1.1/train-v1.1.json, valid-v1.1.json

Each loader gives `test`, and `train` where examples are drawn from it; a `train` list keeps the order of its file. The
items of `test` have an `id` of their own. Broken data raises `ValueError` or `FileNotFoundError`, one line that says
where it is and what was expected.
"""

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import datasets
from huggingface_hub import hf_hub_download

Row = dict[str, Any]
NUM_CONTEXTS = 5
"""JAQKET: the candidates of an item (v1), and at most as many of its search results (v2)."""
JAQKET_V1_SOURCE = "https://jaqket.s3.ap-northeast-1.amazonaws.com/data/aio_01/"
NIILC_SOURCE = "https://github.com/mynlp/niilc-qa, data/"
JSQUAD_SOURCE = "https://github.com/yahoojapan/JGLUE, tag v1.1.0, datasets/jsquad-v1.1/"


def jcommonsenseqa(**_: Any) -> dict[str, list[Row]]:
    """`id`, `question`, `choices` (5 texts), `label` (0 to 4)."""
    return {"train": _jcommonsenseqa("train"), "test": _jcommonsenseqa("valid")}


def jcommonsenseqa_llmjp(**_: Any) -> dict[str, datasets.Dataset]:
    """`id`, `input`, `output`, as in the other two tasks of llm-jp-eval."""
    items = []
    for row in _jcommonsenseqa("valid"):
        choices = ",".join(f"{index}.{choice}" for index, choice in enumerate(row["choices"]))
        text = f"質問：{row['question']}\n選択肢：{choices}"
        items.append({"id": row["id"], "input": text, "output": str(row["label"])})
    return {"test": datasets.Dataset.from_list(items)}


def niilc(**_: Any) -> dict[str, datasets.Dataset]:
    """Several answers are one output, with commas between; a question whose answer is `-` is dropped."""
    path = _local("niilc/NIILC-ECQA2015_test.xml", NIILC_SOURCE)
    try:
        questions = ElementTree.parse(path).getroot().findall("question")
    except ElementTree.ParseError as error:
        raise ValueError(
            f"{path}:{error.position[0]}: expected the XML of NIILC, found another line ({error})"
        ) from error
    numbered = ((f"{path}: question {number}", question) for number, question in enumerate(questions, 1))
    items = _items(path, numbered, "a NIILC question with text and answers", _niilc_item, distinct=True)
    return {"test": datasets.Dataset.from_list(items)}


def jemhopqa(**_: Any) -> dict[str, datasets.Dataset]:
    def item(row: Row) -> Row:
        return {"id": _text(row["qid"]), "input": f"質問：{_text(row['question'])}", "output": _text(row["answer"])}

    if path := _local("jemhopqa/dev.json"):
        rows = _json_array(path)
    else:
        path, rows = "sbintuitions/JEMHopQA", _hub_rows("sbintuitions/JEMHopQA", "v1", "validation")
    items = _items(path, rows, "a JEMHopQA item with qid, question and answer", item, distinct=True)
    return {"test": datasets.Dataset.from_list(items)}


def jaqket_v1(**_: Any) -> dict[str, list[Row]]:
    """`id`, `question`, `choices` (5 names), `label` (0 to 4), `contexts` (the whole text of each choice's article)."""
    splits = {"train": "jaqket_v1/train_questions.json", "test": "jaqket_v1/dev1_questions.json"}
    paths = {split: _local(name, JAQKET_V1_SOURCE) for split, name in splits.items()}
    entities = _local("jaqket_v1/candidate_entities.json.gz", JAQKET_V1_SOURCE)
    expected = "a JAQKET question with qid, question, answer_entity and answer_candidates"
    items = {
        split: _items(path, _json_lines(path), expected, _jaqket_v1_item, distinct=split == "test")
        for split, path in paths.items()
    }
    wanted = {name for split in items.values() for item in split for name in item["choices"]}

    def entity(row: Row) -> tuple[str, str] | None:
        title, text = _text(row["title"]), _text(row["text"])
        return (title, text) if title in wanted else None

    texts = dict(_items(entities, _json_lines(entities), "an entity with title and text", entity))
    if missing := sorted(wanted - texts.keys()):
        raise ValueError(f"{entities}: has no entity {missing[0]!r}, a candidate of a question ({len(missing)} lack)")
    for split in items.values():
        for item in split:
            item["contexts"] = [texts[name] for name in item["choices"]]
    return items


def jaqket_v2(**_: Any) -> dict[str, list[Row]]:
    """`id`, `question`, `answers`, `contexts` (the texts of the first 5 search results, or of fewer)."""
    items = {}
    for split, name in {"train": "train_jaqket_59.350.json", "test": "dev_jaqket_59.350.json"}.items():
        path = _local(f"jaqket_v2/{name}") or Path(hf_hub_download("kumapo/JAQKET", name, repo_type="dataset"))
        expected = "a JAQKET question with qid, question, answers and ctxs"
        items[split] = _items(path, _json_array(path), expected, _jaqket_v2_item, distinct=split == "test")
    return items


def jsquad(**_: Any) -> dict[str, list[Row]]:
    """As JAQKET v2; the one context is the paragraph without the title in front of it."""
    items = {}
    for split, name in {"train": "train-v1.1.json", "test": "valid-v1.1.json"}.items():
        path = _local(f"jsquad-v1.1/{name}", JSQUAD_SOURCE)
        expected = "a JSQuAD question with id, question and answers"
        items[split] = _items(path, _jsquad_rows(path), expected, _jsquad_item, distinct=split == "test")
    return items


def _jcommonsenseqa(split: str) -> list[Row]:
    def item(row: Row) -> Row:
        choices = [_text(row[f"choice{index}"]) for index in range(5)]
        label = range(len(choices)).index(row["label"])
        return {"id": str(row["q_id"]), "question": _text(row["question"]), "choices": choices, "label": label}

    if path := _local(f"jcommonsenseqa-v1.1/{split}-v1.1.json"):
        rows = _json_lines(path)
    else:
        path = "sbintuitions/JCommonsenseQA"
        rows = _hub_rows(path, None, {"train": "train", "valid": "validation"}[split])
    expected = "a JCommonsenseQA item with q_id, question, choice0 to choice4 and label"
    return _items(path, rows, expected, item, distinct=split == "valid")


def _niilc_item(question: ElementTree.Element) -> Row | None:
    answers = [(answer.text or "").strip() for answer in question.findall("answers/answer")]
    text = (question.findtext("text") or "").strip()
    if not text or not answers:
        raise ValueError("no text" if not text else "no answer")
    output = ",".join(filter(None, answers))
    return None if output == "-" else {"id": question.attrib["id"], "input": f"質問：{text}", "output": output}


def _jaqket_v1_item(row: Row) -> Row | None:
    choices = [_text(name) for name in row["answer_candidates"][:NUM_CONTEXTS]]
    answer, question = _text(row["answer_entity"]), _text(row["question"]).replace("_", "")
    if len(choices) < NUM_CONTEXTS or answer not in choices:
        return None
    return {"id": _text(row["qid"]), "question": question, "choices": choices, "label": choices.index(answer)}


def _jaqket_v2_item(row: Row) -> Row | None:
    found = row["ctxs"][:NUM_CONTEXTS]
    answers = [_text(answer) for answer in row["answers"]]
    if not answers:
        raise ValueError("no answer")
    if True not in [context["has_answer"] for context in found]:
        return None
    texts = [_text(context["text"]) for context in found]
    return {"id": _text(row["qid"]), "question": _text(row["question"]), "answers": answers, "contexts": texts}


def _jsquad_rows(path: Path) -> Iterator[tuple[str, tuple[str, Row]]]:
    """(place, (paragraph, question with answers))"""
    try:
        paragraphs = [part for article in json.loads(path.read_bytes())["data"] for part in article["paragraphs"]]
        rows = [(part["context"], question) for part in paragraphs for question in part["qas"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the JSON of JSQuAD, questions in data, paragraphs, qas; found something else ({error!r})"
        ) from error
    yield from ((f"{path}: question {number}", row) for number, row in enumerate(rows, 1))


def _jsquad_item(row: tuple[str, Row]) -> Row:
    paragraph, question = row
    answers = [_text(answer["text"]) for answer in question["answers"]]
    if not answers:
        raise ValueError("no answer")
    texts, asked = [_text(paragraph).rpartition("[SEP]")[2].strip()], _text(question["question"])
    return {"id": _text(question["id"]), "question": asked, "answers": answers, "contexts": texts}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _local(name: str, source: str = "") -> Path | None:
    """The file `name` below JAPANESE_DIR; None without that variable, or an error where `source` is the only other way:
    there is no copy on the hub that is sure to hold the same items."""
    folder = os.environ.get("JAPANESE_DIR")
    if not folder:
        if source:
            raise FileNotFoundError(f"{name}: is not on the hub; download it from {source} into JAPANESE_DIR/{name}")
        return None
    if not (path := Path(folder, name)).is_file():
        raise FileNotFoundError(f"{folder}: has no {name}; JAPANESE_DIR must name a folder with the benchmarks' files")
    return path


def _json_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """(FILE:LINE, the bytes of the line), which `_items` parses; gzip where the name says so."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield f"{path}:{number}", line


def _json_array(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        rows = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: expected a JSON array, found something else ({error})") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path}: expected a JSON array, found {type(rows).__name__}")
    yield from ((f"{path}: item {number}", row) for number, row in enumerate(rows, 1))


def _hub_rows(repository: str, name: str | None, split: str) -> Iterator[tuple[str, Any]]:
    rows = datasets.load_dataset(repository, name, split=split)
    yield from ((f"{repository}: item {number}", row) for number, row in enumerate(rows, 1))


def _items(
    path: Any, rows: Iterable[tuple[str, Any]], expected: str, make: Callable[[Any], Any], distinct: bool = False
) -> list[Any]:
    """What `make` makes of each row, without the rows that it drops (None); `distinct`: no two have one id."""
    number, kept, seen = 0, [], set()
    for place, row in rows:
        number += 1
        try:
            item = make(json.loads(row) if isinstance(row, bytes) else row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{place}: expected {expected}, found something else ({error!r})") from error
        if item is None:
            continue
        if distinct:
            if item["id"] in seen:
                raise ValueError(f"{place}: the id {item['id']} occurs twice; items are told apart by their ids")
            seen.add(item["id"])
        kept.append(item)
    if not kept:
        found = f"the task keeps none of its {number} items" if number else "is empty"
        raise ValueError(f"{path}: {found}; expected {expected}")
    return kept
