"""The two heads and their losses; a saved model in other people's hands."""

import json

import pytest
import torch
from retrieval_pins import expected, pinned_retriever, tensors
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from leia.base.errors import InputError, UsageError
from leia.retrieval.encoder import as_retriever, load_ranker, load_retriever, logits
from leia.retrieval.long_attention import LongBertForSequenceClassification
from leia.retrieval.pair_batches import collate, masked_batch, ranking_batch, with_global_attention, without_padding
from leia.retrieval.pair_examples import Example
from leia.retrieval.small_model import make_small_model

TEXTS = ["Bread is baked in an oven.", "Brot wird im Ofen gebacken.", "The oven is hot. Who ate the bread?"]
EXAMPLES = [Example(TEXTS[0], "q", ["1", "2"], TEXTS[1:], False)]


@pytest.fixture(scope="module")
def small():
    """A model and its tokenizer."""
    return make_small_model(TEXTS, 64, seed=1)


def test_published_losses(shared):
    retriever = pinned_retriever(shared)
    batches = expected(shared, "batches")
    for key, wanted in expected(shared, "losses").items():
        batch = tensors(batches[key])
        for given in (batch, without_padding(batch)):
            assert retriever(given).item() == pytest.approx(wanted["loss"], abs=1e-5), key
        if "logits" in wanted:
            assert torch.allclose(logits(retriever.ranker, batch), torch.tensor(wanted["logits"]), atol=1e-5)
        else:
            hidden = retriever.ranker.bert(**{k: v for k, v in batch.items() if k != "labels"}).last_hidden_state
            rows, columns = torch.tensor(wanted["positions"]).T
            log_probabilities = retriever.qlm_head(hidden[rows, columns]).log_softmax(-1)
            true = log_probabilities.gather(1, batch["labels"][rows, columns][:, None])[:, 0]
            assert torch.allclose(true, torch.tensor(wanted["log_probabilities"]), atol=1e-5)


def test_the_head_of_query_modelling_is_new_or_tied(small):
    ranker, _ = small
    new, tied = as_retriever(ranker, "new", seed=3), as_retriever(ranker, "tied", seed=3)
    embeddings = ranker.get_input_embeddings().weight
    assert tied.qlm_head.decoder.weight is embeddings and tied.qlm_head_kind == "tied"
    assert new.qlm_head.decoder.weight is not embeddings and new.qlm_head_kind == "new"
    assert new.qlm_head.decoder.weight.std().item() == pytest.approx(ranker.config.initializer_range, rel=0.1)
    again = as_retriever(ranker, "new", seed=3)
    assert torch.equal(new.qlm_head.decoder.weight, again.qlm_head.decoder.weight)
    assert not torch.equal(new.qlm_head.decoder.weight, as_retriever(ranker, "new", seed=4).qlm_head.decoder.weight)


@pytest.mark.parametrize("kind", ["new", "tied"])
def test_a_saved_model_is_the_same_in_plain_transformers_and_here(small, tmp_path, kind):
    ranker, tokenizer = small
    retriever = as_retriever(ranker, kind)
    retriever.save(tmp_path, tokenizer)
    batch = ranking_batch(tokenizer, EXAMPLES, 64)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    inputs = {name: matrix for name, matrix in batch.items() if name != "labels"}
    assert torch.equal(plain(**inputs).logits, logits(retriever.ranker, batch))
    again, loaded = load_retriever(str(tmp_path), kind)
    masked = masked_batch(loaded, EXAMPLES, 64, torch.Generator().manual_seed(0), 0.5)
    assert torch.equal(again(masked), retriever(masked))
    assert ("decoder.weight" in load_file(tmp_path / "qlm_head.safetensors")) == (kind == "new")
    with pytest.raises(UsageError, match=f"say --qlm_head {kind}"):
        load_retriever(str(tmp_path), "tied" if kind == "new" else "new")


def test_a_saved_model_scores_the_same_in_sentence_transformers(small, tmp_path):
    name = "sentence_transformers"
    cross_encoder = pytest.importorskip(name, reason="the extra `retrieval` is not installed").CrossEncoder
    ranker, tokenizer = small
    retriever = as_retriever(ranker)
    retriever.save(tmp_path, tokenizer)
    pairs = [(TEXTS[0], document) for document in TEXTS]
    ours = logits(retriever.ranker, collate(tokenizer, pairs, 64)).detach()
    theirs = cross_encoder(str(tmp_path), device="cpu").predict(pairs)
    assert torch.allclose(torch.tensor(theirs), ours, atol=1e-6)


def test_a_model_of_long_documents_is_no_bert_to_others(small, tmp_path):
    ranker, tokenizer = small
    retriever = as_retriever(ranker, long_length=128, window=16)
    retriever.save(tmp_path, tokenizer)
    batch = with_global_attention(ranking_batch(tokenizer, EXAMPLES, 128))
    again, _ = load_retriever(str(tmp_path))
    assert (
        isinstance(again.ranker, LongBertForSequenceClassification)
        and again.ranker.config.max_position_embeddings == 128
    )
    assert torch.equal(logits(again.ranker, batch), logits(retriever.ranker, batch))
    assert '"bert-long"' in (tmp_path / "config.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: None, "cannot be loaded as a BERT"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded as a BERT"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'), "of the type 'gpt2'"),
    ],
    ids=["empty", "broken", "another kind"],
)
def test_what_is_no_bert_is_said_in_one_line(tmp_path, write, message):
    write(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load_retriever(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: [file.unlink() for file in folder.glob("token*")], "expected a tokenizer of"),
        (lambda folder: _cut(folder / "model.safetensors"), "cannot be loaded as a BERT"),
        (lambda folder: _cut(folder / "qlm_head.safetensors"), "cannot be read, perhaps cut off"),
        (lambda folder: _relabel(folder / "config.json"), "expected a classifier of 2 labels, found one of 3"),
    ],
    ids=["no tokenizer", "cut weights", "cut head", "three labels"],
)
def test_a_damaged_model_is_one_line(small, tmp_path, spoil, message):
    ranker, tokenizer = small
    as_retriever(ranker).save(tmp_path, tokenizer)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load_retriever(str(tmp_path))
    assert "\n" not in str(error.value)


def _cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def _relabel(file):
    content = json.loads(file.read_text())
    content["id2label"] = {str(k): str(k) for k in range(3)}
    file.write_text(json.dumps(content))


def test_a_model_without_its_first_head_ranks_all_the_same(small, tmp_path):
    ranker, tokenizer = small
    as_retriever(ranker, "tied").save(tmp_path, tokenizer)
    batch = ranking_batch(tokenizer, EXAMPLES, 64)
    assert torch.equal(logits(load_ranker(str(tmp_path))[0], batch), logits(ranker, batch))
