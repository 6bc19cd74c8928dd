"""Where a word may begin or end, in scripts that write spaces and in those that do not, without a dictionary.

Between two letters or digits there is a boundary only where one of them is of a script without spaces: Han, Hiragana,
and those that line breaking takes for such (class SA of UAX 14: Thai, Lao, Khmer, Myanmar and others), in which words
cannot be told from characters. A run of Katakana is a word. Marks belong to the letter before them, and so does what
else a reader does not part from its neighbour.
"""

import unicodedata
from functools import cache

# First and last character of each range.
_UNSPACED = (
    *("々〇", "〡〩", "〸〻", "㐀䶿", "一鿿", "\uf900\ufaff", "\U00020000\U0003ffff"),  # Han
    *("ぁゟ", "\U0001b001\U0001b11f", "\U0001b132\U0001b132", "\U0001b150\U0001b152"),  # Hiragana
    *("\u0e00\u0e7f", "\u0e80\u0eff"),  # Thai, Lao
    *("\u1000\u109f", "\ua9e0\ua9ff", "\uaa60\uaa7f"),  # Myanmar
    *("\u1780\u17ff", "\u1950\u197f", "\u1980\u19df", "\u1a20\u1aaf", "\uaa80\uaadf"),  # Khmer, Tai Le, Lue, Tham, Viet
    "\U00011700\U0001174f",  # Ahom
)
_KATAKANA = ("ァヺ", "ーヿ", "ㇰㇿ", "ｦﾟ", "\U0001b000\U0001b000", "\U0001b120\U0001b122", "\U0001b155\U0001b155",
    "\U0001b164\U0001b167")  # fmt: skip
_JOINERS = frozenset("\u00ad\u200c\u200d\u2060")  # unseen within words: soft hyphen, joiners
_JOINED_TO_FORMER = frozenset("ーｰﾞﾟ\u0e33\u0eb3")  # long vowels, voice marks, am of Thai and Lao
# Signs that set the next consonant below (Myanmar, Khmer), and vowels of Thai and Lao that are written before it.
_JOINED_TO_NEXT = frozenset("\u1039\u17d2เแโใไເແໂໃໄ")

WORD, UNSPACED, KATAKANA = "word", "unspaced", "katakana"


def is_boundary(text: str, position: int) -> bool:
    """Whether a word may begin or end at this place of `text`."""
    if not 0 < position < len(text):
        return True
    former, following = text[position - 1], text[position]
    if is_mark(following) or following in _JOINERS or former in _JOINERS or former in _JOINED_TO_NEXT:
        return False
    base = position - 1
    while base and is_mark(text[base]):
        base -= 1
    one, other = kind(text[base]), kind(following)
    if one and following in _JOINED_TO_FORMER:
        return False
    return not one or not other or one != other or one == UNSPACED


@cache
def is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


@cache
def kind(character: str) -> str:
    """`WORD`, `UNSPACED` or `KATAKANA` of a letter or digit; empty of what else there is. Digits are `WORD` in every
    script: numbers are written in one."""
    category = unicodedata.category(character)
    if category[0] not in "LN":
        return ""
    if category == "Nd":
        return WORD
    for found, ranges in ((UNSPACED, _UNSPACED), (KATAKANA, _KATAKANA)):
        if any(first <= character <= last for first, last in ranges):
            return found
    return WORD
