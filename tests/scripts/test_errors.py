"""A user's mistake is one line: which file, where, what was expected, what to do. No traceback, no broken output."""

import bz2
import gzip
import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from conftest import ROOT, command_of, run_here
from datasets import load_from_disk

from leia.base.cli import OneLineErrors
from leia.base.datasets import PREPROCESSED_SCHEMA, NewDataset, open_articles, save_dataset, training_schema
from leia.base.errors import InputError

WIKI = b'<mediawiki xml:lang="ja">\n<page><title>A</title><id>1</id></page>\n'
JSON_ITEM = b'{"type":"item","id":"Q1","sitelinks":{"enwiki":{"site":"enwiki","title":"A"}}}'

COMPRESS = {".bz2": bz2.compress, ".gz": gzip.compress}

REDIRECTS = ["extract_wikipedia_redirects.py", "--dump_file", "{input}", "--output_file", "{output}"]
IDS = ["extract_wikidata_ids.py", "--dump_file", "{input}", "--output_dir", "{output}", "--languages", "en"]
PREPROCESS = ["preprocess_wikipedia.py", "--wikiextractor_output_dir", "{input}", "--redirect_file", "{redirects}"]
PREPROCESS += ["--wikidata_id_file", "{ids}", "--output_dir", "{output}"]
BUILD = ["build_wikipedia_dataset.py", "--model_name", "{model}", "--preprocessed_dataset_dir", "{input}"]
BUILD += ["--wikidata_id_file", "{ids}", "--output_dir", "{output}"]


@pytest.mark.parametrize(
    ("command", "name", "content", "code", "message"),
    [
        (REDIRECTS, "absent.xml", None, 2, "does not exist"),
        (REDIRECTS, "empty.xml", b"", 1, "is empty"),
        (REDIRECTS, "wikidata.json.bz2", b"[\n", 1, "expected a Wikipedia dump"),
        (REDIRECTS, "cut.xml", WIKI, 1, "ends without </mediawiki>"),
        (REDIRECTS, "cut.xml.bz2", WIKI * 9, 1, "breaks off or is corrupt"),
        (REDIRECTS, "cut.xml.gz", WIKI * 9, 1, "breaks off or is corrupt"),
        (IDS, "pages.xml", WIKI, 1, "like wikidata-20230703-all.json.bz2 or its table like"),
        (IDS, "broken.json", b"[\n" + JSON_ITEM + b',\n{"type":\n]\n', 1, "line 3: is not JSON"),
        (IDS, "cut.json", b"[\n" + JSON_ITEM + b",\n", 1, "without the closing ]"),
        (IDS, "none.json", b'[\n{"type":"item","id":"Q1"}\n]\n', 1, "holds no page of the Wikipedia in en"),
        (IDS, "other.sql", b"-- page\n", 1, "or its table like wikidatawiki-20230701-wb_items_per_site.sql.gz"),
        ([*IDS[:-1], "../en"], "some.json", b"[\n]\n", 2, "not a language code"),
        ([*IDS[:-1], ""], "some.json", b"[\n]\n", 2, "no language was named"),
        ([*IDS[:-1], "nb,no"], "some.json", b"[\n]\n", 2, "of the same Wikipedia"),
        ([*BUILD, "--pivot_language", "EN"], "folder/notes.txt", b"", 2, "not a language code"),
        (PREPROCESS, "text/wiki_00", b"something else\n", 1, "expected <doc"),
        (PREPROCESS, "text/notes.txt", b"", 1, "holds no files like AA/wiki_00"),
        (BUILD, "folder/notes.txt", b"", 1, "scripts/extract_articles.py makes one"),
        (BUILD, "folder/state.json", b"{", 1, "cannot be opened as a dataset"),
    ],
    ids=lambda value: "" if isinstance(value, bytes | list) else None,
)
def test_a_bad_input_is_one_line(run_script, tmp_path, command, name, content, code, message):
    given = tmp_path / "in" / name
    if content is not None:
        given.parent.mkdir(parents=True)
        given.write_bytes(COMPRESS.get(given.suffix, bytes)(content)[: -9 if name.startswith("cut") else None])
    (tmp_path / "redirects.tsv").write_text("A\tB\n")
    (tmp_path / "ids.tsv").write_text("A\tQ1\n")
    values = {
        "input": given.parent if "/" in name else given,
        "output": tmp_path / "out" / "result",
        "redirects": tmp_path / "redirects.tsv",
        "ids": tmp_path / "ids.tsv",
        "model": tmp_path / "no model",
    }
    finished = run_script(*[part.format(**values) for part in command], check=False)
    assert finished.returncode == code
    assert "Traceback" not in finished.stderr
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert not (tmp_path / "out").exists()


SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.py"))


def wrong_use(name, *options):
    """The one line that a script says to this."""
    result = run_here(name, *options)
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2 and line.startswith("error: ") and not result.stdout
    return line


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_option_that_a_script_does_not_have_is_one_line(name):
    assert "main --help shows the options" in wrong_use(name, "--no_such_option")


def test_wrong_values_are_one_line():
    twice = wrong_use("extract_wikidata_ids.py", "--dump_file", "a", "--dump_file=b")
    assert "expected --dump_file once, found it 2 times" in twice
    assert "'x' is not a valid integer range; main --help" in wrong_use("preprocess_wikipedia.py", "--num_workers", "x")
    assert "'x' is not one of" in wrong_use("evaluate.py", "--scoring", "x")
    assert "Missing command" in wrong_use("benchmark.py")
    assert "main data --help" in wrong_use("benchmark.py", "data", "--tokens", "x")


# What no step makes: downloads, and files of the project.
GIVEN = {"--dump_file", "--table", "--config", "--config_file", "--accelerate_config", "--include_path", "--names_file"}
GIVEN |= {"--xcsr_dir", "--japanese_dir", "--facts_dir", "--bmlama_dir", "--folds_file"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_input_that_is_missing_is_one_line_that_names_the_step_which_makes_it(name, tmp_path):
    for parameter in command_of(name).params:
        kinds = getattr(parameter.type, "types", [parameter.type])
        if all(isinstance(kind, click.Path) and kind.exists for kind in kinds):
            option = parameter.opts[0]
            line = wrong_use(name, option, *[tmp_path / "absent"] * len(kinds))
            assert f"'{option}'" in line and "absent' does not exist; " in line
            step = line.split("; ")[1].split()[0]
            assert option in GIVEN or (ROOT / "scripts" / step).is_file() or (ROOT / step).is_file()


def test_ctrl_c_is_no_traceback():
    @click.command(cls=OneLineErrors)
    def interrupted():
        raise KeyboardInterrupt

    result = CliRunner().invoke(interrupted)
    assert (result.exit_code, result.stderr.strip()) == (1, "Aborted!")


def test_a_file_without_a_row_is_refused_unless_its_step_says_that_there_is_none(sample_corpus, tmp_path):
    wiki, out = sample_corpus.wikis["ja"], ["--output_dir", tmp_path / "out"]
    (tmp_path / "empty.tsv").touch()
    inputs = {
        "--wikiextractor_output_dir": wiki.text,
        "--redirect_file": wiki.redirects,
        "--wikidata_id_file": wiki.ids,
        "--num_workers": 1,
    }
    pivot = ["--preprocessed_dataset_dir", wiki.preprocessed, "--wikidata_id_file", tmp_path / "empty.tsv"]

    def preprocess(**changed):
        given = inputs | {f"--{name}": value for name, value in changed.items()}
        return run_here("preprocess_wikipedia.py", *(word for pair in given.items() for word in pair), *out)

    for result, step in [
        (preprocess(redirect_file=tmp_path / "empty.tsv"), "extract_wikipedia_redirects"),
        (preprocess(wikidata_id_file=tmp_path / "empty.tsv"), "extract_wikidata_ids"),
        (run_here("compute_link_stats.py", *pivot), "extract_wikidata_ids"),
        (
            run_here("build_wikipedia_dataset.py", *pivot, *out, "--model_name", sample_corpus.tiny_model),
            "extract_wikidata_ids",
        ),
    ]:
        last = result.stderr.splitlines()[-1]
        assert result.exit_code == 1 and "empty.tsv: is empty; expected title<TAB>" in last and step in last
        assert not (tmp_path / "out").exists()
    (tmp_path / "jawiki.xml").write_bytes(WIKI + b"</mediawiki>\n")
    none = tmp_path / "jawiki-redirects.tsv"
    assert run_here(*REDIRECTS[:1], "--dump_file", tmp_path / "jawiki.xml", "--output_file", none).exit_code == 0
    assert none.read_bytes() == b"" and preprocess(redirect_file=none).exit_code == 0


def test_a_dataset_of_another_step_and_a_model_without_tokenizer_are_refused(run_script, sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["es"]
    options = ["--wikidata_id_file", sample_corpus.pivot_ids, "--output_dir", tmp_path / "out"]
    for model, folder, message in [
        (sample_corpus.tiny_model, wiki.dataset, "lacks the columns language, text, anchors"),
        (tmp_path / "no model", wiki.preprocessed, "there is no such folder"),
    ]:
        finished = run_script(
            "build_wikipedia_dataset.py",
            "--model_name",
            model,
            "--preprocessed_dataset_dir",
            folder,
            *options,
            check=False,
        )
        assert finished.returncode == 1 and "Traceback" not in finished.stderr
        assert message in finished.stderr.splitlines()[-1]
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("made_by", ["LEIA", "datasets"])
def test_an_empty_dataset_is_refused(sample_corpus, tmp_path, made_by):
    if made_by == "LEIA":
        save_dataset(tmp_path, PREPROCESSED_SCHEMA, [])
    else:  # without a data file
        load_from_disk(sample_corpus.wikis["es"].preprocessed).select([]).save_to_disk(tmp_path)
    with pytest.raises(InputError, match="holds no article; scripts/extract_articles"):
        open_articles(tmp_path)


def test_a_step_does_not_replace_the_dataset_of_another_say_its_input(sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["es"]
    for folder, schema in [(wiki.preprocessed, training_schema(0)), (wiki.dataset, PREPROCESSED_SCHEMA)]:
        copy = shutil.copytree(folder, tmp_path / folder.name)
        output = NewDataset(copy, schema)
        with pytest.raises(InputError, match=r"holds the dataset of another step \(title, "), output.open():
            pass
        assert (copy / "state.json").read_bytes() == (folder / "state.json").read_bytes()


def test_link_statistics_refuse_ids_of_another_language_than_the_pivot(run_script, sample_corpus):
    wiki = sample_corpus.wikis["es"]
    options = ["--preprocessed_dataset_dir", wiki.preprocessed, "--wikidata_id_file", wiki.ids]
    finished = run_script("compute_link_stats.py", *options, check=False)
    assert finished.returncode == 1
    assert "is named as the ids of 'es'; expected those of 'en'" in finished.stderr


def test_two_wikis_in_one_folder_are_refused(run_script, sample_corpus, tmp_path):
    for language in ("es", "ja"):
        (tmp_path / "text" / language).mkdir(parents=True)
        (tmp_path / "text" / language / "wiki_00").write_bytes(
            next(sample_corpus.wikis[language].text.rglob("wiki_00")).read_bytes()
        )
    wiki = sample_corpus.wikis["es"]
    finished = run_script(
        *[
            "preprocess_wikipedia.py",
            "--wikiextractor_output_dir",
            tmp_path / "text",
            "--redirect_file",
            wiki.redirects,
        ],
        *["--wikidata_id_file", wiki.ids, "--output_dir", tmp_path / "out", "--num_workers", 2],
        check=False,
    )
    assert finished.returncode == 1
    assert "one wiki at a time" in finished.stderr.splitlines()[-1] and "Traceback" not in finished.stderr


@pytest.mark.parametrize("locale", ["C", "ja", "POSIX"])
def test_outputs_do_not_depend_on_the_locale(sample_corpus, tmp_path, locale):
    wiki = sample_corpus.wikis["ja"]
    environment = {**os.environ, "LANG": locale, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    output = tmp_path / "r.tsv"
    command = [
        sys.executable,
        "scripts/extract_wikipedia_redirects.py",
        "--dump_file",
        wiki.dump,
        "--output_file",
        output,
    ]
    subprocess.run(list(map(str, command)), check=True, env=environment, capture_output=True)
    assert output.read_bytes() == wiki.redirects.read_bytes()
