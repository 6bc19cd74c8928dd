"""What the published code gives on small inputs, from `../shared`, and those inputs in this room's own types."""

import json

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from leia.retrieval.encoder import as_retriever
from leia.retrieval.pairs import Aligned, Pair


def expected(shared, name):
    return json.loads((shared / "expected/clir" / f"{name}.json").read_text(encoding="utf-8"))


def texts_of(texts):
    """What a pair needs: the texts of some sections, in the order of `texts`."""
    return lambda ids: {one: text for one, text in texts.items() if one in ids}


def json_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pinned_pair(shared, name):
    """The pair `ende` or `enfr`."""
    sections = json_lines(shared / "data/clir/sections.jsonl")
    texts = {
        language: {row["id"]: row["text"] for row in sections if row["language"] == language}
        for language in (name[:2], name[2:])
    }
    rows = [
        Aligned(row["source"], row["target"], tuple(row["source_negatives"]), tuple(row["target_negatives"]))
        for row in json_lines(shared / "data/clir/aligned.jsonl")
        if row["pair"] == name
    ]
    return Pair(name, name[:2], name[2:], rows, texts_of(texts[name[:2]]), texts_of(texts[name[2:]]))


def pinned_tokenizer(shared):
    vocabulary = (shared / "data/clir/vocab.txt").read_text(encoding="utf-8").splitlines()
    return BertTokenizerFast(vocab={word: number for number, word in enumerate(vocabulary)}, do_lower_case=True)


def pinned_retriever(shared):
    """`tiny-bert` under the names of this room."""
    folder = shared / "data/clir/tiny-bert"
    weights = load_file(folder / "model.safetensors")
    ranker = BertForSequenceClassification(BertConfig.from_pretrained(folder))
    retriever = as_retriever(ranker)
    names = {"bert.": "ranker.bert.", "seqcls_classifier.": "ranker.classifier.", "mlm_cls.predictions.": "qlm_head."}
    renamed = {
        new + name.removeprefix(old): tensor
        for name, tensor in weights.items()
        for old, new in names.items()
        if name.startswith(old)
    }
    assert len(renamed) == len(weights)
    retriever.load_state_dict(renamed)
    return retriever.eval()


def tensors(batch):
    """A pinned batch as this room has it: the labels of ranking are one number a row."""
    batch = {name: torch.tensor(value) for name, value in batch.items() if name != "tokens_row_0"}
    if batch["labels"].shape[1] == 1:
        batch["labels"] = batch["labels"][:, 0]
    return batch
