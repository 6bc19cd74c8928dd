"""What the evaluation tests share: the sample items, a tiny model made on the spot, made-up results."""

import json
from pathlib import Path

import torch
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).parents[1]
XCSR = ROOT / "tests/sample/xcsr"
TASKS = ROOT / "leia/tasks"


def make_tokenizer(vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on the sample items."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train([str(path) for path in sorted(XCSR.rglob("dev.jsonl"))], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def make_model(folder: Path, seed: int = 0, max_length: int = 1024) -> Path:
    """Save a two-layer Llama with random weights, large enough that the choices' scores differ well."""
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=max_length,
        initializer_range=0.4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load_task(name: str, num_fewshot: int) -> Task:
    """A task of leia/tasks, ready to build requests; XCSR_DIR says where its data lies."""
    task = TaskManager(include_path=TASKS, include_defaults=False).load(name)["tasks"][name]
    task.set_config("num_fewshot", num_fewshot)
    task.set_fewshot_seed(1234)  # the harness's default; it must have no say
    return task


def write_result(results_dir: Path, task: str, num_fewshot: int, correct: dict[str, bool]) -> Path:
    """A made-up result, marked as one: item id -> whether it was answered rightly."""
    results_dir.mkdir(parents=True, exist_ok=True)
    path = results_dir / f"{task}_{num_fewshot}shot.json"
    item = {"choices": ["a", "b"], "log_likelihoods": [-1.0, -2.0], "prediction": 0, "context": ""}
    own = [{"id": key, "gold": int(not right), "acc": float(right)} for key, right in correct.items()]
    lines = [json.dumps(item | one) + "\n" for one in own]
    path.with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")
    about = {
        "task": task,
        "num_fewshot": num_fewshot,
        "metrics": {"acc": sum(correct.values()) / len(correct)},
        "identity": {"model": {"name": "FIXTURE, no model", "sha256": results_dir.name}},
        "data": {"items": len(correct), "sha256": "fixture"},
    }
    path.write_text(json.dumps(about), encoding="utf-8")
    return path
