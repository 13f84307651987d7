"""The paper's network at full size: koch2015 at 105 pixels, 30,000 pairs an epoch, each freshly distorted with p = 8/9.

Of the paper's nine copies of a pair one is as drawn and eight are distorted, drawn once. Here an epoch takes each pair
once: as drawn with probability 1/9, else with fresh affine distortions of both twins, the same in expectation.
The batches depend on seed, epoch and step alone, so a resumed run sees what an undisturbed one would have seen.

    python benchmarks/paper/train_full.py RUN DATA    starts a run, or resumes it

Written for scratchnet at commit c3e1c3d, which the run keeps to; SIGTERM saves the state and stops.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from scratchnet import train as training
from scratchnet.images.augment import IDENTITY, AffineRanges, distort
from scratchnet.train import batches
from scratchnet.train.recipes import find_recipe

PLAIN = 1 / 9
FRESH_OR_PLAIN = 11  # a stream of random numbers of its own, beside those in batches.py


class FreshPairs(batches.PairBatches):
    """The fixed set of pairs in a new order each epoch; a pair is distorted afresh, or left as drawn."""

    def batch(self, epoch: int, step: int) -> batches.Batch:
        recipe = self.recipe
        pair = self._order(epoch)[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        n = len(pair)
        twins = np.concatenate([self.pairs.first[pair], self.pairs.second[pair]])
        images = self.drawings.ink(twins, self.device)
        rng = batches.stream(recipe.seed, FRESH_OR_PLAIN, epoch, step)
        transforms = AffineRanges().draw(2 * n, image_size=images.shape[-1], rng=rng).reshape(2, n, 7)
        transforms[:, rng.random(n) < PLAIN] = IDENTITY
        images = distort(images, transforms.reshape(-1, 7))
        return batches.Batch(images[:n], images[n:], self.device.upload(self.pairs.labels[pair]), 2 * n)


if __name__ == "__main__":
    run, data = Path(sys.argv[1]), sys.argv[2]
    training.OBJECTIVES["pairs"] = FreshPairs
    recipe = replace(find_recipe("koch2015"), fixed_distortions=0, epochs=60, patience=20)
    training.train(recipe, training.load_split(recipe, data), run, resume=(run / training.STATE).exists())
