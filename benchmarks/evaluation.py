"""Time the paper's scores, computed by the harness's plain HF model and by ours.

Makes a Llama of about 100M parameters with random weights for the tokenizer given, and scores X-CSQA with 4 examples
(local items of all 16 languages) in 32 bits. Both sides get the same token ids. The harness's best batch size is found
first, on a part of the items; then both are timed in turn on all of them.

    python scripts/benchmark.py evaluation --xcsr_dir xcsr --tokenizer meta-llama/Llama-2-7b-hf
"""

import os
import time
from typing import TYPE_CHECKING

import click

from leia.base.cli import EXISTING_FOLDER, command

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NUM_FEWSHOT = 4
NUM_CHOICES = 5
TRIAL_ITEMS = 8
BATCH_SIZES = (1, 2, 4, 8, 16)


@command
@click.option("--xcsr_dir", required=True, type=EXISTING_FOLDER, help="Local copy of X-CSR.")
@click.option("--tokenizer", required=True, help="Folder or hub name of a tokenizer, say Llama 2's.")
@click.option("--items_per_language", default=5, type=click.IntRange(1), help="How many items of each language.")
@click.option("--rounds", default=2, type=click.IntRange(1), help="How often each side is timed; its best counts.")
def evaluation(xcsr_dir: str, tokenizer: str, items_per_language: int, rounds: int) -> None:
    import torch

    from leia.data.tokenizers import load_tokenizer
    from leia.evaluation.leia_lm import LeiaLM

    os.environ["XCSR_DIR"] = xcsr_dir
    loaded_tokenizer = load_tokenizer(tokenizer)
    model = _random_llama(len(loaded_tokenizer))
    requests = make_requests(items_per_language)
    items = len(requests) // NUM_CHOICES
    click.echo(
        f"Llama with {model.num_parameters() / 1e6:.0f}M random parameters, {model.dtype}, {model.device}, "
        f"{torch.get_num_threads()} threads; {items} items of {NUM_CHOICES} choices"
    )
    plain = _plain_lm(model, loaded_tokenizer)
    plain.batch_size_per_gpu = _best_batch_size(plain, requests)
    ours = LeiaLM(pretrained=model, tokenizer=loaded_tokenizer, batch_size="auto")
    pairs = [(_timed(plain, requests), _timed(ours, requests)) for _ in range(rounds)]
    (harness_seconds, harness_scores), (our_seconds, our_scores) = map(min, zip(*pairs, strict=True))
    click.echo(
        f"harness, batch size {plain.batch_size}: {harness_seconds:.1f} s, {items / harness_seconds:.2f} items/s"
    )
    click.echo(f"ours, batch size auto: {our_seconds:.1f} s, {items / our_seconds:.2f} items/s")
    worst = max(abs(one - other) for one, other in zip(harness_scores, our_scores, strict=True))
    pairs_of_choices = zip(_predictions(harness_scores), _predictions(our_scores), strict=True)
    same = [one for one, other in pairs_of_choices if one == other]
    click.echo(
        f"{harness_seconds / our_seconds:.2f} times as fast; {len(same)} of {items} predictions the same; "
        f"log-likelihoods differ by {worst:.1e} at most"
    )


def _plain_lm(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> "HFLM":
    """The harness's model, given the token ids of the paper."""
    from lm_eval.models.huggingface import HFLM

    class PlainLM(HFLM):
        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            ids = self.tokenizer([context, continuation], add_special_tokens=False)["input_ids"]
            return ids[0], ids[1]

    return PlainLM(pretrained=model, tokenizer=tokenizer, backend="causal")


def _best_batch_size(lm: "HFLM", requests: list["Instance"]) -> int:
    """The quickest one, by a part of the items."""
    step = max(1, len(requests) // NUM_CHOICES // TRIAL_ITEMS) * NUM_CHOICES
    trial = [request for start in range(0, len(requests), step) for request in requests[start : start + NUM_CHOICES]]
    seconds = {}
    for size in BATCH_SIZES:
        lm.batch_size_per_gpu = size
        seconds[size], _ = _timed(lm, trial)
        click.echo(f"harness, batch size {size:>2}: {len(trial) / NUM_CHOICES / seconds[size]:6.2f} items/s (trial)")
    return min(seconds, key=seconds.__getitem__)


def _random_llama(vocabulary_size: int) -> "PreTrainedModel":
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=640,
        intermediate_size=1728,
        num_hidden_layers=12,
        num_attention_heads=10,
        max_position_embeddings=2048,
    )
    return LlamaForCausalLM(config).to("cuda" if torch.cuda.is_available() else "cpu").eval()


def make_requests(items_per_language: int) -> list["Instance"]:
    """Context and choice of the first items of each language; those of an item stand together."""
    from leia.evaluation.jobs import find_tasks

    requests = []
    for job in find_tasks(["xcsqa"], [NUM_FEWSHOT], ""):
        job.task.set_config("num_fewshot", NUM_FEWSHOT)
        job.task.build_all_requests(limit=items_per_language)
        requests += job.task.instances
    return requests


def _timed(lm: "HFLM", requests: list["Instance"]) -> tuple[float, list[float]]:
    start = time.perf_counter()
    scores = [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]
    return time.perf_counter() - start, scores


def _predictions(scores: list[float]) -> list[int]:
    items = [scores[start : start + NUM_CHOICES] for start in range(0, len(scores), NUM_CHOICES)]
    return [item.index(max(item)) for item in items]
