"""A tokenizer as its `tokenizer.json` says, whose ids the paper's stack gave.

transformers 5 builds the tokenizers of some classes (Llama, Qwen2, Gemma, GPT-2 and others) anew from the vocabulary and
so leaves out what the file says of normalisation and splitting: to Llama 2's file ` dog` is two tokens, to such a class
one.
"""

import json
from dataclasses import dataclass

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils.hub import cached_file


@dataclass(frozen=True)
class TokenizerFile:
    """What `tokenizer.json` says (`backend`), and the special and added tokens that `tokenizer_config.json` names."""

    backend: Tokenizer
    named: frozenset[str]

    @classmethod
    def of(cls, model_name: str) -> "TokenizerFile | None":
        """Of a folder or a model on the hub; None where there is no such file."""
        path = cached_file(model_name, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
        if path is None:
            return None
        config = get_tokenizer_config(model_name)
        named = [token for name, token in config.items() if name.endswith("_token")]
        for name in ("extra_special_tokens", "additional_special_tokens", "added_tokens_decoder"):
            tokens = config.get(name) or ()
            named += tokens.values() if isinstance(tokens, dict) else tokens
        contents = {token["content"] if isinstance(token, dict) else token for token in named}
        return cls(Tokenizer.from_file(path), frozenset(token for token in contents if isinstance(token, str)))

    def is_followed_by(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether `tokenizer` does what the file says, with no token more than the two files name."""
        ours, said = (json.loads(one.to_str()) for one in (tokenizer.backend_tokenizer, self.backend))
        parts = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model")
        further = {token["content"] for token in ours["added_tokens"] if token not in said["added_tokens"]}
        lost = [token for token in said["added_tokens"] if token not in ours["added_tokens"]]
        return not lost and further <= self.named and all(ours[part] == said[part] for part in parts)

    def as_tokenizer(self, loaded: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
        """A tokenizer that does what the file says, with the settings that transformers knows of `loaded`."""
        backend = Tokenizer.from_str(self.backend.to_str())
        backend.no_truncation()
        backend.no_padding()
        known = self.named | backend.get_vocab().keys()  # other tokens are a class's own idea
        settings = (
            "model_max_length",
            "padding_side",
            "truncation_side",
            "clean_up_tokenization_spaces",
            "chat_template",
        )
        special = {name: str(token) for name, token in loaded.special_tokens_map.items() if not isinstance(token, list)}
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend,
            name_or_path=loaded.name_or_path,
            extra_special_tokens=[str(token) for token in loaded.extra_special_tokens if str(token) in known],
            **(
                {"bos_token": None, "eos_token": None}
                | {name: token for name, token in special.items() if token in known}
            ),
            **{name: value for name in settings if (value := getattr(loaded, name)) is not None},
        )
        vocabulary = tokenizer.get_vocab()
        further = [token for _, token in sorted(loaded.added_tokens_decoder.items()) if token.content in known]
        tokenizer.add_tokens([token for token in further if token.content not in vocabulary])
        if backend.post_processor is not None:  # else transformers' own, which adds nothing
            tokenizer.backend_tokenizer.post_processor = backend.post_processor
        return tokenizer
