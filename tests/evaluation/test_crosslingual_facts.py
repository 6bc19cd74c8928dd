"""The task of facts in two languages: what is asked, how an item is measured, the data in both layouts, bad data."""

import importlib.util
import json
import math
import re
import sys

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from evaluation_sample import ROOT, TASKS, load_task, make_model
from hypothesis import given
from hypothesis import strategies as st
from lm_eval import evaluator, simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from leia.evaluation.results import read_result

sys.path.insert(0, str(ROOT / "scripts"))
import evaluate as script

FOLDER = TASKS / "crosslingual_facts"
FACTS = ROOT / "tests/sample/facts"


def load_module(name):
    specification = importlib.util.spec_from_file_location(f"crosslingual_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


facts, utils = load_module("facts"), load_module("utils")


@pytest.fixture(autouse=True)
def no_data_named(monkeypatch):
    for name in ("FACTS_DIR", "BMLAMA_DIR", "FACTS_LANGUAGE", "FACTS_PIVOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sample(monkeypatch):
    monkeypatch.setenv("FACTS_DIR", str(FACTS))


def pairs(task, identity):
    task.build_all_requests()
    return [request.args for request in task.instances if request.doc["id"] == identity]


# What is asked


def test_an_item_is_asked_in_english_and_then_in_the_target_language(sample):
    assert pairs(load_task("crosslingual_facts_qaa", 0), "born-1") == [
        ("Ilse Brannock was born in", " Mirrin"),
        ("Ilse Brannock was born in", " Ostaka"),
        ("Ilse Brannock was born in", " Quill Bay"),
        ("Ilse Brannock was born in", " Veldora"),
        ("Ilse Branoku nastu ol", " Mirinu"),
        ("Ilse Branoku nastu ol", " Ostak"),
        ("Ilse Branoku nastu ol", " Kilbai"),
        ("Ilse Branoku nastu ol", " Beldor"),
    ]
    assert pairs(load_task("crosslingual_facts_ja", 0), "trade-3")[4:] == [
        ("マーラ・クイストは", "ガラス職人でした。"),
        ("マーラ・クイストは", "時計職人でした。"),
        ("マーラ・クイストは", "養蜂家でした。"),
        ("マーラ・クイストは", "渡し守でした。"),
    ]


@pytest.mark.parametrize(
    ("question", "language", "context", "continuation"),
    [
        ("Rome is in", "en", "Rome is in", " X"),
        ("Rome is in ", "en", "Rome is in", " X"),
        ("Where is it?\nAnswer:", "qaa", "Where is it?\nAnswer:", " X"),
        ("ローマのある国は", "ja", "ローマのある国は", "X"),
        ("로마는", "ko", "로마는", " X"),
        ("Rome is in <mask>.", "en", "Rome is in", " X."),
        ("Rome is (in <mask>) south", "en", "Rome is (in", " X) south"),
        ("<mask> is its land", "en", "", "X is its land"),
        ("国は「<mask>」です", "ja", "国は「", "X」です"),
    ],
)
def test_a_candidate_stands_in_the_masks_place_or_behind_the_question(question, language, context, continuation):
    assert facts.ask(question, ["X"], language) == (context, [continuation])


def test_there_is_a_task_for_each_language_of_bmlama_53_and_x_csr_and_for_invented_ones():
    bmlama = "af ar az be bg bn ca ceb cs cy da de el en es et eu fa fi fr ga gl he hi hr hu hy id it ja ka ko la lt lv"
    bmlama += " ms nl pl pt ro ru sk sl sq sr sv ta th tr uk ur vi zh"
    xcsr = "ar de en es fr hi it ja nl pl pt ru sw ur vi zh"
    expected = {*bmlama.split(), *xcsr.split(), "qaa"} - {"en"}
    found = {path.stem.removeprefix("crosslingual_facts_"): path for path in FOLDER.glob("crosslingual_facts_*.yaml")}
    assert found.keys() == expected and len(bmlama.split()) == 53
    for language, path in found.items():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert content.pop("include") == "_crosslingual_facts_common_yaml"
        assert content == {"task": f"crosslingual_facts_{language}", "dataset_kwargs": {"language": language}}


def test_the_task_without_a_language_takes_the_only_one_or_the_one_named(sample, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"2 languages beside en \(ja, qaa\); name one"):
        load_task("crosslingual_facts", 0)
    monkeypatch.setenv("FACTS_LANGUAGE", "ja")
    assert load_task("crosslingual_facts", 0).eval_docs[0]["language"] == "ja"
    monkeypatch.delenv("FACTS_LANGUAGE")
    river = (FACTS / "facts.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    (tmp_path / "one.jsonl").write_text(river + "\n", encoding="utf-8")
    monkeypatch.setenv("FACTS_DIR", str(tmp_path))
    assert [doc["language"] for doc in load_task("crosslingual_facts", 0).eval_docs] == ["ja"]


def test_another_pivot_is_asked_first(sample, monkeypatch):
    monkeypatch.setenv("FACTS_PIVOT", "ja")
    (doc, *_) = load_task("crosslingual_facts_qaa", 0).eval_docs
    assert (doc["context_pivot"], doc["context"]) == ("トマス・アーデンの出生地は", "Tomas Ardenu nastu ol")


def test_what_would_change_the_contexts_is_refused(sample):
    task = load_task("crosslingual_facts_qaa", 0)
    for settings in ({"num_fewshot": 2}, {"num_fewshot": 0, "apply_chat_template": True}):
        with pytest.raises(ValueError, match="without examples, system prompt and chat template"):
            task.fewshot_context(task.eval_docs[0], **settings)


# How an item is measured


class Scripted(LM):
    """A model that likes the continuations named the better, the earlier they stand."""

    def __init__(self, liked):
        super().__init__()
        self.liked = liked

    def loglikelihood(self, requests):
        places = [[text for text in self.liked if text in request.args[1]] for request in requests]
        return [(-float(self.liked.index(found[0])) if found else -99.0, False) for found in places]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    generate_until = loglikelihood_rolling


def test_measures_of_items_worked_out_by_hand(monkeypatch, tmp_path):
    """Three facts with three candidates: known in both languages, in English only, in the target only."""
    fact = {"relation": "r", "status": "s", "question": {"en": "Is", "qaa": "Esu"}, "answer": 0}
    names = [
        {"en": ["a1", "a2", "a3"], "qaa": ["p1", "p2", "p3"]},
        {"en": ["b1", "b2", "b3"], "qaa": ["q1", "q2", "q3"]},
        {"en": ["c1", "c2", "c3"], "qaa": ["r1", "r2", "r3"]},
    ]
    lines = [json.dumps(fact | {"id": str(number), "candidates": own}) for number, own in enumerate(names)]
    (tmp_path / "facts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("FACTS_DIR", str(tmp_path))
    task = load_task("crosslingual_facts_qaa", 0)
    # English 123, 123, 231 - the target 132, 213, 123
    liked = ["a1", "a2", "a3", "b1", "b2", "b3", "c2", "c3", "c1", "p1", "p3", "p2", "q2", "q1", "q3", "r1", "r2", "r3"]
    found = evaluator.evaluate(Scripted(liked), {"tasks": {task.config.task: task}, "groups": {}})
    values = {name.removesuffix(",none"): value for name, value in found["results"][task.config.task].items()}
    # The weights are e^3, e^2, e^1 over their sum: 0.66524, 0.24473, 0.09003; the shares of the best 1, 2, 3 in common
    # are 1, 1/2, 1; 0, 1, 1; 0, 1/2, 1.
    rankc = [0.66524 + 0.12236 + 0.09003, 0.24473 + 0.09003, 0.12236 + 0.09003]
    assert values["acc"] == pytest.approx(2 / 3) and values["acc_pivot"] == pytest.approx(2 / 3)
    assert values["transfer"] == 0.5
    assert values["rankc"] == pytest.approx(sum(rankc) / 3, abs=1e-5)
    samples = found["samples"][task.config.task]
    assert [sample["rankc"] for sample in samples] == pytest.approx(rankc, abs=1e-5)
    assert [sample["transfer"] for sample in samples][:2] == [1.0, 0.0] and math.isnan(samples[2]["transfer"])


def test_transfer_has_no_value_where_nothing_is_known_in_the_pivot():
    assert math.isnan(utils.mean_of_known([math.nan, math.nan]))
    assert utils.mean_of_known([math.nan, 1.0, 0.0, 0.0]) == pytest.approx(1 / 3)


def plain_rank_consistency(first, second):
    """As the paper writes it: candidates sorted, P@j, weights by a softmax over N - j."""
    number = len(first)
    one, other = np.argsort(-np.array(first), kind="stable"), np.argsort(-np.array(second), kind="stable")
    exponents = np.exp([float(number - j) for j in range(1, number + 1)])
    total = 0.0
    for j in range(1, number + 1):
        common = sum(1 for candidate in one[:j] if candidate in other[:j])
        total += exponents[j - 1] / exponents.sum() * common / j
    return total


@given(st.data())
def test_rankc_is_the_papers_symmetric_and_one_for_equal_rankings(data):
    number = data.draw(st.integers(2, 12))
    scores = st.lists(st.integers(-5, 0).map(float), min_size=number, max_size=number)
    first, second = data.draw(scores), data.draw(scores)
    rank_consistency = utils.rank_consistency
    found = rank_consistency(first, second)
    assert found == pytest.approx(plain_rank_consistency(first, second))
    assert 0 <= found <= 1 and found == pytest.approx(rank_consistency(second, first))
    assert rank_consistency(first, [score * 2 - 1 for score in first]) == pytest.approx(1)


# The harness and evaluate.sh


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "model")


def evaluate(model, results, *more):
    arguments = ["--model_name_or_path", model, "--results_dir", results, "--num_fewshot_samples", "0", *more]
    return CliRunner().invoke(script.main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("scoring", ["harness", "paper"])
def test_the_harness_and_evaluate_give_the_same_numbers(sample, model, tmp_path, scoring):
    chosen = {"harness": "hf", "paper": "leia"}[scoring]
    harness = simple_evaluate(
        model=chosen,
        model_args=f"pretrained={model},dtype=float32",
        tasks=["crosslingual_facts_ja"],
        task_manager=TaskManager(include_path=TASKS, include_defaults=False),
        device="cpu",
        bootstrap_iters=0,
    )
    outcome = evaluate(model, tmp_path / "r", "--tasks", "crosslingual_facts_ja", "--scoring", scoring)
    assert outcome.exit_code == 0, outcome.output
    result = read_result(tmp_path / "r/crosslingual_facts_ja_0shot.json")
    expected = harness["results"]["crosslingual_facts_ja"]
    assert list(result.metrics) == ["acc", "acc_pivot", "transfer", "rankc"]
    assert result.metrics == pytest.approx({name: expected[f"{name},none"] for name in result.metrics}, nan_ok=True)
    for item, sample_ in zip(result.items, harness["samples"]["crosslingual_facts_ja"], strict=True):
        scores = [score for score, _ in sample_["filtered_resps"]]
        half = len(scores) // 2
        assert item.answer["log_likelihoods_pivot"] == pytest.approx(scores[:half], abs=1e-3)
        assert item.answer["log_likelihoods"] == pytest.approx(scores[half:], abs=1e-3)


def test_a_line_says_both_languages_apart_and_null_where_transfer_does_not_count(sample, model, tmp_path):
    evaluate(model, tmp_path / "r", "--tasks", "crosslingual_facts_qaa")
    lines = (tmp_path / "r/crosslingual_facts_qaa_0shot.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    names = "id language pivot relation status context context_pivot choices choices_pivot log_likelihoods "
    names += "log_likelihoods_pivot prediction prediction_pivot gold acc acc_pivot transfer rankc"
    assert len(items) == 8 and list(items[0]) == names.split()
    for item in items:
        for end in ("", "_pivot"):
            scores = item[f"log_likelihoods{end}"]
            assert len(scores) == len(item[f"choices{end}"]) and item[f"prediction{end}"] == int(np.argmax(scores))
            assert item[f"acc{end}"] == (item[f"prediction{end}"] == item["gold"])
        assert item["transfer"] == (item["acc"] if item["acc_pivot"] else None)
    assert (items[0]["context"], items[0]["choices"][0]) == ("Tomas Ardenu nastu ol", "Beldor")
    assert {item["transfer"] for item in items} > {None}, "else the sample shows nothing"


# BMLAMA

HEAD = "Prompt\tAns\tCandidate Ans\tSubject"
EN = [
    "Ada Moor was born in <mask>.\tMirrin\tOstaka, Tane, Mirrin\tAda Moor",
    "<mask> is the capital of Ostaka.\tTane\tMirrin, Veldora, Tane\tOstaka",
]
JA = [
    "アダ・ムーアは<mask>に生まれました。\tミリン\tオスタカ, テイン, ミリン\tアダ・ムーア",
    "<mask>はオスタカの首都です。\tテイン\tミリン, ヴェルドラ, テイン\tオスタカ",
]


def write_bmlama(folder, en=EN, ja=JA, ending="\n"):
    for language, lines in (("en", en), ("ja", ja)):
        (folder / f"{language}.tsv").write_bytes(ending.join([HEAD, *lines, ""]).encode())


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_bmlamas_tables_are_read_line_by_line(monkeypatch, tmp_path, ending):
    write_bmlama(tmp_path, ending=ending)
    monkeypatch.setenv("BMLAMA_DIR", str(tmp_path))
    task = load_task("crosslingual_facts_ja", 0)
    first, second = task.eval_docs
    assert (first["id"], first["relation"], first["status"]) == ("2", "[X] was born in [Y].", "unknown")
    assert (second["id"], second["relation"], second["answer"]) == ("3", "[Y] is the capital of [X].", 2)
    assert pairs(task, "2") == [
        ("Ada Moor was born in", " Ostaka."),
        ("Ada Moor was born in", " Tane."),
        ("Ada Moor was born in", " Mirrin."),
        ("アダ・ムーアは", "オスタカに生まれました。"),
        ("アダ・ムーアは", "テインに生まれました。"),
        ("アダ・ムーアは", "ミリンに生まれました。"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        "アダ・ムーアは<mask>に生まれました。\tミリン\tオスタカ, テ, イン, ミリン\tアダ・ムーア",  # a name with a comma
        "アダ・ムーアは<mask>に生まれました。\tミリン\tミリン, テイン, オスタカ\tアダ・ムーア",  # another order
        "アダ・ムーアは<mask>に生まれました。\tミリン\tテイン, テイン, ミリン\tアダ・ムーア",  # two names are one
        "アダ・ムーアは<mask>に生まれました。\tトキオ\tオスタカ, テイン, ミリン\tアダ・ムーア",  # no such answer
        "アダ・ムーアは",
    ],
)
def test_facts_whose_candidates_do_not_correspond_are_counted_and_left_out(monkeypatch, tmp_path, caplog, other):
    write_bmlama(tmp_path, ja=[other, JA[1]])
    monkeypatch.setenv("BMLAMA_DIR", str(tmp_path))
    assert [doc["id"] for doc in load_task("crosslingual_facts_ja", 0).eval_docs] == ["3"]
    assert "1 of 2 facts are left out" in caplog.text


# Bad data

FACT = json.loads((FACTS / "facts.jsonl").read_text(encoding="utf-8").splitlines()[0])
WITHOUT_ANSWER = {name: value for name, value in FACT.items() if name != "answer"}
TWO = {"en": ["a", "b"], "qaa": ["p", "q"], "ja": ["x", "y"]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "has no fact in *.jsonl"),
        (['{"id": "x", '], "facts.jsonl:1: expected a fact with id, relation, status, question, candidates and answer"),
        ([json.dumps(WITHOUT_ANSWER)], "facts.jsonl:1: expected a fact"),
        ([json.dumps([1])], "facts.jsonl:1: expected a fact"),
        ([json.dumps(FACT), json.dumps(FACT)], "facts.jsonl:2: expected a fact"),
        ([json.dumps(FACT | {"id": 7})], "its id is 7, no text"),
        ([json.dumps(FACT | {"answer": 4})], "its answer 4 is not the number of a candidate, counted from 0"),
        ([json.dumps(FACT | {"answer": True})], "its answer True is not the number"),
        ([json.dumps(FACT | {"candidates": TWO | {"qaa": ["p"]}, "answer": 0})], "not equally many"),
        ([json.dumps(FACT | {"candidates": TWO | {"ja": ["x", "x"]}, "answer": 0})], "candidates in ja are not differ"),
        ([json.dumps(FACT | {"candidates": TWO | {"ja": "xy"}, "answer": 0})], "candidates in ja are not different"),
        ([json.dumps(FACT | {"question": {"en": "Who?"}})], "are in different languages"),
        ([json.dumps(FACT | {"question": FACT["question"] | {"ja": " "}})], "its question in ja is empty"),
        ([json.dumps(FACT | {"question": FACT["question"] | {"ja": "<mask><mask>"}})], "or has more than one <mask>"),
    ],
)
def test_bad_facts_are_one_line_that_names_the_place(model, tmp_path, lines, message):
    folder = tmp_path / "facts"
    folder.mkdir()
    if lines is not None:
        (folder / "facts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = evaluate(model, tmp_path / "r", "--tasks", "crosslingual_facts_ja", "--facts_dir", folder, "--dry_run")
    assert outcome.exit_code == 1 and message in outcome.output
    assert len(outcome.output.strip().splitlines()) == 1, outcome.output


def test_a_source_is_named_and_only_one(model, tmp_path, monkeypatch):
    write_bmlama(tmp_path)
    tasks = ["--tasks", "crosslingual_facts_ja", "--dry_run"]
    for options, message in (
        ([], "neither FACTS_DIR nor BMLAMA_DIR is set"),
        (["--facts_dir", FACTS, "--bmlama_dir", tmp_path], "both FACTS_DIR and BMLAMA_DIR are set; unset one"),
    ):
        for name in ("FACTS_DIR", "BMLAMA_DIR"):
            monkeypatch.setenv(name, "")
        outcome = evaluate(model, tmp_path / "r", *tasks, *options)
        assert outcome.exit_code == 1 and message in outcome.output
        assert "BMLAMA_DIR (--bmlama_dir) the folder of TSV files" in outcome.output
        assert len(outcome.output.strip().splitlines()) == 1, outcome.output


@pytest.mark.parametrize(
    ("task", "en", "ja", "message"),
    [
        ("crosslingual_facts_de", EN, JA, "has nothing in the language de; it has en, ja"),
        ("crosslingual_facts_ja", EN, JA[:1], "en.tsv has 2 facts, ja.tsv 1; expected the same facts line by line"),
        ("crosslingual_facts_ja", EN[:1], ["x\ty\tz\tw"], "has no fact in both en and ja"),
    ],
)
def test_tables_that_do_not_fit_are_an_error_that_says_so(monkeypatch, tmp_path, task, en, ja, message):
    write_bmlama(tmp_path, en, ja)
    monkeypatch.setenv("BMLAMA_DIR", str(tmp_path))
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        load_task(task, 0)


def test_a_table_of_something_else_is_an_error_that_says_where_bmlama_is(monkeypatch, tmp_path):
    write_bmlama(tmp_path)
    (tmp_path / "ja.tsv").write_text("title\tid\nx\ty\n", encoding="utf-8")
    monkeypatch.setenv("BMLAMA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"ja\.tsv: expected the columns Prompt, Ans, .*BMLAMA17 or BMLAMA53"):
        load_task("crosslingual_facts_ja", 0)
