"""The tasks of Stability AI's harness (branch jp-stable): the order of the items, the examples drawn for each of them,
and what JAQKET (and JSQuAD, in the LEIA authors' own loop) does with the model's tokenizer.

One generator (seed 42) shuffles the test items and then draws, item after item in that order, the examples from the
training items. All draws are made at once, so that an item's examples are the same whichever process scores it and
under any --limit; the harness's few-shot seed has no say. With DYNAMIC_MAX_LENGTH=false in the environment, JAQKET v1
drops no examples of a context that is too long, and JAQKET v2 generates up to 256 tokens.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import datasets
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from lm_eval.api.instance import Instance
from lm_eval.api.samplers import ContextSampler
from lm_eval.api.task import ConfigurableTask
from tokenizers import Tokenizer

Doc = dict[str, Any]
SEED = 42
TIDIED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What transformers writes without the spaces around, in this order."""


class DrawnExamples(ConfigurableTask):
    """A task whose data is `train`, in the order of its file, and `test`, which is shuffled here."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._generator = Random(SEED)
        self._examples: dict[int, dict[str, list[Doc]]] = {}
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        super().download(dataset_kwargs, **options)
        items = list(self.dataset["test"])
        self._generator.shuffle(items)
        self.dataset["test"] = datasets.Dataset.from_list(items)

    def fewshot_context(self, doc: Doc, num_fewshot: int, **options: Any) -> str:
        """Raises `ValueError` when there are fewer training items than examples."""
        if num_fewshot not in self._examples:
            self._examples[num_fewshot] = self._draw_all(num_fewshot)
        return self.context(doc, self._examples[num_fewshot][doc["id"]], **options)

    def context(self, doc: Doc, examples: list[Doc], **options: Any) -> str:
        self.sampler = _Given(examples)
        return super().fewshot_context(doc, len(examples), **options)

    def draw(self, generator: Random, doc: Doc, number: int) -> list[Doc]:
        return generator.sample(self.dataset["train"], number) if number else []

    def _draw_all(self, number: int) -> dict[str, list[Doc]]:
        if number > len(self.dataset["train"]):
            raise ValueError(
                f"{self.config.task}: --num_fewshot {number} needs as many training items, the data has "
                f"{len(self.dataset['train'])}"
            )
        generator = Random()
        generator.setstate(self._generator.getstate())
        return {doc["id"]: self.draw(generator, doc, number) for doc in self.eval_docs}


class _Given(ContextSampler):
    """Exactly these examples."""

    def sample(self, n: int, eval_doc: Doc | None = None, df: Any = None, **_: Any) -> list[Doc]:
        return list(self.df)


class JaqketV1(DrawnExamples):
    """Contexts cut by tokens; of an example, only the first two candidates, whichever is right, as published."""

    ITEM_TOKENS, EXAMPLE_TOKENS, EXAMPLE_CHOICES = 128, 64, 2

    def __init__(self, config: dict[str, Any]) -> None:
        self.tokens = Tokens(config)
        super().__init__(config)

    def draw(self, generator: Random, doc: Doc, number: int) -> list[Doc]:
        return [self._example(item) for item in super().draw(generator, doc, number)]

    def _example(self, item: Doc) -> Doc:
        contexts = [self.tokens.cut(text, self.EXAMPLE_TOKENS) for text in item["contexts"][: self.EXAMPLE_CHOICES]]
        return item | {"choices": item["choices"][: self.EXAMPLE_CHOICES], "contexts": contexts}

    def context(self, doc: Doc, examples: list[Doc], **options: Any) -> str:
        """Without its first examples where it is too long; these are told apart by the blank lines.

        Raises `ValueError` when it is too long without any."""
        cut = [self.tokens.cut(text, self.ITEM_TOKENS) for text in doc["contexts"]]
        context = super().context(doc | {"contexts": cut}, examples, **options)
        if not _dynamic_max_length():
            return context
        room = self.tokens.max_length - max(map(self.tokens.count, doc["choices"]))
        while (length := self.tokens.count(context, special=True)) > room:
            description, *pieces = context.split("\n\n")
            if len(pieces) < 2:
                raise _too_long(self, doc, length, room)
            context = "\n\n".join([description, *pieces[1:]])
        return context


class ShortAnswers(DrawnExamples):
    """At most as many tokens are made as the longest answer has."""

    FIXED_NEW_TOKENS = 256

    def __init__(self, config: dict[str, Any]) -> None:
        self.tokens = Tokens(config)
        super().__init__(config)

    def construct_requests(self, doc: Doc, ctx: str, **options: Any) -> Instance:
        request = super().construct_requests(doc, ctx, **options)
        new_tokens = self._longest_answer(doc) if _dynamic_max_length() else self.FIXED_NEW_TOKENS
        context, generation = request.arguments
        request.arguments = (context, generation | {"max_gen_toks": new_tokens})
        return request

    def _longest_answer(self, doc: Doc) -> int:
        return max(map(self.tokens.count, doc["answers"]))


class JaqketV2(ShortAnswers):
    """A context that is too long is drawn again with an example fewer."""

    def draw(self, generator: Random, doc: Doc, number: int) -> list[Doc]:
        """Raises `ValueError` when the context is too long even without examples."""
        room = self.tokens.max_length - self._longest_answer(doc)
        for fewer in range(number, -1, -1):
            examples = super().draw(generator, doc, fewer)
            if (length := self.tokens.count(self.context(doc, examples))) <= room:
                return examples
        raise _too_long(self, doc, length, room)


def _dynamic_max_length() -> bool:
    return os.environ.get("DYNAMIC_MAX_LENGTH", "true").lower() != "false"


def _too_long(task: ConfigurableTask, doc: Doc, length: int, room: int) -> ValueError:
    return ValueError(
        f"{task.config.task}: item {doc['id']} without examples has {length} tokens, expected {room} at most, so that "
        "the model has room for an answer; take a model that reads more"
    )


class Tokens:
    """The tokens of the evaluated model, as its `tokenizer.json` says, and how many it reads (`max_length`).

    Which model it is stands in the task's metadata, where the harness puts its --model_args: `pretrained`, a folder or
    a name on the hub, and, where given, `tokenizer`, `max_length` and `revision`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """Raises `ValueError` when no model is named, or it does not say how many tokens it reads."""
        named = config.get("metadata") or {}
        model, revision = named.get("pretrained"), named.get("revision")
        source = named.get("tokenizer") or model
        if not isinstance(source, str | Path):
            raise ValueError(
                f"{config['task']}: expected the name of the model, whose tokenizer makes the prompts, found none; "
                'name it as in --model_args pretrained=MODEL, or --metadata \'{"tokenizer": MODEL, "max_length": N}\''
            )
        self._tokenizer = Tokenizer.from_file(str(_file(source, "tokenizer.json", revision)))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._cleans_up = _cleans_up(source, revision)
        self.max_length = named.get("max_length")
        if self.max_length is None:
            path = _file(model or source, "config.json", revision)
            self.max_length = json.loads(path.read_bytes()).get("max_position_embeddings")
            if self.max_length is None:
                raise ValueError(f"{path}: has no max_position_embeddings; give max_length=N in --model_args")

    def count(self, text: str, special: bool = False) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def cut(self, text: str, number: int) -> str:
        """The text of the first `number` tokens; a short text goes through the tokenizer, too."""
        text = self._tokenizer.decode(self._tokenizer.encode(text, add_special_tokens=False).ids[:number])
        for sign in TIDIED if self._cleans_up else ():
            text = text.replace(sign, sign.strip())
        return text


def _cleans_up(source: str | Path, revision: str | None) -> bool:
    """Whether the tokenizer is set to remove the spaces before signs when it decodes; that of Llama 2 is not."""
    try:
        path = _file(source, "tokenizer_config.json", revision)
    except (FileNotFoundError, EntryNotFoundError):
        return False
    return json.loads(path.read_bytes()).get("clean_up_tokenization_spaces") is True


def _file(source: str | Path, name: str, revision: str | None) -> Path:
    if not Path(source).is_dir():
        return Path(hf_hub_download(str(source), name, revision=revision))
    if not (path := Path(source, name)).is_file():
        raise FileNotFoundError(f"{source}: has no {name}, by which JAQKET makes its prompts")
    return path
