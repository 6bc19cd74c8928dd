"""The Japanese tasks on the sample: literal prompts, drawn examples, what becomes of texts that are too long, and the
harness's own command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from evaluation_sample import TASKS
from japanese_sample import NAMES, contexts, load_task, make_model_with_bos, set_max_length
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer

LM_EVAL = str(Path(sys.executable).with_name("lm_eval"))
ENOUGH = 100_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model_with_bos(tmp_path_factory.mktemp("models") / "model", max_length=ENOUGH)


@pytest.fixture(scope="module")
def tokenizer(model):
    return Tokenizer.from_file(str(model / "tokenizer.json"))


def count(tokenizer, text, special=False):
    return len(tokenizer.encode(text, add_special_tokens=special).ids)


def cut(tokenizer, text, number):
    return tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids[:number])


def test_contexts_are_literally_these(sample, model):
    found = {name: contexts(load_task(name, 0, pretrained=str(model))) for name in NAMES if name != "jaqket_v1"}
    assert found["jcommonsenseqa"]["102"] == (
        "与えられた選択肢の中から、最適な答えを選んでください。 \n\n"
        "質問：{{波}}が寄せる場所は？\n選択肢：\n- 山頂\n- 海辺\n- 屋上\n- 地下\n- 台所\n回答："
    )
    assert found["jcommonsenseqa_llmjp"]["101"].endswith(
        "### 指示\n質問と回答の選択肢を入力として受け取り、選択肢から回答を選択してください。なお、回答は選択肢の番号"
        "（例：0）でするものとします。 回答となる数値をint型で返し、他には何も含めないことを厳守してください。\n\n"
        "### 入力：\n質問：夜の反対は？\n選択肢：0.朝食,1.暗闇,2.昼,3.星,4.夢\n### 回答：\n"
    )
    assert found["niilc"]["SAMPLE-00004-01"].endswith(
        "### 入力：\n質問：三角形の角はいくつ & 辺はいくつ？\n### 回答：\n"
    )
    assert found["jemhopqa"]["s2"].endswith("### 入力：\n質問：㍿の読みの最初の文字は？\n### 回答：\n")
    assert found["jaqket_v2"]["D-2"] == (
        "質問に対する回答を文章から一言で抽出してください。回答は名詞で答えてください。\n\n"
        "文章:森には多くの木が生えている。\n短い文である。\n質問:文の短い項目は?\n回答:"
    )
    assert found["jsquad"]["V-3"] == (
        "質問に対する回答を文章から一言で抽出してください。回答は名詞で答えてください。\n\n"
        "文章:水は零度で凍る。\n質問:水は何度で凍るか？\n回答:"
    )


def test_choices_and_generated_answers_are_asked_for_like_this(sample):
    choices = load_task("jcommonsenseqa", 0)
    choices.build_all_requests()
    continuations = {args[1] for args in (request.args for request in choices.instances) if "夜の反対は？" in args[0]}
    assert continuations == {"朝食", "暗闇", "昼", "星", "夢"}
    for name, limit in (("niilc", 180), ("jemhopqa", 15), ("jcommonsenseqa_llmjp", 1)):
        task = load_task(name, 4)
        task.build_all_requests()
        for request in task.instances:
            assert request.args[1] == {"until": [], "max_gen_toks": limit, "do_sample": False}
            assert request.args[0].count("### 入力：\n質問：") == 5


def test_items_and_answers_are_these(sample, model):
    answers = {"SAMPLE-00001-01": "７日", "SAMPLE-00002-01": "青,黄,赤", "SAMPLE-00004-01": "３つ,三つ"}
    niilc, v1, v2 = load_task("niilc", 0), *(load_task(f"jaqket_v{n}", 0, pretrained=str(model)) for n in (1, 2))
    assert {doc["id"]: doc["output"] for doc in niilc.eval_docs} == answers
    assert niilc.eval_docs[0]["input"] == "質問：一週間は何日？"
    assert {doc["id"]: doc["label"] for doc in v1.eval_docs} == {"B-1": 4, "B-2": 0, "B-4": 2}
    assert {doc["id"] for doc in v1.dataset["train"]} == {"A-1", "A-2", "A-3", "A-6"}
    assert {doc["question"] for doc in v1.eval_docs} == {"糸を張った楽器は?", "三本の糸の楽器は?", "ばちで打つのは?"}
    assert "この行は" not in str(v1.dataset), "of two lines with one title the later counts"
    assert {doc["id"] for doc in v2.eval_docs} == {"D-1", "D-2", "D-4", "D-5"}
    assert {doc["question"] for doc in v2.eval_docs} >= {"_下線_は残るか?"}


def test_no_answer_is_longer_than_the_longest_known(sample, model, tokenizer, monkeypatch):
    for name, dynamic, expected in (
        ("jaqket_v2", "true", None),
        ("jaqket_v2", "False", 256),
        ("jsquad", "true", None),
        ("jsquad", "False", 256),
    ):
        monkeypatch.setenv("DYNAMIC_MAX_LENGTH", dynamic)
        task = load_task(name, 1, pretrained=str(model))
        task.build_all_requests()
        for request in task.instances:
            longest = max(count(tokenizer, answer) for answer in request.doc["answers"])
            assert request.args[1] == {"until": ["\n"], "do_sample": False, "max_gen_toks": expected or longest}


def test_jaqket_v1_cuts_its_texts_by_tokens(sample, model, tokenizer):
    task = load_task("jaqket_v1", 2, pretrained=str(model))
    generator, items = Random(42), [None] * len(task.eval_docs)
    generator.shuffle(items)
    broken = 0
    for doc in task.eval_docs:
        expected = (
            "文章と質問と回答の選択肢を入力として受け取り、選択肢から質問に対する回答を選択してください。なお、回答は選択肢の番号"
            "(例:0)でするものとします。 \n\n"
        )
        for shot in generator.sample(task.dataset["train"], 2):
            first, second = (cut(tokenizer, text, 64) for text in shot["contexts"][:2])
            names = f"0.{shot['choices'][0]},1.{shot['choices'][1]}"
            expected += f"文章:{first}\n{second}\n質問:{shot['question']}\n選択肢:{names}\n回答:{shot['label']}\n\n"
        texts = [cut(tokenizer, text, 128) for text in doc["contexts"]]
        assert texts != doc["contexts"] and "笛は息で鳴らす。" in texts, "long ones are cut, short ones are not"
        broken += sum("\ufffd" in text for text in texts)
        names = ",".join(f"{index}.{name}" for index, name in enumerate(doc["choices"]))
        expected += "文章:" + "\n".join(texts) + f"\n質問:{doc['question']}\n選択肢:{names}\n回答:"
        assert task.fewshot_context(doc, num_fewshot=2) == expected
    assert broken, "a cut inside a character leaves the replacement character"
    task.build_all_requests()
    assert [request.args[1] for request in task.instances[:5]] == [f" {name}" for name in task.eval_docs[0]["choices"]]


def test_a_decoded_text_loses_spaces_before_signs_only_where_the_tokenizer_is_set_so(sample, model):
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    for tidy, expected in ((False, "a , b . 's ' c ?"), (True, "a, b.'s'c?")):
        settings["clean_up_tokenization_spaces"] = tidy
        (model / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        assert load_task("jaqket_v1", 0, pretrained=str(model)).tokens.cut("a , b . 's ' c ?", 99) == expected


def test_jaqket_v1_drops_its_first_examples_where_the_context_is_too_long(sample, model, tokenizer, monkeypatch):
    task = load_task("jaqket_v1", 3, pretrained=str(model))
    whole = contexts(task)
    for doc in task.eval_docs:
        context = whole[doc["id"]]
        longest = max(count(tokenizer, name) for name in doc["choices"])
        task.tokens.max_length = count(tokenizer, context, special=True) + longest
        assert task.fewshot_context(doc, num_fewshot=3) == context, "it fits to the token, BOS included"
        task.tokens.max_length -= 1
        description, _, *rest = context.split("\n\n")
        assert task.fewshot_context(doc, num_fewshot=3) == "\n\n".join([description, *rest])
        bare = "\n\n".join([description, rest[-1]])
        task.tokens.max_length = count(tokenizer, bare, special=True) + longest
        assert task.fewshot_context(doc, num_fewshot=3) == bare
        task.tokens.max_length -= 1
        with pytest.raises(ValueError, match=rf"^jaqket_v1: item {doc['id']} without examples has \d+ tokens, [^\n]*$"):
            task.fewshot_context(doc, num_fewshot=3)
        with monkeypatch.context() as patch:
            patch.setenv("DYNAMIC_MAX_LENGTH", "false")
            assert task.fewshot_context(doc, num_fewshot=3) == context


def test_jaqket_v2_draws_again_with_an_example_fewer_where_the_context_is_too_long(sample, model, tokenizer):
    whole = load_task("jaqket_v2", 3, pretrained=str(model))
    lengths = [count(tokenizer, context) for context in contexts(whole).values()]
    room = sorted(lengths)[1]
    set_apart = [length > room for length in lengths]
    assert any(set_apart) and not all(set_apart)
    task = load_task("jaqket_v2", 3, pretrained=str(model), max_length=room + 3)
    task._longest_answer = lambda doc: 3
    generator, items = Random(42), [None] * len(task.eval_docs)
    generator.shuffle(items)
    numbers = []
    for doc in task.eval_docs:
        for number in (3, 2, 1, 0):
            examples = generator.sample(task.dataset["train"], number) if number else []
            texts = [*(("\n".join(x["contexts"]), x["question"], x["answers"][0] + "\n\n") for x in examples)]
            texts += [("\n".join(doc["contexts"]), doc["question"], "")]
            expected = task.config.description + "".join(f"文章:{a}\n質問:{b}\n回答:{c}" for a, b, c in texts)
            if count(tokenizer, expected) <= room:
                break
        numbers.append(number)
        assert task.fewshot_context(doc, num_fewshot=3) == expected
    assert 3 in numbers and min(numbers) < 3


def test_jsquad_draws_its_examples_once_and_takes_their_first_answers(sample, model):
    task = load_task("jsquad", 2, pretrained=str(model), max_length=20)  # far too short
    generator = Random(42)
    order = ["V-1", "V-2", "V-3"]
    generator.shuffle(order)
    assert [doc["id"] for doc in task.eval_docs] == order
    for doc in task.eval_docs:
        examples = generator.sample(task.dataset["train"], 2)
        shots = "".join(f"文章:{x['contexts'][0]}\n質問:{x['question']}\n回答:{x['answers'][0]}\n\n" for x in examples)
        expected = f"{task.config.description}{shots}文章:{doc['contexts'][0]}\n質問:{doc['question']}\n回答:"
        assert task.fewshot_context(doc, num_fewshot=2) == expected


def test_jaqket_v2_says_which_item_does_not_fit(sample, model, tokenizer):
    bare = load_task("jaqket_v2", 0, pretrained=str(model))
    needed = [
        count(tokenizer, bare.fewshot_context(doc, num_fewshot=0)) + max(count(tokenizer, a) for a in doc["answers"])
        for doc in bare.eval_docs
    ]
    fits = load_task("jaqket_v2", 0, pretrained=str(model), max_length=max(needed))
    assert contexts(fits) == contexts(bare), "BOS does not count here"
    short = load_task("jaqket_v2", 0, pretrained=str(model), max_length=max(needed) - 1)
    item = short.eval_docs[needed.index(max(needed))]["id"]
    with pytest.raises(ValueError, match=rf"^jaqket_v2: item {item} without examples has \d+ tokens, [^\n]*$"):
        contexts(short)


@pytest.mark.parametrize("name", ["jcommonsenseqa", "jaqket_v1", "jaqket_v2", "jsquad"])
def test_an_items_examples_do_not_depend_on_the_process_the_limit_or_the_seed(sample, model, name):
    whole = contexts(load_task(name, 2, pretrained=str(model)))
    assert len(set(whole.values())) == len(whole)
    for options in ({"rank": 1, "world_size": 2}, {"limit": 2}):
        part = load_task(name, 2, pretrained=str(model))
        part.set_fewshot_seed(7)
        part.build_all_requests(**options)
        assert part.instances
        assert all(request.args[0] == whole[request.doc["id"]] for request in part.instances)
    other = contexts(load_task(name, 1, pretrained=str(model)))
    assert list(other) == list(whole) and other != whole


def test_examples_are_at_most_those_that_there_are(sample, model):
    for name, number, message in (
        ("jcommonsenseqa", 7, "jcommonsenseqa: --num_fewshot 7 needs as many training items, the data has 6"),
        ("jaqket_v1", 5, "jaqket_v1: --num_fewshot 5 needs as many training items, the data has 4"),
        ("niilc", 5, "--num_fewshot 5: the tasks of llm-jp-eval have 4 fixed examples"),
    ):
        task = load_task(name, number, pretrained=str(model))
        with pytest.raises(ValueError, match=f"^{message}$"):
            contexts(task)
    two = contexts(load_task("jemhopqa", 2))["s0"]
    assert two.count("### 入力：") == 3 and "あまちゃん\n\n" in two and "YES" not in two


def test_jaqket_takes_model_and_length_from_the_harness(sample, model):
    for name in ("jaqket_v1", "jaqket_v2", "jsquad"):
        with pytest.raises(ValueError, match=rf"^{name}: expected the name of the model, [^\n]*$"):
            load_task(name, 0)
        assert load_task(name, 0, pretrained=str(model)).tokens.max_length == ENOUGH
        assert load_task(name, 0, pretrained=str(model), max_length=7).tokens.max_length == 7
        assert load_task(name, 0, tokenizer=model, max_length=7).tokens.max_length == 7
        with pytest.raises(FileNotFoundError, match=r"^[^\n]*: has no tokenizer\.json, [^\n]*$"):
            load_task(name, 0, pretrained=str(sample))
        set_max_length(model, None)
        with pytest.raises(ValueError, match=r"^[^\n]*config\.json: has no max_position_embeddings; [^\n]*$"):
            load_task(name, 0, pretrained=str(model))
        set_max_length(model, ENOUGH)


def test_the_harness_scores_all_tasks_and_reads_their_settings(sample, model, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    manager = TaskManager(include_path=TASKS, include_defaults=False, metadata={"pretrained": str(model)})
    options = {"model_args": f"pretrained={model},dtype=float32,max_length=4096", "device": "cpu", "bootstrap_iters": 0}
    found = simple_evaluate("hf", tasks=NAMES, task_manager=manager, limit=2, num_fewshot=1, **options)
    metrics = {name: set(found["results"][name]) for name in NAMES}
    for name, expected in (
        ("jcommonsenseqa", {"acc,none", "acc_norm,none"}),
        ("jaqket_v1", {"acc,none", "acc_norm,none"}),
        ("jaqket_v2", {"exact_match,none", "f1,none"}),
        ("jsquad", {"exact_match,none", "f1,none"}),
        ("jcommonsenseqa_llmjp", {"exact_match,none"}),
        ("niilc", {"char_f1,none"}),
        ("jemhopqa", {"char_f1,none"}),
    ):
        assert metrics[name] >= expected and found["n-shot"][name] == 1
    ways = {name: found["configs"][name]["metadata"].get("generation") for name in NAMES}
    assert ways["jaqket_v2"] == "hf-causal" and ways["jsquad"] == "leia-later-code"
    assert ways["niilc"] == ways["jemhopqa"] == "llm-jp-eval"
    assert ways["jcommonsenseqa_llmjp"] == "llm-jp-eval" and ways["jcommonsenseqa"] is ways["jaqket_v1"] is None


@pytest.mark.thorough
def test_lm_eval_itself_runs_the_tasks(sample, model, tmp_path):
    command = [LM_EVAL, "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32,max_length=4096"]
    command += ["--device", "cpu", "--include_path", TASKS, "--tasks", ",".join(NAMES), "--num_fewshot", "1"]
    command += ["--limit", "2", "--output_path", tmp_path / "out", "--log_samples"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    for name in NAMES:
        (samples,) = tmp_path.glob(f"out/*/samples_{name}_20*.jsonl")
        found = [json.loads(line)["arguments"]["gen_args_0"]["arg_0"] for line in samples.open(encoding="utf-8")]
        task = load_task(name, 1, pretrained=str(model), max_length=4096)
        assert found == list(contexts(task).values())[:2]
