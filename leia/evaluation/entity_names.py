"""Items asked with the English names of their entities: `TASK+given` and `TASK+written` among the tasks of evaluate.py.

An item marks its entities by a field `entities`, a list of `{"text": ..., "name": ...}`: the text as it stands in the
context (its last occurrence there counts) and the English name. In front of the model the name stands beside the text
in the format that training had, `TEXT<translate>NAME</translate>`, or in one of the user's own.

- `given`: the right name.
- `written`: the name that the model itself writes there, in a first pass. The likeliest of the names that the task's
  items mark is taken, by the sum over its tokens: training has no loss at the tags, so a model cannot say where a name
  ends. Whether it was the right one is the metric `names_right`.

A context without the text, and an entity whose name is the text itself, stay as they are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from transformers import PreTrainedTokenizerBase

from leia.base.errors import InputError, UsageError
from leia.data.name_tags import entity_name_tags
from leia.evaluation.notes import note
from leia.evaluation.results import ItemResult

MODES = ("given", "written")
NAMES_RIGHT = "names_right"

Document = Mapping[str, Any]


def split_name(task: str) -> tuple[str, str]:
    """The task and the mode of `TASK+given`; the mode is "" without one. Raises `UsageError` for another mode."""
    name, plus, mode = task.partition("+")
    if plus and mode not in MODES:
        raise UsageError(f"--tasks {task}: after + stands how names are shown; expected one of {', '.join(MODES)}")
    return name, mode


@dataclass(frozen=True)
class NameFormat:
    """How a name stands beside an entity: `before` it, with the text of the entity for {entity}, and what is `after`.

    `parse("{entity} ({name})")` is `NameFormat("{entity} (", ")")`; after the name {entity} and {name} may occur again.
    """

    before: str
    after: str

    @classmethod
    def parse(cls, text: str) -> "NameFormat":
        """Raises `UsageError` for a text without {name}."""
        before, name, after = text.partition("{name}")
        if not name:
            raise UsageError(
                f"--name_format is {text!r}; expected {{name}} in it, and {{entity}} where that is to stay"
            )
        return cls(before, after)

    @classmethod
    def between(cls, tokenizer: PreTrainedTokenizerBase, space: str) -> "NameFormat":
        """The name to the right of the entity between the tags of `tokenizer`, `space` in front of it."""
        opening, closing = entity_name_tags(tokenizer)
        return cls(f"{{entity}}{opening}{space}", closing)

    @classmethod
    def of_training(cls, tokenizer: PreTrainedTokenizerBase, name: str) -> "NameFormat | None":
        """Between the tags, with a space or without, so that `name` has the tokens that training inserts; None where
        neither gives them."""

        def ids(text: str) -> list[int]:
            return tokenizer(text, add_special_tokens=False)["input_ids"]

        opening, closing = entity_name_tags(tokenizer)
        wanted = [*ids(opening), *ids(name), *ids(closing)]
        spaces = (space for space in ("", " ") if ids(f"{opening}{space}{name}{closing}") == wanted)
        return next((cls.between(tokenizer, space) for space in spaces), None)

    def start(self, entity: str) -> str:
        return self.before.replace("{entity}", entity)

    def fill(self, entity: str, name: str) -> str:
        return self.start(entity) + name + self.after.replace("{entity}", entity).replace("{name}", name)


class NamedEntities:
    """The entities of a task's items (`docs`), asked as `mode` says, in the format `own`; "": as in training."""

    def __init__(self, task: str, docs: Sequence[Document], mode: str, own: str = "") -> None:
        """Raises `InputError` for items that mark no entity, `UsageError` for a format without a name."""
        self.task, self.mode = task, mode
        self.names = sorted({one["name"] for doc in docs for one in doc.get("entities") or ()})
        if not self.names:
            raise InputError(
                f"{task}+{mode}: its items mark no entity; expected a field `entities` in them, a list of text and name"
            )
        self.format_name = own or "as in training"
        self._own = NameFormat.parse(own) if own else None

    def format_for(self, tokenizer: PreTrainedTokenizerBase) -> NameFormat:
        """The format; a note tells where names in it have other tokens than those that training inserts."""
        if self._own:
            return self._own
        form = NameFormat.of_training(tokenizer, self.names[0])
        if form is None:
            note(
                f"{self.task}+{self.mode}: between the tags the name {self.names[0]} has other tokens than those that "
                "training inserts; --name_format may give another text"
            )
        return form or NameFormat.between(tokenizer, "")

    @contextmanager
    def asked(self, lm: LM, form: NameFormat) -> Iterator[None]:
        """Meanwhile `lm` gets its requests with names in them."""
        score = lm.loglikelihood

        def with_names(answer: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
            def ask(requests: list[Instance], **settings: Any) -> list[Any]:
                written = self._write(score, requests, form) if self.mode == "written" else {}
                for request in requests:
                    context, *rest = request.args
                    request.arguments = (self._show(request.doc, context, form, written), *rest)
                return answer(requests, **settings)

            return ask

        lm.loglikelihood, lm.generate_until = with_names(score), with_names(lm.generate_until)
        try:
            yield
        finally:
            del lm.loglikelihood, lm.generate_until

    def mark(
        self, items: Sequence[ItemResult], samples: Sequence[Mapping[str, Any]], form: NameFormat
    ) -> list[ItemResult]:
        """The items with the context that was asked, and whether the names in it were the right ones."""
        asked = {sample["doc_id"]: (sample["doc"], sample["arguments"][-1][0]) for sample in samples}
        marked = []
        for item, (_, (doc, context)) in zip(items, sorted(asked.items()), strict=True):
            shown = [
                one
                for one in doc.get("entities") or ()
                if form.start(one["text"]) in context and one["text"] != one["name"]
            ]
            right = all(form.fill(one["text"], one["name"]) in context for one in shown)
            metrics = item.metrics | {NAMES_RIGHT: float(right) if shown else None}
            marked.append(replace(item, answer=item.answer | {"context": context}, metrics=metrics))
        return marked

    def metrics(self, items: Sequence[ItemResult]) -> dict[str, float | None]:
        """The metric of the names over the items that show any."""
        right = [value for item in items if (value := item.metrics[NAMES_RIGHT]) is not None]
        return {NAMES_RIGHT: sum(right) / len(right) if right else None}

    def _show(self, doc: Document, context: str, form: NameFormat, written: Mapping[str, str]) -> str:
        """The context with the names: those `written` by what stands before them, else the right ones."""
        for start, text, name in _marked(doc, context):
            chosen = written.get(context[:start] + form.start(text), name)
            context = context[:start] + form.fill(text, chosen) + context[start + len(text) :]
        return context

    def _write(
        self, score: Callable[..., list[tuple[float, bool]]], requests: Sequence[Instance], form: NameFormat
    ) -> dict[str, str]:
        """By what stands before a name, the likeliest name."""
        places = sorted(
            {
                request.args[0][:start] + form.start(text)
                for request in requests
                for start, text, _ in _marked(request.doc, request.args[0])
            }
        )
        # White space before a name belongs to its first token.
        asked = [(place.rstrip(), place[len(place.rstrip()) :] + name) for place in places for name in self.names]
        number = len(self.names)
        passes = [
            Instance("loglikelihood", {}, pair, k, metadata=(f"{self.task} names", k // number, 1))
            for k, pair in enumerate(asked)
        ]
        scores = [one for one, _ in score(passes, disable_tqdm=True)] if passes else []
        rows = [scores[k : k + number] for k in range(0, len(scores), number)]
        return {place: self.names[row.index(max(row))] for place, row in zip(places, rows, strict=True)}


def _marked(doc: Document, context: str) -> list[tuple[int, str, str]]:
    """Where an entity stands in the context, its text, its name; the last one first. Those of no other name are left
    out."""
    found = []
    for one in doc.get("entities") or ():
        start = context.rfind(one["text"])
        if start >= 0 and one["text"] != one["name"]:
            found.append((start, one["text"], one["name"]))
    return sorted(found, reverse=True)
