"""Time the paper's scores, computed by the harness's plain HF model and by ours, on X-CSQA with 4 examples.

The model is a Llama with random weights, in float16 on a GPU, as the published evaluation, else in float32. The items
are made up, as long as those of X-CSQA in its 16 languages, or the real ones. Both sides get the same token ids and
take the softmax in 32 bits. The harness's best batch size is found first, on a part of the items; then both are timed
in turn on all of them. The harness beside itself, at other batch sizes, says what rounding alone makes of the scores.
On an H100, Llama 2 7B takes about a minute.

    python scripts/benchmark.py evaluation --xcsr_dir xcsr --tokenizer meta-llama/Llama-2-7b-hf
"""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from benchmarks.made_up_items import make_tokenizer, make_up_requests
from benchmarks.random_llama import SHAPES, make_random_llama
from leia.base.cli import EXISTING_FOLDER, command, option
from leia.base.errors import UsageError
from leia.base.text import markdown_table

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NUM_FEWSHOT = 4
NUM_CHOICES = 5


class Defaults(NamedTuple):
    """What to measure where the user does not say. `batch_sizes`: those of the harness to try, the first that takes
    `give_up` times as long as one before it being the last."""

    shape: str
    dtype: str
    items_per_language: int
    trial_items: int
    batch_sizes: tuple[int, ...]
    give_up: float


GPU = Defaults("llama2_7b", "float16", 16, 32, (64, 32, 16, 8, 4, 2, 1), 1.5)
CPU = Defaults("small", "float32", 5, 8, (16, 8, 4, 2, 1), math.inf)


@command
@option("Model", "--shape", type=click.Choice(list(SHAPES)), help="The model's size.",
        show_default="llama2_7b on a GPU, else small (100M)")  # fmt: skip
@option("Model", "--dtype", type=click.Choice(["float16", "bfloat16", "float32"]),
        show_default="float16 on a GPU, else float32", help="The model's precision.")  # fmt: skip
@option("Items", "--xcsr_dir", type=EXISTING_FOLDER, show_default="made-up items", help="Local copy of X-CSR.")
@option("Items", "--tokenizer", help="With --xcsr_dir: folder or hub name of a tokenizer, say Llama 2's.")
@option("Items", "--items_per_language", type=click.IntRange(1), show_default="16 on a GPU, else 5",
        help="How many items of each language.")  # fmt: skip
@option("Items", "--rounds", default=2, type=click.IntRange(1), help="How often each side is timed; its best counts.")
def evaluation(
    shape: str | None,
    dtype: str | None,
    xcsr_dir: str | None,
    tokenizer: str | None,
    items_per_language: int | None,
    rounds: int,
) -> None:
    if (xcsr_dir is None) != (tokenizer is None):
        raise UsageError("--xcsr_dir and --tokenizer: expected both or neither, found one; give both")
    import torch

    from leia.data.tokenizers import load_tokenizer

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    on_gpu = torch.cuda.is_available()
    defaults = GPU if on_gpu else CPU
    shape, dtype = shape or defaults.shape, dtype or defaults.dtype
    items_per_language = items_per_language or defaults.items_per_language
    if xcsr_dir and tokenizer:
        os.environ["XCSR_DIR"] = xcsr_dir
        loaded_tokenizer, requests = load_tokenizer(tokenizer), make_requests(items_per_language)
    else:
        loaded_tokenizer, requests = make_tokenizer(), make_up_requests(items_per_language, NUM_CHOICES)
    items = len(requests) // NUM_CHOICES
    device = torch.device("cuda" if on_gpu else "cpu")
    model = make_random_llama(shape, len(loaded_tokenizer), device, getattr(torch, dtype)).eval()
    card = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    click.echo(
        f"{card}; Llama with {model.num_parameters() / 1e6:,.0f}M random parameters ({shape}), {dtype}; "
        f"{items} {'' if xcsr_dir else 'made-up '}items of {NUM_CHOICES} choices"
    )
    for line in _compare(model, loaded_tokenizer, requests, defaults, rounds):
        click.echo(line)


class Run(NamedTuple):
    """A score for each request, and the seconds that all of them took."""

    seconds: float
    scores: list[float]


def _compare(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    requests: list["Instance"],
    defaults: Defaults,
    rounds: int,
) -> Iterator[str]:
    """Measure both sides; the table, and what is to be said of it."""
    from leia.evaluation.leia_lm import LeiaLM

    plain = _plain_lm(model, tokenizer)
    ours = LeiaLM(pretrained=model, tokenizer=tokenizer, batch_size="auto")
    trial = _part(requests, defaults.trial_items)
    tried = _trial(plain, trial, defaults, rounds)
    size = min(tried, key=lambda size: tried[size].seconds)
    plain.batch_size_per_gpu = size
    _timed(ours, trial)
    harness, leia = zip(*((_timed(plain, requests), _timed(ours, requests)) for _ in range(rounds)), strict=True)

    items, fastest = len(requests) // NUM_CHOICES, min(run.seconds for run in harness)
    rows = [
        _row(f"harness, batch size {size}, its best", items, harness, fastest),
        _row(f"ours, {'' if ours.shares_context else 'contexts not shared, '}batch size auto", items, leia, fastest),
    ]
    yield "\n" + markdown_table(["", "items/s", "each round", "times the harness"], rows, numbers=True)
    yield f"Ours beside the harness: {_difference(harness[0].scores, leia[0].scores)}."
    rates = (f"{len(trial) / NUM_CHOICES / run.seconds:.2f} at {number}" for number, run in tried.items())
    yield f"The harness by batch size, items/s on a part of the items: {', '.join(rates)}."
    others = [score for number, run in tried.items() if number != size for score in run.scores]
    same_often = tried[size].scores * (len(tried) - 1)
    yield f"The harness at {size} beside the other sizes: {_difference(same_often, others)}."


def _plain_lm(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> "HFLM":
    """The harness's model, given the token ids of the paper."""
    from lm_eval.models.huggingface import HFLM

    class PlainLM(HFLM):
        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            ids = self.tokenizer([context, continuation], add_special_tokens=False)["input_ids"]
            return ids[0], ids[1]

    return PlainLM(pretrained=model, tokenizer=tokenizer, backend="causal", softmax_dtype="float32")


def _trial(lm: "HFLM", requests: list["Instance"], defaults: Defaults, rounds: int) -> dict[int, Run]:
    """The quickest run at each batch size. One run more, in front, warms the device up."""
    import torch

    runs: dict[int, Run] = {}
    for size in defaults.batch_sizes:
        lm.batch_size_per_gpu = size
        try:
            runs[size] = min(_timed(lm, requests) for _ in range(rounds + (not runs)))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            click.echo(f"harness, batch size {size}: out of memory", err=True)
            continue
        click.echo(f"harness, batch size {size}: {runs[size].seconds:.1f} s for a part of the items", err=True)
        if runs[size].seconds > defaults.give_up * min(run.seconds for run in runs.values()):
            break
    return runs


def make_requests(items_per_language: int) -> list["Instance"]:
    """Context and choice of the first items of each language; those of an item stand together."""
    from leia.evaluation.jobs import find_tasks

    requests = []
    for job in find_tasks(["xcsqa"], [NUM_FEWSHOT], ""):
        job.task.set_config("num_fewshot", NUM_FEWSHOT)
        job.task.build_all_requests(limit=items_per_language)
        requests += job.task.instances
    return requests


def _part(requests: list["Instance"], items: int) -> list["Instance"]:
    """So many items (some more, where they do not divide), from all languages alike."""
    step = max(1, len(requests) // NUM_CHOICES // items) * NUM_CHOICES
    return [request for start in range(0, len(requests), step) for request in requests[start : start + NUM_CHOICES]]


def _timed(lm: "HFLM", requests: list["Instance"]) -> Run:
    """The scores are on the host at the end, so that the device has done its work by then."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    scores = [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]
    return Run(time.perf_counter() - start, scores)


def _row(name: str, items: int, runs: Sequence[Run], fastest: float) -> list[str]:
    best = min(run.seconds for run in runs)
    each = ", ".join(f"{items / run.seconds:.2f}" for run in runs)
    return [name, f"{items / best:.2f}", each, f"{fastest / best:.2f}"]


def _difference(ones: list[float], others: list[float]) -> str:
    pairs = list(zip(_predictions(ones), _predictions(others), strict=True))
    same = sum(one == other for one, other in pairs)
    worst = max((abs(one - other) for one, other in zip(ones, others, strict=True)), default=0.0)
    return f"{same} of {len(pairs)} predictions the same; log-likelihoods differ by {worst:.1e} at most"


def _predictions(scores: list[float]) -> list[int]:
    items = [scores[start : start + NUM_CHOICES] for start in range(0, len(scores), NUM_CHOICES)]
    return [item.index(max(item)) for item in items]
