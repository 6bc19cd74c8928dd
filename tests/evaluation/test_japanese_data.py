"""The data of the Japanese tasks: from the hub, from nowhere, and broken."""

import gzip
import json
import re
import sys

import datasets
import pytest
from japanese_sample import contexts, load_task, make_model_with_bos


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model_with_bos(tmp_path_factory.mktemp("models") / "model")


def test_the_hub_gives_the_same_data_as_a_local_copy(sample, model, monkeypatch):
    names = ["jcommonsenseqa", "jcommonsenseqa_llmjp", "jemhopqa", "jaqket_v2"]
    local = {name: load_task(name, 1, pretrained=str(model)) for name in names}
    commonsense = {"train": "train-v1.1.json", "validation": "valid-v1.1.json"}

    def load_dataset(repository, name, split):
        if (repository, name) == ("sbintuitions/JCommonsenseQA", None):
            text = (sample / "jcommonsenseqa-v1.1" / commonsense[split]).read_text(encoding="utf-8")
            return datasets.Dataset.from_list([json.loads(line) for line in text.splitlines()])
        assert (repository, name, split) == ("sbintuitions/JEMHopQA", "v1", "validation")
        return datasets.Dataset.from_list(json.loads((sample / "jemhopqa/dev.json").read_text(encoding="utf-8")))

    def download(repository, name, repo_type):
        assert (repository, repo_type) == ("kumapo/JAQKET", "dataset")
        return str(sample / "jaqket_v2" / name)

    monkeypatch.delenv("JAPANESE_DIR")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    loader = sys.modules[local["jemhopqa"].config.custom_dataset.__module__]
    monkeypatch.setattr(loader, "hf_hub_download", download)
    for name in names:
        remote = load_task(name, 1, pretrained=str(model))
        assert list(remote.eval_docs) == list(local[name].eval_docs) and contexts(remote) == contexts(local[name])


def test_what_is_not_on_the_hub_is_said_with_where_it_is(model, monkeypatch):
    monkeypatch.delenv("JAPANESE_DIR", raising=False)
    for name, message in (
        (
            "niilc",
            r"niilc/NIILC-ECQA2015_test\.xml: is not on the hub; download it from https://github\.com/mynlp/niilc",
        ),
        ("jaqket_v1", r"jaqket_v1/train_questions\.json: is not on the hub; download it from https://jaqket\.s3"),
        (
            "jsquad",
            r"jsquad-v1\.1/train-v1\.1\.json: is not on the hub; download it from https://github\.com/yahoojapan",
        ),
    ):
        with pytest.raises(FileNotFoundError, match=rf"^{message}[^\n]*$"):
            load_task(name, 0, pretrained=str(model))


VALID = "jcommonsenseqa-v1.1/valid-v1.1.json"
DEV1, ENTITIES = "jaqket_v1/dev1_questions.json", "jaqket_v1/candidate_entities.json.gz"
DEV2, DEV = "jaqket_v2/dev_jaqket_59.350.json", "jemhopqa/dev.json"
TEST = "niilc/NIILC-ECQA2015_test.xml"
SQUAD = "jsquad-v1.1/valid-v1.1.json"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (VALID, None, None, f"has no {VALID}; JAPANESE_DIR must name"),
        (VALID, ".*", "", f"{VALID}: is empty; expected a JCommonsenseQA item"),
        (VALID, '"label": 2', '"label": 5', f"{VALID}:2: expected a JCommonsenseQA item with q_id"),
        (VALID, '"choice3": "判事"', '"choice3": 3', f"{VALID}:5: expected a JCommonsenseQA item"),
        (VALID, '"label": 1}', '"label": 1', f"{VALID}:3: expected a JCommonsenseQA item"),
        (VALID, '"q_id": 101', '"q_id": 100', f"{VALID}:2: the id 100 occurs twice"),
        (TEST, "</answers>", "</answer>", f"{TEST}:8: expected the XML of NIILC"),
        (TEST, "信号の色は？", " ", f"{TEST}: question 2: expected a NIILC question with text and answers"),
        (TEST, "<answer>-</answer>", "", f"{TEST}: question 3: expected a NIILC question with text and answers"),
        (DEV, '"answer": "NO",', "", f"{DEV}: item 2: expected a JEMHopQA item with qid"),
        (DEV, '"answer": "NO",', '"answer": "NO"', f"{DEV}:1[0-9]: expected a JSON array"),
        (DEV, r"^\[(.*)\]\s*$", r'{"a": [\1]}', f"{DEV}: expected a JSON array, found dict"),
        (
            DEV1,
            '"answer_candidates": .*"三味線", "笛"',
            '"answer": ["',
            f"{DEV1}:2: expected a JAQKET question with qid",
        ),
        (DEV1, '"answer_entity": "[^"]*"', '"answer_entity": "鐘"', f"{DEV1}: the task keeps none of its 4 items"),
        (ENTITIES, '"title": "太鼓"', '"title": "鼓"', f"{ENTITIES}: has no entity '太鼓', a candidate of a question"),
        (ENTITIES, '"title": "太鼓"', '"name": "太鼓"', f"{ENTITIES}:4: expected an entity with title and text"),
        (DEV2, '"has_answer": true', '"has_answer": false', f"{DEV2}: the task keeps none of its 5 items"),
        (DEV2, r'"answers": \[[^]]*\]', '"answers": []', f"{DEV2}: item 1: expected a JAQKET question with qid"),
        (SQUAD, r'"answers": \[[^]]*\]', '"answers": []', f"{SQUAD}: question 1: expected a JSQuAD question with id"),
        (SQUAD, '"V-2"', '"V-1"', f"{SQUAD}: question 2: the id V-1 occurs twice"),
        (SQUAD, '"paragraphs"', '"parts"', f"{SQUAD}: expected the JSON of JSQuAD, questions in data, paragraphs, qas"),
        (SQUAD, '"context"', '"text"', f"{SQUAD}: expected the JSON of JSQuAD"),
    ],
)
def test_bad_data_is_named_with_its_place(sample, model, file, old, new, message):
    path, opened = sample / file, gzip.open if file.endswith(".gz") else open
    if old is None:
        path.unlink()
    else:
        with opened(path, "rt", encoding="utf-8") as lines:
            text = lines.read()
        changed = re.sub(old, new, text, flags=re.DOTALL if old.startswith("^") or old == ".*" else re.MULTILINE)
        assert changed != text
        with opened(path, "wt", encoding="utf-8") as lines:
            lines.write(changed)
    folder = file.partition("/")[0].removesuffix("-v1.1")
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^[^\n]*{message}[^\n]*$"):
        load_task(folder, 0, pretrained=str(model))
