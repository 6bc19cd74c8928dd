"""Generation as the harnesses of the paper's Japanese table did it, whatever the batches."""

import json

import pytest
import torch
from evaluation_sample import make_tokenizer
from lm_eval.api.instance import Instance
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from leia.base.errors import InputError
from leia.evaluation.generation import RULES, make_request
from leia.evaluation.leia_lm import LeiaLM


def generated(lm: LeiaLM, rule: str, contexts: list[str], settings: list[dict]) -> list[str]:
    lm.generation_rule = rule
    pairs = enumerate(zip(contexts, settings, strict=True))
    requests = [Instance("generate_until", {}, pair, 0, metadata=("task", index, 1)) for index, pair in pairs]
    return lm.generate_until(requests, disable_tqdm=True)


@pytest.fixture(scope="module")
def lm(shared):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(shared / "data/tokenizer-as-on-the-hub/tokenizer.json"), eos_token="</s>"
    )
    return LeiaLM(
        str(shared / "data/tiny-llama"), tokenizer=tokenizer, dtype="float32", device="cpu", batch_size="auto"
    )


@pytest.mark.parametrize("shots", [0, 1, 3])
def test_jaqket_v2_gets_the_answers_of_the_jp_harness(shared, lm, shots):
    path = shared / f"expected/japanese/jaqket_v2_jpharness_{shots}shot.json"
    items = json.loads(path.read_text(encoding="utf-8"))["items"]
    settings = [{"until": item["until"], "max_gen_toks": item["max_new_tokens"]} for item in items]
    found = generated(lm, "hf-causal", [item["context"] for item in items], settings)
    assert found == [item["generation"] for item in items]


@pytest.mark.parametrize("task", ["niilc", "jemhopqa", "jcommonsenseqa"])
def test_llm_jp_tasks_get_the_answers_of_llm_jp_eval(shared, lm, task):
    content = json.loads((shared / f"expected/japanese/{task}_llmjp_4shot.json").read_text(encoding="utf-8"))
    items, settings = content["items"], {"until": [], "max_gen_toks": content["max_new_tokens"]}
    found = generated(lm, "llm-jp-eval", [item["prompt"] for item in items], [settings] * len(items))
    assert found == [item["generation"] for item in items]


TOKENIZER = make_tokenizer()
EOS, LINE_BREAK = TOKENIZER.eos_token_id, TOKENIZER("\n")["input_ids"][0]


def chain(*words: str | int, max_length: int = 32) -> LeiaLM:
    """A Llama that, whatever stood before, writes these tokens in this order, the first behind the last."""
    tokens = [word if isinstance(word, int) else TOKENIZER(word)["input_ids"][0] for word in words]
    size = len(TOKENIZER)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=max_length,
        eos_token_id=EOS,
    )
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    model.model.norm.weight.data.fill_(1)
    model.model.embed_tokens.weight.data = torch.eye(size)
    for token, following in zip(tokens, [*tokens[1:], tokens[0]], strict=True):
        model.lm_head.weight.data[following, token] = 1
    return LeiaLM(model, tokenizer=TOKENIZER, batch_size=8)


def test_hf_causal_goes_past_eos_keeps_its_text_and_ends_at_the_line_break():
    lm = chain("a", EOS, "b", LINE_BREAK, "c")
    assert generated(lm, "hf-causal", ["a"], [{"until": ["\n"], "max_gen_toks": 20}]) == ["</s>b"]
    assert generated(lm, "hf-causal", ["c"], [{"until": ["b"], "max_gen_toks": 20}]) == ["a</s>"]


def test_llm_jp_eval_goes_past_the_line_break_ends_at_eos_and_keeps_a_leading_space():
    lm = chain("x", " ", "a", LINE_BREAK, "b", EOS)
    assert generated(lm, "llm-jp-eval", ["x"], [{"until": ["\n"], "max_gen_toks": 20}]) == [" a\nb"]


def test_llm_jp_eval_cleans_spaces_up_before_signs():
    lm = chain("x", "a", " ", ".", "b", EOS)
    assert generated(lm, "llm-jp-eval", ["x"], [{"until": [], "max_gen_toks": 20}]) == ["a.b"]
    assert generated(lm, "hf-causal", ["x"], [{"until": [], "max_gen_toks": 4}]) == ["a .b"]


@pytest.mark.parametrize("end", [EOS, LINE_BREAK])
def test_the_authors_loop_ends_at_eos_and_at_the_line_break_and_keeps_neither(end):
    lm = chain("x", "a", TOKENIZER.bos_token_id, "b", end, "c", max_length=512)
    for until, limit, expected in ((["\n"], 20, "ab"), ([], 20, "ab"), (["b"], 20, "a"), ([], 1, "a")):
        assert generated(lm, "leia-later-code", ["x"], [{"until": until, "max_gen_toks": limit}]) == [expected]


def test_the_authors_loop_leaves_room_for_256_tokens_whatever_is_asked_for():
    settings = {"until": ["\n"], "max_gen_toks": 3}
    request = make_request(TOKENIZER, RULES["leia-later-code"], "a" + "b" * 99 + "c", settings, max_length=266)
    whole = TOKENIZER("a" + "b" * 99 + "c")["input_ids"]
    assert (request.context, request.max_new_tokens) == (whole[-10:], 3) and len(whole) > 10
    with pytest.raises(InputError, match="an answer may have 256 tokens, the model reads 256 in all"):
        make_request(TOKENIZER, RULES["leia-later-code"], "a", settings, max_length=256)


def test_each_answer_of_a_batch_has_its_own_length_and_padding_changes_none():
    lm = chain("a", "b", "c")
    contexts, limits = ["b", "ccccca", "a"], [2, 5, 1]
    together = generated(lm, "hf-causal", contexts, [{"until": [], "max_gen_toks": limit} for limit in limits])
    assert together == ["ca", "bcabc", "b"]


def test_a_context_that_is_too_long_loses_its_beginning_under_hf_causal_alone():
    lm = chain("a", "b", "c")
    long = "c" * 40 + "a"
    assert generated(lm, "hf-causal", [long], [{"until": [], "max_gen_toks": 31}]) == [("bca" * 11)[:31]]
    assert generated(lm, "llm-jp-eval", [long], [{"until": [], "max_gen_toks": 3}]) == ["bca"]
    with pytest.raises(InputError, match="an answer may have 32 tokens, the model reads 32 in all"):
        generated(lm, "hf-causal", ["a"], [{"until": [], "max_gen_toks": 32}])
