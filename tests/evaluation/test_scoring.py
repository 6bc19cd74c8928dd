"""The harness model: the published log-likelihoods, and the shared context as exact as one sequence at a time."""

import json

import pytest
import torch
from evaluation_sample import load_task, make_model, make_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from leia.evaluation.jobs import find_tasks
from leia.evaluation.leia_lm import LeiaLM
from leia.evaluation.run_tasks import ModelOptions, load_model, score_job
from leia.evaluation.shared_context import lay_out, score

LANGUAGES = ["ar", "de", "en", "es", "fr", "hi", "it", "ja", "nl", "pl", "pt", "ru", "sw", "ur", "vi", "zh"]
VOCABULARY = 120

torch.set_num_threads(1)
torch.manual_seed(1)
LLAMA = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        initializer_range=0.4,
    )
).eval()


def scored_alone(model, context, continuation):
    """The plain slow version: one sequence, all logits."""
    with torch.inference_mode():
        tokens = [*context, *continuation]
        log_probs = model(torch.tensor([tokens])).logits[0].double().log_softmax(-1)
    return sum(log_probs[len(context) - 1 + i, token].item() for i, token in enumerate(continuation))


def request(context, continuation, doc_id=0):
    return Instance("loglikelihood", {}, (context, continuation), 0, metadata=("task", doc_id, 1))


@pytest.mark.parametrize("batch_size", [1, pytest.param(16, marks=pytest.mark.thorough)])
def test_log_likelihoods_are_the_published_ones_in_all_languages(shared, monkeypatch, batch_size):
    monkeypatch.setenv("XCSR_DIR", str(shared / "data/xcsr"))
    expected = json.loads((shared / "expected/xcsr-tiny-llama.json").read_text(encoding="utf-8"))
    lm = LeiaLM(str(shared / "data/tiny-llama"), dtype="float32", device="cpu", batch_size=batch_size)
    assert lm.shares_context
    for benchmark, num_fewshot in (("xcodah", 0), ("xcsqa", 0), ("xcsqa", 4)):
        for language in LANGUAGES:
            task = load_task(f"{benchmark}_{language}", num_fewshot)
            task.build_all_requests()
            found = [value for value, _ in lm.loglikelihood(task.instances, disable_tqdm=True)]
            items = expected[f"{benchmark}_{language}/{num_fewshot}"]["items"]
            assert found == pytest.approx([value for item in items for value in item["loglikelihoods"]], abs=1e-3)


def test_the_papers_tokenizer_gives_the_published_scores(shared, monkeypatch, tmp_path):
    """Under transformers 5 alone, all items of X-CSQA get other log-likelihoods, and every fourth another
    prediction."""
    for file in [*(shared / "data/tiny-llama").iterdir(), *(shared / "data/tokenizer-as-on-the-hub").iterdir()]:
        (tmp_path / file.name).unlink(missing_ok=True)
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.setenv("XCSR_DIR", str(shared / "data/xcsr"))
    expected = json.loads((shared / "expected/xcsr-tiny-llama-hub-tokenizer.json").read_text(encoding="utf-8"))[
        "results"
    ]
    lm = load_model(ModelOptions("paper", str(tmp_path), "float32", "auto", trust_remote_code=False))
    compared = 0
    for name, content in expected.items():
        task, _, shots = name.partition("/")
        for job in find_tasks([task], [int(shots)], str(tmp_path)):
            _, items = score_job(lm, job)
            for item, wanted in zip(items, content["items"], strict=True):
                assert item.id == wanted["id"] and item.answer["context"] == wanted["context"]
                assert item.answer["prediction"] == wanted["prediction"]
                assert item.answer["log_likelihoods"] == pytest.approx(wanted["log_likelihoods"], abs=1e-3)
            assert sum(item.metrics["acc"] for item in items) / len(items) == pytest.approx(content["accuracy"])
            compared += len(items)
    assert compared == 3 * 16 * 5


@pytest.mark.parametrize("scoring", ["paper", "harness"])
def test_both_scorings_have_the_ids_of_the_tokenizer_file(tmp_path, scoring):
    folder = make_model(tmp_path / "model")
    said = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")) | {"normalizer": {"type": "Lowercase"}}
    (folder / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
    config = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>"}  # its class has no normaliser
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    lm = load_model(ModelOptions(scoring, str(folder), "float32", "1", trust_remote_code=False))
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(" ¿Dónde?  NO").ids
    assert lm.tokenizer(" ¿Dónde?  NO", add_special_tokens=False)["input_ids"] == ids
    assert AutoTokenizer.from_pretrained(folder)(" ¿Dónde?  NO")["input_ids"] != ids


TOKENS = st.integers(0, VOCABULARY - 1)
ITEMS = st.tuples(
    st.lists(TOKENS, min_size=1, max_size=12),
    st.lists(TOKENS, max_size=4),
    st.lists(st.lists(TOKENS, min_size=1, max_size=6).map(tuple), min_size=1, max_size=5, unique=True),
)


@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_a_shared_context_gives_what_each_sequence_gives_alone(items):
    contexts = [context for context, _, _ in items]
    continuations = [[(*shared, *rest) for rest in rests] for _, shared, rests in items]
    rows = [lay_out(context, choices) for context, choices in zip(contexts, continuations, strict=True)]
    for context, choices, scores in zip(contexts, continuations, score(LLAMA, rows, 0), strict=True):
        alone = [scored_alone(LLAMA, context, choice) for choice in choices]
        assert [found.log_likelihood for found in scores] == pytest.approx(alone, abs=1e-4)


def test_a_context_is_computed_once():
    row = lay_out([1, 2, 3], [[7, 8, 9], [7, 8], [7, 5, 6, 4]])
    assert row.tokens == [1, 2, 3, 7, 8, 5, 6]
    assert row.positions == [0, 1, 2, 3, 4, 4, 5]


def test_equal_choices_tie_and_an_empty_one_scores_nothing(tmp_path):
    lm = LeiaLM(str(make_model(tmp_path / "model")), dtype="float32", device="cpu", batch_size=2)
    requests = [request("¿Dónde?", choice) for choice in (" mar", " río", " mar", "")]
    (sea, _), (river, _), (again, _), (empty, _) = lm.loglikelihood(requests, disable_tqdm=True)
    assert sea == again != river
    assert empty == 0.0


def test_what_is_too_long_loses_the_contexts_beginning(tmp_path):
    lm = LeiaLM(str(make_model(tmp_path / "model", max_length=48)), dtype="float32", device="cpu", batch_size=4)
    context, choices = "una palabra tras otra " * 20, (" fin", " principio")
    found = [value for value, _ in lm.loglikelihood([request(context, choice) for choice in choices], True)]
    for value, choice in zip(found, choices, strict=True):
        context_ids, choice_ids = (
            lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (context, choice)
        )
        kept = context_ids[-(48 + 1 - len(choice_ids)) :]
        with torch.inference_mode():
            log_probs = lm.model(torch.tensor([[*kept, *choice_ids][:-1]])).logits[0].double().log_softmax(-1)
        expected = sum(log_probs[len(kept) - 1 + i, token].item() for i, token in enumerate(choice_ids))
        assert value == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["bloom", "mistral"])
def test_models_that_cannot_share_a_context_are_scored_all_the_same(kind):
    tokenizer = make_tokenizer()
    torch.manual_seed(3)
    if kind == "bloom":  # ALiBi: positions come from the place in the row, not from position ids
        model = BloomForCausalLM(BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=4)).eval()
    else:  # a window shorter than the item: the mask that shares the context would replace the window's
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        options = {"num_key_value_heads": 4, "sliding_window": 40, "vocab_size": len(tokenizer)}
        model = MistralForCausalLM(MistralConfig(**size, **options, initializer_range=0.4)).eval()
    lm = LeiaLM(pretrained=model, tokenizer=tokenizer, batch_size=2)
    context, choices = (
        "Question: ¿Dónde nace un río casi siempre?\nAnswer: en la montaña\n\n" * 4,
        (" en la montaña", " en el mar", " no"),
    )
    found = [value for value, _ in lm.loglikelihood([request(context, choice) for choice in choices], True)]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (context, *choices)]
    assert found == pytest.approx([scored_alone(model, ids[0], choice) for choice in ids[1:]], abs=1e-3)
