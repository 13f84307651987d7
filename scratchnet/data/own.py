"""Pictures of one's own as alphabets: of any size, colour, format and number, read in threads, none left out.

Each picture is read as the network's frame reads it, and put on a page of PAGE x PAGE pixels like Omniglot's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend.threads import for_each
from scratchnet.data.archive import few
from scratchnet.data.folders import Found, Picture, find_pictures
from scratchnet.data.splits import Split
from scratchnet.data.uneven import UnevenAlphabet, pooled, together
from scratchnet.errors import DataError
from scratchnet.images.contrast import share_between
from scratchnet.images.frames import find_frame
from scratchnet.images.ink import expect_ink
from scratchnet.images.pictures import read_colours
from scratchnet.images.resize import resize

PAGE = 105  # pixels a side, as Omniglot's drawings have
KEPT_OUT = 1 / 5  # of the classes, or of the drawers of each class, to validate by
ENOUGH = 25  # classes to keep some of them out; with fewer, all train, and some drawings of each are kept out
# Of the pixels between ink and paper (`images.contrast.share_between`). 485 drawn, typed and printed characters had up
# to 0.11; of crops of photos of things, most have more than 0.2.
GREYISH = 0.18
KEEP_OUT = ("auto", "classes", "drawings", "none")


@dataclass(frozen=True)
class OwnData:
    """The alphabets in a folder. damaged: why pictures were skipped. greyish: how many are like photos of things."""

    found: Found
    alphabets: list[UnevenAlphabet]
    damaged: list[str]
    greyish: int

    @property
    def characters(self) -> int:
        """The number of classes in all alphabets."""
        return sum(alphabet.characters for alphabet in self.alphabets)

    @property
    def counts(self) -> list[int]:
        """The number of pictures of each class."""
        return [int(n) for alphabet in self.alphabets for n in np.bincount(alphabet.labels)]

    def summary(self) -> list[str]:
        """What was found, in lines for people."""
        counts = sorted(self.counts)
        where = f" in {len(self.alphabets)} alphabets" if len(self.alphabets) > 1 else ""
        each = f"{counts[0]} to {counts[-1]}" if counts[0] != counts[-1] else f"{counts[0]}"
        lines = [f"{self.found.folder}: {sum(counts):,} pictures of {len(counts):,} classes{where}, {each} a class"]
        if alone := counts.count(1):
            lines.append(
                f"{alone:,} {'class has' if alone == 1 else 'classes have'} one picture, which is only a support"
            )
        if self.found.others:
            lines.append(f"left out: {self.found.left_out()}")
        if self.damaged:
            lines.append(f"skipped: {len(self.damaged):,} that cannot be read, {self.damaged[0]}")
        if 2 * self.greyish > sum(counts):
            lines.append(
                f"warning: {self.greyish:,} pictures are neither dark on light nor light on dark: "
                "--pictures grey takes them as they are"
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The same as a JSON object."""
        counts = self.counts
        return {
            "folder": str(self.found.folder),
            "pictures": sum(counts),
            "classes": len(counts),
            "alphabets": len(self.alphabets),
            "least": min(counts),
            "most": max(counts),
            "left_out": len(self.found.others),
            "skipped": self.damaged,
        }


def read_own(
    folder: Path | str, *, frame: str = "ink", writers: str | None = None, skip_damaged: bool = False
) -> OwnData:
    """Read the pictures in a folder as alphabets of images (P, PAGE, PAGE) float16.

    frame: how to read a picture, a name in `images.frames.FRAMES`. writers: as in `find_pictures`; without it, each
    picture is by a drawer of its own. skip_damaged: leave out what cannot be read or shows no character.

    Raises as `find_pictures` does, and DataError that names the first picture that cannot be read.
    """
    found = find_pictures(folder, writers=writers)
    pages, faults, greyish = _read_pages(found, frame)
    damaged = [fault for fault in faults if fault]
    or_grey = ", or take all pictures as they are with --pictures grey" if frame == "ink" else ""
    if damaged and not skip_damaged:
        others = f" (and {len(damaged) - 1:,} more like it)" if len(damaged) > 1 else ""
        raise DataError(f"{damaged[0]}{others}; or leave such pictures out with --skip-damaged{or_grey}")
    kept = [number for number, fault in enumerate(faults) if not fault]
    if not kept:
        raise DataError(f"{found.folder} holds no picture that can be read: {damaged[0]}{or_grey}")
    return OwnData(found, _alphabets([found.pictures[n] for n in kept], pages[kept]), damaged, greyish)


def split_own(
    alphabets: Sequence[UnevenAlphabet], *, n_way: int = 20, keep_out: str = "auto", seed: int = 0
) -> tuple[Split, str]:
    """Split alphabets into those to train on and those to validate by, and say what was kept out.

    keep_out: "classes", a fifth of them; "drawings", a fifth of the drawers of each class that has three or more;
    "auto", classes where there are ENOUGH, else drawings, or classes if there are too few drawings; "none". Where
    nothing can be kept out, there is no validation. Small alphabets are put together until they have n_way classes.
    """
    rng = np.random.default_rng(seed)
    total = sum(alphabet.characters for alphabet in alphabets)
    ways = {"auto": ("classes", "drawings") if total >= ENOUGH else ("drawings", "classes"), "none": ()}
    for way in ways.get(keep_out, (keep_out,)):
        train, validation, what = (_without_classes if way == "classes" else _without_drawings)(alphabets, rng)
        if validation:
            return Split(_pooled(train, n_way), _pooled(validation, n_way)), what
    return Split(_pooled(alphabets, n_way), []), "nothing is kept out, so there is no validation"


def _pooled(alphabets: Sequence[UnevenAlphabet], n_way: int) -> list[Any]:
    return pooled(alphabets, min(n_way, sum(alphabet.characters for alphabet in alphabets)))


def _without_classes(
    alphabets: Sequence[UnevenAlphabet], rng: np.random.Generator
) -> tuple[list[UnevenAlphabet], list[UnevenAlphabet], str]:
    train, validation = [], []
    for alphabet in alphabets:
        askable = np.isin(np.arange(alphabet.characters), alphabet.askable)
        out = np.zeros(alphabet.characters, bool)
        for kind in (askable, ~askable):  # a fifth of each
            out[rng.permutation(np.flatnonzero(kind))[: round(KEPT_OUT * np.count_nonzero(kind))]] = True
        train += [alphabet.of_characters(np.flatnonzero(~out).tolist())] if not out.all() else []
        validation += [alphabet.of_characters(np.flatnonzero(out).tolist())] if out.any() else []
    names = [name for alphabet in validation for name in alphabet.classes]
    if len(names) < 2 or not any(len(alphabet.askable) for alphabet in (*validation, *train)):
        return list(alphabets), [], ""
    count = sum(alphabet.characters for alphabet in alphabets)
    return train, validation, f"kept out of training, to validate by: {len(names)} of {count} classes ({few(names, 8)})"


def _without_drawings(
    alphabets: Sequence[UnevenAlphabet], rng: np.random.Generator
) -> tuple[list[UnevenAlphabet], list[UnevenAlphabet], str]:
    parts = [alphabet.kept_out(KEPT_OUT, rng) for alphabet in alphabets]
    whole = [whole for _, whole in parts]
    asked = sum(int(alphabet.asked.sum()) for alphabet in whole if alphabet.asked is not None)
    classes = sum(len(alphabet.askable) for alphabet in whole)
    if not asked or together(whole).characters < 2:
        return list(alphabets), [], ""
    count = sum(len(alphabet.images) for alphabet in alphabets)
    return (
        [train for train, _ in parts],
        whole,
        f"kept out of training, to validate by: {asked:,} of {count:,} pictures, of {classes} classes that all train",
    )


def _read_pages(found: Found, frame: str) -> tuple[np.ndarray, list[str], int]:
    """The pictures (P, PAGE, PAGE) float16; why each cannot be read, or ""; and how many are neither ink nor paper."""
    pictures, read = found.pictures, find_frame(frame).read
    pages = np.zeros((len(pictures), PAGE, PAGE), np.float16)
    faults, greyish = [""] * len(pictures), np.zeros(len(pictures), bool)

    def take(number: int) -> None:
        file = pictures[number].file
        try:
            if frame == "ink":
                greyish[number] = share_between(read_colours(file)) > GREYISH
            page = resize(read(file)[None], PAGE)
            expect_ink("the picture", page, lambda _: str(file))
            pages[number] = page[0].clip(0, 1)
        except DataError as fault:
            faults[number] = str(fault)

    for_each(take, range(len(pictures)), like=pages)
    return pages, faults, int(greyish.sum())


def _alphabets(pictures: Sequence[Picture], pages: np.ndarray) -> list[UnevenAlphabet]:
    """The alphabets of pictures that are ordered by alphabet, class and drawer."""
    sizes = Counter(picture.alphabet for picture in pictures)
    alphabets, start = [], 0
    for name, size in sizes.items():
        drawers: dict[str, list[str]] = {}
        for picture in pictures[start : start + size]:
            drawers.setdefault(picture.label, []).append(picture.drawer)
        alphabets.append(UnevenAlphabet.of(name, pages[start : start + size], drawers))
        start += size
    return alphabets
