"""Two catalogues of planted bugs: common mistakes in hand-written backward passes, for the checker to find.

CATALOGUE has bugs in our layers, STRANGERS in layers as others write them.
"""

from scratchnet.planted import contract, maps, siamese, stranger_maps, stranger_scores, stranger_sequences, vectors
from scratchnet.planted.bug import CATALOGUE, STRANGERS, PlantedBug
from scratchnet.planted.trials import Outcome, Quiz, correct_cases, hunt, make_quiz

__all__ = [
    "CATALOGUE", "STRANGERS", "Outcome", "PlantedBug", "Quiz", "contract", "correct_cases", "hunt", "make_quiz", "maps",
    "siamese", "stranger_maps", "stranger_scores", "stranger_sequences", "vectors",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
