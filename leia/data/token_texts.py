"""What a reader is shown of a token: its text, whole characters only, with nothing that could steer a terminal."""

import codecs
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from leia.data.alignment import token_bytes
from leia.escaping import visible


class TokenTexts:
    """The texts of token ids, for any tokenizer that `leia.data.alignment.token_bytes` knows."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._bytes_of = token_bytes(tokenizer)

    def split(self, ids: Sequence[int]) -> list[str]:
        """One `visible` text a token. A character made of several tokens stands at its first one, the others are
        empty; a character that the ids hold only a part of is U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        texts: list[str] = []
        unfinished = None
        for k, index in enumerate(ids):
            text = decoder.decode(self._bytes_of[index])
            if unfinished is not None and text:
                texts[unfinished] += text[0]
                text = text[1:]
                unfinished = None
            texts.append(text)
            if unfinished is None and decoder.getstate()[0]:
                unfinished = k
        if unfinished is not None:
            texts[unfinished] += decoder.decode(b"", final=True)
        return list(map(visible, texts))

    def join(self, ids: Sequence[int]) -> str:
        """The text of all `ids` together."""
        return "".join(self.split(ids))
