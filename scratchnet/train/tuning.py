"""Fine-tuning: is a network better for it? If not, the one that it began with is kept."""

from pathlib import Path
from typing import NamedTuple

from scratchnet.checkpoint import WEIGHTS, save_model
from scratchnet.data.splits import Split
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.train.loop import validation_runs
from scratchnet.train.recipe import Recipe


class Comparison(NamedTuple):
    """A network before and after fine-tuning, on the same trials with what was kept out; None without any."""

    before: oneshot.Result | None
    after: oneshot.Result | None

    @property
    def worse(self) -> bool:
        """Whether fine-tuning made the network worse."""
        return bool(self.before and self.after and self.after.correct < self.before.correct)


def keep_the_better(recipe: Recipe, split: Split, out: Path, before: SiameseNet, after: SiameseNet) -> Comparison:
    """Compare a network with what it began with; write the latter over the weights of the run `out` if it is better."""
    runs = validation_runs(recipe, split)
    if not runs:
        return Comparison(None, None)
    compared = Comparison(oneshot.evaluate(before, runs), oneshot.evaluate(after, runs))
    if compared.worse:
        save_model(out / WEIGHTS, before, recipe=recipe.as_dict(), kept="the network to start from, which was better")
    return compared
