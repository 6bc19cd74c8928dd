"""Items as long as X-CSQA's with 4 examples, made up, for machines that have no data.

The lengths are those of the benchmark's items in each language under a Llama tokenizer as it lies on the hub, where a
text begins with a lone `▁`: so the choices of an item share their first token, here too. The words mean nothing: each
is one token, so that a text has as many tokens as it is to have.
"""

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 32_000  # Llama 2's
MEAN_LENGTHS = {
    **{"ar": (329, 8.5), "de": (171, 4.8), "en": (139, 3.2), "es": (155, 5.4), "fr": (182, 5.5), "hi": (417, 9.6)},
    **{"it": (184, 5.2), "ja": (260, 5.4), "nl": (192, 4.8), "pl": (235, 5.1), "pt": (212, 4.8), "ru": (194, 6.3)},
    **{"sw": (174, 4.8), "ur": (369, 9.4), "vi": (236, 11.0), "zh": (208, 4.2)},
}
"""Tokens of a context (with its 4 examples) and of a choice, by language: means over five items of X-CSQA each."""
SPECIAL_TOKENS = ("<unk>", "<s>", "</s>")
SHARED_WORD = len(SPECIAL_TOKENS)


def make_tokenizer() -> "PreTrainedTokenizerFast":
    """One token a word: `w7` is the token 7."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL_TOKENS, *(f"w{index}" for index in range(len(SPECIAL_TOKENS), VOCABULARY_SIZE))]
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, SPECIAL_TOKENS[0]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    unknown, bos, eos = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unknown, bos_token=bos, eos_token=eos)


def make_up_requests(items_per_language: int, num_choices: int) -> list["Instance"]:
    """Context and choice of each item; those of an item stand together."""
    from lm_eval.api.instance import Instance

    rng = Random(0)
    requests = []
    for language, (context_mean, choice_mean) in MEAN_LENGTHS.items():
        for number in range(items_per_language):
            context = _words(rng, round(rng.gauss(context_mean, context_mean / 10)))
            for index in range(num_choices):
                # Two tokens at least, most of them few, some of them many.
                length = 2 + round(rng.gammavariate(2, (choice_mean - 2) / 2))
                choice = f" w{SHARED_WORD} {_words(rng, length - 1)}"
                place = (f"made_up_{language}", number, 1)
                requests.append(Instance("loglikelihood", {}, (context, choice), index, metadata=place))
    return requests


def _words(rng: Random, count: int) -> str:
    return " ".join(f"w{rng.randrange(SHARED_WORD + 1, VOCABULARY_SIZE)}" for _ in range(count))
