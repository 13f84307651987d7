"""How well two images match, beyond one look at each: seen in several views, and aligned first.

**Views.** Turned and mirrored alike, two drawings of one character still match, and a network sees each view with other
features. The logit is then the mean over views.

**Alignment.** Of the supports that match a query best, each is compared again after a smooth field has warped it onto
the query, and the query onto it (`images/align.py`). Let T be the logit of the two as they are, W the mean of the two
logits after warping, r and e the mean residual and energy of the two fits:

    score = (T + 1.8 W - 52 (r - 0.012) - 0.42 (e - 7.4)) / 2.8        (1)

Warped enough, other characters match as well, so W alone is worth less than T: r and e say how much it took. The
weights were chosen on alphabets kept out of training (benchmarks/record.md); 0.012 and 7.4 are the medians over pairs
of one character, so that the score of a typical pair remains its logit, and can stand beside those that are not
aligned.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scratchnet.backend import Array, array_module
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.images.align import Fit, align, warped
from scratchnet.images.augment import SYMMETRIES, symmetry

VIEWS = {1: SYMMETRIES[:1], 2: ((0, False), (2, True)), 8: SYMMETRIES}  # by their number; 2: upright and upside down
PLAIN, WARPED, RESIDUAL, ENERGY = 1.0, 1.8, 52.0, 0.42
TYPICAL_RESIDUAL, TYPICAL_ENERGY = 0.012, 7.4  # of 2,000 pairs of one character, in 20 alphabets of the background set
USUAL = 5  # best supports that the commands align, unless told otherwise
PAIRS = 256  # aligned at a time

Embed = Callable[[Array], Array]  # framed images (N, S, S) to embeddings (N, V, D) of V views
Compare = Callable[[Array, Array], Array]  # embeddings of pairs, (N, V, D) each, to logits (N,)


class Look(NamedTuple):
    """What a network keeps of N images to score them: embeddings (N, V, D), of V views; framed, (N, S, S), the images
    as the encoder sees them, or None where they were not kept, and then nothing can be aligned."""

    embeddings: Array
    framed: Array | None

    @property
    def kept(self) -> Array:
        """The framed images. Raises ScratchnetError where they were not kept."""
        if self.framed is None:
            raise ScratchnetError("these images were looked at without being kept: net.look(images, keep=True)")
        return self.framed

    def rows(self, some: Any) -> "Look":
        """Those of the images with these numbers, (M,) or a slice; they may repeat."""
        return Look(self.embeddings[some], None if self.framed is None else self.framed[some])


class Aligned(NamedTuple):
    """N pairs after alignment, (N,) each: their score by (1), and T, W, r and e, which it is made of.

    forth and back: the fits of the first of a pair onto the second, and of the second onto the first.
    """

    score: Array
    logit: Array
    warped_logit: Array
    residual: Array
    energy: Array
    forth: Fit
    back: Fit


def expect_ways(views: Any, count: Any) -> None:
    """Raise ScratchnetError for a number of views that is none of VIEWS, and for less than 0 supports to align."""
    if views not in VIEWS:
        raise ScratchnetError(f"views={views!r}{hint(str(views), map(str, VIEWS))}: take 1, 2 or 8 symmetries")
    if not isinstance(count, int) or count < 0:
        raise ScratchnetError(f"align={count!r}: give the number of best supports to align, 0 for none")


def usual_align(frame: str, recipe: Mapping[str, Any]) -> int:
    """How many supports the commands align unless told otherwise.

    None by a network that looks at pages, of which the weights of (1) know nothing, nor by one that was trained on
    pictures of its user: it knows the characters, and alignment makes others more alike (benchmarks/record.md).
    """
    return USUAL if frame == "ink" and recipe.get("data") == "omniglot" else 0


def in_views(images: Array, views: int) -> list[Array]:
    """Images (N, S, S) turned and mirrored, for each of so many views."""
    return [symmetry(images, *way) for way in VIEWS[views]]


def align_pairs(a: Look, b: Look, logits: Array, *, embed: Embed, compare: Compare) -> Aligned:
    """Align N pairs, whose `logits` (N,) as they are is T."""
    forth, back = align(a.kept, b.kept), align(b.kept, a.kept)
    warped_logit = (
        compare(embed(warped(a.kept, forth.field)), b.embeddings)
        + compare(a.embeddings, embed(warped(b.kept, back.field)))
    ) / 2
    r, e = (forth.residual + back.residual) / 2, (forth.energy + back.energy) / 2
    evidence = PLAIN * logits + WARPED * warped_logit
    evidence = evidence - RESIDUAL * (r - TYPICAL_RESIDUAL) - ENERGY * (e - TYPICAL_ENERGY)
    return Aligned(evidence / (PLAIN + WARPED), logits, warped_logit, r, e, forth, back)  # (1)


def align_best(queries: Look, supports: Look, logits: Array, count: int, *, embed: Embed, compare: Compare) -> Array:
    """The scores (Q, S) of queries against supports, given their logits as they are, after aligning the best `count`
    supports of each query; the other logits remain."""
    xp, (Q, S) = array_module(logits), logits.shape
    count = min(count, S)
    order = xp.argsort(xp.where(xp.isnan(logits), xp.inf, -logits), axis=1)
    scores, step = logits.copy(), max(1, PAIRS // max(1, count))
    for start in range(0, Q if count else 0, step):
        best = order[start : start + step, :count]  # (q, count)
        i = xp.arange(start, start + len(best))[:, None] + xp.zeros_like(best)
        i, j = i.reshape(-1), best.reshape(-1)
        pairs = queries.rows(i), supports.rows(j)
        scores[i, j] = align_pairs(*pairs, logits[i, j], embed=embed, compare=compare).score
    return scores
