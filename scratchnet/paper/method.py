"""The method of the paper, sections 3 and 4: its data, and its training as a recipe.

What the paper leaves open, or prints in a way that cannot be meant, is in `choices.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from scratchnet.data.alphabets import Alphabet, pick, without
from scratchnet.data.locate import find_data, look_for
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES, VALIDATION_ALPHABETS, Split, mnist_digits, paper_split
from scratchnet.oneshot.tasks import official_task, random_task
from scratchnet.oneshot.trials import Run
from scratchnet.paper.scales import Scale
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import find_recipe

EVALUATION_FILES = ("images_evaluation.zip", "images_evaluation")
RANDOM_TRIALS, MNIST_TRIALS = 4_000, 400


def training(
    scale: Scale,
    name: str,
    *,
    pairs: int,
    distorted: bool = True,
    alphabets: tuple[str, ...] = VALIDATION_ALPHABETS,
    seed: int = 0,
    per_layer: Mapping[str, Mapping[str, float]] | None = None,
) -> Recipe:
    """The paper's training on a set of so many pairs, with eight distorted copies of each or without (section 4.2).

    Half of the pairs show the same character, and every alphabet has as many. Batches of 128; the learning rate falls
    by 1 % an epoch; the momentum rises linearly from 0.5. After each epoch, 320 one-shot trials on the validation
    `alphabets`; training stops after 20 epochs without a better one, and the best is kept (section 3.2).
    per_layer: learning rate, momentum and weight decay of each layer, which the paper searched and never published.
    """
    return replace(
        find_recipe("koch2015"),
        name=name,
        architecture=scale.architecture,
        pairs=pairs,
        distort=distorted,
        fixed_distortions=8 if distorted else 0,
        epochs=scale.epochs,
        epoch_pairs=scale.epoch_pairs,
        momentum_epochs=scale.ramp_epochs,
        per_layer=per_layer or {},
        validation_alphabets=alphabets,
        seed=seed,
    )


@dataclass(frozen=True)
class Material:
    """The drawings of the paper; place: where they are, as for `find_data`. Everything is read when first asked for.

    Raises DataError where something is missing or damaged.
    """

    place: Path | str | None = None

    @cached_property
    def split(self) -> Split:
        """The paper's split where the evaluation set is at hand, and else its substitute; `description` says which.

        The paper's: 30 alphabets by 12 drawers to train on; of the 20 evaluation alphabets, those of the official runs
        to test on, by 4 other drawers, and the others to validate on, by 4 more.
        """
        background = load_omniglot(find_data(self.place, *BACKGROUND_FILES))
        if not (place := look_for(self.place, *EVALUATION_FILES)):
            unseen = pick(background, VALIDATION_ALPHABETS)
            return Split(
                train=[alphabet.drawn_by(slice(12)) for alphabet in without(background, VALIDATION_ALPHABETS)],
                validation=[alphabet.drawn_by(slice(12, 16)) for alphabet in unseen],
                test=[alphabet.drawn_by(slice(16, 20)) for alphabet in unseen],
            )
        evaluation = load_omniglot(place)
        return paper_split(
            background, evaluation, rng=np.random.default_rng(0), test=alphabets_of(self.official, evaluation)
        )

    @property
    def description(self) -> str:
        """What is trained, validated and tested on."""
        if look_for(self.place, *EVALUATION_FILES):
            test, validation = len(self.split.test), len(self.split.validation)
            return (
                f"the paper's split: {len(self.split.train)} alphabets by 12 drawers to train on, {validation} by 4 "
                f"others to validate on, {test} by 4 more to test on"
            )
        unseen = len(VALIDATION_ALPHABETS)
        return (
            f"a substitute for the paper's split, which needs the evaluation set: {len(self.split.train)} background "
            f"alphabets by 12 drawers to train on; the other {unseen}, by 4 drawers to validate on and by 4 more to "
            "test on"
        )

    @cached_property
    def official(self) -> list[Run]:
        """Lake's official runs, 400 trials."""
        return list(official_task(self.place).runs)

    @cached_property
    def random(self) -> list[Run]:
        """Random 20-way one-shot trials within the test alphabets."""
        return list(random_task("test alphabets", self.split.test, trials=RANDOM_TRIALS, seed=0).runs)

    @cached_property
    def mnist(self) -> list[Run]:
        """Random 10-way one-shot trials among the digits of MNIST."""
        return list(random_task("MNIST", [mnist_digits(self.place)], trials=MNIST_TRIALS, seed=0, way=10).runs)


def alphabets_of(runs: list[Run], alphabets: list[Alphabet]) -> tuple[str, ...]:
    """The names of the alphabets with drawings in these runs."""
    shown = {image.tobytes() for run in runs for image in run.support}
    return tuple(a.name for a in alphabets if any(image.tobytes() in shown for image in a.drawings))
