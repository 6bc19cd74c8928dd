"""Questions with the English names of their entities: where the names stand, which one the model writes, bad input."""

import json
import sys

import pytest
import torch
from click.testing import CliRunner
from evaluation_sample import ROOT, make_model, make_tokenizer
from lm_eval.api.instance import Instance
from tokenizers import Tokenizer, models, trainers
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from leia.base.errors import UsageError
from leia.data.name_tags import add_entity_name_tags
from leia.evaluation.entity_names import NamedEntities, NameFormat, split_name
from leia.evaluation.leia_lm import LeiaLM
from leia.evaluation.results import ItemResult, read_result
from leia.evaluation.run_tasks import TaskScores
from leia.training.tiny_model import train_tokenizer

sys.path.insert(0, str(ROOT / "scripts"))
import evaluate as script

PEOPLE = {"Mira Tolu": "ሕጮ ቚዲ", "Bano Kide": "ላቆ ዅጀ", "Runa Foda": "ጅጪ ኚቆ"}


def write_facts(folder, marked=True, **change):
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (name, other) in enumerate(PEOPLE.items()):
        fact = {"id": f"f{number}", "relation": "r", "status": "held_out", "answer": number % 2}
        fact["question"] = {"en": f"{name} was born in", "qaa": f"{other} ጔጙ"}
        fact["candidates"] = {"en": ["Tane", "Mirrin"], "qaa": ["ቶሉ", "ሲነ"]}
        lines.append(fact | ({"entity": {"en": name, "qaa": other}} if marked else {}) | change)
    (folder / "facts.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """With the tags in its vocabulary, as after training."""
    folder = make_model(tmp_path_factory.mktemp("models") / "tiny", seed=5)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    add_entity_name_tags(tokenizer)
    torch.manual_seed(0)
    network = LlamaForCausalLM.from_pretrained(folder)
    network.resize_token_embeddings(len(tokenizer))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def evaluate(model, results, facts, tasks, *more):
    numbers = ",".join("0" for _ in tasks.split(","))
    arguments = ["--model_name_or_path", model, "--tasks", tasks, "--num_fewshot_samples", numbers]
    arguments += ["--results_dir", results, "--facts_dir", facts, "--dtype", "float32", *more]
    return CliRunner().invoke(script.main, [str(argument) for argument in arguments])


def items_of(folder, task):
    return read_result(folder / f"{task}_0shot.json").items


def test_the_name_has_the_tokens_that_training_inserts():
    """Both kinds of tokenizers: with a space in front of a word, and as it is."""
    for tokenizer in (train_tokenizer([*PEOPLE, *PEOPLE.values()] * 20, 700), make_tokenizer()):
        add_entity_name_tags(tokenizer)
        for name, entity in PEOPLE.items():
            text = NameFormat.of_training(tokenizer, name).fill(entity, name)
            opening, closing = tokenizer.convert_tokens_to_ids(["<translate>", "</translate>"])
            encode = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (entity, name)]
            assert tokenizer(text, add_special_tokens=False)["input_ids"] == [
                *encode[0],
                opening,
                *encode[1],
                closing,
            ]


@pytest.mark.parametrize(
    ("form", "context"),
    [
        ("{entity} ({name})", "A, ሕጮ (Mira) ጔጙ"),
        ("<t>{name}</t> {entity}", "A, <t>Mira</t> ሕጮ ጔጙ"),
        ("<t>{name}</t>", "A, <t>Mira</t> ጔጙ"),
        ("{entity} = {name}. {name}", "A, ሕጮ = Mira. Mira ጔጙ"),
    ],
)
def test_the_format_says_where_the_name_stands(form, context):
    doc = {"entities": [{"text": "ሕጮ", "name": "Mira"}]}
    named = NamedEntities("t", [doc], "given", form)
    asked = []

    class Model:
        def loglikelihood(self, requests):
            asked.extend(request.args for request in requests)

        generate_until = loglikelihood

    lm, plain = Model(), ("A, ሕጮ ጔጙ", " x")
    with named.asked(lm, named.format_for(None)):
        for kind in ("loglikelihood", "generate_until"):
            getattr(lm, kind)([Instance(kind, doc, plain, 0, metadata=("t", 0, 1))])
    lm.loglikelihood([Instance("loglikelihood", doc, plain, 0, metadata=("t", 0, 1))])
    assert asked == [(context, " x"), (context, " x"), plain]


def test_several_entities_each_get_their_name_and_others_stay(tmp_path):
    doc = {"entities": [{"text": "b", "name": "Bee"}, {"text": "a", "name": "Ay"}, {"text": "c", "name": "c"}]}
    named = NamedEntities("t", [doc], "given", "{entity}[{name}]")
    assert named._show(doc, "a a b c", named.format_for(None), {}) == "a a[Ay] b[Bee] c"
    assert named._show(doc, "nothing", named.format_for(None), {}) == "nothing"
    assert named._show({}, "a b", named.format_for(None), {}) == "a b"


def test_given_asks_the_target_with_the_right_name_and_english_as_it_was(model, tmp_path):
    facts = write_facts(tmp_path / "facts")
    outcome = evaluate(model, tmp_path / "r", facts, "crosslingual_facts,crosslingual_facts+given")
    assert outcome.exit_code == 0, outcome.output
    assert "mean crosslingual" not in outcome.output  # ways of asking are no languages of one benchmark
    plain, given = items_of(tmp_path / "r", "crosslingual_facts"), items_of(tmp_path / "r", "crosslingual_facts+given")
    for one, other, (name, entity) in zip(plain, given, PEOPLE.items(), strict=True):
        assert one.answer["context"] == f"{entity} ጔጙ"
        assert other.answer["context"] == f"{entity}<translate>{name}</translate> ጔጙ"
        assert other.answer["log_likelihoods_pivot"] == pytest.approx(one.answer["log_likelihoods_pivot"], abs=1e-3)
        assert other.answer["log_likelihoods"] != one.answer["log_likelihoods"]
        assert "names_right" not in one.metrics and other.metrics["names_right"] == 1.0


@pytest.mark.parametrize("scoring", ["paper", "harness"])
def test_written_asks_with_the_name_that_is_likeliest_between_the_tags(model, tmp_path, scoring):
    """Against each name scored by itself, in plain words."""
    facts = write_facts(tmp_path / "facts")
    outcome = evaluate(model, tmp_path / "r", facts, "crosslingual_facts+written", "--scoring", scoring)
    assert outcome.exit_code == 0, outcome.output
    lm = LeiaLM(str(model), dtype="float32", device="cpu")
    result = read_result(tmp_path / "r/crosslingual_facts+written_0shot.json")
    right = []
    for item, (name, entity) in zip(result.items, PEOPLE.items(), strict=True):
        start = f"{entity}<translate>"
        passes = [Instance("loglikelihood", {}, (start, one), 0, metadata=("x", 0, 1)) for one in PEOPLE]
        scores = dict(zip(PEOPLE, lm.loglikelihood(passes, disable_tqdm=True), strict=True))
        written = max(scores, key=lambda one: scores[one][0])
        assert item.answer["context"] == f"{start}{written}</translate> ጔጙ"
        assert item.metrics["names_right"] == (written == name)
        right.append(written == name)
    assert result.metrics["names_right"] == sum(right) / 3
    assert len(set(right)) == 2, "else the sample shows nothing"
    assert (result.about["name_format"], result.about["names"]) == ("as in training", 3)


def test_a_result_of_another_format_is_refused_and_stays(model, tmp_path):
    facts = write_facts(tmp_path / "facts")
    task = "crosslingual_facts+given"
    assert evaluate(model, tmp_path / "r", facts, task).exit_code == 0
    before = (tmp_path / f"r/{task}_0shot.json").read_bytes()
    outcome = evaluate(model, tmp_path / "r", facts, task, "--name_format", "{entity} ({name})")
    assert outcome.exit_code == 1 and "was made with the name format 'as in training', now it is" in outcome.output
    assert (tmp_path / f"r/{task}_0shot.json").read_bytes() == before
    assert "tasks to evaluate: 0 of 1" in evaluate(model, tmp_path / "r", facts, task).output


def test_bad_input_is_one_line(model, tmp_path):
    facts = write_facts(tmp_path / "facts")
    cases = [
        (facts, "crosslingual_facts+shown", (), 2, "--tasks crosslingual_facts+shown: after + stands how names are"),
        (facts, "crosslingual_facts+given", ("--name_format", "x"), 2, "--name_format is 'x'; expected {name} in it"),
        (write_facts(tmp_path / "no", marked=False), "crosslingual_facts+given", (), 1, "its items mark no entity"),
        (
            write_facts(tmp_path / "other", entity={"en": "Nobody", "qaa": "ሲነ"}),
            *("crosslingual_facts", (), 1, "its question in en does not hold its entity Nobody"),
        ),
        (
            write_facts(tmp_path / "some", entity={"en": "Nobody"}),
            "crosslingual_facts",
            (),
            1,
            "its entity is not named",
        ),
    ]
    for folder, task, more, code, message in cases:
        outcome = evaluate(model, tmp_path / "r", folder, task, *more)
        assert outcome.exit_code == code and message in outcome.output, outcome.output
        assert outcome.output.count("\n") == 1
    with pytest.raises(UsageError):
        split_name("a+b")


def test_a_note_tells_where_neither_way_has_the_tokens_of_training(capsys):
    """A tokenizer that joins letters across words may make one token of the tags and the name between them."""
    backend = Tokenizer(models.BPE())
    texts = [f"<translate>{space}Mira</translate>" for space in ("", " ")] * 20
    backend.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=100, show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    form = NamedEntities("t", [{"entities": [{"text": "x", "name": "Mira"}]}], "given").format_for(tokenizer)
    assert "note: t+given: between the tags the name Mira has other tokens than those" in capsys.readouterr().err
    assert form.fill("x", "Mira") == "x<translate>Mira</translate>"


def test_a_model_in_training_is_scored_with_names_too(model, tmp_path, monkeypatch):
    monkeypatch.setenv("FACTS_DIR", str(write_facts(tmp_path / "facts")))
    network, tokenizer = LlamaForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    scores = TaskScores(["crosslingual_facts+written"], [0], str(model))(network, tokenizer)
    assert {name.partition("+")[2] for name in scores} == {
        f"written_0shot_{name}" for name in ("acc", "acc_pivot", "transfer", "rankc", "names_right")
    }


def test_items_that_mark_nothing_stand_beside_those_that_do(model, tmp_path):
    """Such a fact is asked as it is, and counts in no metric of names."""
    facts = write_facts(tmp_path / "facts")
    lines = (facts / "facts.jsonl").read_text(encoding="utf-8").splitlines()
    unmarked = {name: value for name, value in json.loads(lines[0]).items() if name != "entity"}
    (facts / "facts.jsonl").write_text("\n".join([json.dumps(unmarked), *lines[1:]]), encoding="utf-8")
    outcome = evaluate(model, tmp_path / "r", facts, "crosslingual_facts+given")
    assert outcome.exit_code == 0, outcome.output
    items = items_of(tmp_path / "r", "crosslingual_facts+given")
    assert [item.metrics["names_right"] for item in items] == [None, 1.0, 1.0]
    assert items[0].answer["context"] == "ሕጮ ቚዲ ጔጙ"


def test_a_document_without_the_field_is_left_as_it_is():
    named = NamedEntities("t", [{"entities": [{"text": "b", "name": "Bee"}]}, {}], "given", "{entity} ({name})")
    sample = {"doc_id": 0, "doc": {}, "arguments": [("a b", " x")]}
    (item,) = named.mark([ItemResult("0", {}, {"acc": 1.0})], [sample], named.format_for(None))
    assert (item.answer["context"], item.metrics["names_right"]) == ("a b", None)
