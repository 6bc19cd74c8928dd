"""A small BERT with random weights, and a vocabulary of the words of some sections: for trials and for tests."""

from collections import Counter
from collections.abc import Iterable

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, PreTrainedTokenizerBase

_LAYERS, _WIDTH, _HEADS = 2, 64, 8
_INITIAL_RANGE = 0.1
"""Five times that of BERT. So small a model learns nothing from BERT's, or with its dropout, in some thousand steps."""
_WORDS = 5_000
"""So many of the most frequent words the vocabulary has whole. It has all characters of the sections, alone and within
a word, so that no word is unknown."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_small_model(
    texts: Iterable[str], length: int, seed: int
) -> tuple[BertForSequenceClassification, PreTrainedTokenizerBase]:
    """A model for rows of `length` tokens, drawn from `seed`, and a tokenizer for `texts`."""
    tokenizer = small_tokenizer(texts)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=4 * _WIDTH,
        max_position_embeddings=length,
        initializer_range=_INITIAL_RANGE,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return BertForSequenceClassification(config), tokenizer


def small_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """A WordPiece tokenizer, lower-casing as multilingual BERT's, of the most frequent words of `texts`."""
    plain = BertTokenizer(vocab={word: number for number, word in enumerate(_SPECIAL)}, do_lower_case=True)
    split = plain.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    normalize = plain.backend_tokenizer.normalizer.normalize_str
    words = Counter(word for text in texts for word, _ in split(normalize(text)))
    characters = sorted({character for word in words for character in word})
    frequent = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:_WORDS]]
    pieces = [*_SPECIAL, *characters, *(f"##{character}" for character in characters), *frequent]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True)
