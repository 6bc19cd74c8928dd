"""The stream of batches, the order of steps and the update: the published ones, and the same after a stop."""

import json
import random
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from retrieval_pins import expected, pinned_pair, pinned_retriever, pinned_tokenizer, texts_of

from leia.base.errors import InputError
from leia.retrieval.adam import PublishedAdam
from leia.retrieval.bilingual_trial import write_trial
from leia.retrieval.encoder import as_retriever
from leia.retrieval.pair_batches import masked_batch, ranking_batch
from leia.retrieval.pair_examples import PairExamples
from leia.retrieval.pair_stream import PairStream, Turns
from leia.retrieval.pairs import Aligned, Pair, aligned_texts, open_pair
from leia.retrieval.pretraining import SKIPPED, Pretraining
from leia.retrieval.recipe import QLM, RR, PretrainingSettings
from leia.retrieval.small_model import make_small_model

SMALL = {"max_length": 32, "batch_size": 2, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """A pair of 7 aligned sections."""
    folder = tmp_path_factory.mktemp("trial")
    write_trial(folder, sections=7, held_out=10, seed=0)
    return open_pair(folder, "a-b")


def training(pairs, **settings):
    """A training of a small model; its dropout is BERT's, so that it draws, too."""
    settings = PretrainingSettings(**{**SMALL, **settings})
    texts = (text for pair in pairs for text in aligned_texts(pair))
    ranker, tokenizer = make_small_model(texts, settings.max_length, settings.seed)
    ranker.dropout.p = 0.1
    long_length = settings.max_length if settings.attention_window else None
    retriever = as_retriever(ranker, settings.qlm_head, 0, long_length, settings.attention_window)
    return Pretraining(retriever, tokenizer, pairs, settings)


def test_published_adam(shared):
    wanted = expected(shared, "adam")
    numbers = torch.nn.Parameter(torch.tensor(wanted["start"]))
    adam = PublishedAdam([numbers], wanted["lr"], tuple(wanted["betas"]), wanted["eps"])
    for gradient, after in zip(wanted["gradients"], wanted["after_each_step"], strict=True):
        numbers.grad = torch.tensor(gradient)
        adam.step()
        assert torch.allclose(numbers, torch.tensor(after), atol=1e-7, rtol=0)


def test_a_parameter_without_a_gradient_stays():
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    adam = PublishedAdam([used, unused], 0.1)
    for _ in range(2):  # the head of the other objective: it has been trained before, and has no gradient now
        used.grad, unused.grad = torch.ones(2), torch.ones(2)
        adam.step()
        before = unused.detach().clone()
        unused.grad = None
        adam.step()
        assert torch.equal(unused, before)


def test_published_training(shared):
    """Order of steps, batches, losses, gradients and the weights at the end: the published run, step by step."""
    tokenizer = pinned_tokenizer(shared)
    for run in expected(shared, "training").values():
        retriever = pinned_retriever(shared)
        rng, masks = random.Random(run["seed"]), torch.Generator().manual_seed(run["torch_seed"])
        names = {what: run[f"{what}_pairs"] for what in (QLM, RR) if run[f"{what}_pairs"]}
        pairs = {name: pinned_pair(shared, name) for of_objective in names.values() for name in of_objective}
        numbers = run["max_pairs"], run["num_neg"]

        def stream(what, name, pairs=pairs, numbers=numbers, size=run["batch_size"], rng=rng, masks=masks):
            return PairStream(lambda rng: PairExamples(pairs[name], what, rng, *numbers), size, rng, masks)

        streams = {(what, name): stream(what, name) for what in names for name in names[what]}
        turns = Turns(names, dict.fromkeys(names, rng))
        adam = PublishedAdam(retriever.parameters(), float(run["learning_rate"]))
        steps = iter(run["steps"])
        for iteration in range(run["steps"][-1]["iteration"] + 1):
            for what, name in turns.iteration():
                wanted, examples = next(steps), streams[what, name].batch()
                assert (iteration, what, name) == (wanted["iteration"], wanted["objective"], wanted["pair"])
                assert [one.query_id for one in examples] == wanted["query_section_ids"]
                assert [one.document_ids for one in examples] == wanted["document_section_ids"]
                make = ranking_batch(tokenizer, examples, 64) if what == RR else None
                loss = retriever(make or masked_batch(tokenizer, examples, 64, masks))
                adam.zero_grad()
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(retriever.parameters(), run["clip_grad_norm"])
                adam.step()
                assert loss.item() == pytest.approx(wanted["loss"], abs=1e-4)
                assert norm.item() == pytest.approx(wanted["gradient_norm_before_clipping"], abs=1e-3)
        assert next(steps, None) is None
        weights = retriever.state_dict()
        for name, sums in run["final_parameters_sum_and_absolute_sum"].items():
            if "key.bias" not in name:  # its gradient is rounding alone
                ours = weights[_our_name(name)]
                assert [ours.sum().item(), ours.abs().sum().item()] == pytest.approx(sums, abs=2e-3), name


@pytest.mark.parametrize("name", ["rr-only-3-negatives-subset-of-5", "qlm-only"])
def test_a_training_of_ours_is_the_published_one(shared, name):
    """The runs of one objective, whose draws are in the same order, by the class that trains."""
    run = expected(shared, "training")[name]
    names = run["rr_pairs"] or run["qlm_pairs"]
    settings = PretrainingSettings(
        objectives=RR if run["rr_pairs"] else QLM,
        num_negatives=run["num_neg"],
        batch_size=run["batch_size"],
        learning_rate=float(run["learning_rate"]),
        max_grad_norm=run["clip_grad_norm"],
        max_pairs=run["max_pairs"],
        max_length=64,
    )
    pairs = [pinned_pair(shared, name) for name in names]
    ours = Pretraining(pinned_retriever(shared), pinned_tokenizer(shared), pairs, settings)
    rng, masks = random.Random(run["seed"]), torch.Generator().manual_seed(run["torch_seed"])
    ours._turns._rngs = dict.fromkeys(ours._turns._rngs, rng)
    for stream in ours._streams.values():
        stream._rng, stream.masks = rng, masks
    found = [record for _ in range(run["steps"][-1]["iteration"] + 1) for record in ours.run_iteration()]
    assert [(one.objective, one.pair) for one in found] == [(one["objective"], one["pair"]) for one in run["steps"]]
    assert [one.loss for one in found] == pytest.approx([one["loss"] for one in run["steps"]], abs=1e-4)
    norms = [one["gradient_norm_before_clipping"] for one in run["steps"]]
    assert [one.gradient_norm for one in found] == pytest.approx(norms, abs=1e-3) and max(norms) > 5


def test_settings_reach_the_batches():
    texts = texts_of({"a0": f"{'word ' * 300}end."}), texts_of({"b0": "Der 1. Mai ist frei. Gut."})
    pair = Pair("en-de", "en", "de", [Aligned("a0", "b0", (), ())], *texts)

    def batches(**settings):
        one = training([pair], max_length=600, batch_size=1, **settings)
        return [one.next_batch((QLM, "en-de")) for _ in range(12)]

    kinds = {int(batch["token_type_ids"][batch["labels"] != -100].max()) for batch in batches(mask_mode="document")}
    assert kinds == {1}
    long_queries = [batch for batch in batches(attention_window=8) if (batch["token_type_ids"] == 0).sum() > 256]
    assert long_queries and all(batch["attention_mask"].max() == 1 for batch in long_queries)
    assert {int(batch["attention_mask"].max()) for batch in batches(attention_window=8)} == {1, 2}
    lengths = {
        language: {int((batch["token_type_ids"] == 0).sum()) for batch in batches(sentence_language=language)}
        for language in ("", "en")
    }
    assert lengths[""] != lengths["en"]  # German knows that "1." ends no sentence


def _our_name(name):
    for theirs, ours in (("bert.", "ranker.bert."), ("seqcls_classifier", "ranker.classifier")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name.replace("mlm_cls.predictions", "qlm_head")


def flat(batches):
    return [one for batch in batches for one in batch]


def places(number, rank, world, batches, max_pairs=100_000):
    """Which aligned sections the batches of one process have, by their numbers."""
    rows = [Aligned(f"a{k}", f"b{k}", (), ()) for k in range(number)]
    texts = [{f"{side}{k}": "One word." for k in range(number)} for side in "ab"]
    pair = Pair("a-b", "en", "en", rows, *map(texts_of, texts))
    rng = random.Random(rank)
    stream = PairStream(lambda rng: PairExamples(pair, QLM, rng, max_pairs), 3, rng, torch.Generator(), rank, world)
    return [[int(one.query_id[1:]) for one in stream.batch()] for _ in range(batches)]


def test_each_round_has_every_pair_once_in_one_permutation():
    one_round = places(7, 0, 1, 3)
    assert [len(batch) for batch in one_round] == [3, 3, 1]
    assert sorted(flat(one_round)) == list(range(7)) != flat(one_round)
    assert places(7, 0, 1, 6) == one_round + one_round


def test_two_processes_have_disjoint_places_of_the_permutation():
    whole = flat(places(8, 0, 1, 3))
    assert [flat(places(8, rank, 2, 2)) for rank in (0, 1)] == [whole[0::2], whole[1::2]]
    odd = [flat(places(7, rank, 2, 2)) for rank in (0, 1)]  # one place is taken twice, so that both have as many
    assert len(odd[0]) == len(odd[1]) == 4 and set(odd[0] + odd[1]) == set(range(7))
    single = [places(1, rank, 3, 1) for rank in range(3)]
    assert single == [[[0]]] * 3


def test_a_stream_that_goes_on_gives_the_batches_of_one_that_never_stopped(trial):
    def stream():
        def make(rng):
            return PairExamples(trial, RR, rng, 5, num_negatives=2)

        return PairStream(make, 2, random.Random(4), torch.Generator().manual_seed(4))

    def draw(one):
        return one.batch(), torch.rand(2, generator=one.masks).tolist()

    for stopped_after in range(9):  # within a round, at its end, and before the first
        undisturbed, stopped, resumed = stream(), stream(), stream()
        wanted = [draw(undisturbed) for _ in range(stopped_after + 7)]
        assert [draw(stopped) for _ in range(stopped_after)] == wanted[:stopped_after]
        resumed.restore(json.loads(json.dumps(stopped.state())))
        resumed.masks.set_state(stopped.masks.get_state())
        assert [draw(resumed) for _ in range(7)] == wanted[stopped_after:]


def test_the_list_of_pairs_is_shuffled_as_the_last_iteration_left_it():
    turns = Turns({QLM: ["a", "b", "c"], RR: ["a", "b", "c"]}, {QLM: random.Random(1), RR: random.Random(2)})
    order, rng = ["a", "b", "c"], random.Random(1)
    for _ in range(4):
        rng.shuffle(order)
        steps = list(turns.iteration())
        assert [name for what, name in steps if what == QLM] == order
        assert [what for what, _ in steps] == [QLM] * 3 + [RR] * 3 and {name for _, name in steps[3:]} == set("abc")


@pytest.mark.parametrize("settings", [{}, {"qlm_head": "tied"}, {"attention_window": 4}], ids=str)
def test_a_training_that_goes_on_is_the_one_that_never_stopped(trial, settings):
    undisturbed = training([trial], **settings)
    wanted = [list(undisturbed.run_iteration()) for _ in range(7)]
    stopped = training([trial], **settings)
    assert [list(stopped.run_iteration()) for _ in range(3)] == wanted[:3]
    state, weights = stopped.state(), {k: v.clone() for k, v in stopped.retriever.state_dict().items()}
    resumed = training([trial], **settings)
    resumed.retriever.load_state_dict(weights)
    resumed.restore(state)
    assert [list(resumed.run_iteration()) for _ in range(4)] == wanted[3:]
    for name, weight in undisturbed.retriever.state_dict().items():
        assert torch.equal(weight, resumed.retriever.state_dict()[name]), name


def test_a_batch_without_a_masked_token_is_skipped_and_counted(trial):
    rare = training([trial], objectives="qlm", mask_probability=1e-9)
    before = {name: weight.clone() for name, weight in rare.retriever.state_dict().items()}
    assert [record.loss for _ in range(3) for record in rare.run_iteration()] == [None] * 3
    assert rare.counts[SKIPPED] == 3 and rare.iteration == 3
    assert all(torch.equal(weight, before[name]) for name, weight in rare.retriever.state_dict().items())


def test_a_training_that_diverges_says_where(trial):
    broken = training([trial], objectives="rr")
    with torch.no_grad():
        broken.retriever.ranker.classifier.weight.fill_(float("nan"))
    with pytest.raises(InputError, match=r"iteration 0, rr a-b: the loss is nan.*--learning_rate"):
        list(broken.run_iteration())


def test_accumulated_batches_give_the_mean_of_their_gradients(trial):
    one, other = training([trial], gradient_accumulation=2), training([trial])
    batches = [other.next_batch((RR, "a-b")) for _ in range(2)]
    other.retriever.eval()
    one.retriever.eval()
    loss = one.backward(batches)
    singles = []
    for batch in batches:
        singles.append((other.backward([batch]), [p.grad.clone() for p in other.retriever.ranker.parameters()]))
    assert loss == pytest.approx(sum(single for single, _ in singles) / 2, abs=1e-6)
    for parameter, first, second in zip(one.retriever.ranker.parameters(), *(of for _, of in singles), strict=True):
        assert torch.allclose(parameter.grad, (first + second) / 2, atol=1e-6)


PROCESS = """
import json, sys, torch
from pathlib import Path
sys.path[:0] = {paths!r}
from test_retriever_training import training
from leia.retrieval.pairs import open_pair
from accelerate.utils import gather_object
one = training([open_pair(Path({folder!r}), "a-b")], objectives={objectives!r})
one.retriever.eval()
place = ({objectives!r}, "a-b")
batch = one.next_batch(place)
own = one.retriever(batch)
own.backward()
gradients = [None if p.grad is None else p.grad.clone() for p in one.retriever.parameters()]
loss = one.backward([batch])
averaged = [p.grad for p in one.retriever.parameters()]
draws = one._streams[place].state()["rng"]
everybody = gather_object([(float(own), gradients, draws)])
lacking = one._all_have(1 - one.accelerator.process_index), one._all_have(1)
difference = max(
    float((mean - sum(of) / len(of)).abs().max())
    for mean, *of in zip(averaged, *(gradients for _, gradients, _ in everybody))
    if mean is not None
)
if one.accelerator.is_main_process:
    mean = sum(own for own, _, _ in everybody) / len(everybody)
    same = everybody[0][2] == everybody[1][2]
    Path({out!r}).write_text(json.dumps([len(everybody), difference, loss - mean, same, lacking]))
"""


@pytest.mark.parametrize("objective", [QLM, RR])
def test_two_processes_give_the_mean_gradient(tmp_path, objective):
    write_trial(tmp_path / "data", sections=7, held_out=10, seed=0)
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/retrieval")]
    names = {"folder": str(tmp_path / "data"), "out": str(tmp_path / "out.json"), "objectives": objective}
    (tmp_path / "process.py").write_text(PROCESS.format(paths=paths, **names), encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, tmp_path / "process.py"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    processes, difference, of_loss, same_draws, all_have = json.loads(
        (tmp_path / "out.json").read_text(encoding="utf-8")
    )
    assert processes == 2 and not same_draws
    assert difference < 1e-6 and abs(of_loss) < 1e-6
    assert all_have == [False, True]  # one that has nothing to restore is enough to skip the step in both
