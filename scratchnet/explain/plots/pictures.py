"""The pictures by name, and which of them some runs can give."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from scratchnet.errors import CheckpointError, DataError
from scratchnet.explain.plots.confusions import choices, confusions
from scratchnet.explain.plots.curves import curves, expect_curve
from scratchnet.explain.plots.embedding import embedded, embedding_map
from scratchnet.explain.plots.filters import filters, first_kernels
from scratchnet.explain.plots.gradients import gradient_norms, measured_epochs
from scratchnet.explain.plots.page import Figure
from scratchnet.explain.plots.subjects import Subject
from scratchnet.explain.plots.warps import described, warped, warps


class Drawn(NamedTuple):
    """A picture by name: the figure, or None where it is left out; and the reasons for what is left out."""

    name: str
    figure: Figure | None
    left_out: Sequence[str] = ()


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
    task, what = subject.task
    made = choices(subject.net, task.runs)
    return confusions(made, name=subject.name, task=f"{task.way} characters to choose from, {what}")


def _warps(subject: Subject) -> Figure:
    alphabets, what = subject.training
    recipe = subject.recipe
    assert recipe  # or there would be no training drawings
    title = f"{subject.name}: {what} as training distorts them"
    return warps(*warped(recipe, alphabets), title=title, note=described(recipe))


def _curves(subjects: Sequence[Subject], against: str) -> Figure:
    kept = {subject.legend: subject.kept for subject in subjects if subject.kept}
    return curves({subject.legend: subject.log for subject in subjects}, against=against, kept=kept)


def _gradients(subjects: Sequence[Subject], _against: str) -> Figure:
    return gradient_norms({subject.legend: subject.log for subject in subjects})


class OfLogs(NamedTuple):
    """expect: raises for a log without what is drawn. draw: all logs in one picture."""

    expect: Callable[[Subject, str], object]
    draw: Callable[[Sequence[Subject], str], Figure]


OF_LOGS = {
    "curves": OfLogs(lambda subject, against: expect_curve(subject.legend, subject.log, against=against), _curves),
    "gradients": OfLogs(lambda subject, _: measured_epochs(subject.legend, subject.log), _gradients),
}
OF_NETWORKS: dict[str, Callable[[Subject], Figure]] = {
    "filters": _filters,
    "embedding": _embedding,
    "confusions": _confusions,
    "warps": _warps,
}
PICTURES = (*OF_LOGS, *OF_NETWORKS)


def planned(subjects: Sequence[Subject], only: Sequence[str] = PICTURES) -> list[str]:
    """The names of the pictures that `draw` will try: those of each run end in its name where there are several."""
    logs = [name for name in OF_LOGS if name in only and any(subject.has_log for subject in subjects)]
    return logs + [picture for picture, _, _ in _of_networks(subjects, only)]


def draw(subjects: Sequence[Subject], only: Sequence[str] = PICTURES, *, against: str = "epochs") -> Iterator[Drawn]:
    """Draw what these subjects can give, one picture after the other, and say why something is left out.

    Curves and gradients are one picture of all runs whose logs have them; the others are pictures of one network.
    """
    logged = [subject for subject in subjects if subject.has_log]
    for name in [name for name in OF_LOGS if logged and name in only]:
        expect, together = OF_LOGS[name]
        reasons = {subject.name: _fault(expect, subject, against) for subject in logged}
        usable = [subject for subject in logged if not reasons[subject.name]]
        yield Drawn(name, together(usable, against) if usable else None, [each for each in reasons.values() if each])
    for name, subject, make in _of_networks(subjects, only):
        try:
            yield Drawn(name, make(subject))
        except (DataError, CheckpointError) as error:
            yield Drawn(name, None, [str(error)])


def _fault(function: Callable[..., object], *arguments: Any) -> str:
    """Why a function refuses its arguments, or ""."""
    try:
        function(*arguments)
    except (DataError, CheckpointError) as error:
        return str(error)
    return ""


def _of_networks(
    subjects: Sequence[Subject], only: Sequence[str]
) -> Iterator[tuple[str, Subject, Callable[[Subject], Figure]]]:
    networks = [subject for subject in subjects if subject.has_network]
    for name, make in OF_NETWORKS.items():
        for subject in networks if name in only else ():
            yield name + (f"-{_as_file_name(subject.name)}" if len(networks) > 1 else ""), subject, make


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip("-.")
