"""The preview page in a real browser: the blocks and labels of training, hostile text as text, cards, directions."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from conftest import run_here
from datasets import Dataset, load_from_disk
from transformers import AutoTokenizer

from leia.base.datasets import EncodedArticles
from leia.base.errors import InputError, UsageError
from leia.base.step import read_manifest
from leia.data import LeiaConstantLengthDataset, LeiaDataCollator
from leia.data.insertion import STRATEGIES
from leia.data.name_tags import add_entity_name_tags
from leia.reports.links import LinkExplainer
from leia.reports.preview import TokenTexts
from leia.training.tiny_model import train_tokenizer

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync")  # fmt: skip
PROB = sorted(random.Random(7).random() for _ in range(9))[3]  # the very number of one entity: it is inserted
HOSTILE = """</script><script>window.hacked = 1</script> <img src=x onerror="window.hacked = 2"> &lt;b&gt; <!-- {{7*7}}
\x1b[31m red \x9b2J \u202e turned \u202c ${window.hacked = 3} "'`"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """`open_page(file, width=...)`: the page; nothing that it loads, logs or throws goes unnoticed."""
    contexts, noticed = [], []

    def open_file(file: Path, width: int = 1200, **settings):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: noticed.append(message.text))
        page.on("pageerror", lambda error: noticed.append(str(error)))
        page.on("dialog", lambda dialog: noticed.append(dialog.message))
        page.on("request", lambda request: request.url != file.as_uri() and noticed.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert noticed == []


def options_of(corpus, language: str) -> list:
    return ["--model_name", corpus.tiny_model, "--dataset_dir", corpus.wikis[language].dataset]


@pytest.fixture(scope="module")
def japanese_page(sample_corpus, run_script, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "a page é.html"
    options = ["--max_length", 2048, "--num_samples", 6, "--seed", 7, "--entity_name_insertion_prob", repr(PROB)]
    options += ["--preprocessed_dataset_dir", sample_corpus.wikis["ja"].preprocessed]
    options += ["--wikidata_id_file", sample_corpus.pivot_ids, "--html", file]
    run_script("preview_dataset.py", *options_of(sample_corpus, "ja"), *options)
    return file


URDU = {
    "لاہور": "{لاہور|Q11739} پاکستان کا ایک بڑا شہر ہے اور {راوی|Q847121} کے کنارے آباد ہے۔ "
    "یہاں گرمی میں {آم|Q169} بہت کھایا جاتا ہے، اور سردی میں لوگ چھت پر دھوپ میں بیٹھ کر "
    "{چائے|Q6097} پیتے ہیں (سن 1947 کے بعد بھی)۔\n",
    "چائے": "{چائے|Q6097} گرم پانی اور پتوں سے بنتی ہے۔ {دودھ|Q8495} اور چینی ڈال کر اسے "
    "{پاکستان|Q843} میں ہر روز پیا جاتا ہے۔ {کوئی چیز|} اس کے بغیر پوری نہیں ہوتی۔\n",
    HOSTILE: HOSTILE + " {<i>آم</i>|Q169} اور پھر {لاہور|Q11739} کی بات، جو سیدھے ہاتھ سے شروع ہوتی ہے۔ " * 3,
}
NAMES = {"Q11739": "Lahore", "Q847121": "Ravi River", "Q169": "<b>Mango</b>", "Q6097": "Tea", "Q8495": "List of milks"}


@pytest.fixture(scope="module")
def urdu_page(run_script, tmp_path_factory):
    """A page of text from right to left, with hostile text in an article, a title and a name."""
    folder = tmp_path_factory.mktemp("urdu")
    rows = []
    for title, marked in URDU.items():
        text, anchors = "", []
        for part in re.split(r"(\{[^{}|]*\|Q?\d*\})", marked):
            if match := re.fullmatch(r"\{([^{}|]*)\|(Q?\d*)\}", part):
                end = len(text) + len(match[1])
                anchors.append({"start": len(text), "end": end, "title": match[1], "wikidata_id": match[2] or None})
            text += match[1] if match else part
        rows.append({"title": title, "language": "ur", "text": text, "anchors": anchors})
    Dataset.from_list(rows).save_to_disk(folder / "preprocessed")
    train_tokenizer([row["text"] for row in rows] * 20, 600).save_pretrained(folder / "tokenizer")
    lines = [f"{name}\t{qid}\n" for qid, name in NAMES.items()]
    (folder / "en-wikidata-ids.tsv").write_text("".join(lines), encoding="utf-8")
    sources = ["--preprocessed_dataset_dir", folder / "preprocessed"]
    sources += ["--wikidata_id_file", folder / "en-wikidata-ids.tsv"]
    model = ["--model_name", folder / "tokenizer"]
    run_script("build_wikipedia_dataset.py", *model, *sources, "--output_dir", folder / "dataset", "--num_workers", 1)
    options = ["--dataset_dir", folder / "dataset", "--html", folder / "page.html", "--max_length", 600]
    run_script("preview_dataset.py", *model, *sources, *options, "--num_samples", 2, "--no-shuffle")
    return folder / "page.html"


def choose(page, strategy: str, prob: float) -> None:
    page.locator("#strategies label", has_text=strategy).click()
    page.locator("#prob").fill(str(prob))


def pairs(place) -> dict[str, str]:
    terms, values = (place.locator(name).all_text_contents() for name in ("dt", "dd"))
    return dict(zip(terms, values, strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_blocks_labels_and_text_are_those_of_training(sample_corpus, japanese_page, open_page, strategy):
    tokenizer = AutoTokenizer.from_pretrained(sample_corpus.tiny_model)
    tags = add_entity_name_tags(tokenizer)
    texts = TokenTexts(tokenizer)
    dataset = load_from_disk(str(sample_corpus.wikis["ja"].dataset))
    assert sum(map(len, dataset["input_ids"])) < 6 * 2048, "the blocks reach into the second epoch"
    page = open_page(japanese_page)
    seen = set()
    for prob in (0.5, 0, 0.01, 0.77, 1):
        choose(page, strategy, prob)
        stream = LeiaConstantLengthDataset(dataset, 2048, *tags, prob, strategy, shuffle=True, seed=7)
        expected = list(islice(stream, 6))
        shown = page.evaluate("preview.ids()")
        assert shown == [block["input_ids"].tolist() for block in expected]
        seen.add(json.dumps(shown))
        for disabled in (False, True):
            page.locator("#names-without-loss").set_checked(disabled)
            labels = LeiaDataCollator(tokenizer, disable_entity_name_token_loss=disabled)(expected)["labels"]
            assert page.evaluate("preview.loss()") == (labels != -100).tolist()
        text = "".join(page.locator(".text").all_text_contents())
        # A character that the last block cuts through is whole in the page.
        assert text[:-1] == texts.join([index for block in shown for index in block])[:-1]
    assert len(seen) == (1 if strategy == "none" else 5)


OWN = """
    "both": Strategy("on both sides", lambda e, n, o, c: (o, n, c, e, o, n, c)),
    "entity in tags": Strategy("the entity in the tags", lambda e, n, o, c: (n, o, e, c)),
    "turned round": Strategy("the name turned round, then the entity twice", lambda e, n, o, c: (o, n[::-1], c, e, e)),
"""


def test_strategies_more_are_in_the_page_and_in_the_options_by_their_entries_alone(sample_corpus, open_page, tmp_path):
    """A copy of the package with three entries more: its commands take them, and its page draws them as training does,
    articles ended by EOS and blocks without names left out, too."""
    shutil.copytree(ROOT / "leia", tmp_path / "leia", ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / "leia/data/insertion.py"
    table.write_text(table.read_text().replace("STRATEGIES = {", f"STRATEGIES = {{{OWN}"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = partial(subprocess.run, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert "both: on both sides" in " ".join(run([sys.executable, ROOT / "scripts/train.py", "--help"]).stdout.split())
    command = [sys.executable, ROOT / "scripts/preview_dataset.py", *options_of(sample_corpus, "ja"), "--seed", 7]
    command += ["--num_samples", 3, "--max_length", 64, "--html", tmp_path / "page.html", "--separate_articles"]
    command += ["--entity_name_insertion_strategy", "both", "--entity_name_insertion_prob", 0.05, "--with_names"]
    run(list(map(str, command)))
    code = f"""
import json
from itertools import islice
from datasets import load_from_disk
from leia.data import LeiaConstantLengthDataset, LeiaDataCollator
from leia.data.insertion import STRATEGIES
from leia.data.name_tags import add_entity_name_tags
from leia.data.tokenizers import load_tokenizer
tokenizer = load_tokenizer({str(sample_corpus.tiny_model)!r})
tags = add_entity_name_tags(tokenizer)
dataset = load_from_disk({str(sample_corpus.wikis["ja"].dataset)!r})
collator = LeiaDataCollator(tokenizer, disable_entity_name_token_loss=True)
found = {{}}
for name in STRATEGIES:
    stream = LeiaConstantLengthDataset(dataset, 64, *tags, 0.05, name, True, 7, False, tokenizer.eos_token_id)
    blocks = list(islice(stream, 300))
    has_name = [any(tag in block["input_ids"] for tag in tags) for block in blocks]
    found[name] = [blocks[k]["input_ids"].tolist() for k in range(300) if has_name[k] or name == "none"][:3]
    labels = collator([block for block, has in zip(blocks, has_name) if has or name == "none"][:3])["labels"]
    found[name] = [found[name], (labels != -100).tolist(), has_name.index(True) if name != "none" else 0]
print(json.dumps(found))"""
    expected = json.loads(run([sys.executable, "-c", code]).stdout)
    page = open_page(tmp_path / "page.html")
    assert page.locator("#strategies input:checked").input_value() == "both"
    assert {"both", "entity in tags", "turned round"} < expected.keys() and expected["both"][2] > 0
    page.locator("#names-without-loss").set_checked(True)
    for strategy in ("both", "entity in tags", "turned round", "none"):
        page.locator(f'#strategies input[value="{strategy}"]').dispatch_event("click")
        assert page.evaluate("preview.ids()") == expected[strategy][0]
        assert page.evaluate("preview.loss()") == expected[strategy][1]
        if strategy == "both":
            assert page.locator("h2").first.inner_text() == f"Block {expected[strategy][2] + 1}"


def test_a_page_without_tags_draws_the_stream_without_them(sample_corpus, run_script, open_page, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(sample_corpus.tiny_model)
    tags = add_entity_name_tags(tokenizer)
    dataset_dir, path = sample_corpus.wikis["ja"].dataset, tmp_path / "page.html"
    options = ["--dataset_dir", dataset_dir, "--max_length", 512, "--num_samples", 6, "--seed", 7]
    model = ["--model_name", sample_corpus.tiny_model]
    run_script("preview_dataset.py", *model, *options, "--no_separator_tokens", "--html", path)
    page, dataset = open_page(path), load_from_disk(str(dataset_dir))
    for strategy in STRATEGIES:
        choose(page, strategy, 0.77)
        stream = LeiaConstantLengthDataset(dataset, 512, *tags, 0.77, strategy, True, 7, no_separator_tokens=True)
        expected = list(islice(stream, 6))
        assert page.evaluate("preview.ids()") == [block["input_ids"].tolist() for block in expected]
        page.locator("#names-without-loss").set_checked(True)
        labels = LeiaDataCollator(tokenizer, disable_entity_name_token_loss=True)(expected)["labels"]
        assert page.evaluate("preview.loss()") == (labels != -100).tolist()


def test_the_page_opens_with_the_options_of_the_command_line(sample_corpus, japanese_page, open_page):
    tokenizer = AutoTokenizer.from_pretrained(sample_corpus.tiny_model)
    dataset = load_from_disk(str(sample_corpus.wikis["ja"].dataset))
    tags = add_entity_name_tags(tokenizer)
    stream = LeiaConstantLengthDataset(dataset, 2048, *tags, PROB, "right", shuffle=True, seed=7)
    page = open_page(japanese_page)
    assert page.evaluate("preview.ids()") == [block["input_ids"].tolist() for block in islice(stream, 6)]
    assert page.locator("#strategies input:checked").input_value() == "right"


def test_counts_are_those_of_the_blocks(japanese_page, open_page):
    page = open_page(japanese_page)
    choose(page, "left", 1)
    counts = pairs(page.locator("#counts"))
    assert counts["blocks"] == "6" and counts["tokens"] == "12,288" and "100.0%" in counts["names inserted"]
    names = sum(block.count(2000) for block in page.evaluate("preview.ids()"))
    assert counts["names inserted"].split()[0] in (f"{names:,}", f"{names + 1:,}"), "a cut may leave the name's tag out"
    dropped = page.locator("#dropped li").all_text_contents()
    assert sum(int(line.split()[0]) for line in dropped) == int(counts["dropped anchors"]) > 0
    choose(page, "none", 1)
    assert page.locator("#counts").inner_text().count("0 (0.0%)") == 3


def test_the_card_of_a_link_by_pointer_keyboard_and_tap(japanese_page, open_page):
    page = open_page(japanese_page)
    card = page.locator("#card")
    page.locator(".text > .link.inserted").first.hover()
    rows = pairs(card)
    link = card.locator("a")
    assert re.fullmatch(r"Q\d+", link.inner_text())
    assert link.get_attribute("href") == f"https://www.wikidata.org/wiki/{link.inner_text()}"
    assert rows["links to"] and rows["name"] and re.match(r"\d+ to \d+ \(end exclusive\)", rows["tokens"])
    assert rows["draw"].endswith(f"≤ {PROB:.4f}: inserted")
    link.hover()
    page.wait_for_timeout(500)
    assert card.is_visible(), "the pointer can move to the link in the card"
    page.keyboard.press("Escape")
    assert card.is_hidden()
    page.locator("#blocks .link.skipped").first.focus()
    assert f"> {PROB:.4f}: not inserted" in card.inner_text()
    page.locator("h1").click()
    assert card.is_hidden()
    page.locator("#blocks .link.dropped").first.click()
    assert card.locator(".reason").inner_text() in page.locator("#dropped").inner_text()


def test_hostile_text_is_text(urdu_page, open_page):
    page = open_page(urdu_page)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#blocks").locator("script, img, b, i").count() == 0
    text = "".join(page.locator(".text").all_text_contents())
    assert '<img src=x onerror="window.hacked = 2">' in text and "&lt;b&gt; <!-- {{7*7}}" in text
    assert "\u241b[31m" in text and "\\u009b2J" in text and "\\u202e" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page.locator("body").inner_text())
    assert "<translate><b>Mango</b></translate>" in text.replace(" ", ""), "the name as well"
    assert "</script><script>" in page.locator("header .dim").first.inner_text(), "and the title"


def test_text_from_right_to_left_is_set_so(urdu_page, open_page):
    page = open_page(urdu_page)
    text = page.locator(".text").first
    assert text.evaluate("one => [getComputedStyle(one).direction, one.lang]") == ["rtl", "ur"]
    choose(page, "right", 1)
    anchor = page.locator(".text > .link.inserted", has_text="لاہور").first.bounding_box()
    name = page.locator(".insertion", has_text="Lahore").first.bounding_box()
    assert abs(anchor["y"] - name["y"]) < 12 and name["x"] < anchor["x"], "what follows stands to the left"
    opening, closing = (page.locator(".insertion").first.locator(".tag").nth(k).bounding_box() for k in (0, 1))
    assert opening["x"] < closing["x"], "the name keeps its own direction"
    card = page.locator("#card")
    page.locator("#blocks .link.dropped", has_text="پاکستان").first.click()
    assert "no title in the pivot language" in card.inner_text() and "Q843" in card.inner_text()


@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize("which", ["japanese_page", "urdu_page"])
def test_nothing_is_wider_than_the_window(request, open_page, which, width):
    page = open_page(request.getfixturevalue(which), width=width, color_scheme="dark")
    for link in page.locator("#blocks .link:not(.tag)").all()[:12]:
        link.dispatch_event("click")
        box = page.locator("#card").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ends = {}
    for tile in page.locator("#counts div").all():
        box = tile.bounding_box()
        ends[box["y"]] = max(ends.get(box["y"], 0), box["x"] + box["width"])
    assert len(ends) in (2, 4) and max(ends.values()) - min(ends.values()) < 1, "every row of tiles is full"
    ink, paper = page.evaluate(
        "['color', 'backgroundColor'].map(k => getComputedStyle(document.body)[k].match(/[0-9.]+/g).map(Number)[0])"
    )
    assert ink > 200 > 60 > paper, "dark where the system is dark"


def test_without_the_sources_the_page_shows_what_the_dataset_holds(sample_corpus, run_script, tmp_path, open_page):
    options = ["--html", tmp_path / "page.html", "--num_samples", 1, "--max_length", 300]
    run_script("preview_dataset.py", *options_of(sample_corpus, "es"), *options, "--text", tmp_path / "page.txt")
    page = open_page(tmp_path / "page.html")
    page.locator(".text > .link").first.click()
    assert page.locator("#card dt").all_text_contents() == ["name", "tokens", "draw"]
    assert page.locator("#dropped li, #blocks .dropped").count() == 0
    assert "--preprocessed_dataset_dir" in page.locator("#about").inner_text()
    block = (tmp_path / "page.txt").read_text(encoding="utf-8").split("\n", 1)[1].removesuffix("\n\n")
    assert page.locator(".text").first.text_content()[:-1] == block[:-1]


@pytest.mark.parametrize("language", ["es", "ja"])
def test_every_link_is_explained_as_the_build_counted_it(sample_corpus, language):
    wiki = sample_corpus.wikis[language]
    manifest = read_manifest(wiki.dataset)
    tokenizer = AutoTokenizer.from_pretrained(sample_corpus.tiny_model)
    explainer = LinkExplainer(str(wiki.preprocessed), str(sample_corpus.pivot_ids), tokenizer, manifest)
    articles = EncodedArticles(load_from_disk(str(wiki.dataset)))
    source = load_from_disk(str(wiki.preprocessed))
    texts = TokenTexts(tokenizer)
    reasons = Counter()
    for row in range(len(articles)):
        pieces = texts.split(articles[row].input_ids.tolist())
        anchors = source[row]["anchors"]
        for link, anchor in zip(explainer.explain(row, articles[row]), anchors, strict=True):
            reasons[link.reason] += 1
            shown = "".join(pieces[link.start : link.end])
            assert source[row]["text"][anchor["start"] : anchor["end"]] in shown, "its tokens hold the anchor's text"
    tally = manifest["tally"]["anchors"]
    assert reasons.pop(None) == tally["kept"] and dict(reasons) == tally["dropped"]


def test_links_of_a_build_with_exchanged_names_are_explained_and_those_of_a_file_are_refused(sample_corpus, tmp_path):
    wiki, ids = sample_corpus.wikis["es"], sample_corpus.pivot_ids
    build = ["--model_name", sample_corpus.tiny_model, "--preprocessed_dataset_dir", wiki.preprocessed]
    build += ["--num_workers", 1, "--output_dir"]
    (tmp_path / "names.tsv").write_text("".join(f"Q{k}\tname {k}\n" for k in range(1, 20_000)))
    tokenizer = AutoTokenizer.from_pretrained(sample_corpus.tiny_model)
    for name, options in (("shuffled", ["--wikidata_id_file", ids, "--shuffle_names", 3]),
                          ("of file", ["--names_file", tmp_path / "names.tsv"])):  # fmt: skip
        result = run_here("build_wikipedia_dataset.py", *build, tmp_path / name, *options)
        assert result.exit_code == 0, result.stderr
    folder = tmp_path / "shuffled"
    explainer = LinkExplainer(str(wiki.preprocessed), str(ids), tokenizer, read_manifest(folder))
    (link, *_) = explainer.explain(0, EncodedArticles(load_from_disk(str(folder)))[0])
    assert link.name not in (None, link.title)
    with pytest.raises(UsageError, match="links to names of a file are not explained; leave"):
        LinkExplainer(str(wiki.preprocessed), str(ids), tokenizer, read_manifest(tmp_path / "of file"))


@pytest.mark.parametrize("wrong", ["preprocessed", "ids", "tokenizer"])
def test_sources_that_the_dataset_was_not_made_from_are_refused(sample_corpus, tmp_path, wrong):
    wiki = sample_corpus.wikis["es"]
    ids, preprocessed = tmp_path / "en-wikidata-ids.tsv", wiki.preprocessed
    text = sample_corpus.pivot_ids.read_text(encoding="utf-8")
    ids.write_text(re.sub(r"(?m)^(.*)\t", r"\1 x\t", text) if wrong == "ids" else text, encoding="utf-8")
    if wrong == "preprocessed":
        preprocessed = sample_corpus.wikis["ja"].preprocessed
    tokenizer = AutoTokenizer.from_pretrained(sample_corpus.tiny_model)
    if wrong == "tokenizer":
        tokenizer = train_tokenizer(["another text"] * 9, 400)
    explainer = LinkExplainer(str(preprocessed), str(ids), tokenizer, read_manifest(wiki.dataset))
    article = EncodedArticles(load_from_disk(str(wiki.dataset)))[0]
    with pytest.raises(InputError, match=re.escape(str(preprocessed))):
        explainer.explain(0, article)
    with pytest.raises(InputError, match="its article 48"):
        explainer.explain(48, article)


@pytest.mark.parametrize(("html", "sources"), [(True, 1), (False, 2)])
def test_sources_go_together_and_with_the_page(sample_corpus, run_script, tmp_path, html, sources):
    options = ["--wikidata_id_file", sample_corpus.pivot_ids]
    options += ["--preprocessed_dataset_dir", sample_corpus.wikis["es"].preprocessed] * (sources - 1)
    options += ["--html", tmp_path / "page.html"] * html
    failed = run_script("preview_dataset.py", *options_of(sample_corpus, "es"), *options, check=False)
    assert failed.returncode == 2 and ("go together" if html else "for --html") in failed.stderr
