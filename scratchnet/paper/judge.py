"""What a trained network is judged by, each once, on characters that it has not seen."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.baselines import BASELINES
from scratchnet.oneshot.scorers import Embedded
from scratchnet.oneshot.trials import Result, evaluate
from scratchnet.oneshot.verification import verify
from scratchnet.paper.method import Material

PAIRS = 10_000  # of the test alphabets, for verification


def _verified(net: Any, material: Material, threshold: float | None = None) -> Result:
    split, rng = material.split, np.random.default_rng(0)
    return verify(net, validation=split.validation, test=split.test, pairs=PAIRS, rng=rng, threshold=threshold)


class Figure(NamedTuple):
    """what: in a few words. needs: the part of the material. of(scorer, material): the figure of a network that
    remembers its embeddings or, where no threshold is needed, of a baseline.
    """

    what: str
    needs: str
    of: Callable[[Any, Material], Result]


FIGURES = {
    "verification": Figure("threshold chosen on validation pairs", "split", _verified),
    "verification at 1/2": Figure("threshold 1/2", "split", lambda net, material: _verified(net, material, 0.5)),
    "official": Figure("official runs", "official", lambda scorer, material: evaluate(scorer, material.official)),
    "random": Figure("random trials", "random", lambda scorer, material: evaluate(scorer, material.random)),
    "mnist": Figure("trials", "mnist", lambda scorer, material: evaluate(scorer, material.mnist)),
}


def judge(judged: SiameseNet | str, figures: Sequence[str], material: Material) -> dict[str, Result]:
    """These figures, keys of FIGURES, of a network or of the baseline of that name."""
    scorer = BASELINES[judged] if isinstance(judged, str) else Embedded(judged)
    return {figure: FIGURES[figure].of(scorer, material) for figure in figures}
