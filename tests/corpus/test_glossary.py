"""Terms of a glossary are found as a reader finds them: whole words, the longest; a quick search finds what a slow one
does; the result goes through the import to the names of a dataset."""

import json

import pytest
from conftest import run_here
from datasets import load_from_disk
from hypothesis import given
from hypothesis import strategies as st

from leia.base.errors import DropReason, InputError
from leia.base.step import Tally
from leia.corpus.glossary import Linker, lower, read_glossary
from leia.corpus.word_boundaries import is_boundary

# The text with each expected match in brackets; the terms.
CASES = {
    "Spanish: whole words only": ("El [sol] y el soldado del [Sol].", "sol|Sol"),
    "Spanish: the longest first": ("[Nueva York] no es [York] ni [Nueva].", "Nueva York|York|Nueva"),
    "Spanish: a shorter term where the longer ends within a word": ("[Nueva] Yorkshire", "Nueva York|Nueva|York"),
    "Spanish: a term behind that does not overlap": ("la [Guerra Fría] [Civil]", "Guerra Fría|Fría Civil|Civil"),
    "Spanish: an apostrophe or a hyphen ends a word": ("d'[Artagnan]-[Madrid]", "Artagnan|Madrid"),
    "Spanish: a digit is a letter of the word": ("[Apolo 1] y Apolo 11", "Apolo 1"),
    "Spanish: a combining accent belongs to its letter": ("mama\u0301 y [mama]", "mama"),
    "Spanish: an accent that stands alone starts nothing": ("a\u0301", "\u0301"),
    "Spanish: a term with signs at its ends": ("en [C++]; ¿C+? [C++]17", "C++"),
    "Spanish: case counts": ("madrid y [Madrid]", "Madrid"),
    "Japanese: anywhere between Han": ("[東京都]の[京都]へ", "東京|東京都|京都"),
    "Japanese: longest of three": ("[国際連合]と[国際]と[連合]", "国際|連合|国際連合"),
    "Japanese: Han beside Kana, digits and Latin": ("2020年[東京]Towerの[東京]を", "東京"),
    "Japanese: a run of Katakana is a word": ("アイスランドの[アイス]と[アイス]・ティー", "アイス"),
    "Japanese: the long vowel is of the run": ("[ビール]とビルとビーズ", "ビ|ビー|ビール") ,
    "Japanese: half-width Katakana": ("ｱｲｽﾗﾝﾄﾞの[ｱｲｽ]Tea", "ｱｲｽ"),
    "Japanese: a long vowel behind Hiragana": ("らーめん[ら]", "ら"),
    "Japanese: one right behind the other": ("[東京][京都]", "東京|京都"),
    "Japanese: Katakana with marks of its own": ("カ\u3099ラスと[カ\u3099]", "カ\u3099|カ"),
    "Japanese: Hiragana": ("[さくら]んぼ", "さくら"),
    "Chinese": ("我爱[北京大学]和[北京]", "北京|北京大学|大学"),
    "Thai": ("ฉันรัก[กรุงเทพ]มาก", "กรุงเทพ"),
    "Thai: not before a mark nor after a leading vowel": ("กี่ เก [ก]า", "ก"),
    "Thai: a number is one": ("๒๐ [๒]", "๒"),
    "Khmer: not before a consonant that is set below": ("ក្ក[ក]", "ក"),
    "Korean writes spaces": ("서울은 [서울] 서울시", "서울"),
    "Hindi: marks and joiners are within words": ("[राम] रामायण क्\u200dष", "राम|क्|ष"),
}  # fmt: skip


def marked(text, matches):
    for match in reversed(matches):
        text = f"{text[: match.start]}[{text[match.start : match.end]}]{text[match.end :]}"
    return text


@pytest.mark.parametrize("name", CASES)
def test_a_reader_would_mark_the_same(name):
    expected, terms = CASES[name]
    text = expected.replace("[", "").replace("]", "")
    found = Linker(dict.fromkeys(terms.split("|"), "name")).find(text, Tally("places"))
    assert marked(text, found) == expected
    assert all(text[match.start : match.end] == match.term for match in found)


@pytest.mark.parametrize("unseen", ["\u00ad", "\u200c", "\u200d", "\u2060"])
def test_what_is_not_seen_ends_no_word(unseen):
    assert Linker({"Rhein": "Rhine"}).find(f"Rhein{unseen}au", Tally("places")) == []


def test_positions_are_characters():
    (match,) = Linker({"京": "Kyo"}).find("é😀𠮷 京", Tally("places"))
    assert match == (4, 5, "京")


def test_case_is_ignored_letter_by_letter_so_that_positions_stay():
    assert lower("İĞÜ ΟΔΟΣ οδός ǅ") == "İğü οδοσ οδόσ ǆ" and len(lower("İstanbul")) == 8
    names = {lower("MADRID"): "Madrid", lower("οδος"): "street"}
    found = Linker(names, ignore_case=True).find("İİ madrid, Madrid; ΟΔΟΣ", Tally("places"))
    assert [(match.start, match.end, match.term) for match in found] == [
        *((3, 9, "madrid"), (11, 17, "madrid"), (19, 23, "οδοσ"))
    ]


ALPHABET = st.text("aB1 -\u0301ßイスーﾞ東京ひกี่เក្\u200d😀", max_size=12)


@given(ALPHABET, st.lists(ALPHABET.filter(bool), min_size=1, max_size=6, unique=True))
def test_the_quick_search_finds_what_a_slow_one_does(text, terms):
    slow, position = [], 0
    while position < len(text):
        here = [term for term in terms if text.startswith(term, position)]
        here = [term for term in here if is_boundary(text, position) and is_boundary(text, position + len(term))]
        longest = max(here, key=len, default="")
        if longest:
            slow.append((position, position + len(longest), longest))
        position += len(longest) or 1
    tally = Tally("places")
    found = Linker(dict.fromkeys(terms, "name")).find(text, tally)
    assert list(map(tuple, found)) == slow
    assert tally.read == sum(text.startswith(term, place) for place in range(len(text)) for term in terms)


@given(ALPHABET)
def test_a_mark_begins_nothing_and_the_ends_are_boundaries(text):
    assert is_boundary(text, 0) and is_boundary(text, len(text))
    assert not any(text[place] in "\u0301ี่" and is_boundary(text, place) for place in range(1, len(text)))


BAD_GLOSSARIES = [
    ("a\tA\n\tB\n", ":2: expected term<TAB>English name, found an empty term"),
    ("a\tA\n b \t \n", ":2: expected term<TAB>English name, found an empty English name"),
    ("a\tA\nb\n", ":2: expected term<TAB>English name, found 'b"),
    ("a\tA\n\n", ":2: expected term<TAB>English name, found '"),
    ("a\tA\tmore\n", ":1: expected term<TAB>English name, found 2 tabs"),
    ("a\tA\nb\tB\na\tC\n", ":3: expected one name for each term, found 'a' with the name 'C', and with 'A' in line 1"),
    ("", ": is empty; expected lines of term<TAB>English name"),
]


@pytest.mark.parametrize(("content", "message"), BAD_GLOSSARIES)
def test_a_bad_glossary_is_one_line(tmp_path, content, message):
    (tmp_path / "g.tsv").write_text(content, "utf-8")
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n')
    given = ["--text_files", tmp_path / "t.jsonl", "--glossary", tmp_path / "g.tsv", "--output_file", tmp_path / "o"]
    result = run_here("link_with_glossary.py", *given)
    assert result.exit_code == 1 and result.stderr.startswith(f"error: {tmp_path}/g.tsv{message}")
    assert result.stderr.count("\n") == 1 and not (tmp_path / "o").exists()


def test_a_term_may_stand_twice_with_one_name_and_lines_may_end_as_on_windows(tmp_path):
    (tmp_path / "g.tsv").write_bytes("\ufeffa\tA\r\nb\tB\r\na\tA\r\nA\tA\r\n".encode())
    assert read_glossary(tmp_path / "g.tsv") == {"a": "A", "b": "B", "A": "A"}
    assert read_glossary(tmp_path / "g.tsv", ignore_case=True) == {"a": "A", "b": "B"}


def test_without_case_terms_that_differ_in_case_only_are_one(tmp_path):
    (tmp_path / "g.tsv").write_text("Sol\tSun\nsol\tsol (coin)\n", "utf-8")
    assert len(read_glossary(tmp_path / "g.tsv")) == 2
    with pytest.raises(InputError, match=r"g.tsv:2: expected one name .* 'sol' with .* and with 'Sun' in line 1"):
        read_glossary(tmp_path / "g.tsv", ignore_case=True)


def test_linked_texts_are_counted_and_imported_with_their_names(tmp_path):
    texts = [{"title": "Uno", "text": "Madrid y madrileños, Madrid."}, {"text": "nada"}, {"text": "東京都", "spans": 1}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
    (tmp_path / "g.tsv").write_text("Madrid\tMadrid (Spain)\n東京\tTokyo\n京都\tKyoto\nnunca\tnever\n", "utf-8")
    linked = tmp_path / "linked.jsonl"
    given = ["--text_files", tmp_path / "t.jsonl", "--glossary", tmp_path / "g.tsv", "--output_file", linked]
    result = run_here("link_with_glossary.py", *given)
    assert "places of terms: 4 read, 3 kept, of 2 of the 4 terms\n" in result.stdout
    name = {"name": "Madrid (Spain)"}
    assert [json.loads(line) for line in linked.read_text("utf-8").splitlines()] == [
        {**texts[0], "spans": [{"start": 0, "end": 6, **name}, {"start": 21, "end": 27, **name}]},
        {"text": "nada", "spans": []},
        {"text": "東京都", "spans": [{"start": 0, "end": 2, "name": "Tokyo"}]},
    ]
    tally = json.loads((tmp_path / "linked.jsonl.manifest.json").read_text("utf-8"))["tally"]
    assert tally["places of terms"]["dropped"] == {DropReason.OVERLAPPING_TERM: 1}
    assert run_here("link_with_glossary.py", *given).stdout == f"complete already: {linked}\n"
    given = ["--text_files", linked, "--language", "es", "--output_dir", tmp_path / "out"]
    assert run_here("import_articles.py", *given).exit_code == 0
    names = [[anchor["name"] for anchor in row["anchors"]] for row in load_from_disk(tmp_path / "out")]
    assert names == [["Madrid (Spain)"] * 2, [], ["Tokyo"]]
