"""The harness model that gives the published implementation's log-likelihoods, and gives them fast.

    LeiaLM(pretrained="path/or/hub-id", dtype="float16", batch_size="auto")

is a model of lm-eval like any other, registered as `leia`. As published: context and continuation are tokenised apart
and without special tokens; an empty context is the EOS token; what is too long is cut from the left; the score is the
plain sum. Tasks that generate and name their rule do it as `generation` says, others as the harness does. For speed:
the context of an item's choices is computed once (`shared_context`), and batches hold items of similar length.
"""

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from tqdm import tqdm
from transformers import PreTrainedModel

from leia.base.errors import InputError
from leia.data.tokenizers import load_tokenizer
from leia.evaluation.batches import run_in_batches
from leia.evaluation.generation import RULES, generate, make_request
from leia.evaluation.shared_context import Score, lay_out, score
from leia.training.memory import is_out_of_memory

logger = logging.getLogger(__name__)


@dataclass
class _Item:
    """The requests that share a document and a context; `asked`: token ids of a continuation -> who asked for it."""

    context: list[int]
    asked: dict[tuple[int, ...], list[int]] = field(default_factory=dict)


def join_processes(lm: HFLM) -> HFLM:
    """Make a harness model know its rank: by itself it does so only with several GPUs in one machine."""
    if hasattr(lm, "accelerator"):
        lm._rank, lm._world_size = lm.accelerator.process_index, lm.accelerator.num_processes
    return lm


@register_model("leia")
class LeiaLM(HFLM):
    """The options are those of the harness's HF model but for `softmax_dtype` and `backend`. `batch_size` counts items,
    not choices; with "auto" batches are made by tokens. Log-likelihoods do not depend on the batches beyond rounding.
    `generation_rule`: a name of `generation.RULES`, set for each task that has one. `quiet`: without bars.
    """

    generation_rule: str | None = None
    quiet = False

    def __init__(self, pretrained: str | PreTrainedModel, **options: Any) -> None:
        if isinstance(pretrained, str) and "tokenizer" not in options:
            options["tokenizer"] = load_tokenizer(pretrained, options.get("trust_remote_code", False))
        super().__init__(pretrained=pretrained, softmax_dtype="float32", backend="causal", **options)
        join_processes(self)
        if self.tokenizer.eos_token_id is None:
            raise InputError(f"{pretrained}: its tokenizer has no EOS token, which stands for an empty context")
        self.shares_context = self._can_share_context()
        if not self.shares_context:
            logger.warning("%s cannot score an item's choices in one row; each is scored by itself", pretrained)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(sum of log-probabilities, whether greedy) of each request's continuation given its context, in order."""
        results: list[tuple[float, bool]] = [(0.0, True)] * len(requests)  # what an empty continuation keeps
        items = [item for item in self._group(requests) if item.asked]
        shared = [item for item in items if self._fits(item)]
        alone = [item for item in items if not self._fits(item)]
        scores = self._score_together(shared, disable_tqdm) + self._score_alone(alone)
        for item, item_scores in zip(shared + alone, scores, strict=True):
            for askers, result in zip(item.asked.values(), item_scores, strict=True):
                for index in askers:
                    results[index] = tuple(result)
        for request, result in zip(requests, results, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, result)
        return results

    def _group(self, requests: list[Instance]) -> list[_Item]:
        """Requests by document and context. Equal choices of an item are one continuation, so that they tie."""
        texts = sorted({text for request in requests for text in request.args if text})
        ids = dict(zip(texts, self.tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True))
        items: dict[tuple[str | None, int | None, str], _Item] = {}
        for index, request in enumerate(requests):
            context, continuation = request.args
            key = (request.task_name, request.doc_id, context)
            item = items.setdefault(key, _Item(ids.get(context) or [self.eot_token_id]))
            if choice := tuple(ids.get(continuation, ())):
                item.asked.setdefault(choice, []).append(index)
        return list(items.values())

    def _fits(self, item: _Item) -> bool:
        """Whether the item can be one row: nothing has to be cut, and no layer's window leaves a part of it out."""
        length = len(item.context) + max(map(len, item.asked)) - 1
        window = getattr(self.model.config.get_text_config(), "sliding_window", None) or self.max_length
        return self.shares_context and length <= min(self.max_length, window)

    def _bar(self, description: str, total: int, disable: bool) -> tqdm:
        return tqdm(total=total, desc=description, unit="item", disable=disable or self.quiet or self.rank != 0)

    def _score_together(self, items: list[_Item], disable_tqdm: bool) -> list[list[Score]]:
        rows = [lay_out(item.context, list(item.asked)) for item in items]

        def run(batch: list[int]) -> list[list[Score]]:
            return score(self.model, [rows[index] for index in batch], self.tokenizer.pad_token_id)

        lengths = [len(row.tokens) for row in rows]
        with self._bar("Scoring", len(rows), disable_tqdm) as bar:
            return run_in_batches(lengths, self.batch_size, self.device, run, bar, alike=0.9)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The text that follows each request's context, in order."""
        rule = RULES.get(self.generation_rule or "")
        if rule is None:
            with self._fixed_batch_size():
                return super().generate_until(requests, disable_tqdm or self.quiet)
        asked = [make_request(self.tokenizer, rule, *request.args, self.max_length) for request in requests]

        def run(batch: list[int]) -> list[str]:
            return generate(self.model, self.tokenizer, rule, [asked[index] for index in batch])

        lengths = [len(request.context) + request.max_new_tokens for request in asked]
        with self._bar("Generating", len(asked), disable_tqdm) as bar:
            texts = run_in_batches(lengths, self.batch_size, self.device, run, bar)
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of each request's whole text as the harness's own model has it: the paper has none."""
        with self._fixed_batch_size():
            return super().loglikelihood_rolling(requests, disable_tqdm or self.quiet)

    def _loglikelihood_tokens(self, *arguments: Any, **options: Any) -> list[tuple[float, bool]]:
        return super()._loglikelihood_tokens(*arguments, **options | {"disable_tqdm": True})

    @contextmanager
    def _fixed_batch_size(self) -> Iterator[None]:
        """For what the harness does itself: its own way to find a size fills a CPU's memory."""
        given = self.batch_size_per_gpu
        self.batch_size_per_gpu = 8 if given == "auto" else given
        try:
            yield
        finally:
            self.batch_size_per_gpu = given

    def _score_alone(self, items: list[_Item]) -> list[list[Score]]:
        """The harness's own way, a row for each choice; it cuts from the left what is too long."""
        requests = [(("", ""), item.context, list(choice)) for item in items for choice in item.asked]
        if any(len(choice) > self.max_length for *_, choice in requests):
            raise InputError(f"{self.pretrained}: reads {self.max_length} tokens at most; one choice alone has more")
        size = 8 if self.batch_size == "auto" else self.batch_size
        results = iter(self._loglikelihood_tokens(requests, disable_tqdm=True, override_bs=size) if requests else ())
        return [[Score(*next(results)) for _ in item.asked] for item in items]

    def _can_share_context(self) -> bool:
        """Try it: models that ignore position ids or the mask (ALiBi, state spaces) would give other scores."""
        if not {"position_ids", "logits_to_keep"} <= inspect.signature(self.model.forward).parameters.keys():
            return False
        item = _Item(list(range(10, 18)), {tuple(range(start, start + 24)): [] for start in (20, 50, 80)})
        try:
            in_one_row = score(self.model, [lay_out(item.context, list(item.asked))], self.tokenizer.pad_token_id)[0]
        except (IndexError, RuntimeError, TypeError, ValueError) as error:  # takes no such mask (Falcon with ALiBi)
            if is_out_of_memory(error):
                raise
            return False
        tolerance = 24 * (1e-3 if self.model.dtype == torch.float32 else 0.1)  # 24 tokens a choice
        return all(
            abs(one.log_likelihood - other.log_likelihood) <= tolerance
            for one, other in zip(in_one_row, self._score_alone([item])[0], strict=True)
        )
