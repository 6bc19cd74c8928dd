"""The collection of held-out pairs: its three files, which documents are judged, and that nothing is left to chance."""

import json

import pytest

from leia.base.errors import InputError
from leia.retrieval.held_out import COLLECTION_FILES, write_collection

SOURCES = {
    f"aa-Q{n}-0": f"Kort {n}. Denne	setningen  har minst {n} ord. Og denne\nlinjen er en annen {n}."
    for n in range(30)
}
TARGETS = {f"bb-Q{n}-{k}": f"Dokument {n}\tog «{k}»." for n in range(30) for k in range(2)}
PAIRS = [
    {"source": f"aa-Q{n}-0", "target": f"bb-Q{n}-0", "source_negatives": [f"bb-Q{n}-1"], "target_negatives": []}
    for n in range(30)
]


def read(folder):
    queries = dict(line.split("\t") for line in (folder / "queries.tsv").read_text("utf-8").splitlines())
    lines = map(json.loads, (folder / "documents.jsonl").read_text("utf-8").splitlines())
    documents = {line["id"]: line["text"] for line in lines}
    judged = {}
    for line in (folder / "qrels.txt").read_text("utf-8").splitlines():
        query, zero, document, grade = line.split(" ")
        assert zero == "0"
        judged.setdefault(query, {})[document] = int(grade)
    return queries, documents, judged


def test_each_query_has_its_counterpart_its_hard_negatives_and_drawn_documents(tmp_path) -> None:
    written = write_collection(tmp_path, PAIRS, SOURCES, TARGETS, "no", seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(COLLECTION_FILES)
    queries, documents, judged = read(tmp_path)
    assert written == {"queries": 30, "documents": 60, "judgements": 300}
    assert documents == TARGETS and list(queries) == list(judged) == list(SOURCES)
    for pair in PAIRS:
        of_query = judged[pair["source"]]
        assert len(of_query) == 10 and [document for document, grade in of_query.items() if grade] == [pair["target"]]
        assert list(of_query)[:2] == [pair["target"], *pair["source_negatives"]]
    assert len({tuple(of_query)[2:] for of_query in judged.values()}) > 20


def test_a_query_is_one_sentence_and_no_short_one_where_there_are_longer_ones(tmp_path) -> None:
    write_collection(tmp_path, PAIRS, SOURCES, TARGETS, "no", seed=0)
    queries, _, _ = read(tmp_path)
    assert all("setningen har" in text for text in queries.values() if text.startswith("Denne"))
    starts = {text.split()[0] for text in queries.values()}
    assert starts <= {"Denne", "linjen"} and len(starts) == 2
    texts = dict.fromkeys(SOURCES, "Kort her. Og her.")
    write_collection(tmp_path, PAIRS, texts, TARGETS, "no", seed=0)
    assert set(read(tmp_path)[0].values()) == {"Kort her.", "Og her."}
    texts = dict.fromkeys(SOURCES, "首都は東京である。島国である。")
    write_collection(tmp_path, PAIRS, texts, TARGETS, "ja", seed=0)
    assert set(read(tmp_path)[0].values()) == {"首都は東京である。", "島国である。"}


def test_the_seed_decides_and_a_query_does_not_depend_on_the_others(tmp_path) -> None:
    def files(pairs=PAIRS, seed=0):
        write_collection(tmp_path, pairs, SOURCES, TARGETS, "no", seed)
        return {name: (tmp_path / name).read_bytes() for name in COLLECTION_FILES}

    one = files()
    assert files() == one
    other = files(seed=1)
    assert other["qrels.txt"] != one["qrels.txt"] and other["queries.tsv"] != one["queries.tsv"]
    fewer = files(PAIRS[20:])
    assert one["qrels.txt"].endswith(fewer["qrels.txt"]) and one["queries.tsv"].endswith(fewer["queries.tsv"])


@pytest.mark.parametrize(
    ("documents", "judged", "expected"), [(1, 10, 1), (4, 10, 4), (60, 10, 10), (60, 1, 1), (60, 25, 25)]
)
def test_as_many_are_judged_as_there_are(tmp_path, documents, judged, expected) -> None:
    targets = dict(list(TARGETS.items())[:documents])
    write_collection(tmp_path, PAIRS[:1], SOURCES, targets, "no", 0, judged)
    (of_query,) = read(tmp_path)[2].values()
    assert len(of_query) == expected and sum(of_query.values()) == 1


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ({}, TARGETS, "pair aa-Q0-0, bb-Q0-0: expected a text for both sections, found none for one"),
        (SOURCES, {}, "pair aa-Q0-0, bb-Q0-0: expected a text for both sections, found none for one"),
        (SOURCES | {"aa-Q0-0": " \n"}, TARGETS, "section aa-Q0-0: expected a text with a sentence for a query"),
    ],
)
def test_a_pair_without_texts_is_one_line(tmp_path, sources, targets, message) -> None:
    with pytest.raises(InputError) as error:
        write_collection(tmp_path, PAIRS, sources, targets, "no", 0)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
