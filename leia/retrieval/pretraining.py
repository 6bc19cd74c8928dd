"""Pretraining of a re-ranker: a step is one batch of one pair of languages for one objective, and one update.

Everything random has a generator of its own, made from the seed, the objective, the pair and the process, so that a run
that goes on from its saved state is the run that was never stopped.
"""

import hashlib
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from leia.base.errors import InputError
from leia.retrieval.adam import MOMENTS, PublishedAdam
from leia.retrieval.encoder import Retriever, is_long
from leia.retrieval.pair_batches import (
    Batch,
    masked_batch,
    masked_tokens,
    ranking_batch,
    with_global_attention,
    without_long_queries,
    without_padding,
)
from leia.retrieval.pair_examples import PairExamples
from leia.retrieval.pair_stream import PairStream, Place, Turns
from leia.retrieval.pairs import Pair
from leia.retrieval.recipe import QLM, RR, PretrainingSettings
from leia.retrieval.training_state import TrainingState

SKIPPED, ACCIDENTS = "steps skipped for a batch without a masked token", "negatives that were the counterpart itself"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """`loss` is the mean over the processes before the update, `gradient_norm` that before it is cut; None of a step
    that was skipped because a process had nothing to restore."""

    iteration: int
    objective: str
    pair: str
    loss: float | None
    gradient_norm: float | None


class Pretraining:
    """A model at its training, in each of the processes that `accelerate` or `torchrun` has started, or in one."""

    def __init__(
        self,
        retriever: Retriever,
        tokenizer: PreTrainedTokenizerBase,
        pairs: Sequence[Pair],
        settings: PretrainingSettings,
    ) -> None:
        self.settings, self.tokenizer, self.retriever = settings, tokenizer, retriever
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # of two heads a step has one
        has_gpu = torch.cuda.is_available()  # several processes find each other on CPUs only if that is said
        self.accelerator = Accelerator(
            mixed_precision="bf16" if has_gpu else "no", cpu=not has_gpu, kwargs_handlers=[unused]
        )
        self._model = self.accelerator.prepare(retriever.train())
        self._optimizer = PublishedAdam(retriever.parameters(), settings.learning_rate)
        objectives = settings.objectives.split(",")
        self._streams = {(what, pair.name): self._stream(what, pair) for what in objectives for pair in pairs}
        rngs = {what: random.Random(f"{settings.seed}/{what}/order") for what in objectives}
        self._turns = Turns({what: [pair.name for pair in pairs] for what in objectives}, rngs)
        self.iteration = 0
        self.counts: Counter[str] = Counter()
        torch.manual_seed(seed_of(settings.seed, "dropout", self.accelerator.process_index))

    def _stream(self, objective: str, pair: Pair) -> PairStream:
        settings, rank = self.settings, self.accelerator.process_index
        names = settings.seed, objective, pair.name, rank

        def make(rng: random.Random) -> PairExamples:
            language = settings.sentence_language or None
            return PairExamples(pair, objective, rng, settings.max_pairs, settings.num_negatives, language)

        masks = torch.Generator().manual_seed(seed_of(*names, "masks"))
        rng = random.Random("/".join(map(str, names)))
        return PairStream(make, settings.batch_size, rng, masks, rank, self.accelerator.num_processes)

    def run_iteration(self) -> Iterator[StepRecord]:
        """The steps of one iteration. In a thread their batches are made while the model works on the one before."""
        places = list(self._turns.iteration())
        with ThreadPoolExecutor(1) as thread:
            for place, batches in zip(places, thread.map(self._batches, places), strict=True):
                yield self._step(place, batches)
        self.iteration += 1

    def _batches(self, place: Place) -> list[Batch]:
        return [self.next_batch(place) for _ in range(self.settings.gradient_accumulation)]

    def _step(self, place: Place, batches: Sequence[Batch]) -> StepRecord:
        if place[0] == QLM and not self._all_have(min(map(masked_tokens, batches))):
            self.counts[SKIPPED] += self.accelerator.is_main_process
            return StepRecord(self.iteration, *place, None, None)
        loss = self.backward(batches)
        norm = float(self.accelerator.clip_grad_norm_(self.retriever.parameters(), self.settings.max_grad_norm))
        if not math.isfinite(loss) or not math.isfinite(norm):
            where = f"iteration {self.iteration}, {' '.join(place)}"
            raise InputError(f"{where}: the loss is {loss}, its gradient {norm}; take a smaller --learning_rate")
        self._optimizer.step()
        return StepRecord(self.iteration, *place, loss, norm)

    def next_batch(self, place: Place) -> Batch:
        """The next batch of an objective and a pair for this process."""
        settings, stream = self.settings, self._streams[place]
        examples = stream.batch()
        if place[0] == RR:
            self.counts[ACCIDENTS] += sum(example.accidents for example in examples)
            batch = ranking_batch(self.tokenizer, examples, settings.max_length)
        else:
            drawn = stream.masks, settings.mask_probability, settings.mask_mode
            batch = masked_batch(self.tokenizer, examples, settings.max_length, *drawn)
        if is_long(self.retriever.ranker):
            batch = without_long_queries(with_global_attention(batch))
        return without_padding(batch)

    def backward(self, batches: Sequence[Batch]) -> float:
        """Leave the gradient of the mean loss over `batches` and processes in the parameters; return that loss."""
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self.accelerator.device)
        for number, batch in enumerate(batches, 1):
            on_device = {name: matrix.to(self.accelerator.device) for name, matrix in batch.items()}
            is_last = number == len(batches)
            with nullcontext() if is_last else self.accelerator.no_sync(self._model):
                loss = self._model(on_device) / len(batches)
                self.accelerator.backward(loss)
            total += loss.detach().float()
        return float(self.accelerator.reduce(total, "mean"))

    def _all_have(self, number: int) -> bool:
        """Whether `number` is above 0 in all processes: of a batch without a masked token the published loss is not a
        number, in any process, and the step is left out in all."""
        lacking = torch.tensor(float(number == 0), device=self.accelerator.device)
        return not float(self.accelerator.reduce(lacking, "sum"))

    def state(self) -> TrainingState:
        """All that a run goes on from, beside its model; called in each process, the same in all."""
        generators = {"torch": torch.get_rng_state()}
        generators |= {" ".join(place): stream.masks.get_state() for place, stream in self._streams.items()}
        if torch.cuda.is_available():
            generators["cuda"] = torch.cuda.get_rng_state(self.accelerator.device)
        streams = {" ".join(place): stream.state() for place, stream in self._streams.items()}
        processes = gather_object([(generators, {"streams": streams, "counts": dict(self.counts)})])
        tensors = {f"{rank} {name}": state for rank, (of, _) in enumerate(processes) for name, state in of.items()}
        steps = {}
        for name, parameter in self.retriever.named_parameters():
            if moments := self._optimizer.state.get(parameter):
                steps[name] = moments["step"]
                tensors |= {f"{moment} {name}": moments[moment] for moment in MOMENTS}
        values = {"iteration": self.iteration, "turns": self._turns.state(), "steps": steps}
        return TrainingState(tensors, values | {"processes": [values for _, values in processes]})

    def restore(self, state: TrainingState) -> None:
        """Go on from `state`, with the model that was saved beside it."""
        rank, tensors, values = self.accelerator.process_index, state.tensors, state.values
        own = values["processes"][rank]
        self.iteration = values["iteration"]
        self._turns.restore(values["turns"])
        for name, parameter in self.retriever.named_parameters():
            if name in values["steps"]:
                moments = {moment: tensors[f"{moment} {name}"].to(parameter.device) for moment in MOMENTS}
                self._optimizer.state[parameter] = {"step": values["steps"][name], **moments}
        for place, stream in self._streams.items():
            stream.restore(own["streams"][" ".join(place)])
            stream.masks.set_state(tensors[f"{rank} {' '.join(place)}"])
        self.counts = Counter(own["counts"])
        torch.set_rng_state(tensors[f"{rank} torch"])
        if torch.cuda.is_available() and f"{rank} cuda" in tensors:
            torch.cuda.set_rng_state(tensors[f"{rank} cuda"], self.accelerator.device)


def seed_of(*names: object) -> int:
    """A seed of 63 bits for torch that these names decide."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
