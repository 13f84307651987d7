"""Training: the loss falls, a run that stops goes on with the same bits, and nothing that is no number is kept."""

import json
import os
import signal
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from helpers import copied, everything_in, same_bits
from short_runs import RUNS, TINY, outcome, stop_at
from strict_array import STRICT, strict

from scratchnet import backend
from scratchnet.backend import CPU, device_of, to_host
from scratchnet.checkpoint import WEIGHTS, load_arrays, load_model, load_model_with_notes, save_arrays
from scratchnet.data import splits
from scratchnet.data.drawings import Drawings
from scratchnet.errors import CheckpointError, DataError, NonFiniteError, ScratchnetError
from scratchnet.images.augment import IDENTITY, SYMMETRIES, symmetry
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot import verification
from scratchnet.optim.sgd import SGD
from scratchnet.train import LOG, RECIPE, STATE, Interrupted, load_split, train, train_step
from scratchnet.train import batches as batch_module
from scratchnet.train import loop as training
from scratchnet.train.batches import EpisodeBatches, PairBatches, stream
from scratchnet.train.gradients import GIB, Plan
from scratchnet.train.progress import Display, Progress
from scratchnet.train.recipes import RECIPES, Recipe
from scratchnet.train.state import TrainingRun

# All alphabets train, and nothing chooses.
FINAL = replace(RUNS["episodes both ways, averaged"], data="omniglot", validation_alphabets=())
every_objective = pytest.mark.parametrize("recipe", RUNS.values(), ids=RUNS)


def example(recipe, split):
    """A network, its optimiser after one good step, and the next batch."""
    batches = training.OBJECTIVES[recipe.objective](recipe, Drawings.of(split.train, 16), CPU)
    net, optimiser = training.build(recipe.architecture, seed=5), recipe.optimiser()
    train_step(net, optimiser, *batches.batch(0, 0)[:3], batches.loss)
    return net, optimiser, batches.batch(0, 1), batches.loss


# The step


@every_objective
def test_steps_on_one_batch_lower_its_loss(recipe, split):
    net, optimiser, (a, b, target, _), loss = example(replace(recipe, lr=0.02), split)
    losses = [train_step(net, optimiser, a, b, target, loss) for _ in range(25)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_loss_of_a_step_is_that_before_the_update(tiny_net, rng):
    a, b = rng.random((2, 4, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 2, 4).astype(np.float32)
    expected, _ = PairCrossEntropy().forward(tiny_net.forward(tiny_net.params, a, b, training=True)[0], labels)
    assert train_step(tiny_net, SGD(0.1), a, b, labels) == float(expected)


def test_a_step_writes_the_statistics_of_batch_norm_back(tiny_net, rng):
    a, b = rng.random((2, 4, 16, 16)).astype(np.float32)
    before = copied(tiny_net.params)
    train_step(tiny_net, SGD(0.1), a, b, rng.integers(0, 2, 4).astype(np.float32))
    running = [name for name in before if ".running_" in name]
    assert running
    assert all((tiny_net.params[name] != before[name]).any() for name in running)


@every_objective
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["a", "b", "target"])
def test_a_batch_that_is_no_number_is_refused_before_anything_changes(recipe, value, where, split, rng):
    net, optimiser, batch, loss = example(recipe, split)
    poisoned = getattr(batch, where).copy()
    poisoned.flat[rng.integers(poisoned.size)] = value
    a, b, target, _ = batch._replace(**{where: poisoned})
    params, velocity = copied(net.params), copied(optimiser.velocity)
    with pytest.raises(NonFiniteError, match=r"in the images [ab]\[" if where in "ab" else "in target"):
        train_step(net, optimiser, a, b, target, loss)
    assert same_bits(net.params, params)
    assert same_bits(optimiser.velocity, velocity)


# Batches


@every_objective
def test_a_batch_depends_on_the_seed_the_epoch_and_the_step_and_on_nothing_else(recipe, split):
    def batch(epoch, step, **changes):
        made = training.OBJECTIVES[recipe.objective](replace(recipe, **changes), Drawings.of(split.train, 16), CPU)
        return made.batch(epoch, step)

    first = batch(1, 2)
    for again in (batch(1, 2), batch(1, 2, lr=0.7, epochs=9)):
        assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    for other in (batch(1, 3), batch(2, 2), batch(1, 2, seed=12)):
        assert not np.array_equal(first.a, other.a)


def test_pairs_have_their_images_in_step_with_their_labels(split):
    batches = PairBatches(RUNS["pairs, fixed distortions"], Drawings.of(split.train, 16), CPU)
    a, b, labels, images = batches.batch(0, 0)
    assert (a.shape, b.shape, labels.shape, images) == ((6, 16, 16), (6, 16, 16), (6,), 12)
    assert {x.dtype for x in (a, b, labels)} == {np.dtype(np.float32)}
    assert batches.loss == PairCrossEntropy()

    plain = replace(RUNS["pairs, fresh distortions"], distort=False)
    batches = PairBatches(plain, Drawings.of(split.train, 16), CPU)
    drawings = [image.tobytes() for image in batches.drawings.ink(np.arange(len(batches.drawings.images)), CPU)]
    characters = {image: number // 4 for number, image in enumerate(drawings)}  # 4 drawers
    for step in range(batches.steps):
        a, b, labels, _ = batches.batch(0, step)
        same = [characters[x.tobytes()] == characters[y.tobytes()] for x, y in zip(a, b, strict=True)]
        np.testing.assert_array_equal(same, labels)


def test_fixed_copies_come_once_an_epoch_and_are_the_same_in_each(split):
    batches = PairBatches(RUNS["pairs, fixed distortions"], Drawings.of(split.train, 16), CPU)

    def shown(epoch):
        found = [batches.batch(epoch, step) for step in range(batches.steps)]
        return [x.tobytes() + y.tobytes() for batch in found for x, y in zip(batch.a, batch.b, strict=True)]

    assert batches.steps == 4  # (1 + 1) * 12 / 6
    assert len(shown(0)) == 24
    assert shown(0) != shown(1)
    assert sorted(shown(0)) == sorted(shown(1))


@every_objective
def test_distortions_are_fresh_in_every_batch_unless_they_are_fixed(recipe, split, monkeypatch):
    drawn = []

    def shown(images, transforms, **_):
        drawn.append(transforms)
        return images

    monkeypatch.setattr(batch_module, "distort", shown)
    batches = training.OBJECTIVES[recipe.objective](recipe, Drawings.of(split.train, 16), CPU)
    for epoch in range(2):
        for step in range(batches.steps):
            batches.batch(epoch, step)
    every = np.concatenate(drawn)
    distinct = {transform.tobytes() for transform in every if (transform != IDENTITY).any()}
    if recipe.fixed_distortions:
        assert len(distinct) <= 24  # 12 pairs, 2 twins, 1 copy
    else:
        assert len(distinct) > 0.95 * len(every)


FRESH = [RUNS["pairs, fresh distortions"], TINY]


@pytest.mark.parametrize("recipe", FRESH, ids=["pairs", "episodes"])
@pytest.mark.parametrize("kind", ["elastic", "stroke"])
def test_elastic_warps_and_strokes_are_drawn_afresh_and_leave_other_random_numbers_alone(
    recipe, kind, split, monkeypatch
):
    drawn = {"affine": [], "elastic": [], "stroke": []}

    def distorted(images, transforms, *, elastic=None):
        drawn["affine"].append(transforms)
        drawn["elastic"].append(elastic)
        return images

    def thickened(images, shares):
        drawn["stroke"].append(shares)
        return images

    monkeypatch.setattr(batch_module, "distort", distorted)
    monkeypatch.setattr(batch_module, "thicken", thickened)

    def shown(**changes):
        for each in drawn.values():
            each.clear()
        made = training.OBJECTIVES[recipe.objective](replace(recipe, **changes), Drawings.of(split.train, 16), CPU)
        images = [made.batch(epoch, step).a for epoch in range(2) for step in range(2)]
        return images, {name: list(each) for name, each in drawn.items()}

    plain, plain_drawn = shown()
    changed, changed_drawn = shown(**{kind: 0.25})
    np.testing.assert_array_equal(changed, plain)
    np.testing.assert_array_equal(changed_drawn["affine"], plain_drawn["affine"])
    assert plain_drawn["stroke"] == []
    assert plain_drawn["elastic"] == [None] * 4
    numbers = np.concatenate(changed_drawn[kind])
    assert len(numbers) == sum(len(each) for each in plain_drawn["affine"])
    assert len({each.tobytes() for each in numbers}) == len(numbers)
    assert numbers.min() < 0 < numbers.max()
    if kind == "stroke":
        assert 0.2 < np.abs(numbers).max() <= 0.25


@pytest.mark.parametrize("recipe", FRESH, ids=["pairs", "episodes"])
@pytest.mark.parametrize("changes", [{"elastic": 0.1}, {"stroke": 0.5}], ids=["elastic", "stroke"])
def test_elastic_warps_and_strokes_change_images_that_nothing_else_distorts(recipe, changes, split):
    def images(**options):
        options = {"distort": False, **options}
        made = training.OBJECTIVES[recipe.objective](replace(recipe, **options), Drawings.of(split.train, 16), CPU)
        return made.batch(0, 0).a.reshape(-1, 16, 16)

    changed = (images(**changes) != images()).any(axis=(1, 2))
    assert changed.all()


def test_without_affine_distortions_an_elastic_warp_is_all_there_is(split, monkeypatch):
    drawn = []
    monkeypatch.setattr(batch_module, "distort", lambda images, transforms, **_: (drawn.append(transforms), images)[1])
    EpisodeBatches(replace(TINY, distort=False, elastic=0.1), Drawings.of(split.train, 16), CPU).batch(0, 0)
    np.testing.assert_array_equal(drawn[0], np.tile(IDENTITY, (20, 1)))


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_recipe_says_whether_supports_choose_too(both_ways, split):
    recipe = replace(TINY, both_ways=both_ways)
    assert EpisodeBatches(recipe, Drawings.of(split.train, 16), CPU).loss == NWayCrossEntropy(both_ways)


@pytest.mark.parametrize("episodes", [3, 8, 11])
def test_each_episode_is_turned_as_a_whole_and_eight_in_a_row_all_differently(episodes, split):
    def batch(epoch, **changes):
        recipe = replace(TINY, distort=False, batch_size=episodes, **changes)
        return EpisodeBatches(recipe, Drawings.of(split.train, 16), CPU).batch(epoch, 0)

    def turns(epoch):
        """Which symmetry was applied to each episode, to all its queries and supports."""
        (a, b, *_), (plain_a, plain_b, *_) = batch(epoch, symmetries=True), batch(epoch)
        return [
            [
                number
                for number, each in enumerate(SYMMETRIES)
                if np.array_equal(a[e], symmetry(plain_a[e], *each))
                and np.array_equal(b[e], symmetry(plain_b[e], *each))
            ]
            for e in range(episodes)
        ]

    found = turns(0)
    assert [len(fitting) for fitting in found] == [1] * episodes
    for start in range(0, episodes, 8):
        in_a_row = [number for (number,) in found[start : start + 8]]
        assert len(set(in_a_row)) == len(in_a_row)
    assert found != turns(1)


def test_the_streams_of_random_numbers_keep_their_numbers():
    """Or the same recipe and seed would not give the same batches any more."""
    purposes = "PAIRS ORDER EPISODES DISTORTIONS FRESH_DISTORTIONS VALIDATION CALIBRATION ELASTIC STROKES TURNS"
    assert [getattr(batch_module, purpose) for purpose in purposes.split()] == list(range(1, 11))


def test_an_episode_asks_for_each_of_its_characters_once(split):
    batches = EpisodeBatches(replace(TINY, distort=False), Drawings.of(split.train, 16), CPU)
    a, b, target, images = batches.batch(0, 0)
    assert (a.shape, b.shape) == ((2, 1, 1, 5, 1, 16, 16), (2, 1, 1, 1, 5, 16, 16))
    assert images == 20
    assert batches.loss == NWayCrossEntropy()
    np.testing.assert_array_equal(target, np.broadcast_to(np.eye(5), (2, 1, 1, 5, 5)))
    shown = characters_shown(batches)
    queries, supports = [[shown(image) for image in episode] for episode in (a[:, 0, 0, :, 0], b[:, 0, 0, 0])]
    assert queries == supports
    assert all(len(set(episode)) == 5 for episode in queries)


def characters_shown(batches: EpisodeBatches):
    """What tells the characters that a row of undistorted images shows."""
    drawings = [image.tobytes() for image in batches.drawings.ink(np.arange(len(batches.drawings.images)), CPU)]
    characters = {image: number // 4 for number, image in enumerate(drawings)}
    return lambda images: [characters[image.tobytes()] for image in images]


def test_with_several_hands_each_query_is_asked_in_each_hand_against_each_hand_of_the_supports(split):
    batches = EpisodeBatches(replace(TINY, distort=False, hands=2), Drawings.of(split.train, 16), CPU)
    a, b, target, images = batches.batch(0, 0)
    assert (a.shape, b.shape) == ((2, 2, 1, 5, 1, 16, 16), (2, 1, 2, 1, 5, 16, 16))
    assert images == 40
    np.testing.assert_array_equal(target, np.broadcast_to(np.eye(5), (2, 2, 2, 5, 5)))
    shown = characters_shown(batches)
    for episode in range(2):
        rows = [*a[episode, :, 0, :, 0], *b[episode, 0, :, 0]]
        assert len({tuple(shown(row)) for row in rows}) == 1
        assert len({image.tobytes() for row in rows for image in row}) == 20  # four hands, five characters


# A run


def test_the_loss_of_a_run_falls_epoch_by_epoch(split, tmp_path):
    recipe = replace(
        TINY,
        epochs=3,
        steps=15,
        batch_size=4,
        lr_decay=1.0,
        distort=False,
        architecture={**TINY.architecture, "width": 4, "features": 16},
    )
    train(recipe, split, tmp_path, quiet=True)
    losses = [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert losses[0] > losses[1] > losses[2]


@every_objective
def test_a_run_folder_holds_the_recipe_the_best_network_the_state_and_a_log(recipe, split, tmp_path):
    net = train(recipe, split, tmp_path / "deep" / "run", quiet=True)
    out = tmp_path / "deep" / "run"
    assert sorted(path.name for path in out.iterdir()) == sorted([RECIPE, WEIGHTS, STATE, LOG])
    assert Recipe.read(out / RECIPE) == recipe
    loaded, notes = load_model_with_notes(out)
    assert same_bits(loaded.params, net.params)
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2, 3]
    assert notes["recipe"] == recipe.as_dict()
    assert notes["validation"] == max(record["validation"] for record in log)


def test_a_run_writes_no_pickle(split, tmp_path):
    train(replace(TINY, epochs=1), split, tmp_path, quiet=True)
    for name in (WEIGHTS, STATE):
        with zipfile.ZipFile(tmp_path / name) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    assert not np.lib.format.read_array(file, allow_pickle=False).dtype.hasobject


@every_objective
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(recipe, split, tmp_path):
    for name, seed in (("a", 11), ("b", 11), ("c", 12)):
        train(replace(recipe, epochs=1, seed=seed), split, tmp_path / name, quiet=True)
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")
    assert outcome(tmp_path / "a")[0] != outcome(tmp_path / "c")[0]


def test_training_runs_on_any_device_and_agrees_with_the_cpu(split, tmp_path, device):
    recipe = replace(RUNS["pairs, fixed distortions"], epochs=1)
    net = train(recipe, split, tmp_path / "device", device, quiet=True)
    reference = train(recipe, split, tmp_path / "cpu", "cpu", quiet=True)
    assert {device_of(value).name for value in net.params.values()} == {device.name}
    for name, value in reference.params.items():
        np.testing.assert_allclose(to_host(net.params[name]), value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_schedules_follow_the_epoch(split, tmp_path, steps):
    settings = []
    steps.then = lambda _: settings.append(steps[-1][1].settings("head.weight"))
    recipe = replace(RUNS["pairs, fresh distortions"], momentum=0.9)
    train(recipe, split, tmp_path, quiet=True)
    np.testing.assert_allclose(np.array(settings)[::4], [[0.05, 0.5, 1e-4], [0.025, 0.7, 1e-4], [0.0125, 0.9, 1e-4]])
    assert settings == [one for one in settings[::4] for _ in range(4)]
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [record["lr"] for record in log] == [0.05, 0.025, 0.0125]


def test_the_log_has_the_mean_loss_of_each_epoch(split, tmp_path, steps):
    train(TINY, split, tmp_path, quiet=True)
    logged = [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()]
    losses = np.array([loss for _, _, loss in steps]).reshape(3, 4)
    np.testing.assert_allclose(logged, losses.mean(axis=1), rtol=1e-12)


def scripted(monkeypatch, accuracies):
    """Validation that finds these accuracies, in percent; returns the parameters that it was shown."""
    shown = []

    def evaluate(net, _runs):
        shown.append(copied(net.params))
        return oneshot.Result(accuracies[len(shown) - 1], 100)

    monkeypatch.setattr(oneshot, "evaluate", evaluate)
    return shown


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs", "best"),
    [
        ([10, 40, 30, 35, 39], 3, 5, 2),  # three epochs without a better one
        ([10, 40, 40, 40], 2, 4, 2),  # as good is not better: the first one stays
        ([50, 40, 30], 20, 3, 1),  # the end of the recipe comes first
        ([10, 20, 15, 30, 20], 2, 5, 4),  # a better one starts the waiting anew
    ],
)
def test_training_ends_without_progress_and_keeps_the_best_network(
    accuracies, patience, epochs, best, split, tmp_path, monkeypatch
):
    recipe = replace(TINY, epochs=3 if patience == 20 else 5, patience=patience)
    shown = scripted(monkeypatch, accuracies)
    net = train(recipe, split, tmp_path, quiet=True)
    assert len(shown) == epochs
    bias = {"head.bias": net.params["head.bias"]}  # which a network trained on episodes gets when it is saved
    assert same_bits(net.params, shown[best - 1] | bias)
    assert load_model_with_notes(tmp_path)[1]["epoch"] == best


def test_a_recipe_that_keeps_the_last_epoch_waits_for_no_better_one(split, tmp_path, monkeypatch):
    shown = scripted(monkeypatch, [50, 40, 30])
    net = train(replace(TINY, epochs=3, patience=1, keep="last"), split, tmp_path, quiet=True)
    assert len(shown) == 3
    assert same_bits(net.params, shown[2] | {"head.bias": net.params["head.bias"]})
    assert load_model_with_notes(tmp_path)[1]["epoch"] == 3


def test_the_learning_rate_follows_half_a_cosine_and_keeps_to_it_within_an_epoch(split, tmp_path, steps):
    rates = []
    steps.then = lambda _: rates.append(steps[-1][1].settings("head.weight")[0])
    recipe = replace(TINY, schedule="cosine", lr_decay=1.0)
    train(recipe, split, tmp_path, quiet=True)
    expected = [0.05, 0.05 * 0.75, 0.05 * 0.25]  # 1 + cos of 0, 60 and 120 degrees
    np.testing.assert_allclose(rates, np.repeat(expected, 4), rtol=1e-12)
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    np.testing.assert_allclose([record["lr"] for record in log], expected, rtol=1e-12)


# The running average


@pytest.mark.parametrize("best", [1, 2, 3])
def test_the_averaged_network_is_the_one_that_is_validated_kept_and_returned(best, split, tmp_path, monkeypatch, steps):
    recipe = replace(TINY, weight_average=0.8)
    taken = [copied(training.build(recipe.architecture, seed=recipe.seed).params)]
    steps.then = lambda _: taken.append(copied(steps[-1][0].params))
    validated = scripted(monkeypatch, [30 if epoch == best else 20 for epoch in (1, 2, 3)])
    net = train(recipe, split, tmp_path, quiet=True)

    average = [{name: value.astype(np.float64) for name, value in taken[0].items()}]
    for step, params in enumerate(taken[1:]):
        decay = min(0.8, (1 + step) / (10 + step))
        average.append({name: decay * average[-1][name] + (1 - decay) * value for name, value in params.items()})
    for epoch, shown in enumerate(validated, start=1):
        for name, value in shown.items():
            np.testing.assert_allclose(value, average[4 * epoch][name], rtol=1e-4, atol=1e-6, err_msg=name)
        for name in ("encoder.conv1.weight", "encoder.norm1.running_var", "head.weight"):
            assert np.abs(shown[name] - taken[4 * epoch][name]).max() > 1e-3
    bias = {"head.bias": net.params["head.bias"]}  # which a network trained on episodes gets when it is saved
    assert same_bits(net.params, validated[best - 1] | bias)
    assert same_bits(load_model(tmp_path).params, net.params)


def test_the_state_holds_the_weights_and_their_average(split, tmp_path, steps):
    train(replace(TINY, weight_average=0.8), split, tmp_path, quiet=True)
    arrays, _ = load_arrays(tmp_path / STATE)
    parts = {part: {name for name in arrays if name.startswith(part)} for part in ("params/", "average/")}
    assert {name.removeprefix("average/") for name in parts["average/"]} == set(steps[-1][0].params)
    for name, value in steps[-1][0].params.items():
        np.testing.assert_array_equal(arrays[f"params/{name}"], value)
    running = [name for name in arrays if name.startswith("average/") and ".running_" in name]
    assert running
    assert all((arrays[name] != arrays[name.replace("average/", "params/")]).any() for name in running)


def test_an_average_does_not_change_how_the_weights_are_trained(split, tmp_path, steps):
    for name, decay in (("averaged", 0.9), ("plain", 0.0)):
        train(replace(TINY, weight_average=decay), split, tmp_path / name, quiet=True)
    averaged, plain = (load_arrays(tmp_path / name / STATE)[0] for name in ("averaged", "plain"))
    assert not [name for name in plain if name.startswith("average/")]
    assert all(np.array_equal(averaged[name], value) for name, value in plain.items())
    assert not same_bits(load_model(tmp_path / "averaged").params, load_model(tmp_path / "plain").params)


# Nothing to choose by


def test_without_a_validation_the_network_of_the_last_epoch_is_the_result(split, tmp_path, monkeypatch):
    monkeypatch.setattr(oneshot, "evaluate", lambda *_: pytest.fail("there is nothing to validate by"))
    net = train(replace(FINAL, patience=1), replace(split, validation=[]), tmp_path, quiet=True)
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [(record["epoch"], record["validation"]) for record in log] == [(1, None), (2, None), (3, None)]
    loaded, notes = load_model_with_notes(tmp_path)
    assert (notes["epoch"], notes["validation"]) == (3, None)
    assert same_bits(loaded.params, net.params)
    arrays, _ = load_arrays(tmp_path / STATE)
    assert all(np.array_equal(arrays[f"average/{name}"], v) for name, v in net.params.items() if name != "head.bias")


def test_without_a_validation_every_epoch_writes_its_network(split, tmp_path):
    for epoch in (1, 2, 3):
        train(FINAL, split, tmp_path, minutes=0, resume=epoch > 1, quiet=True)
        assert load_model_with_notes(tmp_path)[1]["epoch"] == epoch


def test_without_a_validation_the_bias_is_found_on_training_drawings(split, tmp_path, monkeypatch):
    shown, calibrated = [], verification.calibrated

    def recorded(net, alphabets, **options):
        shown.append(alphabets)
        return calibrated(net, alphabets, **options)

    monkeypatch.setattr(verification, "calibrated", recorded)
    net = train(replace(FINAL, epochs=1), split, tmp_path / "final", quiet=True)
    train(replace(FINAL, data="glyphs", epochs=1), split, tmp_path / "chosen", quiet=True)
    assert [alphabets is split.train for alphabets in shown] == [True, False]
    assert shown[1] is split.validation
    assert to_host(net.params["head.bias"]).any()


def test_a_run_without_a_validation_goes_on_to_the_same_bits(split, tmp_path, steps):
    train(FINAL, split, tmp_path / "whole", quiet=True)
    for number in (2, 8):  # within an epoch, and at the end of one
        steps.then = stop_at(12 + number)
        with pytest.raises(Interrupted):
            train(FINAL, split, tmp_path / "stopped", resume=number > 2, quiet=True)
    train(FINAL, split, tmp_path / "stopped", resume=True, quiet=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_a_run_without_a_validation_says_so_in_every_line(split, tmp_path, capsys):
    train(FINAL, split, tmp_path)
    first, second, *epochs = capsys.readouterr().err.splitlines()
    assert first.startswith("recipe glyphs, seed 11")
    assert second == "no validation: all 3 alphabets train, and the network of the last epoch is the result"
    assert len(epochs) == 3
    assert all("  no validation  " in line for line in epochs)


def test_an_ended_run_stays_ended_when_resumed(split, tmp_path, monkeypatch):
    scripted(monkeypatch, [50, 40, 30])
    net = train(replace(TINY, patience=1), split, tmp_path, quiet=True)
    before = everything_in(tmp_path)
    assert same_bits(train(replace(TINY, patience=1), split, tmp_path, resume=True, quiet=True).params, net.params)
    assert everything_in(tmp_path) == before


# Stopping and going on


@pytest.fixture(scope="module")
def uninterrupted(split, tmp_path_factory):
    """What each of RUNS leaves behind when nothing stops it."""
    outcomes = {}
    for name, recipe in RUNS.items():
        out = tmp_path_factory.mktemp("whole")
        train(recipe, split, out, quiet=True)
        outcomes[name] = outcome(out)
    return outcomes


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("number", [1, 4, 6, 12])
def test_a_run_interrupted_after_any_step_goes_on_to_the_same_bits(
    name, number, split, tmp_path, steps, uninterrupted, capsys
):
    steps.then = stop_at(number)
    epoch, step = divmod(number - 1, 4)
    with pytest.raises(Interrupted, match=f"stopped in epoch {epoch + 1} after step {step + 1}, state saved"):
        train(RUNS[name], split, tmp_path)
    assert len(steps) == number
    train(RUNS[name], split, tmp_path, resume=True)
    assert len(steps) == 12
    assert outcome(tmp_path) == uninterrupted[name]
    assert capsys.readouterr().out == ""


def test_a_run_interrupted_again_and_again_goes_on_to_the_same_bits(split, tmp_path, steps, uninterrupted):
    steps.then = lambda _: os.kill(os.getpid(), signal.SIGINT)
    for number in range(12):
        with pytest.raises(Interrupted):
            train(RUNS["episodes"], split, tmp_path, resume=number > 0, quiet=True)
    train(RUNS["episodes"], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == uninterrupted["episodes"]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_ran_out_of_time_goes_on_to_the_same_bits(name, split, tmp_path, steps, uninterrupted):
    train(RUNS[name], split, tmp_path, minutes=0, quiet=True)
    assert len(steps) == 4
    train(RUNS[name], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == uninterrupted[name]


def test_a_run_with_time_enough_is_not_cut_short(split, tmp_path, steps):
    train(TINY, split, tmp_path, minutes=60, quiet=True)
    assert len(steps) == 12


def test_a_run_killed_before_it_could_save_goes_on_from_the_last_state(split, tmp_path, steps, uninterrupted):
    def die(taken):
        if taken == 7:
            raise RuntimeError("power cut")

    steps.then = die
    with pytest.raises(RuntimeError, match="power cut"):
        train(RUNS["episodes"], split, tmp_path, quiet=True)
    train(RUNS["episodes"], split, tmp_path, resume=True, quiet=True)
    assert len(steps) == 7 + 8
    assert outcome(tmp_path) == uninterrupted["episodes"]


def test_an_interrupt_during_validation_stops_after_the_epoch(split, tmp_path, monkeypatch, uninterrupted):
    evaluate = oneshot.evaluate

    def interrupted(net, runs):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate(net, runs)

    with monkeypatch.context() as patch:
        patch.setattr(oneshot, "evaluate", interrupted)
        with pytest.raises(Interrupted, match="stopped after epoch 1, state saved"):
            train(RUNS["episodes"], split, tmp_path, quiet=True)
    train(RUNS["episodes"], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == uninterrupted["episodes"]


# On a device that computes while Python goes on

UNWATCHED = {"epochs": 1, "data": "omniglot", "validation_alphabets": ()}  # nothing but steps
LONG = {  # of 9 steps, on the host's kernels about a second each
    "pairs, fixed distortions": replace(TINY, objective="pairs", pairs=9, fixed_distortions=1, **UNWATCHED),
    "pairs, fresh distortions": replace(TINY, objective="pairs", pairs=18, elastic=0.05, stroke=0.5, **UNWATCHED),
    "episodes": replace(
        TINY,
        steps=9,
        n_way=2,
        batch_size=1,
        hands=2,
        symmetries=True,
        both_ways=True,
        elastic=0.05,
        stroke=0.5,
        weight_average=0.9,
        **UNWATCHED,
    ),
}
on_stand_ins = pytest.mark.parametrize("device", ["strict", "kernels"], indirect=True)
on_strict = pytest.mark.parametrize("device", ["strict"], indirect=True)


@pytest.fixture
def traffic(monkeypatch):
    """How often the stand-in was waited for before each batch and before the epoch was recorded; and, of each batch,
    the bytes of all its uploads and those of its images."""
    waits, batches = [], []
    strict.synchronisations, batch = 0, {kind: kind.batch for kind in (PairBatches, EpisodeBatches)}
    strict.uploads.clear()

    def watched(self, epoch, step):
        waits.append(strict.synchronisations)
        before = len(strict.uploads)
        made = batch[type(self)](self, epoch, step)
        batches.append((strict.uploads[before:], made.images * 16 * 16))
        return made

    def recorded(*arguments):
        waits.append(strict.synchronisations)
        return record(*arguments)

    record = TrainingRun.record
    monkeypatch.setattr(TrainingRun, "record", recorded)
    for kind in batch:
        monkeypatch.setattr(kind, "batch", watched)
    return waits, batches


@on_stand_ins
@pytest.mark.parametrize("recipe", LONG.values(), ids=LONG)
def test_a_device_brings_its_drawings_once_and_is_waited_for_only_where_losses_are_read(
    recipe, device, split, tmp_path, traffic, monkeypatch
):
    monkeypatch.setattr(training, "READ_EVERY", 4)
    train(recipe, split, tmp_path, device, quiet=True)
    waits, batches = traffic
    steps = [step // training.READ_EVERY for step in range(9)]
    assert waits == [*steps, steps[-1] + 2]  # the last losses, and whether all weights are numbers
    assert strict.uploads.count(Drawings.of(split.train, 16).images.nbytes) == 1
    assert len(batches) == 9
    for uploads, images in batches:
        assert 0 < sum(uploads) < images


@on_strict
@pytest.mark.parametrize("name", ["pairs, fixed distortions", "episodes both ways, averaged"])
def test_losses_that_are_read_later_are_the_same(name, device, split, tmp_path, monkeypatch):
    recipe = replace(RUNS[name], epochs=2)
    train(recipe, split, tmp_path / "later", device, quiet=True)
    waiting = replace(STRICT, asynchronous=False)
    monkeypatch.setitem(backend.device._devices, "strict", waiting)
    train(recipe, split, tmp_path / "at once", waiting, quiet=True)
    assert outcome(tmp_path / "later") == outcome(tmp_path / "at once")


@on_strict
def test_a_run_stopped_between_two_reads_goes_on_to_the_same_bits(device, split, tmp_path, steps, monkeypatch):
    monkeypatch.setattr(training, "READ_EVERY", 2)
    recipe, stops = replace(RUNS["episodes both ways, averaged"], steps=5, epochs=2), (1, 4, 8)
    train(recipe, split, tmp_path / "whole", device, quiet=True)
    for number in stops:
        steps.then = stop_at(10 + number)
        with pytest.raises(Interrupted):
            train(recipe, split, tmp_path / "stopped", device, resume=number > stops[0], quiet=True)
        assert len(load_arrays(tmp_path / "stopped" / STATE)[1]["losses"]) == number % 5
    train(recipe, split, tmp_path / "stopped", device, resume=True, quiet=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


@on_strict
@pytest.mark.parametrize("signalled", [False, True])
def test_a_loss_that_is_read_late_and_is_no_number_is_not_saved(signalled, device, split, tmp_path, steps):
    def poison_weights(taken):
        if taken == 6:
            poison(steps[-1][0].params["head.bias"])
        if taken == 7 and signalled:
            os.kill(os.getpid(), signal.SIGINT)

    steps.then = poison_weights
    refusal = refusal_of(NonFiniteError, TINY, split, tmp_path, device=device)
    assert refusal.startswith("step 3 of epoch 2: head, forward: NaN")
    assert len(steps) == (7 if signalled else 8)
    assert load_arrays(tmp_path / STATE)[1]["epoch"] == 1
    assert np.isfinite(load_model(tmp_path).params["head.bias"]).all()


def test_the_progress_bar_waits_for_the_first_losses(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = Progress(unread=[np.float32(9)])
    with Display(TINY, 4, progress, quiet=False) as display:
        display.batch(progress, 4)
        assert "loss" not in display.bar.postfix
        assert "images/s" in display.bar.postfix
        progress.losses += [2.0, 3.0]
        display.batch(progress, 4)
        assert display.bar.postfix.startswith("loss 2.500, ")


# Under a memory cap

PLAIN = replace(
    RUNS["pairs, fixed distortions"],
    architecture={"name": "koch2015", "image_size": 65, "channels": [2, 2, 2, 2], "features": 4},
)


@pytest.fixture
def in_pieces_of_two(monkeypatch):
    """Whatever the cap, batches are cut into pieces of two; the caps asked for, in bytes."""
    caps = []

    def cut(_net, _optimiser, _loss, batch, cap):
        caps.append(cap)
        return Plan(len(batch.target) // 2, 2, 4, 1.5 * GIB)

    monkeypatch.setattr(training, "plan", cut)
    return caps


def test_a_run_under_a_cap_takes_pieces_and_ends_as_one_without(split, tmp_path, steps, in_pieces_of_two, capsys):
    train(PLAIN, split, tmp_path / "whole", quiet=True)
    whole = [loss for _, _, loss in steps]
    assert (in_pieces_of_two, steps[0][0].embed_batch) == ([], 128)
    steps.clear()
    train(PLAIN, split, tmp_path / "cut", memory=2)
    assert in_pieces_of_two == [2 * GIB]
    assert {net.embed_batch for net, _, _ in steps} == {4}
    assert "batches of 6 in pieces of 2 (3 a batch), forecast: 1.50 GiB" in capsys.readouterr().err.splitlines()
    np.testing.assert_allclose([loss for _, _, loss in steps], whole, rtol=1e-4)


@pytest.mark.usefixtures("in_pieces_of_two")
@pytest.mark.parametrize(("memory", "cap"), [(2, 2 * GIB), (None, np.inf)])
def test_the_cap_is_one_for_the_drawings_too(memory, cap, split, tmp_path, monkeypatch):
    caps = []

    def moved(self, device, *, memory):
        caps.append((device, memory))
        return self

    monkeypatch.setattr(Drawings, "to_device", moved)
    train(replace(PLAIN, epochs=1, pairs=3), split, tmp_path, quiet=True, memory=memory)
    assert caps == [(CPU, cap)]


def test_a_run_may_go_on_under_another_cap_or_none(split, tmp_path, steps, in_pieces_of_two):
    train(PLAIN, split, tmp_path / "whole", quiet=True)
    whole = [loss for _, _, loss in steps]
    steps.clear()
    for number, memory in enumerate((None, 2, None)):
        train(PLAIN, split, tmp_path / "run", minutes=0, resume=number > 0, quiet=True, memory=memory)
    assert in_pieces_of_two == [2 * GIB]
    np.testing.assert_allclose([loss for _, _, loss in steps], whole, rtol=1e-4)


# What is refused


def refusal_of(kind, *arguments, **options):
    with pytest.raises(kind) as refusal:
        train(*arguments, quiet=True, **options)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.fixture
def finished(split, tmp_path):
    train(replace(TINY, epochs=1), split, tmp_path / "run", quiet=True)
    return tmp_path / "run"


def test_a_folder_with_a_run_is_refused_and_left_alone(finished, split):
    before = everything_in(finished)
    message = refusal_of(CheckpointError, TINY, split, finished)
    assert f"{finished} holds a run already: go on with --resume" in message
    assert everything_in(finished) == before


def test_a_folder_without_a_run_cannot_be_resumed(split, tmp_path):
    message = refusal_of(CheckpointError, TINY, split, tmp_path / "absent", resume=True)
    assert "absent holds no run to resume: start it without --resume" in message
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.25}, "was trained with lr=0.05, not lr=0.25"),
        ({"seed": 4}, "was trained with seed=11, not seed=4"),
        ({"architecture": {**TINY.architecture, "width": 3}}, "was trained with architecture="),
        ({"objective": "pairs", "pairs": 12}, "was trained with objective=episodes, not objective=pairs"),
    ],
)
def test_another_recipe_cannot_resume_a_run(change, message, finished, split):
    before = everything_in(finished)
    assert message in refusal_of(CheckpointError, replace(TINY, epochs=1, **change), split, finished, resume=True)
    assert everything_in(finished) == before


def changed_state(out, change):
    arrays, description = load_arrays(out / STATE)
    del description["version"]
    change(arrays, description)
    save_arrays(out / STATE, arrays, description)


def poison(array):
    array[-1] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, saved: saved.pop("history"), "is no state of a run (the state has no history)"),
        (lambda arrays, saved: arrays.pop("params/head.weight"), "has no head.weight"),
        (lambda arrays, saved: poison(arrays["params/head.weight"]), "has a NaN or an infinity in head.weight"),
        (lambda arrays, saved: poison(arrays["velocity/head.bias"]), "has a NaN or an infinity in head.bias"),
        (lambda arrays, saved: arrays.pop("average/head.weight"), "has no head.weight"),
        (lambda arrays, saved: arrays.update({"velocity/tail.bias": arrays["velocity/head.bias"]}), "has tail.bias"),
        (
            lambda arrays, saved: arrays.update({"velocity/head.bias": arrays["velocity/head.weight"]}),
            "has head.bias as",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_left_alone(change, message, split, tmp_path):
    recipe, finished = replace(TINY, epochs=1, weight_average=0.9), tmp_path / "run"
    train(recipe, split, finished, quiet=True)
    changed_state(finished, change)
    before = everything_in(finished)
    assert message in refusal_of(CheckpointError, recipe, split, finished, resume=True)
    assert everything_in(finished) == before


def test_a_damaged_state_is_refused_and_left_alone(finished, split):
    damaged = bytearray((finished / STATE).read_bytes())
    damaged[len(damaged) // 2] ^= 4
    (finished / STATE).write_bytes(damaged)
    assert "use another copy" in refusal_of(CheckpointError, replace(TINY, epochs=1), split, finished, resume=True)
    assert (finished / STATE).read_bytes() == damaged


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (DataError, {"objective": "pairs", "pairs": 7, "batch_size": 8}, "a batch of 8 is larger than the 7 pairs"),
        (DataError, {"n_way": 7}, "episodes of 7 characters"),
        (ScratchnetError, {"per_layer": {"encoder.conv9": {"lr": 0.1}}}, "per_layer sets encoder.conv9"),
        (ScratchnetError, {"architecture": {"name": "compact", "colour": 1}}, "does not take these options"),
    ],
)
def test_a_recipe_that_does_not_fit_the_data_is_refused_before_a_folder_is_made(kind, change, message, split, tmp_path):
    assert message in refusal_of(kind, replace(TINY, **change), split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_little_memory_is_refused_before_a_folder_is_made(split, tmp_path):
    assert "the smallest step takes about" in refusal_of(ScratchnetError, PLAIN, split, tmp_path / "run", memory=1e-3)
    assert "batch norm sees the whole batch" in refusal_of(ScratchnetError, TINY, split, tmp_path / "run", memory=1e-3)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_split_without_alphabets_is_refused_before_a_folder_is_made(part, split, tmp_path):
    for recipe in (TINY, replace(TINY, data="omniglot", validation_alphabets=("Korean",))):
        assert "no alphabets to" in refusal_of(DataError, recipe, replace(split, **{part: []}), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_training_with_the_last_state_kept(split, tmp_path, steps):
    def poison_weights(taken):
        if taken == 6:
            poison(steps[-1][0].params["head.bias"])

    steps.then = poison_weights
    assert refusal_of(NonFiniteError, TINY, split, tmp_path).startswith("step 3 of epoch 2: head, forward: NaN")
    assert len(steps) == 6
    assert load_arrays(tmp_path / STATE)[1]["epoch"] == 1
    assert np.isfinite(load_model(tmp_path).params["head.bias"]).all()


@pytest.mark.parametrize("device", ["cpu", "strict"], indirect=True)
@pytest.mark.parametrize("signalled", [False, True])
def test_weights_that_are_no_number_are_never_saved(signalled, device, split, tmp_path, steps):
    def poison_weights(taken):
        if taken == 8:  # the last step of an epoch: no loss would show it
            poison(steps[-1][0].params["head.bias"])
            if signalled:
                os.kill(os.getpid(), signal.SIGINT)

    steps.then = poison_weights
    assert "head.bias has a NaN or an infinity" in refusal_of(NonFiniteError, TINY, split, tmp_path, device=device)
    assert load_arrays(tmp_path / STATE)[1]["epoch"] == 1
    steps.then = lambda taken: None
    train(TINY, split, tmp_path, device, resume=True, quiet=True)


# What it says, and where its data are from


def test_progress_is_a_line_an_epoch_on_stderr_and_nothing_when_quiet(split, tmp_path, capsys):
    train(TINY, split, tmp_path / "told")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 4
    assert lines[0] == f"recipe glyphs, seed 11, run folder {tmp_path / 'told'}"
    assert [line.split("loss")[0].split() for line in lines[1:]] == [["epoch", f"{k}/3"] for k in (1, 2, 3)]
    train(TINY, split, tmp_path / "quiet", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_the_recipe_says_which_data_are_loaded(monkeypatch, tmp_path):
    for name, count in (("GLYPH_TRAIN", 2), ("GLYPH_VALIDATION", 1), ("GLYPH_TEST", 1)):
        monkeypatch.setattr(splits, name, count)
    split = load_split(TINY)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [2, 1, 1]
    assert split.train[0].images.shape[-2:] == (16, 16)
    with pytest.raises(DataError, match="images_background"):
        load_split(RECIPES["quick"], tmp_path)


def test_every_purpose_epoch_and_step_has_random_numbers_of_its_own():
    keys = [
        (seed, purpose, epoch, step) for seed in (0, 5) for purpose in (1, 4) for epoch in (0, 1) for step in (0, 1)
    ]
    drawn = {key: tuple(stream(*key).integers(2**62, size=2)) for key in keys}
    assert len(set(drawn.values())) == len(keys)
    assert tuple(np.random.default_rng(5).integers(2**62, size=2)) not in drawn.values()  # which draws the weights
