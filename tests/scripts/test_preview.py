"""preview_dataset.py as users call it: the stream of training, as plain text in a pipe and in a pager in a terminal."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from itertools import islice
from pathlib import Path

import pytest
from conftest import run_here
from datasets import load_from_disk
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from leia.base.errors import InputError
from leia.base.text import visible
from leia.data import LeiaConstantLengthDataset
from leia.data.name_tags import add_entity_name_tags
from leia.data.tokenizers import check_dataset, load_tokenizer
from leia.reports.preview import TokenTexts
from leia.training.tiny_model import train_tokenizer
from leia.training.validation import hold_out

SCRIPT = Path(__file__).parents[2] / "scripts/preview_dataset.py"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def options_of(corpus, language: str) -> list:
    return ["--model_name", corpus.tiny_model, "--dataset_dir", corpus.wikis[language].dataset]


def check_blocks(corpus, language: str, seed: int, shown: str) -> None:
    """`shown` are the first ten blocks of 2048 tokens of training, names on the left at p = 0.4."""
    tokenizer = AutoTokenizer.from_pretrained(corpus.tiny_model)
    tags = add_entity_name_tags(tokenizer)
    dataset = load_from_disk(str(corpus.wikis[language].dataset))
    stream = LeiaConstantLengthDataset(dataset, 2048, *tags, 0.4, "left", shuffle=True, seed=seed)
    parts = re.split(r"(?m)^--- block \d+: 2,048 tokens, \d+ names ---\n", shown)
    assert len(parts) == 11
    for part, block in zip(parts[1:], islice(stream, 10), strict=True):
        decoded = tokenizer.decode(block["input_ids"], clean_up_tokenization_spaces=False)
        assert "".join(part.split()) == "".join(visible(decoded).split()) and "<translate>" in part


OPTIONS = ["--num_samples", 10, "--entity_name_insertion_prob", 0.4, "--entity_name_insertion_strategy", "left"]


def test_a_pipe_gets_the_blocks_of_training_as_harmless_utf_8(sample_corpus, run_script, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    shown = run_script("preview_dataset.py", *options_of(sample_corpus, "es"), *OPTIONS).stdout
    check_blocks(sample_corpus, "es", 42, shown)
    assert "\\u202e" in shown, "the sample turns the direction of writing"
    assert not CONTROL.search(shown)


def test_the_settings_are_those_of_the_configuration_and_the_command_line_wins(sample_corpus, tmp_path):
    (tmp_path / "base.yaml").write_text(
        "entity_name_insertion_prob: 0.1\nvalidation_articles: 5\nbf16: true\nseed: 3\n"
    )
    config = tmp_path / "own.yaml"
    config.write_text("base: base.yaml\nentity_name_insertion_strategy: left\nentity_name_start_tag: '[en]'\n")
    dataset = load_from_disk(str(sample_corpus.wikis["es"].dataset))
    options = [*options_of(sample_corpus, "es"), "--num_samples", 4, "--max_length", 100, "--config"]
    tokenizer = load_tokenizer(str(sample_corpus.tiny_model), tags=[("[en]", "</translate>")])
    tags, texts = add_entity_name_tags(tokenizer), TokenTexts(tokenizer)
    for prob, more in ((0.1, []), (0.9, ["--entity_name_insertion_prob", 0.9])):
        shown = run_here("preview_dataset.py", *options, config, *more).stdout
        stream = LeiaConstantLengthDataset(hold_out(dataset, 5)[0], 100, *tags, prob, "left", shuffle=True, seed=3)
        for block in islice(stream, 4):
            assert texts.join(block["input_ids"].tolist()) in shown
    for content, said in (
        ("entity_name_insertion_strategy: middle", "entity_name_insertion_strategy is middle; expected one of left, "),
        ("seed: many", "seed is many; expected a whole number"),
        ("max_length: many", "invalid int value: 'many'"),
    ):
        config.write_text(content + "\n")
        failed = run_here("preview_dataset.py", *options[:4], "--config", config)
        assert failed.exit_code == 2 and said in failed.stderr and failed.stderr.count("\n") == 1
    assert "expected the folder of a run, found neither" in run_here("preview_dataset.py", *options, tmp_path).stderr


def test_a_source_of_a_configuration_is_shown_as_training_reads_it(sample_corpus, tmp_path):
    config, folder = tmp_path / "own.yaml", sample_corpus.wikis["es"].dataset
    options = [*options_of(sample_corpus, "es"), "--num_samples", 1, "--max_length", 100, "--config", config]
    source = {"name": "es", "wikipedia_dataset_dir": str(folder), "entity_name_insertion_strategy": "none"}
    settings = {"entity_name_insertion_prob": 1.0}
    for listed in ([source], json.dumps([source])):
        config.write_text(json.dumps(settings | {"sources": listed}))
        assert "<translate>" not in run_here("preview_dataset.py", *options).stdout
        right = run_here("preview_dataset.py", *options, "--entity_name_insertion_strategy", "right").stdout
        assert "<translate>" in right, "the command line wins"
    for listed, said in (
        ([str(folder)], "expected a list of {name: ..., wikipedia_dataset_dir: ...}"),
        ([source | {"strategy": "none"}], "sources, es: there is no setting strategy"),
        ([source, source | {"name": "again"}], "is the dataset of the sources es, again of --config"),
        ([source | {"wikipedia_dataset_dir": "elsewhere"}], "is none of the sources of --config"),
    ):
        config.write_text(json.dumps({"sources": listed}))
        failed = run_here("preview_dataset.py", *options)
        assert failed.exit_code == 2 and said in failed.stderr and failed.stderr.count("\n") == 1


def test_blocks_without_a_name_are_skipped_and_counted(sample_corpus, monkeypatch):
    options = [*options_of(sample_corpus, "es"), "--max_length", 50, "--num_samples", 3, "--with_names"]
    shown = run_here("preview_dataset.py", *options, "--entity_name_insertion_prob", 0.05)
    numbers = re.findall(r"block (\d+): 50 tokens, (\d+) names", shown.stdout)
    assert len(numbers) == 3 and "</translate>" in shown.stdout
    skipped = re.fullmatch(r"skipped: (\d+) blocks without an inserted name\n", shown.stderr)
    assert int(skipped[1]) > 0
    monkeypatch.setattr("leia.reports.preview.MOST_SKIPPED", 20)
    none = run_here("preview_dataset.py", *options, "--entity_name_insertion_strategy", "none")
    assert (none.stdout, none.stderr) == ("", "skipped: 20 blocks without an inserted name\n"), "it ends"


def test_a_file_gets_the_blocks_of_training_whole(sample_corpus, run_script, tmp_path):
    options = [*options_of(sample_corpus, "ja"), *OPTIONS, "--seed", 7]
    run_script("preview_dataset.py", *options, "--text", tmp_path / "a.txt")
    check_blocks(sample_corpus, "ja", 7, (tmp_path / "a.txt").read_text(encoding="utf-8"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_pipe_that_is_closed_early_ends_without_a_word(sample_corpus):
    command = [sys.executable, SCRIPT, *options_of(sample_corpus, "es"), "--num_samples", "2000"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()


def test_a_dataset_of_another_tokenizer_is_refused(sample_corpus, run_script, tmp_path):
    train_tokenizer(["another text"] * 9, 400).save_pretrained(tmp_path / "other")
    dataset = sample_corpus.wikis["es"].dataset
    failed = run_script("preview_dataset.py", "--model_name", tmp_path / "other", "--dataset_dir", dataset, check=False)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert str(dataset) in failed.stderr and "tiny model" in failed.stderr
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="holds the ids"):
        check_dataset(load_from_disk(str(dataset)), tokenizer, None, "a dataset without a manifest")


@pytest.mark.parametrize(
    "options",
    [
        ["--entity_name_insertion_prob", "1.5"],
        ["--entity_name_insertion_strategy", "middle"],
        ["--max_length", "0"],
        ["--seed", "-1"],
    ],
)
def test_wrong_use_is_exit_code_2(sample_corpus, run_script, options):
    failed = run_script("preview_dataset.py", *options_of(sample_corpus, "es"), *options, check=False)
    assert failed.returncode == 2 and options[0] in failed.stderr


PROMPT = ":\x1b[K"  # of less


class Terminal:
    """The script in a terminal of its own."""

    def __init__(self, command: list, **variables: str) -> None:
        self.master, slave = pty.openpty()
        settings = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True}
        inherited = {name: value for name, value in os.environ.items() if name not in ("LESS", "PAGER")}
        environment = inherited | {"TERM": "xterm"} | variables
        self.process = subprocess.Popen(list(map(str, command)), env=environment, **settings)
        os.close(slave)
        self.shown = ""

    def read_until(self, text: str, count: int = 1) -> str:
        deadline = time.monotonic() + 60
        while self.shown.count(text) < count:
            assert time.monotonic() < deadline, f"waited for {text!r} in {self.shown!r}"
            if select.select([self.master], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.master, 65536).decode(errors="ignore")
                except OSError:  # the other end is closed
                    break
        return self.shown

    def press(self, key: str) -> None:
        deadline = time.monotonic() + 60
        while termios.tcgetattr(self.master)[3] & termios.ICANON:  # until the pager waits for a single key
            assert time.monotonic() < deadline, f"nobody waits for a key after {self.shown!r}"
            time.sleep(0.05)
        os.write(self.master, key.encode())


@pytest.mark.skipif(shutil.which("less") is None, reason="needs the pager less")
def test_in_a_terminal_a_pager_shows_the_blocks_in_colour_and_q_stops(sample_corpus):
    terminal = Terminal([sys.executable, SCRIPT, *options_of(sample_corpus, "es"), "--max_length", 2048])
    shown = terminal.read_until("<translate>")
    assert "block 1:" in shown and "block 2:" not in shown, "a window holds less than a block"
    assert re.search(r"\x1b\[[0-9;]*m<translate>", shown), "tags are coloured"
    while "block 2:" not in terminal.shown:
        terminal.press(" ")
        terminal.read_until(PROMPT, terminal.shown.count(PROMPT) + 1)  # a colon alone may stand in the text
    terminal.press("q")
    assert terminal.process.wait(60) == 0
    assert "Traceback" not in terminal.read_until("\0")


def test_in_a_terminal_num_samples_is_the_end(sample_corpus):
    command = [sys.executable, SCRIPT, *options_of(sample_corpus, "es"), "--max_length", 50, "--num_samples", 2]
    terminal = Terminal(command, PAGER="cat")
    assert re.findall(r"block \d", terminal.read_until("\0")) == ["block 1", "block 2"]
    assert terminal.process.wait(60) == 0


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_what_is_shown_holds_no_control_character_and_keeps_the_rest(text):
    shown = visible(text)
    assert not CONTROL.search(shown)
    if not CONTROL.search(text):
        assert shown == text


TEXTS = ["El agua es una sustancia.", "東京は日本の首都である。"] * 9


@pytest.fixture(scope="module")
def small_tokenizer():
    """As Llama 2's: a rare character becomes one token a byte."""
    return train_tokenizer(TEXTS, 330)


@pytest.fixture(scope="module")
def byte_level_tokenizer():
    """As Llama 3's and Qwen's: a token may hold the end of one character and the start of another."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(TEXTS, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.mark.parametrize("kind", ["small_tokenizer", "byte_level_tokenizer"])
@given(text=st.text(alphabet="El agua東京龘é😀\n𝄞", min_size=1, max_size=30))
def test_the_texts_of_tokens_make_up_the_text_each_character_at_its_first_token(
    small_tokenizer, byte_level_tokenizer, kind, text
):
    tokenizer = {"small_tokenizer": small_tokenizer, "byte_level_tokenizer": byte_level_tokenizer}[kind]
    ids = tokenizer(text, add_special_tokens=False).input_ids
    texts = TokenTexts(tokenizer).split(ids)
    assert len(texts) == len(ids) and "".join(texts).removeprefix(" ") == text.removeprefix(" ")
    assert "\ufffd" not in "".join(texts)


def test_part_of_a_character_is_shown_as_the_replacement_character(small_tokenizer):
    texts = TokenTexts(small_tokenizer)
    ids = small_tokenizer("a龘b", add_special_tokens=False).input_ids
    assert texts.split(ids)[-4:] == ["龘", "", "", "b"]
    assert texts.split(ids[-4:-2]) == ["\ufffd", ""]
    assert texts.join([*ids[-3:-1], ids[-1]]).strip("\ufffd") == "b"
