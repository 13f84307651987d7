"""Batches: the seed, the epoch and the step determine them, and each kind shows what its recipe asks for."""

from dataclasses import replace

import numpy as np
import pytest
from short_runs import RUNS, TINY, every_objective

from scratchnet.backend import CPU
from scratchnet.data.drawings import Drawings
from scratchnet.data.uneven import UnevenAlphabet
from scratchnet.images.augment import IDENTITY, SYMMETRIES, symmetry
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.train import batches as batch_module
from scratchnet.train.batches import OBJECTIVES, EpisodeBatches, PairBatches, stream


@every_objective
def test_a_batch_depends_only_on_the_seed_the_epoch_and_the_step(recipe, split):
    def batch(epoch, step, **changes):
        made = OBJECTIVES[recipe.objective](replace(recipe, **changes), Drawings.of(split.train, 16), CPU)
        return made.batch(epoch, step)

    first = batch(1, 2)
    for again in (batch(1, 2), batch(1, 2, lr=0.7, epochs=9)):
        assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    for other in (batch(1, 3), batch(2, 2), batch(1, 2, seed=12)):
        assert not np.array_equal(first.a, other.a)


def test_the_images_of_pairs_match_their_labels(split):
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


def test_fixed_copies_come_once_per_epoch_and_are_the_same_in_each(split):
    batches = PairBatches(RUNS["pairs, fixed distortions"], Drawings.of(split.train, 16), CPU)

    def shown(epoch):
        found = [batches.batch(epoch, step) for step in range(batches.steps)]
        return [x.tobytes() + y.tobytes() for batch in found for x, y in zip(batch.a, batch.b, strict=True)]

    assert batches.steps == 4  # (1 + 1) * 12 / 6
    assert len(shown(0)) == 24
    assert shown(0) != shown(1)
    assert sorted(shown(0)) == sorted(shown(1))


def test_epochs_of_fewer_pairs_go_through_the_set_and_its_copies_once_a_pass(split):
    whole = RUNS["pairs, fixed distortions"]  # 24 pairs and copies, in batches of 6
    passes, parts = (
        PairBatches(replace(whole, epoch_pairs=pairs), Drawings.of(split.train, 16), CPU) for pairs in (0, 19)
    )
    assert (passes.steps, parts.steps) == (4, 3)
    for number in range(9):
        one, other = passes.batch(*divmod(number, 4)), parts.batch(*divmod(number, 3))
        assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


def test_different_pairs_across_alphabets_are_of_two(split):
    recipe = replace(RUNS["pairs, fixed distortions"], negatives="across")
    pairs = PairBatches(recipe, Drawings.of(split.train, 16), CPU).pairs
    alphabets = [numbers // (6 * 4) for numbers in (pairs.first, pairs.second)]  # 6 characters by 4 drawers
    np.testing.assert_array_equal(alphabets[0] == alphabets[1], pairs.labels == 1)


def test_distortions_in_another_order_are_other_batches(split):
    for name in ("pairs, fixed distortions", "pairs, fresh distortions", "episodes"):
        recipe = RUNS[name]
        first, other = (
            OBJECTIVES[recipe.objective](replace(recipe, as_listed=listed), Drawings.of(split.train, 16), CPU)
            for listed in (False, True)
        )
        a, b = first.batch(0, 0).a, other.batch(0, 0).a
        assert a.shape == b.shape
        assert not np.array_equal(a, b)


@every_objective
def test_distortions_are_fresh_in_every_batch_unless_they_are_fixed(recipe, split, monkeypatch):
    drawn = []

    def shown(images, transforms, **_):
        drawn.append(transforms)
        return images

    monkeypatch.setattr(batch_module, "distort", shown)
    batches = OBJECTIVES[recipe.objective](recipe, Drawings.of(split.train, 16), CPU)
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
def test_elastic_warps_and_strokes_are_new_in_every_batch_and_leave_other_random_numbers_alone(
    recipe, kind, split, monkeypatch
):
    drawn = {"affine": [], "elastic": [], "stroke": []}

    def distorted(images, transforms, elastic=None, **_):
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
        made = OBJECTIVES[recipe.objective](replace(recipe, **changes), Drawings.of(split.train, 16), CPU)
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
        made = OBJECTIVES[recipe.objective](replace(recipe, **options), Drawings.of(split.train, 16), CPU)
        return made.batch(0, 0).a.reshape(-1, 16, 16)

    changed = (images(**changes) != images()).any(axis=(1, 2))
    assert changed.all()


def test_an_elastic_warp_without_affine_distortions_comes_alone(split, monkeypatch):
    drawn = []

    def shown(images, transforms, **_):
        drawn.append(transforms)
        return images

    monkeypatch.setattr(batch_module, "distort", shown)
    EpisodeBatches(replace(TINY, distort=False, elastic=0.1), Drawings.of(split.train, 16), CPU).batch(0, 0)
    np.testing.assert_array_equal(drawn[0], np.tile(IDENTITY, (20, 1)))


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_recipe_says_whether_supports_also_choose(both_ways, split):
    recipe = replace(TINY, both_ways=both_ways)
    assert EpisodeBatches(recipe, Drawings.of(split.train, 16), CPU).loss == NWayCrossEntropy(both_ways)


@pytest.mark.parametrize("episodes", [3, 8, 11])
def test_symmetries_turn_whole_episodes_and_eight_in_a_row_differ(episodes, split):
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
    """Otherwise the same recipe and seed would give other batches."""
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
    """A function that gives the characters in a row of undistorted images."""
    drawings = [image.tobytes() for image in batches.drawings.ink(np.arange(len(batches.drawings.images)), CPU)]
    characters = {image: number // 4 for number, image in enumerate(drawings)}
    return lambda images: [characters[image.tobytes()] for image in images]


def test_with_several_drawers_the_queries_of_each_meet_the_supports_of_each(split):
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


def test_every_purpose_epoch_and_step_has_its_own_random_numbers():
    keys = [
        (seed, purpose, epoch, step) for seed in (0, 5) for purpose in (1, 4) for epoch in (0, 1) for step in (0, 1)
    ]
    drawn = {key: tuple(stream(*key).integers(2**62, size=2)) for key in keys}
    assert len(set(drawn.values())) == len(keys)
    assert tuple(np.random.default_rng(5).integers(2**62, size=2)) not in drawn.values()  # which draws the weights


def test_the_target_follows_the_drawings_where_a_character_has_one_only():
    """Its query shows another character of the episode, and the target says which."""
    images = np.zeros((6, 16, 16), np.float32)
    images[:, 0, 0] = np.arange(1, 7) / 8
    alphabet = UnevenAlphabet.of("few", images, {"a": ["x"], "b": ["x", "y"], "c": ["x", "y", "z"]})
    recipe = replace(RUNS["episodes"], n_way=3, batch_size=4, symmetries=False, distort=False)
    batches = EpisodeBatches(recipe, Drawings.of([alphabet], 16), CPU)
    label = dict(zip(np.rint(255 * images[:, 0, 0]).astype(int).tolist(), [0, 1, 1, 2, 2, 2], strict=True))
    for step in range(4):
        a, b, target, _ = batches.batch(0, step)
        shown = [np.vectorize(label.get)(np.rint(255 * x[..., 0, 0]).astype(int)) for x in (a, b)]
        np.testing.assert_array_equal(target, shown[0] == shown[1])
        assert np.all(target.sum(axis=-1) == 1)
        assert 0 not in shown[0]
