"""Preprocessed articles: what is kept and dropped, and that nothing depends on workers or on the file system."""

import json
from dataclasses import replace

import pytest

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus.id_files import check_id_file, check_redirect_file
from leia.corpus.preprocessing import preprocess_files


@pytest.fixture
def text(sample_corpus, tmp_path):
    """The Japanese sample in many small files: WikiExtractor's hold 1 MB, and the sample is smaller than one."""
    documents = next(sample_corpus.wikis["ja"].text.rglob("wiki_00")).read_text("utf-8").split("</doc>\n")[:-1]
    for number in range(0, len(documents), 5):
        path = tmp_path / "text" / "AA" / f"wiki_{number:02}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{document}</doc>\n" for document in documents[number : number + 5]), encoding="utf-8")
    return tmp_path / "text"


def preprocess(folder, wiki, workers=1):
    counts = Counts()
    batches = list(preprocess_files(folder, wiki.redirects, wiki.ids, workers, counts))
    return [row for batch in batches for row in batch.to_pylist()], counts


def test_rows_and_tallies_are_the_same_for_any_number_of_workers(sample_corpus, text):
    wiki = sample_corpus.wikis["ja"]
    rows, counts = preprocess(text, wiki)
    assert [row["title"] for row in rows] == [row["title"] for row in preprocess(wiki.text, wiki)[0]]
    for workers in (2, 4):
        assert preprocess(text, wiki, workers) == (rows, counts)


def test_the_sample_keeps_its_articles_and_counts_every_link(sample_corpus):
    rows, counts = preprocess(sample_corpus.wikis["ja"].text, sample_corpus.wikis["ja"])
    articles, links = counts.count("articles"), counts.count("links")
    assert articles.as_dict() == {"read": 51, "kept": 48, "dropped": {"no link to an article": 3}}
    assert links.kept == sum(len(row["anchors"]) for row in rows)
    with_id = sum(anchor["wikidata_id"] is not None for row in rows for anchor in row["anchors"])
    assert f", {with_id} of them ({with_id / links.kept:.1%}) with a Wikidata id\n" in str(links)
    assert set(links.dropped) == {"section link (#)", "external link"}
    for row in rows:
        assert row["language"] == "ja"
        for anchor in row["anchors"]:
            assert 0 <= anchor["start"] <= anchor["end"] <= len(row["text"])


def test_an_anchor_goes_through_redirects_to_its_id(sample_corpus):
    rows, _ = preprocess(sample_corpus.wikis["ja"].text, sample_corpus.wikis["ja"])
    ids = {anchor["title"]: anchor["wikidata_id"] for row in rows for anchor in row["anchors"]}
    assert ids["日本"] == "Q17"
    redirects = dict(line.split("\t") for line in sample_corpus.wikis["ja"].redirects.read_text("utf-8").splitlines())
    assert redirects["ビッグアップル"] == redirects["ニューヨーク市"] == "ニューヨーク"  # a chain, followed to its end
    assert "多元宇宙" not in redirects  # a cycle
    assert not set(redirects) & set(ids)


def test_an_empty_first_file_is_passed_over(sample_corpus, text):
    # WikiExtractor leaves one where the first article alone is larger than a file should be.
    wiki = sample_corpus.wikis["ja"]
    rows, _ = preprocess(text, wiki)
    (text / "AA" / "wiki_").touch()
    assert preprocess(text, wiki)[0] == rows


@pytest.mark.parametrize("damage", ["deleted", "emptied", "added"])
def test_fewer_or_more_articles_than_run_wikiextractor_wrote_are_refused(sample_corpus, text, damage):
    wiki = sample_corpus.wikis["ja"]
    rows, counts = preprocess(text, wiki)
    file = text / "AA/wiki_05"
    manifest = {"step": "run_wikiextractor", "tally": {"articles": {"read": 51, "kept": 51, "dropped": {}}}}
    (text / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert preprocess(text, wiki) == (rows, counts)
    if damage == "deleted":
        file.unlink()
    else:
        file.with_name("wiki_06" if damage == "added" else file.name).write_bytes(
            file.read_bytes() if damage == "added" else b""
        )
    found = 56 if damage == "added" else 46
    with pytest.raises(InputError, match=f"holds {found} articles, run_wikiextractor.py wrote 51"):
        preprocess(text, wiki)


def test_a_folder_of_empty_files_is_refused(sample_corpus, tmp_path):
    (tmp_path / "wiki_00").touch()
    with pytest.raises(InputError, match="hold no document"):
        preprocess(tmp_path, sample_corpus.wikis["ja"])


def test_text_without_one_link_is_refused(sample_corpus, tmp_path):
    (tmp_path / "wiki_00").write_text(
        '<doc id="1" url="https://ja.wikipedia.org/?curid=1" title="A">\nA\n\nB.\n\n</doc>\n'
    )
    with pytest.raises(InputError, match=r"no article is left \(1 have no link to an article\).*--links"):
        preprocess(tmp_path, sample_corpus.wikis["ja"])


def test_ids_of_another_wiki_are_noticed(sample_corpus, tmp_path, capsys):
    wiki = sample_corpus.wikis["ja"]
    (tmp_path / "ids.tsv").write_text("Nothing that is linked\tQ1\n")
    preprocess(wiki.text, replace(wiki, ids=tmp_path / "ids.tsv"))
    assert "warning: no link has a Wikidata id" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "language"), [("ja", "ja"), ("be-x-old", "be-tarask"), ("zh_min_nan", "zh-min-nan")])
def test_an_id_file_named_for_another_wiki_is_refused(name, language):
    check_id_file(f"ids/{name}-wikidata-ids.tsv", language)
    check_id_file("ids/of my own.tsv", language)
    with pytest.raises(InputError, match=f"is named as the ids of '{name}'; expected those of 'en'"):
        check_id_file(f"ids/{name}-wikidata-ids.tsv", "en")


def test_a_redirect_file_that_is_none_or_of_another_wiki_is_refused(sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["ja"]
    check_redirect_file(wiki.redirects, "ja")
    (tmp_path / "redirects.tsv").write_bytes(wiki.ids.read_bytes())
    (tmp_path / "q.tsv").write_text("CoQ\tQ10\nCobalamin\tVitamin B12\n")
    check_redirect_file(tmp_path / "q.tsv", "en")
    with pytest.raises(InputError, match=r"redirects\.tsv: is an id file.*expected the redirects of 'ja'"):
        preprocess(wiki.text, replace(wiki, redirects=tmp_path / "redirects.tsv"))
    with pytest.raises(InputError, match="is named as the redirects of jawiki; expected the redirects of 'es'"):
        check_redirect_file(wiki.redirects, "es")
