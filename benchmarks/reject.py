"""How often `classify --reject` is wrong: the bundled network on letters of alphabets that the supports do not hold.

    python benchmarks/reject.py --data DIR [--align N]

The threshold is chosen on the supports alone, as the command does. Known letters: other drawings of the supports'
letters. Strangers: letters of other alphabets. Official runs: Lake's 20 runs, whose supports are 20 letters of an
alphabet that the network has not seen, one drawing each; the strangers are drawings of the background alphabets, which
it was trained on. Generated: 10 unseen generated alphabets of 20 letters, with one and with five drawings of each.
"""

import argparse
from collections.abc import Iterator

import numpy as np

import scratchnet as sn
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.data.splits import BACKGROUND_FILES, glyph_split
from scratchnet.models.scoring import USUAL
from scratchnet.oneshot.rejection import SHARE, choose_rejection
from scratchnet.oneshot.trials import class_scores, official_runs, wilson_interval

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # supports, their labels, known letters, strangers


def official(data: str | None, rng: np.random.Generator) -> Iterator[Case]:
    background = load_omniglot(find_data(data, *BACKGROUND_FILES))
    letters = np.concatenate([alphabet.images[:, rng.integers(alphabet.drawers)] for alphabet in background])
    for run in official_runs(find_data(data, "all_runs.zip", "all_runs")):
        yield run.support, run.support_labels, run.query, letters


def generated(shots: int) -> Iterator[Case]:
    alphabets = glyph_split(105).test
    for alphabet in alphabets:
        supports, labels = alphabet.images[:, :shots], np.repeat(np.arange(alphabet.characters), shots)
        others = np.concatenate([other.images[:, -1] for other in alphabets if other is not alphabet])
        yield supports.reshape(-1, 105, 105), labels, alphabet.images[:, -1], others


def measure(name: str, cases: Iterator[Case], share: float, align: int) -> None:
    """Print the shares of strangers that were accepted and of known letters that were rejected, over all cases."""
    net = sn.load_model("omniglot")
    wrong, total = np.zeros(2, int), np.zeros(2, int)
    for supports, labels, known, strangers in cases:
        kept = net.look(supports, keep=True)
        own = int(np.bincount(labels).max()) if align else 0  # as `scratchnet classify` aligns
        threshold = choose_rejection(
            sn.to_host(net.match(kept, kept, align=align + own)), labels, share=share
        ).threshold
        best = [
            class_scores(sn.to_host(net.match(net.look(asked, keep=True), kept, align=align)), labels).max(axis=1)
            for asked in (strangers, known)
        ]
        wrong += [np.count_nonzero(best[0] > threshold), np.count_nonzero(best[1] <= threshold)]
        total += [len(strangers), len(known)]
    for what, count, of in zip(("wrongly accepted", "wrongly rejected"), wrong, total, strict=True):
        low, high = wilson_interval(int(count), int(of))
        print(f"{name}, {share:.0%}: {what} {count / of:.1%} ({count} of {of}, {low:.1%} - {high:.1%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="where Omniglot is")
    parser.add_argument("--align", type=int, default=USUAL, help="how many matches (default: as the command)")
    options = parser.parse_args()
    for share in (SHARE, 0.2):
        measure("official runs, 1 example", official(options.data, np.random.default_rng(0)), share, options.align)
        for shots in (1, 5):
            measure(f"generated, {shots} example{'s' if shots > 1 else ''}", generated(shots), share, options.align)


if __name__ == "__main__":
    main()
