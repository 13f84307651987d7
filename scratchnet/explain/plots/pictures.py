"""The pictures by name, and which of them some runs can give."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from scratchnet.errors import CheckpointError, DataError
from scratchnet.explain.plots.confusions import choices, confusions
from scratchnet.explain.plots.curves import curves
from scratchnet.explain.plots.embedding import embedded, embedding_map
from scratchnet.explain.plots.filters import filters, first_kernels
from scratchnet.explain.plots.gradients import gradient_norms
from scratchnet.explain.plots.page import Figure
from scratchnet.explain.plots.subjects import Subject
from scratchnet.explain.plots.warps import described, warped, warps
from scratchnet.oneshot import tasks

TRIALS = 400  # for the confusions


class Drawn(NamedTuple):
    """A picture by name: the figure, or None and the reason why it is left out."""

    name: str
    figure: Figure | None
    reason: str = ""


def _filters(subject: Subject) -> Figure:
    return filters(first_kernels(subject.net), name=subject.name)


def _embedding(subject: Subject) -> Figure:
    alphabets, what = subject.unseen
    shown, alphabet = embedded(subject.net, alphabets[0]), alphabets[0].name.replace("_", " ")
    return embedding_map(
        shown,
        title=f"{subject.name}: {len(set(shown.characters))} characters of {alphabet}",
        note=f"Each drawing, at the first two principal components of its embedding. {alphabet} is one of the {what}, "
        "which training has not seen.",
    )


def _confusions(subject: Subject) -> Figure:
    alphabets, what = subject.unseen
    way = min(20, max(alphabet.characters for alphabet in alphabets))
    task = tasks.random_task(what, alphabets, trials=TRIALS, seed=0, way=way)
    made = choices(subject.net, task.runs)
    return confusions(made, name=subject.name, task=f"{way} characters of {what} to choose from")


def _warps(subject: Subject) -> Figure:
    alphabets, what = subject.training
    recipe = subject.recipe
    assert recipe  # or there would be no training drawings
    title = f"{subject.name}: {what} as training distorts them"
    return warps(*warped(recipe, alphabets), title=title, note=described(recipe))


def _curves(subjects: Sequence[Subject], against: str) -> Figure:
    kept = {subject.legend: subject.kept for subject in subjects if subject.kept}
    return curves({subject.legend: subject.log for subject in subjects}, against=against, kept=kept)


def _gradients(subjects: Sequence[Subject]) -> Figure:
    return gradient_norms({subject.legend: subject.log for subject in subjects})


OF_RUNS = ("curves", "gradients")  # one picture of all runs together
OF_EACH: dict[str, Callable[[Subject], Figure]] = {
    "filters": _filters,
    "embedding": _embedding,
    "confusions": _confusions,
    "warps": _warps,
}
PICTURES = (*OF_RUNS, *OF_EACH)


def planned(subjects: Sequence[Subject], only: Sequence[str] = PICTURES) -> list[str]:
    """The names of the pictures that `draw` will try: those of each run end in its name where there are several."""
    return [name for name, _ in _planned(subjects, only, "epochs")]


def draw(subjects: Sequence[Subject], only: Sequence[str] = PICTURES, *, against: str = "epochs") -> Iterator[Drawn]:
    """Draw what these subjects can give, one picture after the other, and say why one is left out."""
    for name, make in _planned(subjects, only, against):
        try:
            yield Drawn(name, make())
        except (DataError, CheckpointError) as error:
            yield Drawn(name, None, str(error))


def _planned(
    subjects: Sequence[Subject], only: Sequence[str], against: str
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    logged = [subject for subject in subjects if subject.has_log]
    networks = [subject for subject in subjects if subject.has_network]
    if logged and "curves" in only:
        yield "curves", lambda: _curves(logged, against)
    if logged and "gradients" in only:
        yield "gradients", lambda: _gradients(logged)
    for name, make in OF_EACH.items():
        for subject in networks if name in only else ():
            ending = f"-{_as_file_name(subject.name)}" if len(networks) > 1 else ""
            yield name + ending, lambda make=make, subject=subject: make(subject)  # type: ignore[misc]


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip("-.")
