"""The tasks on the card of a network, which measure it on characters that it has not seen in training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from scratchnet.common.notes import expect
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.locate import find_data, look_for
from scratchnet.data.omniglot import BACKGROUND, load_omniglot
from scratchnet.data.splits import (
    BACKGROUND_FILES,
    VALIDATION_ALPHABETS,
    Split,
    background_split,
    glyph_split,
    mnist_digits,
)
from scratchnet.errors import CheckpointError, DataError
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.trials import ACROSS, Run, official_runs, sample_runs

OFFICIAL = "official runs"
RECIPE = {  # the fields used here
    "data?": str, "start?": str, "validation_alphabets?": [str], "architecture?": {"image_size?": int},
}  # fmt: skip
TRIALS, PAIRS = 4_000, 10_000  # for each result on a card
KINDS = ((20, 1, False), (20, 1, True), (20, 5, True), (5, 1, True), (5, 5, True))  # way, shot, across alphabets


class Unseen(NamedTuple):
    """Alphabets that a network was not trained on.

    trials: for one-shot trials. threshold: for choosing the threshold of verification. pairs: for measuring the
    accuracy of verification, disjoint from `threshold`. The alphabets in `threshold` are unseen as well, and may also
    be in `trials`, which do not depend on the threshold.
    """

    trials: list[Alphabet]
    threshold: list[Alphabet]
    pairs: list[Alphabet]

    @property
    def verification(self) -> str:
        """A description of the verification task."""
        judged, chosen = _named(self.pairs), _named(self.threshold)
        return f"verification, same or different, on {judged}, the threshold chosen on {chosen}"


def _named(alphabets: Sequence[Alphabet]) -> str:
    """The names of the alphabets if they are few, otherwise their number."""
    few = len(alphabets) <= len(VALIDATION_ALPHABETS)
    return ", ".join(alphabet.name for alphabet in alphabets) if few else f"{len(alphabets)} alphabets"


@dataclass(frozen=True)
class Task:
    """One-shot trials of one kind: `runs` that share their way, shot and scope."""

    title: str
    runs: Sequence[Run]

    @property
    def way(self) -> int:
        """The number of characters to choose from."""
        return len(set(self.runs[0].support_labels))

    @property
    def shot(self) -> int:
        """The number of supports of each character."""
        return len(self.runs[0].support_labels) // self.way

    def __str__(self) -> str:
        easier = f" {ACROSS}, the easier task" if self.runs[0].scope == ACROSS else ""
        return f"{self.title}: {self.way}-way {self.shot}-shot{easier}"

    def as_dict(self) -> dict[str, Any]:
        """Title, way and shot as a JSON object."""
        return {"task": self.title, "way": self.way, "shot": self.shot}


def official_task(runs: Path | str | None) -> Task:
    """Lake's 20 runs of 20-way one-shot classification; runs: where to find them, as for `find_data`.

    Raises DataError if they are missing or damaged.
    """
    return Task(OFFICIAL, official_runs(find_data(runs, "all_runs.zip", "all_runs")))


def random_task(
    on: str,
    alphabets: Sequence[Alphabet],
    *,
    trials: int,
    seed: int,
    way: int = 20,
    shot: int = 1,
    across: bool = False,
) -> Task:
    """At least `trials` random trials, the same for the same seed; on: the name of the data, for the title.

    Raises DataError if the alphabets are too small.
    """
    runs = sample_runs(
        alphabets, -(-trials // way), rng=np.random.default_rng(seed), n_way=way, k_shot=shot, across=across
    )
    return Task(f"random trials, {on}", runs)


def card_tasks(
    on: str, alphabets: Sequence[Alphabet], *, runs: Path | str | None, trials: int = TRIALS, seed: int = 0
) -> Iterator[Task]:
    """The trials of a card: the official runs, and random trials on unseen alphabets.

    There are no official runs if `on` is "glyphs", for networks trained on generated alphabets. If there are
    `alphabets`, the random trials are 20-way one-shot within an alphabet, and the easier kinds across alphabets.
    Raises DataError as `official_task` and `random_task` do.
    """
    if on != "glyphs":
        yield official_task(runs)
    for way, shot, across in KINDS if alphabets else ():
        yield random_task(on, alphabets, trials=trials, seed=seed, way=way, shot=shot, across=across)


def recipe_of(net: SiameseNet, notes: Mapping[str, Any], *, model: str) -> Mapping[str, Any]:
    """The recipe in the notes of a network, or {}. Raises CheckpointError, naming `model`, if it is invalid."""
    recipe = notes.get("recipe", {})
    try:
        expect(recipe, RECIPE, "the recipe")
        size = recipe.get("architecture", {}).get("image_size", net.image_size)
        if size != net.image_size:
            raise ValueError(f"the recipe has image_size={size}, but the network {net.image_size}")
    except ValueError as cause:
        raise CheckpointError(f"the notes in {model} are damaged ({cause}): use another copy") from cause
    return cast(Mapping[str, Any], recipe)


def all_glyphs(recipes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all networks with these recipes were trained on generated alphabets."""
    return all(recipe.get("data") == "glyphs" for recipe in recipes)


def unseen_data(recipes: Sequence[Mapping[str, Any]]) -> str:
    """Where `unseen` finds alphabets that training by these recipes has not seen; "official" if only in the runs."""
    if all_glyphs(recipes):
        return "glyphs"
    return "background" if kept_out(recipes) else "official"


def kept_out(recipes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The alphabets of the background set that no training by these recipes has seen."""
    on_omniglot = [recipe for recipe in recipes if recipe.get("data") == "omniglot" or recipe.get("start")]
    kept = [recipe.get("validation_alphabets", ()) for recipe in on_omniglot]  # what a start has seen is not known: all
    if not kept:  # none of them was trained on the background set
        return VALIDATION_ALPHABETS
    return tuple(name for name in kept[0] if all(name in names for names in kept))


def unseen(on: str, *, data: Path | str | None, recipes: Sequence[Mapping[str, Any]]) -> Unseen:
    """Alphabets that networks trained by these recipes have not seen.

    on: "background" for the alphabets held out of training, "evaluation", "glyphs" or "mnist"; "official" has none.
    data: the folder of the data, as for `find_data`. Glyphs are drawn at the image size of the first network. Raises
    DataError if the data are missing, damaged or not the set asked for, or if no unseen alphabets are left.
    """
    if on == "official":
        return Unseen([], [], [])
    if on == "glyphs":
        glyphs = glyph_split(int(recipes[0].get("architecture", {}).get("image_size", 48)))
        return Unseen(glyphs.test, glyphs.validation, glyphs.test)
    if on == "mnist":
        return Unseen([mnist_digits(data)], [], [])
    kept = kept_out(recipes)
    if on == "background" and not kept:
        raise DataError(
            "all alphabets of the background set were trained on, none is left unseen: "
            "use --on evaluation or the official runs"
        )
    background = Split([], [])
    if on == "background" or look_for(data, *BACKGROUND_FILES):  # there may be the evaluation set alone
        background = background_split(data, validation=kept)
    if on == "background":
        threshold, pairs = background.validation[::2], background.validation[1::2]
        return Unseen(threshold + pairs, threshold, pairs)
    evaluation = load_omniglot(find_data(data, "images_evaluation.zip", "images_evaluation"))
    trained_on = BACKGROUND.union(alphabet.name for alphabet in background.train + background.validation)
    if seen := sorted(trained_on & {alphabet.name for alphabet in evaluation}):
        raise DataError(
            f"{data} is not the evaluation set, it has {seen[0]} of the background set: give the folder that holds both"
        )
    if background.validation:
        return Unseen(evaluation, background.validation, evaluation)
    return Unseen(evaluation, evaluation[::2], evaluation[1::2])
