"""The solved examples in front of an item, for every task that does not pin them.

They are drawn by the seed 42 and the item's number in its split, and are never the item itself, nor a document that is
equal to it or shows the model the same. So they depend neither on the number of processes nor on which items are
evaluated. What a task pins stays: a sampler of its own, examples that its class puts there, the first documents of a
split (`sampler: first_n`) or of a list in its configuration.

lm-eval 0.4.13 does otherwise (`ContextSampler.sample`, the two `fewshot_context`):
- Each process draws from one generator, item after item: an item's examples change with the number of processes and
  with the items before it.
- The item is left out only where `fewshot_split` equals `test_split`. A task that has nothing but a test split names no
  `fewshot_split`: an item is drawn as its own example, with its answer (its issue 4145).
- Classes of before its YAML files draw one document more than asked for and leave out those that are equal to the item:
  where there are two, an example is missing.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from lm_eval.api.samplers import ContextSampler
from lm_eval.api.task import Task

from leia.base.errors import InputError

Doc = Any
"""A document of the harness: a mapping for a task in YAML, what its class gives for another."""

SEED = 42
NONE, DRAWN, OWN = "none", "drawn by the seed 42 and the number of the item", "the task's own"
"""What a result says of its examples."""


def give_examples(task: Task, docs: Sequence[Doc], number: int) -> str:
    """Make `task` put `number` examples in front of each of its items `docs`; returns `NONE`, `DRAWN` or `OWN`.

    Raises `InputError` where there are too few for the first item; `task.fewshot_context` does so for any other."""
    if number == 0:
        return NONE
    _let_templates_be_passed(task)
    settings, first = getattr(task, "fewshot_cfg", None), {"doc": docs[0], "num_fewshot": number}
    try:
        if settings is not None and settings.sampler not in ("default", "first_n"):
            task.set_fewshot_seed(SEED)
            task.fewshot_context(**first)
            return OWN
        examples = _Examples(task, docs)
        examples.context(**first)
    except (ValueError, AssertionError) as error:  # the task's own ones are too few
        raise InputError(f"{task.config.task}: --num_fewshot_samples {number}: {error}") from error
    if not examples.was_asked:  # the task's class puts its own there
        return OWN
    task.fewshot_context = examples.context
    return OWN if examples.in_order else DRAWN


def come_from_the_items(task: Task) -> bool:
    """Whether a task's examples are documents of the split that is evaluated."""
    settings = getattr(task, "fewshot_cfg", None)
    if settings and settings.split is not None:
        return settings.split == (task.config.test_split if task.has_test_docs() else task.config.validation_split)
    if settings and settings.samples is not None:
        return False
    return not task.has_training_docs() and not (task.has_validation_docs() and task.has_test_docs())


class _Examples(ContextSampler):
    """The examples of each of the items `docs` of a task, from the documents that lm-eval takes them from. It stands
    in the place of the task's sampler and gives what `context` wants, whatever it is asked for.

    `in_order`: the first documents are taken, as the task's configuration says."""

    def __init__(self, task: Task, docs: Sequence[Doc]) -> None:
        own = getattr(task, "sampler", None)
        super().__init__(list(own.fewshot_docs() if own else task.fewshot_docs()))
        self.task, self.settings, self.original = task, getattr(task, "fewshot_cfg", None), task.fewshot_context
        listed = self.settings is not None and self.settings.split is None and self.settings.samples is not None
        self.in_order = listed or (self.settings is not None and self.settings.sampler == "first_n")
        self.of_the_items = come_from_the_items(task)
        self.was_asked, self.wanted = False, (None, 0)
        self.shown: dict[int, list[Any]] = {}
        self.numbers: dict[str, int] = {}
        for number, doc in enumerate(docs):
            self.numbers.setdefault(_text(doc), number)

    def context(self, doc: Doc, num_fewshot: int, **options: Any) -> Any:
        """The task's `fewshot_context` with our examples in it."""
        self.wanted = doc, num_fewshot
        # The first is what a task in YAML asks for examples, the second what another class does.
        self.task.sampler = self.task.fewshot_rnd = self
        return self.original(doc=doc, num_fewshot=num_fewshot, **options)

    def sample(self, *_: Any, **__: Any) -> list[Doc]:
        """Raises `InputError` where there are too few."""
        self.was_asked = True
        doc, number = self.wanted
        found = [other for _, other in zip(range(number), self._others(doc), strict=False)]
        if len(found) < number:
            raise InputError(
                f"{self.task.config.task}: --num_fewshot_samples {number}: expected {number} documents beside the item "
                f"itself to take its examples from, found {len(found)}; ask for fewer"
            )
        return found

    def _others(self, doc: Doc) -> Iterator[Doc]:
        """The documents that may be examples of the item `doc`, in the order in which they are taken."""
        if self.in_order:
            # A list, or the first documents of another split, is the task's own choice, whatever is in it.
            yield from (other for other in self.df if not (self.of_the_items and other == doc))
            return
        text = _text(doc)
        if text not in self.numbers:
            raise InputError(
                f"{self.task.config.task}: its items are others each time that they are read, so no examples can be "
                "drawn for them; give the task's process_docs a seed"
            )
        question = self._show(doc, self.task.config)
        for index in _shuffled(Random(f"{SEED} {self.numbers[text]}"), len(self.df)):
            if self.df[index] != doc and self._shown(index) != question:
                yield self.df[index]

    def _shown(self, index: int) -> list[Any]:
        if index not in self.shown:
            self.shown[index] = self._show(self.df[index], self.settings)
        return self.shown[index]

    def _show(self, doc: Doc, templates: Any) -> list[Any]:
        """What a model sees of a document: question, choices (where the task has some) and answer."""
        if self.settings is None:
            return [self.task.doc_to_text(doc), self.task.doc_to_target(doc)]
        choices = templates.doc_to_choice and self.task.doc_to_choice(doc, templates.doc_to_choice)
        question = self.task.doc_to_text(doc, templates.doc_to_text)
        return [question, choices, self.task.doc_to_target(doc, templates.doc_to_target)]


def _text(doc: Doc) -> str:
    return json.dumps(doc, sort_keys=True, ensure_ascii=False, default=str)


def _shuffled(generator: Random, number: int) -> Iterator[int]:
    """Each number below `number` once: of a great many, as a rule, a few are asked for."""
    drawn: set[int] = set()
    while len(drawn) < number:
        if (index := generator.randrange(number)) not in drawn:
            drawn.add(index)
            yield index


def _let_templates_be_passed(task: Task) -> None:
    """lm-eval hands the templates of examples to `doc_to_text` and the like, which a class that has its own ones, as
    the harness's own classes have, does not take."""

    def without_template(method: Callable[[Doc], Any]) -> Callable[..., Any]:
        return lambda doc, *_: method(doc)

    for name in ("doc_to_text", "doc_to_choice", "doc_to_target") if hasattr(task, "fewshot_cfg") else ():
        if len(inspect.signature(getattr(task, name)).parameters) == 1:
            setattr(task, name, without_template(getattr(task, name)))
