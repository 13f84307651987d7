"""A catalogue of planted bugs: common mistakes in hand-written backward passes, for the checker to find."""

from scratchnet.planted import contract, maps, siamese, vectors
from scratchnet.planted.bug import CATALOGUE, PlantedBug
from scratchnet.planted.trials import Outcome, Quiz, correct_cases, hunt, make_quiz

__all__ = [
    "CATALOGUE", "Outcome", "PlantedBug", "Quiz", "contract", "correct_cases", "hunt", "make_quiz", "maps", "siamese",
    "vectors",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
