"""WikiExtractor's output: documents are found, and the quick way to split links agrees with the one for any markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leia.base.errors import InputError
from leia.corpus.linked_text import LinkedText
from leia.corpus.markup import split_links_of_any_markup
from leia.corpus.wikiextractor import find_files, read_documents, split_links


@pytest.mark.parametrize(
    ("markup", "text", "anchors"),
    [
        ('a <a href="B">b</a> c', "a b c", [("b", "B")]),
        ('<a href="B">b</a><a href="C">c</a>', "bc", [("b", "B"), ("c", "C")]),
        ('<a href="B"></a>x', "x", [("", "B")]),
        ("<a>no href</a>", "no href", []),
        ('<b><a href="B">b</a></b>', "b", []),  # not at the top level
        ('<a href="B">b<i>c</i></a>', "bc", [("bc", "B")]),  # tags in a link are text
        ('<a href="B">b<a href="C">c</a></a>', "bc", [("bc", "B")]),
        ('<a href="B">b', "b", [("b\n", "B")]),  # an open link goes on to the end
        ("1 < 2 > 0", "1 < 2 > 0", []),
        ("<日本>", "<日本>", []),
        ("R&B と A&M", "R&B と A&M", []),
        ("&amp;&lt;", "&<", []),
        ("&copy 1", "© 1", []),
        ("&unknown; &foo", "&unknown &foo", []),  # as html.parser with BeautifulSoup has it
        ('&amp<a href="B">;</a>', "&;", [(";", "B")]),
        ('&lt<a href="B">foo</a>', "<foo", [("foo", "B")]),
        ('<a href="B&amp;C">b</a>', "b", [("b", "B&C")]),
        ('<a href="B">b</a>  \n <a href="C">c</a>', "b\nc", [("b", "B"), ("c", "C")]),  # white space between tags
        ('<a href="B">b</a>   <a href="C">c</a>', "b c", [("b", "B"), ("c", "C")]),
        ("x<!-- y -->z", "xz", []),
        ("x<![y", "x<![y", []),
        ("", "", []),
    ],
)
def test_markup_gives_text_and_top_level_links(markup, text, anchors):
    linked = split_links(markup + "\n")
    assert linked.text == text + "\n"
    spans = zip(linked.starts, linked.ends, linked.hrefs, strict=True)
    assert [(linked.text[start:end], href) for start, end, href in spans] == anchors


LINKS = ['<a href="x">', "</a>", '<a href="%E7">火</a>', '<a href="y"> </a>', "<a", 'href="', '"']
TAGS = [
    "<b>",
    "</b>",
    "<br/>",
    "<br>",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<",
    ">",
    "<!",
    "<?",
    "</",
    "<![",
    "]]>",
]
ENTITIES = ["&", "&amp;", "&amp", "&#38;", "&#x26", "&B", ";", "B", "&lt", "foo"]
CHARACTERS = [" ", "\n", "\n\n", "\t", "\x00", "\x1b[31m", "\u202e", "日本", "\xa0", "é"]
PIECES = st.sampled_from([*LINKS, *TAGS, *ENTITIES, *CHARACTERS])


@given(st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces) + "\n"))
def test_the_quick_way_equals_the_one_for_any_markup(markup):
    linked = split_links(markup)
    assert linked == split_links_of_any_markup(markup)
    spans = zip(linked.starts, linked.ends, strict=True)
    assert all(0 <= start <= end <= len(linked.text) for start, end in spans)


def doc(title, body, host="ja.wikipedia.org"):
    return f'<doc id="5" url="https://{host}/wiki?curid=5" title="{title}">\n{title}\n\n{body}\n\n</doc>\n'


def test_documents_come_without_their_title_lines(tmp_path):
    path = tmp_path / "wiki_00"
    path.write_text(
        doc("火", "熱い。\n</doc> in the text") + doc("A &amp; B", "b", "zh-min-nan.wikipedia.org"), encoding="utf-8"
    )
    first, second = read_documents(path)
    assert (first.title, first.language, first.markup) == ("火", "ja", "熱い。\n</doc> in the text\n\n")
    assert (second.title, second.language) == ("A & B", "zh-min-nan")


@pytest.mark.parametrize("body", ["before\n</doc>\nbehind", "</doc>\nbehind", "</doc>", "before\n</doc>", ""])
def test_a_title_with_quotes_and_a_line_like_the_end_are_part_of_their_document(tmp_path, body):
    path = tmp_path / "wiki_00"
    path.write_text(doc('"Heroes" (album)', body) + doc("Fire", "hot"), encoding="utf-8")
    first, second = read_documents(path)
    assert (first.title, first.markup) == ('"Heroes" (album)', f"{body}\n\n")
    assert second.title == "Fire"


def test_a_document_without_a_text_is_one_of_its_own(tmp_path):
    path = tmp_path / "wiki_00"
    empty = doc("A", "").replace("\n\n\n\n", "\n\n")
    path.write_text(doc("A", "") + empty + doc("B", "b") + empty, encoding="utf-8")
    assert [document.markup.strip() for document in read_documents(path)] == ["", "", "b", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (doc("A", "b").removesuffix("</doc>\n").encode(), r"\(A\) has no </doc>"),
        (b"something else", "wiki_00:1: expected <doc"),
        (doc("A", "b").encode() + b"x", "wiki_00:7: expected <doc"),
        (b"<doc \xff", "not UTF-8 at byte 5"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_place(tmp_path, content, message):
    (tmp_path / "wiki_00").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_documents(tmp_path / "wiki_00"))


def test_files_are_read_in_sorted_order(tmp_path):
    for name in ("AB/wiki_00", "AA/wiki_10", "AA/wiki_02"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [str(path.relative_to(tmp_path)) for path in find_files(tmp_path)] == [
        "AA/wiki_02",
        "AA/wiki_10",
        "AB/wiki_00",
    ]
    with pytest.raises(InputError, match="no files like AA/wiki_00"):
        find_files(tmp_path / "nothing")


def test_a_link_is_a_span_of_the_text():
    assert split_links('火は<a href="%E7%86%B1">熱</a>い\n') == LinkedText("火は熱い\n", [2], [3], ["%E7%86%B1"])
