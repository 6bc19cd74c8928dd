"""Text that strangers wrote stays text: in tables of Markdown and LaTeX, in a terminal, in error lines (for the preview
page see test_data_preview_page.py). And no step runs code that came with data."""

import ast
import html
import re

import pytest
import yaml
from conftest import ROOT, run_here
from hypothesis import given
from hypothesis import strategies as st

from leia.base.text import latex, markdown, one_line
from leia.reports.corpus_report import Corpus
from leia.reports.corpus_report import to_latex as corpora_to_latex
from leia.reports.corpus_report import to_markdown as corpora_to_markdown
from leia.reports.statistics import describe_links
from leia.tables.definition import load_table
from leia.tables.rendering import to_latex, to_markdown
from leia.tables.table import fill

HOSTILE = [
    *("a|b", "A&B", "snake_case_", "C:\\temp\\", "`code`", "**bold**", "[x](javascript:alert(1))", "~~x~~", "$x^2$"),
    *("<script>alert(1)</script>", "</table><img src=x onerror=alert(1)>", "&lt;b&gt;", "# x", "100 %", "{x}", "\\|"),
    *("two\nlines", "\\end{table}\\input{/etc/passwd}", "\x1b[31mred", "\x9b2J", "\u202eevil", "%\nx", "^~"),
]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
NUMBERS = {"articles": 1, "tokens": 9, "entities": 2, "per_article": {"tokens": 9.0, "entities": 2.0}}
NUMBERS |= {"names_per_1000_tokens": 222.2, "article_length": {}}


def corpora():
    names = [(name, 3) for name in HOSTILE]
    return [Corpus(text, NUMBERS, 9, 2, {"no name": 7}, names, False) for text in HOSTILE]


@pytest.fixture
def results_table(tmp_path):
    table = yaml.safe_load((ROOT / "configs/tables/quickstart.yaml").read_text(encoding="utf-8"))
    table["title"] = HOSTILE[9]
    for row, label in zip(table["rows"], ("<b>a|b</b>", "C:\\x_y & z", "$%{}"), strict=True):
        row["label"] = label
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    loaded = load_table(tmp_path / "table.yaml")
    return loaded, fill(loaded, None)


def rendered(text):
    """The cells of the first column of each table and the HTML, as a Markdown reader that takes HTML has them."""
    reader = (
        pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    )
    page = reader.render(text)
    cells = [
        re.search(r"(?s)<td.*?>(.*?)</td>", row)[1] for row in re.findall(r"(?s)<tr>.*?</tr>", page) if "<td" in row
    ]
    return [html.unescape(cell) for cell in cells], page


def test_markdown_shows_names_as_they_are():
    cells, page = rendered(corpora_to_markdown(corpora()))
    assert cells[: len(HOSTILE)] == cells[-len(HOSTILE) :] == [one_line(text) for text in HOSTILE]
    names = html.unescape(re.findall(r"(?s)<td.*?>(.*?)</td>", page)[-1])
    assert names == ", ".join(f"{one_line(text)} (3)" for text in HOSTILE)
    assert not re.search(r"<(?!/?(h1|h2|p|table|thead|tbody|tr|th|td|img)\b)", page)


def test_a_results_table_shows_labels_as_they_are(results_table):
    cells, page = rendered(to_markdown(*results_table))
    assert set(cells) >= {"<b>a|b</b>", "C:\\x_y & z", "$%{}"} or not cells
    assert "<script" not in page and "<b>" not in page
    assert html.escape(HOSTILE[9]) in page


@pytest.mark.parametrize("make", ["corpora", "results"])
def test_latex_holds_no_command_that_is_not_ours(results_table, make):
    text = corpora_to_latex(corpora()) if make == "corpora" else to_latex(*results_table)
    text = re.sub("(?m)^%.*", "", text)
    ours = "begin|end|toprule|midrule|bottomrule|centering|small|caption|textbf|quad|pm|textbackslash|textbar|textless"
    ours += "|textgreater|textasciitilde|textasciicircum"
    assert not set(re.findall(r"\\([a-zA-Z]+)", text)) - set(ours.split("|"))
    assert "passwd" not in text or r"\textbackslash{}input\{/etc/passwd\}" in text
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


@given(
    st.text(st.one_of(st.sampled_from("\\`*_[]<>|&#~${}%^\n\t x\x1b\u202e"), st.characters(codec="utf-8")), max_size=30)
)
def test_what_is_escaped_reads_as_it_was(text):
    assert re.sub(r"\\([\\`*_\[\]<>|&#~$])", r"\1", markdown(text)) == one_line(text)
    unescaped = re.sub(r"\\(text[a-z]+)\{\}", lambda command: _LETTERS[command[1]], latex(text))
    assert re.sub(r"\\([{}$&#%_])", r"\1", unescaped.replace("\x00", "\\")) == one_line(text)
    assert not CONTROL.search(one_line(text)) and "\n" not in one_line(text)


_LETTERS = {"textbackslash": "\x00", "textasciitilde": "~", "textasciicircum": "^"}
_LETTERS |= {"textless": "<", "textgreater": ">", "textbar": "|"}


def test_the_terminal_is_not_steered(tmp_path):
    anchors = {"read": 9, "kept": 2, "dropped": {}}
    names = [[text, 1] for text in HOSTILE[-8:]]
    shown = describe_links({"links": None, "anchors": anchors, "distinct_names": 1, "top_names": names})
    assert not CONTROL.search(shown) and "\u241b[31mred" in shown
    document = '<doc id="5" url="https://ja.wikipedia.org/wiki" title="\x1b]0;\u202ex\x07">\nx\n\n'
    (tmp_path / "text").mkdir()
    (tmp_path / "text/wiki_00").write_text(document, encoding="utf-8")
    (tmp_path / "x.tsv").write_text("x\tQ1\n")
    (tmp_path / "r.tsv").write_text("x\ty\n")
    given_files = ["--redirect_file", tmp_path / "r.tsv", "--wikidata_id_file", tmp_path / "x.tsv"]
    given_files += ["--wikiextractor_output_dir", tmp_path / "text", "--output_dir", tmp_path / "out"]
    error = run_here("preprocess_wikipedia.py", *given_files).stderr.splitlines()[-1]
    assert "has no </doc>" in error and not CONTROL.search(error)


def test_no_step_runs_code_that_came_with_data():
    files = [*ROOT.glob("leia/**/*.py"), *ROOT.glob("scripts/*.py")]
    assert len(files) > 50
    for file in files:
        source = file.read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(import|from) (pickle|marshal|shelve|dill|cloudpickle|joblib)\b", source, re.MULTILINE
        ), file
        assert not re.search(r"trust_remote_code(: bool)? ?=[^\n]*\bTrue\b", source), file
        for call in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]:
            forbidden = ("eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "torch.load", "numpy.load")
            assert ast.unparse(call.func) not in forbidden, file
            assert not {"shell", "allow_pickle"} & {argument.arg for argument in call.keywords}, file
