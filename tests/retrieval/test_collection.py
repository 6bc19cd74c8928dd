"""Judged collections from folders and from ir_datasets: what is read, what is counted, what is refused in one line."""

import gzip
import json

import pytest

from leia.base.errors import InputError, UsageError
from leia.base.step import Counts
from leia.retrieval.collection import Collection, folds, open_collection, split
from leia.retrieval.collection_files import read_documents

TOPICS = """<top>
<num> Number: 301
<title> Old mills &amp; ovens

<desc> Description:
Mills that
grind flour.
<narr> Narrative:
Anything goes.
</top>

<top><num> C041 </num>
<DE-title> Türme für Schiffe </DE-title>
<DE-desc> Leuchttürme an Küsten. </DE-desc></top>
"""
DOCUMENTS = """<DOC>
<DOCNO> FR-1 </DOCNO>
<DATE>940101</DATE>
<TITLE>Die Mühle</TITLE>
<TEXT>
<P>Sie mahlt &lt;Mehl&gt;.</P>
<P>Und Korn.</P>
</TEXT>
</DOC>
<DOC><DOCNO>SDA.2</DOCNO><TI>Turm</TI><LD>Er leuchtet.</LD>
<TX>Weit.</TX></DOC><DOC><DOCNO>3</DOCNO><text>Mehr</text></DOC><DOC><DOCNO>4</DOCNO></DOC>
<DOC><DOCNO>not judged</DOCNO>
<TEXT>Nichts</TEXT></DOC>"""
QRELS = "301 0 FR-1 1\n301 0 3 0\nC041 0 SDA.2 2\nC041 0 FR-1 0\n"


def write(folder, **files):
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in files.items():
        path = folder / {"qrels": "qrels.txt", "jsonl": "documents.jsonl", "tsv": "queries.tsv"}.get(name, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def small(folder, **files):
    """A folder of six queries, each with a relevant document and one that is not, but for what `files` says."""
    ids = range(1, 7)
    usual = {
        "tsv": "".join(f"q{number}\tquery {number}\n" for number in ids),
        "qrels": "".join(f"q{number} 0 r{number} 1\nq{number} 0 n{number} 0\n" for number in ids),
        "jsonl": "".join(
            json.dumps({"id": f"{kind}{number}", "text": "some text"}) + "\n" for number in ids for kind in "rnx"
        ),
    }
    return write(folder, **{name: content for name, content in (usual | files).items() if content is not None})


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 400
    assert "; " in text or text.endswith("?"), "it says what to do"


def test_trecs_topics_and_documents(tmp_path):
    place = write(tmp_path / "c", **{"topics.301-450": TOPICS, "documents.trec": DOCUMENTS, "qrels": QRELS})
    collection = open_collection(place, counts := Counts())
    assert list(collection.queries.items()) == [("301", "Old mills & ovens"), ("C041", "Türme für Schiffe")]
    assert collection.documents == {
        "FR-1": "Die Mühle Sie mahlt <Mehl>. Und Korn.",
        "SDA.2": "Turm Er leuchtet. Weit.",
        "3": "Mehr",
    }
    assert collection.judgements == {"301": {"FR-1": 1, "3": 0}, "C041": {"SDA.2": 2, "FR-1": 0}}
    assert (collection.relevant("C041"), collection.non_relevant("C041")) == (["SDA.2"], ["FR-1"])
    assert counts.as_dict() == {
        "queries": {"read": 2, "kept": 2, "dropped": {}},
        "judgements": {"read": 4, "kept": 4, "dropped": {}},
    }


def test_the_fields_of_a_topic_may_be_chosen(tmp_path):
    files = {"queries.trec": TOPICS.encode("latin-1"), "documents.trec": DOCUMENTS.encode("latin-1"), "qrels": QRELS}
    place = write(tmp_path / "c", **files)
    options = {"fields": ("title", "desc"), "encoding": "latin-1"}
    collection = open_collection(place, Counts(), **options)
    assert collection.queries["301"] == "Old mills & ovens Mills that grind flour."
    assert collection.queries["C041"] == "Türme für Schiffe Leuchttürme an Küsten."
    with pytest.raises(UsageError, match="fields of a topic: expected some of title, desc, narr, found text") as error:
        open_collection(place, Counts(), fields=("text",))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="topic C041: expected a <narr> with text, found none") as error:
        open_collection(place, Counts(), fields=("narr",), encoding="latin-1")
    one_line(error)
    with pytest.raises(InputError, match=r"queries\.trec: is not utf-8 after line") as error:
        open_collection(place, Counts())
    one_line(error)


@pytest.mark.parametrize("name", ["documents.trec", "documents.jsonl"])
def test_gzipped_documents_are_the_same(tmp_path, name):
    content = DOCUMENTS.encode() if "trec" in name else small_documents()
    plain = write(tmp_path / "plain", **{"queries.trec": TOPICS, name: content, "qrels": QRELS})
    packed = write(
        tmp_path / "gz", **{"queries.trec": TOPICS, f"{name}.gz": gzip.compress(content, mtime=0), "qrels": QRELS}
    )
    assert open_collection(plain, Counts()) == open_collection(packed, Counts())
    (tmp_path / "gz" / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0)[:60])
    with pytest.raises(InputError, match="expected a gzip file, found a broken one after line") as error:
        open_collection(packed, Counts())
    one_line(error)


def small_documents():
    return "".join(
        json.dumps({"id": name, "text": f"text of\n {name}"}) + "\n" for name in ("FR-1", "SDA.2", "3")
    ).encode()


@pytest.mark.parametrize("name", ["documents.trec", "documents.jsonl"])
def test_of_the_documents_those_asked_for_alone_are_held(tmp_path, name):
    write(tmp_path / "c", **{name: DOCUMENTS.encode() if "trec" in name else small_documents()})
    assert read_documents(tmp_path / "c", {"3", "gone"}, "utf-8").keys() == {"3"}


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    turned = {
        "queries.trec": "\ufeff" + TOPICS.replace("\n", "\r\n"),
        "documents.trec": DOCUMENTS.replace("\n", "\r\n"),
        "qrels": "\ufeff" + QRELS.replace("\n", "\r\n"),
    }
    usual = write(tmp_path / "c", **{"queries.trec": TOPICS, "documents.trec": DOCUMENTS, "qrels": QRELS})
    assert open_collection(write(tmp_path / "w", **turned), Counts()) == open_collection(usual, Counts())


def test_what_does_not_fit_is_left_out_and_counted(tmp_path):
    qrels = (
        "q1 0 r1 1\nq1 0 n1 0\nq1 0 gone 1\nq1 0 blank 0\n"  # two documents less
        "q2 0 n2 0\nq2 0 n3 -1\n"  # nothing relevant
        "q3 0 gone 1\nq3 0 n3 0\n"  # nothing relevant that is there
        "unknown 0 r1 1\n"
        "q5 0 r5 3\n"
    )
    blank = json.dumps({"id": "blank", "text": " "}) + "\n"
    small(tmp_path / "usual")
    documents = (tmp_path / "usual/documents.jsonl").read_text() + blank
    collection = open_collection(small(tmp_path / "c", qrels=qrels, jsonl=documents), counts := Counts())
    assert list(collection.queries) == ["q1", "q5"]
    assert collection.judgements == {"q1": {"r1": 1, "n1": 0}, "q5": {"r5": 3}}
    assert collection.documents.keys() == {"r1", "n1", "r5"}
    assert counts.as_dict() == {
        "queries": {
            "read": 6,
            "kept": 2,
            "dropped": {"query without a judgement": 2, "the query has no relevant document": 2},
        },
        "judgements": {
            "read": 10,
            "kept": 3,
            "dropped": {
                "the query has no relevant document": 3,
                "of a document that is not there": 2,
                "of a document without text": 1,
                "of a query that is not there": 1,
            },
        },
    }


def test_the_order_is_that_of_the_files(tmp_path):
    queries = "b\tsecond\na\tfirst\n"
    qrels = "a 0 r2 1\nb 0 n1 -1\nb 0 r1 1\na 0 r1 1\nb 0 n2 0\n"
    collection = open_collection(small(tmp_path / "c", tsv=queries, qrels=qrels), Counts())
    assert list(collection.queries) == list(collection.judgements) == ["b", "a"]
    assert (collection.relevant("a"), collection.non_relevant("b")) == (["r2", "r1"], ["n1", "n2"])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tsv": None}, r"c: expected the queries in one file queries\.tsv or queries\.trec or topics\*, found none"),
        ({"qrels": None}, r"c: expected the judgements in one file qrels\.txt, found none"),
        ({"jsonl": None}, r"c: expected the documents in one file documents\.jsonl or .*, found none"),
        ({"queries.trec": TOPICS}, "found queries.trec, queries.tsv; keep one of them"),
        ({"tsv": "q1 text\n"}, r"queries\.tsv:1: expected query id<TAB>text"),
        ({"tsv": "q1\t\n"}, r"queries\.tsv:1: expected query id<TAB>text, found an empty text"),
        ({"tsv": "q1\ta\nq1\tb\n"}, r"queries\.tsv:2: expected each query once, found 'q1' again"),
        ({"tsv": None, "topics.txt": "q1 a\n"}, r"topics\.txt: expected topics <top>...</top>, found none"),
        ({"tsv": None, "topics.txt": "<top><title>a</top>"}, "topic number 1 in the file: expected a <num>"),
        ({"tsv": None, "topics.txt": TOPICS + TOPICS}, "topic number 3 in the file: expected each query once"),
        ({"qrels": "q1 0 r1\n"}, r"qrels\.txt:1: expected `query iteration document relevance` .*found 'q1 0 r1'"),
        ({"qrels": "q1 0 r1 1\nq1 0 n1 yes\n"}, r"qrels\.txt:2: expected .*found 'q1 0 n1 yes'"),
        ({"qrels": "q1 0 r1 1\nq1 0 r1 0\n"}, r"qrels\.txt:2: expected one judgement of query q1 and document r1"),
        ({"qrels": "1 0 r1 1\n"}, "expected judgements of its queries, such as 'q1', found those of '1'"),
        ({"qrels": ""}, r"qrels\.txt: expected judgements, found an empty file"),
        ({"tsv": ""}, r"queries\.tsv: expected queries, found an empty file"),
        ({"qrels": "q1 0 DE-r1 1\n"}, "expected the judged documents, such as 'DE-r1', found none of the 1"),
        ({"qrels": "q1 0 r1 0\n"}, "expected queries with a relevant document .* found none among 6"),
        ({"jsonl": '{"id": "r1"}\n'}, r'documents\.jsonl:1: expected {"id": "...", "text": "..."}, found'),
        ({"jsonl": '{"id": 1, "text": "a"}\n'}, r"documents\.jsonl:1: expected .*both are strings"),
        ({"jsonl": '{"id": "x", "te\n'}, r"documents\.jsonl:1: expected"),
        ({"jsonl": '{"id": "r1", "text": "a"}\n' * 2}, r"documents\.jsonl:2: expected each document once, found 'r1'"),
        (
            {"jsonl": '{"id": "r1", "text": ""}\n'},
            r"documents\.jsonl: expected documents with text, found no text in any",
        ),
        ({"jsonl": None, "documents.trec": "<DOC><TEXT>a</TEXT></DOC>\n"}, r"documents\.trec:1: expected a <DOCNO>"),
        (
            {"jsonl": None, "documents.trec": "<DOC><DOCNO>r1</DOCNO><BODY>a</BODY></DOC>\n"},
            r"documents\.trec: expected documents with <TITLE>, .*<TX>, found no text in any; write documents.jsonl",
        ),
        (
            {"jsonl": None, "documents.trec": "<DOC><DOCNO>r1</DOCNO>\n<TEXT>a</TE"},
            r"documents\.trec:2: expected </DOC>, found the end of the file",
        ),
    ],
)
def test_a_folder_that_is_no_collection_is_one_line(tmp_path, files, message):
    place = small(tmp_path / "c", **files)
    with pytest.raises(InputError, match=message) as error:
        open_collection(place, Counts())
    one_line(error)


def of(number):
    ids = [f"q{place}" for place in range(1, number + 1)]
    return Collection(dict.fromkeys(ids, "text"), {}, {})


def test_queries_are_dealt_in_turn():
    dealt = folds(of(7))
    assert dealt == [["q1", "q6"], ["q2", "q7"], ["q3"], ["q4"], ["q5"]]
    third = split(dealt, 2)
    assert (third.train, third.dev, third.test) == (["q3", "q4", "q5"], ["q1", "q6"], ["q2", "q7"])
    for number in range(5):
        fold = split(dealt, number)
        assert sorted(fold.train + fold.dev + fold.test) == list(of(7).queries)
    with pytest.raises(InputError, match="at least 5 queries with a relevant document, one a fold, found 4") as error:
        folds(of(4))
    one_line(error)


def test_the_folds_are_those_of_the_published_script(shared):
    given = json.loads((shared / "data/clir/collection.json").read_text(encoding="utf-8"))
    expected = json.loads((shared / "expected/clir/finetuning.json").read_text(encoding="utf-8"))["folds"]
    dealt = folds(Collection(given["queries"], {}, {}))
    assert dealt == list(given["folds"].values())
    assert [vars(split(dealt, number)) for number in range(5)] == expected


def test_a_file_may_say_the_folds(tmp_path):
    path = tmp_path / "folds.tsv"
    path.write_text("q6\t1\nq5\t1\nq4\t2\nq3\t3\ndropped\t3\nq2\t4\nq1\t5\n")
    assert folds(of(6), path) == [["q6", "q5"], ["q4"], ["q3"], ["q2"], ["q1"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q1\t6\n", r"folds\.tsv:1: expected each query once, with a fold from 1 to 5, found '6'"),
        ("q1\t1\nq1\t2\n", r"folds\.tsv:2: expected each query once, .*found query 'q1' again"),
        ("q1 1\n", r"folds\.tsv:1: expected query<TAB>fold"),
        ("q1\t1\nq2\t2\nq3\t3\nq4\t4\n", "expected a fold for each query, found none for 1 of them, 'q5' first"),
        ("q1\t1\nq2\t2\nq3\t3\nq4\t4\nq5\t4\n", "expected queries in all 5 folds, found none in fold 5"),
    ],
)
def test_broken_folds_are_one_line(tmp_path, content, message):
    (tmp_path / "folds.tsv").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        folds(of(5), tmp_path / "folds.tsv")
    one_line(error)


@pytest.fixture
def registered(tmp_path):
    """A collection that `ir_datasets` knows, made of its own classes, with a document that is not there."""
    ir_datasets = pytest.importorskip(
        "ir_datasets", reason="ir_datasets is not installed (the extra `retrieval` has it)"
    )
    (tmp_path / "docs.tsv").write_text("d1\tOne  text\nd2\tanother\nd3\tnot judged\n")
    (tmp_path / "queries.tsv").write_text("2\tthe second\n1\tthe first\n3\tno judgement\n")
    (tmp_path / "qrels").write_text("1 0 d1 1\n2 0 d2 4\n2 0 d1 0\n1 0 gone 1\n")
    made = ir_datasets.create_dataset(*(str(tmp_path / name) for name in ("docs.tsv", "queries.tsv", "qrels")))
    name = f"leia-test/{tmp_path.name}"
    ir_datasets.registry.register(name, made)
    return name


def test_a_collection_of_ir_datasets(registered):
    collection = open_collection(registered, counts := Counts())
    assert list(collection.queries.items()) == [("2", "the second"), ("1", "the first")]
    assert collection.documents == {"d1": "One text", "d2": "another"}
    assert collection.judgements == {"2": {"d2": 4, "d1": 0}, "1": {"d1": 1}}
    assert counts.as_dict()["judgements"]["dropped"] == {"of a document that is not there": 1}


def test_no_folder_and_no_id_is_one_line(tmp_path, monkeypatch):
    ir_datasets = pytest.importorskip(
        "ir_datasets", reason="ir_datasets is not installed (the extra `retrieval` has it)"
    )
    with pytest.raises(UsageError, match="expected a folder, or an id of ir_datasets such as") as error:
        open_collection(str(tmp_path / "gone"), Counts())
    one_line(error)
    with pytest.raises(UsageError, match="clirmatrix: expected a part of ir_datasets with queries") as error:
        open_collection("clirmatrix", Counts())
    one_line(error)

    class Offline:
        def has_queries(self):
            return True

        has_qrels = has_docs = has_queries

        def queries_iter(self):
            raise ConnectionError("Max retries exceeded\nwith url")

    monkeypatch.setattr(ir_datasets, "load", lambda _: Offline())
    with pytest.raises(InputError, match="clirmatrix/x: ir_datasets could not download it") as error:
        open_collection("clirmatrix/x", Counts())
    one_line(error)
    monkeypatch.setitem(__import__("sys").modules, "ir_datasets", None)
    with pytest.raises(UsageError, match="need that package; pip install ir-datasets") as error:
        open_collection("clirmatrix/x", Counts())
    one_line(error)
