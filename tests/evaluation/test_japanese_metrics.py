"""The metrics of the Japanese tasks beside slow plain versions, a table of cases, and without their libraries."""

import importlib.util
import re
import sys

import pytest
from evaluation_sample import TASKS
from hypothesis import example, given
from hypothesis import strategies as st

from leia.tasks.japanese import jaqket_v2_metrics
from leia.tasks.japanese.llmjp import char_f1, score_char_f1, score_exact_match

TEXTS = st.text(st.sampled_from("abAB 東京都・、。ー々_éß½İ\u3000\t,()０９①"), max_size=24)


def longest_common_subsequence(first, second):
    row = [0] * (len(second) + 1)
    for one in first:
        diagonal = 0
        for index, other in enumerate(second, 1):
            diagonal, row[index] = row[index], diagonal + 1 if one == other else max(row[index], row[index - 1])
    return row[-1]


def plain_char_f1(answer, gold):
    """By the page, step after step."""
    texts = []
    for text in (answer, gold):
        text = "".join(character for character in text if not 0x80 <= ord(character) <= 0xFF)
        text = "".join(character if re.fullmatch(r"\w", character) else " " for character in text)
        texts.append(" ".join(sorted(text.lower().strip().split())))
    first, second = texts
    if first == second:
        return 1.0
    if "" in texts:
        return 0.0
    length = len(first) + len(second)
    distance = length - 2 * longest_common_subsequence(first, second)
    return round(100 * (1.0 - distance / length)) / 100.0


@given(TEXTS, TEXTS)
@example("あいうえおかきく", "あいうえおサシス")
@example("ab" * 17 + "x" * 6, "ab" * 17 + "cdefgh" + "y" * 34)
def test_char_f1_is_that_of_a_plain_version(answer, gold):
    assert char_f1(answer, gold) == plain_char_f1(answer, gold) == char_f1(gold, answer)


def test_char_f1_removes_latin_1_and_nothing_beside_it():
    assert char_f1("a\x80\xffb", "ab") == 1.0
    assert char_f1("ab\u0100", "ab") == 0.8
    assert char_f1("ab\x7fc", "ab c") == 1.0  # no letter: a space


def test_char_f1_rounds_halves_as_the_original():
    assert char_f1("abcdexyz", "abcdeuvw") == 0.62  # 16 characters, 5 in common: 62.5, halves to even
    assert char_f1("a" * 17 + "b" * 23, "a" * 17 + "c" * 23) == 0.43  # 80 characters, distance 46


@pytest.mark.parametrize(
    ("generation", "output", "char", "exact"),
    [
        ("４", "4", 1.0, 1.0),
        (" 4", "4", 1.0, 0.0),
        ("\n4", "4", 0.0, 0.0),
        ("㍿\n次", "株式会社", 1.0, 1.0),
        ("", "", 1.0, 1.0),
        ("é", "", 1.0, 0.0),
    ],
)
def test_an_answer_is_the_first_line_in_nfkc_form(generation, output, char, exact):
    assert score_char_f1({"output": output}, [generation]) == {"char_f1": char}
    assert score_exact_match({"output": output}, [generation]) == {"exact_match": exact}


@pytest.mark.parametrize(
    ("generation", "answers", "exact", "f1"),
    [
        ("六角形", ["ハニカム", "六角形"], 100.0, 100.0),
        ("六角形です", ["五つ", "六角形"], 0.0, 80.0),  # 六角, 形, です: two of three words
        ("「六角形」。", ["六角形"], 0.0, 100.0),  # signs are no words
        ("六角形😀✂", ["六角形"], 100.0, 100.0),  # pictures are removed
        ("六角形☕", ["六角形"], 100.0, 100.0),  # an emoji outside the ranges
        ("六角形✃", ["六角形"], 100.0, 100.0),  # in the ranges, no emoji
        ("六角形　です", ["六角形 です"], 100.0, 100.0),
        ("Bee", ["bee"], 0.0, 0.0),  # no lower-casing
        ("ﾊﾆｶﾑ", ["ハニカム"], 100.0, 100.0),
        ("蜂蜂", ["蜂"], 0.0, 200 / 3),  # each word of the answer counts once
        ("", ["蜂"], 0.0, 0.0),
        ("。", ["。"], 100.0, 0.0),  # nothing is left to compare
    ],
)
def test_jaqket_compares_with_every_answer(generation, answers, exact, f1):
    found = jaqket_v2_metrics.process_results({"answers": answers}, [generation])
    assert found == {"exact_match": exact, "f1": pytest.approx(f1, abs=1e-9)}
    share = jaqket_v2_metrics.process_jsquad({"answers": answers}, [generation])  # JSQuAD has the same, 0 to 1
    assert share == {"exact_match": exact / 100, "f1": pytest.approx(f1 / 100, abs=1e-11)}


@pytest.mark.parametrize(
    ("file", "library"),
    [
        ("llmjp.py", "rapidfuzz.distance"),
        ("jaqket_v2_metrics.py", "emoji"),
        ("jaqket_v2_metrics.py", "neologdn"),
        ("jaqket_v2_metrics.py", "fugashi"),
        ("jaqket_v2_metrics.py", "unidic_lite"),
    ],
)
def test_a_missing_library_is_said_before_anything_runs(monkeypatch, file, library):
    monkeypatch.setitem(sys.modules, library, None)
    specification = importlib.util.spec_from_file_location("again", TASKS / "japanese" / file)
    with pytest.raises(ImportError, match=r"^[^\n]*: pip install 'leia\[japanese\]'$"):
        specification.loader.exec_module(importlib.util.module_from_spec(specification))
