"""New tokens for a language, learnt on its articles: BPE that goes on where the tokenizer's own vocabulary ends.

Each new token is two tokens put together that often stand side by side, or a character that has none so far. The
trainer of the tokenizers library finds them, on words in which each old token is one letter. Trained on plain words it
would find pieces that the old tokens never build (the old merges come first), and each of them would need further
tokens between the old ones and itself.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge as merge_sorted

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase

from leia.base.errors import InputError
from leia.data.symbols import Symbol, SymbolReader

_FIRST_LETTER = 0x10000
"""Letters that stand for symbols are the characters from here on: no space is among them."""
_SPARE = 1000
"""So many merges more than needed are learnt: some give what the vocabulary has already."""

Merge = tuple[str, str]


@dataclass
class NewToken:
    """`text` as the vocabulary writes it; `pieces`: the old ids that it takes the place of; `saved`: how many tokens of
    the articles it saves, when it is added."""

    text: str
    pieces: tuple[int, ...]
    saved: int = 0


@dataclass(frozen=True)
class NewTokens:
    """`tokens` in the order of their ids. `merges`: the pairs of tokens, old or new, that give one of them, each after
    those that give its parts; a character has none, and a token may have several."""

    tokens: list[NewToken]
    merges: list[Merge]


@dataclass(frozen=True)
class _Candidate:
    """A letter alone or two products put together, with what a token for it saves."""

    parts: tuple[str, ...]
    saved: int


def learn_tokens(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, number: int, left_out: str, source: str
) -> NewTokens:
    """`number` new tokens, those first that save most. `left_out`: the script that gives none (`leia.data.words`);
    `source` names the articles in the error where they give fewer."""
    reader = SymbolReader(tokenizer, left_out)
    words = reader.count_words(texts)
    letters: dict[Symbol, str] = {}
    for word in words:
        for symbol in word:
            letters.setdefault(symbol, chr(_FIRST_LETTER + len(letters)))
    spelt = {"".join(letters[symbol] for symbol in word): count for word, count in words.items()}
    merges, made = _continue_bpe(spelt, len(letters) + 2 * number + _SPARE)
    characters = [
        _Candidate((letter,), made[letter] * max(1, len(reader.spelling[symbol]) - 1))
        for symbol, letter in letters.items()
        if isinstance(symbol, str)
    ]
    # Both rows are sorted, and a character saves as much as any pair that it is in: it comes before them.
    characters.sort(key=lambda one: -one.saved)
    pairs = (_Candidate(pair, made["".join(pair)]) for pair in merges)
    candidates = merge_sorted(characters, pairs, key=lambda one: -one.saved)
    found = _choose(candidates, {letter: symbol for symbol, letter in letters.items()}, reader, number)
    if len(found.tokens) < number:
        raise InputError(
            f"{source}: its articles give {len(found.tokens):,} new tokens that occur twice, --num_new_tokens is "
            f"{number:,}; take more articles, or ask for fewer"
        )
    return found


def _continue_bpe(spelt: dict[str, int], size: int) -> tuple[list[Merge], Counter[str]]:
    """The merges that the trainer learns on words (with their counts) for a vocabulary of that size; and how often each
    letter or product of a merge was made of the words, if only for a later merge."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False)
    backend.train_from_iterator((" ".join([word] * count) for word, count in spelt.items()), trainer)
    merges: list[Merge] = [(one, other) for one, other in json.loads(backend.to_str())["model"]["merges"]]
    made: Counter[str] = Counter()
    for encoding, count in zip(backend.encode_batch(list(spelt)), spelt.values(), strict=True):
        for product in encoding.tokens:
            made[product] += count
    for one, other in reversed(merges):
        made[one] += made[one + other]
        made[other] += made[one + other]
    return merges, made


def _choose(
    candidates: Iterator[_Candidate], symbols: dict[str, Symbol], reader: SymbolReader, number: int
) -> NewTokens:
    """New tokens for the first candidates. A pair whose text is an old token's is none: its merge would change the ids
    of texts without new tokens. One whose text a new token has already gives that a further merge."""
    names = {index: token for token, index in reader.vocabulary.items()}
    known = {
        letter: NewToken(names[symbol], (symbol,)) for letter, symbol in symbols.items() if isinstance(symbol, int)
    }
    tokens: dict[str, NewToken] = {}
    merges: list[Merge] = []
    for candidate in candidates:
        parts = [known[part] for part in candidate.parts if part in known]
        is_pair = len(candidate.parts) == 2
        if candidate.saved < 2 or (is_pair and len(parts) < 2):
            continue
        text = "".join(part.text for part in parts) if is_pair else str(symbols[candidate.parts[0]])
        if text in reader.vocabulary:
            continue
        if text not in tokens and len(tokens) == number:
            break
        pieces = parts[0].pieces + parts[1].pieces if is_pair else reader.spelling[text]
        token = known["".join(candidate.parts)] = tokens.setdefault(text, NewToken(text, pieces))
        token.saved += candidate.saved
        if is_pair:
            merges.append((parts[0].text, parts[1].text))
    return NewTokens(list(tokens.values()), merges)
