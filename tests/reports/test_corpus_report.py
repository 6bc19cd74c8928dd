"""The corpus report: the numbers of its two inputs in tables and a figure, the same bytes each time."""

import json
import re
from xml.etree import ElementTree

import pytest
from datasets import load_from_disk

from leia.base.errors import InputError
from leia.base.step import Counts, read_manifest
from leia.data.encoding import distinct_qids
from leia.data.names import NameRule, read_pivot_titles
from leia.reports.corpus_report import draw_corpora, read_corpus, reasons_of, to_latex, to_markdown
from leia.reports.figures import save_figure
from leia.reports.statistics import dataset_statistics, link_statistics


@pytest.fixture(scope="module")
def stats_files(sample_corpus, tmp_path_factory):
    """`{language: (file of the dataset, file of the links)}`; only the Spanish dataset's names were counted."""
    folder = tmp_path_factory.mktemp("stats é")
    files = {}
    for language, wiki in sample_corpus.wikis.items():
        preprocessed, dataset = load_from_disk(str(wiki.preprocessed)), load_from_disk(str(wiki.dataset))
        qids = distinct_qids(preprocessed)
        titles = read_pivot_titles(sample_corpus.pivot_ids, qids, NameRule(), Counts())
        statistics = dataset_statistics(dataset, read_manifest(wiki.dataset))
        if language == "es":
            statistics["top_names"] = [["Europe", 12]]
        files[language] = (folder / f"{language}-dataset.json", folder / f"{language}-links.json")
        links = link_statistics(preprocessed, read_manifest(wiki.preprocessed), titles)
        for file, content in zip(files[language], (statistics, links), strict=True):
            file.write_text(json.dumps(content), encoding="utf-8")
    return files


def test_the_report_of_two_languages(stats_files, run_script, tmp_path):
    options = [option for files in stats_files.values() for option in ("--corpus", *files)]
    for name in ("one", "two"):
        run_script("make_corpus_report.py", *options, "--output_dir", tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["corpus.md", "corpus.pdf", "corpus.svg", "corpus.tex"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    markdown = (tmp_path / "one/corpus.md").read_text(encoding="utf-8")
    for files_of_language in stats_files.values():
        statistics = json.loads(files_of_language[0].read_text(encoding="utf-8"))
        assert f"| {statistics['articles']:,} | {statistics['tokens']:,} | {statistics['entities']:,} |" in markdown
    assert "| es | " in markdown and "| ja (before token boundaries) | " in markdown
    latex = (tmp_path / "one/corpus.tex").read_text(encoding="utf-8")
    assert latex.count(r"\\") == 3 and latex.count(" & ") == 18 and r"\begin{tabular}{lrrrrrr}" in latex
    assert ElementTree.parse(tmp_path / "one/corpus.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("language", ["es", "ja"])
@pytest.mark.parametrize("with_manifests", [True, False])
def test_every_link_is_a_name_or_dropped(stats_files, tmp_path, language, with_manifests):
    dataset, links = (json.loads(file.read_text(encoding="utf-8")) for file in stats_files[language])
    if not with_manifests:
        dataset["anchors"] = links["links"] = None
    for name, content in (("d.json", dataset), ("l.json", links)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    corpus = read_corpus(str(tmp_path / "d.json"), str(tmp_path / "l.json"))
    assert corpus.names + sum(corpus.drops.values()) == corpus.links > 500
    shares = re.findall(r"\((\d+\.\d)%\)", to_markdown([corpus]))
    assert abs(sum(map(float, shares)) - 100) < 0.5
    assert ("start not on a token boundary" if with_manifests else "not on token boundaries") in reasons_of([corpus])


def test_names_are_escaped_in_markdown_and_languages_in_latex(stats_files, tmp_path):
    links = json.loads(stats_files["ja"][1].read_text(encoding="utf-8"))
    links |= {"language": "be_x", "top_names": [["<b>a|b_c</b>", 3]]}
    (tmp_path / "links.json").write_text(json.dumps(links), encoding="utf-8")
    corpus = read_corpus(str(stats_files["ja"][0]), str(tmp_path / "links.json"))
    assert r"\<b\>a\|b\_c\</b\> (3)" in to_markdown([corpus])
    assert r"be\_x &" in to_latex([corpus])


def test_a_corpus_without_articles_is_drawn(stats_files, tmp_path):
    corpus = read_corpus(*map(str, stats_files["ja"]))
    empty = {"articles": 0, "names_per_1000_tokens": 0.0, "article_length": {}}
    figure = draw_corpora([type(corpus)("xx", empty, 0, 0, {}, [], True), corpus])
    save_figure(figure, tmp_path / "corpus.svg")
    assert (tmp_path / "corpus.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not valid JSON"), ("[]", "expected a JSON object"), ('{"articles": 1}', "lacks tokens")],
)
def test_another_file_is_refused(stats_files, tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_corpus(str(tmp_path / "x.json"), str(stats_files["ja"][1]))


def test_files_of_two_corpora_are_refused(stats_files):
    with pytest.raises(InputError, match="one corpus"):
        read_corpus(str(stats_files["ja"][0]), str(stats_files["es"][1]))
