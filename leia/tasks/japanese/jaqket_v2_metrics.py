"""The metrics of JAQKET v2, 0 to 100, and of JSQuAD, 0 to 1: exact match and F1 over MeCab's words, each for the answer
that suits it best.

MeCab splits with unidic-lite, whichever other dictionaries are installed.
"""

import re
import string
from collections import Counter
from functools import cache
from typing import Any

try:
    import emoji
    import neologdn
    import unidic_lite
    from fugashi import GenericTagger
except ImportError as error:
    raise ImportError(
        f"the metrics of JAQKET v2 need neologdn, emoji, fugashi and unidic-lite ({error}): "
        "pip install 'leia[japanese]'"
    ) from error

_PICTURES = re.compile("[\U0001f600-\U0001f64f\U0001f300-\U0001f5ff\U0001f680-\U0001f6ff\U0001f1e0-\U0001f1ff✂-➰]")
_SIGNS = set(
    string.punctuation + "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～"
    "｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."
)


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {name: 100.0 * value for name, value in process_jsquad(doc, results).items()}


def process_jsquad(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    generation = _normalise(results[0])
    answers = [_normalise(answer) for answer in doc["answers"]]
    return {
        "exact_match": max(float(generation == answer) for answer in answers),
        "f1": max(_f1(generation, answer) for answer in answers),
    }


def _normalise(text: str) -> str:
    text = "".join(character for character in text if not emoji.is_emoji(character))
    return " ".join(neologdn.normalize(_PICTURES.sub("", text)).split())


def _f1(generation: str, answer: str) -> float:
    ours, theirs = _words(generation), _words(answer)
    common = (Counter(ours) & Counter(theirs)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    return (2 * precision * recall) / (precision + recall)


def _words(text: str) -> list[str]:
    return [word for word in _tagger().parse(text).split() if word not in _SIGNS]


@cache
def _tagger() -> GenericTagger:
    return GenericTagger(f'-r "{unidic_lite.DICDIR}/mecabrc" -d "{unidic_lite.DICDIR}" -Owakati')
