"""Fine-tuning in five folds: the published run of a whole collection, and its rules one by one."""

import random

import pytest
import torch
from retrieval_pins import expected, json_lines, pinned_retriever, pinned_tokenizer

from leia.base.errors import InputError
from leia.base.text import read_json
from leia.retrieval import finetuning
from leia.retrieval.collection import Collection, Fold, folds, split
from leia.retrieval.encoder import logits
from leia.retrieval.finetuning import Ranker, fine_tune, training_entries, training_rows
from leia.retrieval.long_attention import to_long
from leia.retrieval.pair_batches import collate, with_global_attention
from leia.retrieval.recipe import FineTuning
from leia.retrieval.scoring import mean_average_precision
from leia.retrieval.small_model import make_small_model

pytest.importorskip("ir_measures", reason="the extra `retrieval` is not installed")


def pinned_collection(shared):
    content = read_json(shared / "data/clir/collection.json", "")
    texts = {row["id"]: row["text"] for row in json_lines(shared / "data/clir/sections.jsonl")}
    judgements = {
        query: {**dict.fromkeys(of["p"], 1), **dict.fromkeys(of["n"], 0)} for query, of in content["judgements"].items()
    }
    return Collection(content["queries"], {one: texts[one] for one in content["document_ids"]}, judgements)


@pytest.fixture(scope="module")
def collection():
    """Ten queries of three judged documents each, one of them relevant."""
    documents = {f"d{k}": f"word{k} word{k + 1}" for k in range(30)}
    judgements = {f"q{k}": {f"d{3 * k + place}": int(place == k % 3) for place in range(3)} for k in range(10)}
    return Collection({f"q{k}": f"word{3 * k} word{k}" for k in range(10)}, documents, judgements)


@pytest.fixture(scope="module")
def ranker(collection):
    texts = [*collection.documents.values(), *collection.queries.values()]
    return Ranker(*make_small_model(texts, 32, seed=2), 32)


def test_the_published_run(shared, monkeypatch):
    """Losses, scores, choices and the final MAP of all five folds."""
    wanted, collection = expected(shared, "finetuning"), pinned_collection(shared)
    of = wanted["arguments"]
    settings = FineTuning(
        epochs=of["num_epochs"],
        batch_size=of["batch_size"],
        num_negatives=of["num_neg"],
        trained_layers=of["num_ft_encoders"],
        encoder_learning_rate=of["encoder_lr"],
        head_learning_rate=of["projector_lr"],
        seed=of["seed"],
    )
    losses, runs, maps, sizes = [], [], [], []
    original = finetuning.cross_entropy

    def kept(*given):
        loss = original(*given)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(finetuning, "cross_entropy", kept)
    ranker = Ranker(pinned_retriever(shared).ranker, pinned_tokenizer(shared), of["max_len"])
    for number, fold in enumerate(wanted["folds"]):
        assert split(folds(collection), number) == Fold(fold["train"], fold["dev"], fold["test"])
        result = fine_tune(
            ranker, collection, split(folds(collection), number), settings, lambda *run: runs.append(run)
        )
        maps.append(mean_average_precision(result.average_precision))
        sizes.append(len(result.average_precision))
        assert result.epoch == wanted["best_epochs"][number]
    assert losses == pytest.approx(wanted["train_losses"], abs=1e-4)
    assert [(part, epoch) for part, epoch, _ in runs] == [(one["part"], one["epoch"]) for one in wanted["evaluations"]]
    for (_, _, run), one in zip(runs, wanted["evaluations"], strict=True):
        assert run.keys() == one["scores"].keys()
        for query, scores in one["scores"].items():
            assert run[query] == pytest.approx(scores, abs=1e-4)
    assert maps == pytest.approx(wanted["maps"], abs=1e-12) and sizes == wanted["test_queries"]
    final = sum(mean * size for mean, size in zip(maps, sizes, strict=True)) / sum(sizes)
    assert final == pytest.approx(wanted["final_map"], abs=1e-12)


def test_the_published_batches(shared):
    wanted, collection = expected(shared, "finetuning"), pinned_collection(shared)
    settings = FineTuning(batch_size=4, num_negatives=2)
    entries = training_entries(collection, wanted["folds"][0]["train"], 2)
    queries = {text: query for query, text in collection.queries.items()}
    documents = {text: document for document, text in collection.documents.items()}
    steps = training_rows(collection, entries, 0, settings, random.Random(611))
    for (rows, labels), batch in zip(steps, wanted["first_epoch_batches_fold_1"], strict=True):
        assert [queries[query] for query, _ in rows] == batch["query_ids"]
        assert [documents[document] for _, document in rows] == batch["document_ids"]
        assert labels == batch["labels"]


def test_what_is_frozen_stays_and_the_model_itself_is_not_touched(ranker, collection):
    before = {name: weight.clone() for name, weight in ranker.model.state_dict().items()}
    trained = []
    original = Ranker.rank

    def look(self, *given):
        trained.append({name: weight.clone() for name, weight in self.model.state_dict().items()})
        return original(self, *given)

    settings = FineTuning(epochs=2, batch_size=2, trained_layers=1, encoder_learning_rate=1e-3, head_learning_rate=1e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranker, "rank", look)
        fine_tune(ranker, collection, split(folds(collection), 0), settings, lambda *_: None)
    assert all(torch.equal(weight, before[name]) for name, weight in ranker.model.state_dict().items())
    changed = {name for name, weight in trained[-1].items() if not torch.equal(weight, before[name])}
    last = {name for name in before if "layer.1." in name or "pooler" in name or "classifier" in name}
    assert changed <= last and {name for name in last if name.endswith(".weight")} <= changed


def test_queries_with_too_few_non_relevant_documents_do_not_train(collection):
    assert len(training_entries(collection, ["q1", "q0"], 2)) == 2
    with pytest.raises(InputError, match="found none with more than 2; take a smaller --num_negatives"):
        training_entries(collection, ["q1", "q0"], 3)
    assert [query for query, _, _ in training_entries(collection, ["q1", "q0"], 1)] == ["q0", "q1"]


def test_the_same_seed_gives_the_same_result(ranker, collection):
    settings = FineTuning(epochs=2, batch_size=2, encoder_learning_rate=1e-3, head_learning_rate=1e-3)
    results = [fine_tune(ranker, collection, split(folds(collection), 1), settings, lambda *_: None) for _ in range(2)]
    assert results[0] == results[1]


def test_scores_do_not_depend_on_what_is_scored_together(ranker, collection):
    whole = ranker.rank(collection, list(collection.queries))
    alone = ranker.rank(collection, ["q3"], batch_size=1)
    assert alone["q3"] == pytest.approx(whole["q3"], abs=1e-6) and list(whole) == list(collection.queries)


def test_a_model_of_long_documents_ranks_with_global_attention_on_the_query(ranker, collection):
    long = Ranker(to_long(ranker.model, 64, window=4).eval(), ranker.tokenizer, 64)
    ((document, score), *_) = long.rank(collection, ["q3"])["q3"].items()
    batch = collate(ranker.tokenizer, [(collection.queries["q3"], collection.documents[document])], 64)
    with torch.no_grad():
        everywhere, local = (logits(long.model, one)[0, 1].item() for one in (with_global_attention(batch), batch))
    assert score == pytest.approx(everywhere, abs=1e-6) and abs(score - local) > 1e-4
    result = fine_tune(long, collection, split(folds(collection), 0), FineTuning(epochs=1), lambda *_: None)
    assert len(result.average_precision) == 2 and result.trained_queries == 6
