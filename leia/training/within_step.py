"""What happens within a step, of which the paper's has 256 micro batches a process and takes minutes: how far it is,
whether somebody asks to stop, and how it was when the step began.

Weights stay as they are until the end of a step. So a run that is stopped within one can save the last whole step at
once, with the stream and the random numbers of the step's beginning; the gradients of the micro batches done are lost.
"""

import random
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

if TYPE_CHECKING:
    from leia.training.trainer import LeiaTrainer

CHECK_SECONDS = 10.0
"""How long processes go on, about, before they ask each other within a step whether to stop."""

SAY_SECONDS = 60.0
"""How often a line says how far the step is, where there is no terminal."""


class WithinStep:
    """`micro_batches` of a step, each of `tokens` on all processes together; `shows`: this process says how far it is.

    All processes count alike: what they agree on at one check tells them at which micro batch the next one is.
    """

    def __init__(self, micro_batches: int, tokens: int, shows: bool) -> None:
        self._micro_batches, self._tokens, self._shows = micro_batches, tokens, shows
        self._between = 1  # micro batches from check to check
        self._bar: tqdm | None = None

    def begin(self, step: str) -> None:
        self._step, self._done, self._next = step, 0, self._between
        self._begun = self._checked = self._said = time.perf_counter()
        self._checked_at = 0
        if self._shows and sys.stderr.isatty():
            line = "{desc}  micro batch {n_fmt}/{total_fmt} |{bar}| {postfix}{remaining} left"
            self._bar = tqdm(desc=step, total=self._micro_batches, delay=CHECK_SECONDS, leave=False, bar_format=line)

    def is_asked_to_stop(self, accelerator: Any, asked: bool) -> bool:
        """To be called after each micro batch but the last one: whether a process is `asked` to stop, the same answer
        on all processes. It is not looked at each time, since it waits for the GPU and for the other processes."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._rate():,.0f} tokens/s, ", refresh=False)
            self._bar.update()
        if self._done < self._next:
            return False
        seconds = (now() - self._checked) / (self._done - self._checked_at)
        mine = torch.tensor([asked, seconds], dtype=torch.float64, device=accelerator.device)
        stops, seconds = accelerator.reduce(mine, "mean").tolist()
        self._between = max(1, round(CHECK_SECONDS / seconds))
        self._checked, self._checked_at, self._next = time.perf_counter(), self._done, self._done + self._between
        if self._shows and self._bar is None and self._checked - self._said >= SAY_SECONDS:
            self._said = self._checked
            left = timedelta(seconds=round((self._micro_batches - self._done) * self._tokens / self._rate()))
            done = f"micro batch {self._done:,}/{self._micro_batches:,}"
            print(f"{self._step}  {done}  {self._rate():,.0f} tokens/s  {left} left", flush=True)
        return stops > 0

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _rate(self) -> float:
        return self._done * self._tokens / (time.perf_counter() - self._begun)


class Beginning:
    """What changes within a step, as it is when the step begins: the stream, random numbers, counts."""

    def __init__(self, trainer: "LeiaTrainer") -> None:
        self._stream = trainer.train_dataset.state_dict()
        self._python, self._numpy, self._cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        self._counts = trainer.current_flos, trainer.state.num_input_tokens_seen

    def restore(self, trainer: "LeiaTrainer") -> None:
        trainer.train_dataset.load_state_dict(self._stream)
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._cpu)
        if self._gpu is not None:
            torch.cuda.set_rng_state(self._gpu)
        trainer.current_flos, trainer.state.num_input_tokens_seen = self._counts


def now() -> float:
    """The time in seconds after all that was asked of the GPU."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()
