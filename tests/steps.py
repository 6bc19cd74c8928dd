"""Every step of the pipeline as users run it: what the tests of killing, full disks, two at once and names go through.

`commands(material, out)` gives the command of each step; all that it writes lies in the folder `out`.
"""

import gzip
import json
import os
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evaluation_sample import ROOT, XCSR, write_result

Contents = dict[str, bytes]

STEPS = (
    *("redirects", "WikiExtractor", "ids from JSON", "ids from SQL", "preprocess", "extraction"),
    *("import", "glossary", "build"),
    *("statistics and report", "preview page"),
    *("train", "extend vocabulary", "evaluate", "results table", "run_table", "build_corpus"),
)
QUICK = ("redirects", "WikiExtractor", "ids from JSON", "ids from SQL", "preprocess", "extraction")
QUICK += ("import", "glossary")
"""Steps of less than a second: the normal mode of the tests has these only."""

TRAINING = ("--max_steps", "4", "--save_steps", "1", "--max_length", "64", "--global_batch_size", "4")
TRAINING += ("--per_device_train_batch_size", "2", "--report_to", "none", "--save_total_limit", "9")
UNEQUAL = ("tokens_per_second", "peak_memory_gib")
"""What differs from run to run in the log of a training."""


@dataclass(frozen=True)
class Material:
    """Inputs in one folder: those of tests/conftest.py's sample corpus, and what only later steps read."""

    root: Path

    def language(self, language: str, part: str) -> Path:
        return self.root / f"{language}wiki-{part}"

    def ids(self, language: str) -> Path:
        return self.root / f"wikidata/{language}-wikidata-ids.tsv"


def make_more(material: Material) -> None:
    """Write into the folder of the sample corpus what the later steps read."""
    root = material.root
    sql = (ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql").read_bytes()
    (root / "wikidatawiki-wb_items_per_site.sql.gz").write_bytes(gzip.compress(sql, mtime=0))
    with (root / "texts.jsonl").open("w", encoding="utf-8") as texts:
        for line, text in enumerate(("火と水と空気。" * 9, "東京都のアイスランド。", "", "水")):
            spans = [{"start": 0, "end": 1, "title": "火"}, {"start": 1, "end": 2, "name": "and"}][: len(text) // 5]
            texts.write(json.dumps({"title": f"text {line}", "text": text, "spans": spans}) + "\n")
    (root / "terms.tsv").write_text("水\tWater\nアイスランド\tIceland\n", encoding="utf-8")
    ids = [f"item {number}" for number in range(40)]
    for name, share in (("base", 3), ("ja_none", 4), ("ja_right", 2)):
        for task, shots in (("xcodah_ja", 0), ("xcsqa_ja", 4)):
            right = {key: number % share == 0 for number, key in enumerate(ids)}
            write_result(root / "results" / name, task, shots, right)
    (root / "train.yaml").write_text((ROOT / "configs/train/tiny_cpu.yaml").read_text("utf-8").replace(
        "base: llama2_7b.yaml", f"base: {ROOT}/configs/train/llama2_7b.yaml"), encoding="utf-8")  # fmt: skip
    table = {
        "title": "One training and its evaluation",
        "seeds": [42],
        "baseline": "leia",
        "base_model": str(root / "tiny model"),
        "train_config": str(root / "train.yaml"),
        "parts": [{"name": "xcsqa", "title": "X-CSQA", "columns": {"ja": ["xcsqa_ja", 0]}}],
        "rows": [
            {
                "name": "leia",
                "label": "LEIA",
                "run": "{language}_right",
                "train": {"strategy": "right", "prob": 0.5, "arguments": list(TRAINING)},
            }
        ],
    }
    (root / "table.yaml").write_text(json.dumps(table), encoding="utf-8")


def commands(material: Material, out: Path) -> dict[str, list[str]]:
    """The command of each step of `STEPS`, which writes to `out` only."""
    root, ja, model = material.root, lambda part: material.language("ja", part), material.root / "tiny model"
    dump = ja("20240901-pages-articles-multistream.xml.bz2")
    json_dump, sql_dump = root / "wikidata-20240902-all.json.bz2", root / "wikidatawiki-wb_items_per_site.sql.gz"
    articles = {"preprocessed_dataset_dir": ja("preprocessed"), "wikidata_id_file": material.ids("en")}
    stats = out / "dataset-statistics.json", out / "link-statistics.json"
    run = {"MODEL_NAME_OR_PATH": model, "TRAIN_CONFIG": ROOT / "configs/train/tiny_cpu.yaml"}
    run |= {"ACCELERATE_CONFIG": ROOT / "configs/accelerate/cpu.yaml", "RESUME": 1}
    corpus = {"LANG": "ja", "PYTHON": sys.executable, "MODEL_NAME_OR_PATH": model, "NUM_WORKERS": 2}
    corpus |= {"WIKIPEDIA_DUMP_FILE": dump, "WIKIDATA_DUMP_FILE": sql_dump, "WIKIPEDIA_DATA_DIR": out / "wikipedia"}
    corpus |= {"WIKIDATA_DATA_DIR": out / "wikidata", "WIKIPEDIA_DATASET_DIR": out / "dataset"}
    evaluation = {"MODEL_NAME_OR_PATH": model, "TASKS": "xcodah_ja,xcsqa_ja", "NUM_FEWSHOT_SAMPLES": "0,4"}
    evaluation |= {"RESULTS_DIR": out / "results", "XCSR_DIR": XCSR, "NUM_PROCESSES": 1}
    return {
        "redirects": script("extract_wikipedia_redirects", dump_file=dump, output_file=out / "redirects.tsv"),
        "WikiExtractor": script("run_wikiextractor", dump_file=dump, output_dir=out / "text", processes=2),
        "ids from JSON": script("extract_wikidata_ids", dump_file=json_dump, output_dir=out, languages="en,ja"),
        "ids from SQL": script("extract_wikidata_ids", dump_file=sql_dump, output_dir=out, languages="en,ja"),
        "preprocess": script("preprocess_wikipedia", wikiextractor_output_dir=ja("text"),
            redirect_file=ja("redirects.tsv"), wikidata_id_file=material.ids("ja"), output_dir=out / "articles",
            num_workers=2),
        "extraction": script("extract_articles", dump_file=dump, redirect_file=ja("redirects.tsv"),
            wikidata_id_file=material.ids("ja"), output_dir=out / "articles", num_workers=2),
        "import": script("import_articles", text_files=root / "texts.jsonl", language="ja",
            redirect_file=ja("redirects.tsv"), wikidata_id_file=material.ids("ja"), output_dir=out / "articles"),
        "glossary": script("link_with_glossary", text_files=root / "texts.jsonl", glossary=root / "terms.tsv",
            output_file=out / "linked.jsonl"),
        "build": script("build_wikipedia_dataset", model_name=model, **articles, output_dir=out / "dataset",
            num_workers=2),
        "statistics and report": chain(
            script("compute_dataset_stats", wikipedia_dataset_dir=ja("dataset"), json=stats[0]),
            script("compute_link_stats", **articles, json=stats[1]),
            [*script("make_corpus_report", output_dir=out / "report"), "--corpus", *map(str, stats)]),
        "preview page": script("preview_dataset", model_name=model, dataset_dir=ja("dataset"), **articles,
            num_samples=3, html=out / "preview.html"),
        "train": shell("train.sh", *TRAINING, WIKIPEDIA_DATASET_DIR=ja("dataset"), OUTPUT_DIR=out / "model", **run),
        "extend vocabulary": script("extend_vocabulary", model_name=model, **articles, num_new_tokens=50,
            held_out_articles=3, output_dir=out / "longer model"),
        "evaluate": shell("evaluate.sh", **evaluation),
        "results table": script("make_results_table", table=ROOT / "configs/tables/quickstart.yaml",
            results_dir=root / "results", output_dir=out / "tables"),
        "run_table": ["env", f"XCSR_DIR={XCSR}", "NUM_PROCESSES=1",
            f"ACCELERATE_CONFIG={run['ACCELERATE_CONFIG']}", *script("run_table", table=root / "table.yaml",
            models_dir=out / "models", results_dir=out / "results", dataset_dir=root / "{language}wiki-dataset"),
            "--run"],
        "build_corpus": shell("scripts/build_corpus.sh", **corpus),
    }  # fmt: skip


def script(name: str, **options: object) -> list[str]:
    words = [(f"--{option}", str(value)) for option, value in options.items()]
    return [sys.executable, str(ROOT / f"scripts/{name}.py"), *(word for pair in words for word in pair)]


def shell(name: str, *arguments: str, **variables: object) -> list[str]:
    return ["env", *(f"{key}={value}" for key, value in variables.items()), "bash", str(ROOT / name), *arguments]


def chain(*commands: list[str]) -> list[str]:
    return ["bash", "-c", " && ".join(map(shlex.join, commands))]


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(command: list[str], **settings: object) -> subprocess.Popen[str]:
    """In a process group of its own, so that the step and all its processes can be killed together."""
    return subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        **settings,
    )


def run(command: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
    process = start(command, **settings)
    _, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, "", errors)


def contents(folder: Path) -> Contents:
    """Every file under a folder, hidden ones too, by its path; of a training's log what does not tell the time."""
    return {str(path.relative_to(folder)): _content(path) for path in folder.rglob("*") if path.is_file()}


def _content(path: Path) -> bytes:
    if path.name != "trainer_state.json":
        return path.read_bytes()
    content = json.loads(path.read_bytes())
    for entry in content["log_history"]:
        for name in UNEQUAL:
            entry.pop(name, None)
    return json.dumps(content).encode()


def assert_whole(found: Contents, whole: Contents) -> None:
    """What is seen under a final name is what will stay; what vouches for other files stands beside all of them."""
    seen = {path for path in found if not any(part.startswith(".") for part in Path(path).parts)}
    for path in seen:
        assert found[path] == whole[path], f"{path} is half"
        name, folder = Path(path).name, str(Path(path).parent)
        if name in ("manifest.json", "config.json", "run.json"):
            vouched = {other for other in whole if other.startswith(f"{folder}/")}
        elif name.endswith(".manifest.json"):
            vouched = {
                other for other in whole if str(Path(other).parent) == folder and other.endswith((".tsv", ".jsonl"))
            }
        elif name.endswith("shot.json"):
            vouched = {f"{path}l"}
        else:
            vouched = set()
        assert vouched <= seen, f"{path} without {vouched - seen}"
