"""The learning curves of training runs as a picture: loss and validation accuracy against the images seen.

    python benchmarks/learning_curves.py LOG.jsonl [LOG.jsonl ...] --out benchmarks/learning_curves.png

Each LOG is the log.jsonl of a run folder, and its curve is named after the file, with spaces for its underscores. A run
without a validation has a curve of its loss alone.
"""

import argparse
import io
import json
from itertools import accumulate
from pathlib import Path

import matplotlib.pyplot as plt

from scratchnet.files.atomic import write_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    options = parser.parse_args()
    figure, (losses, accuracies) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, log in enumerate(options.logs):
        line = {"label": log.stem.replace("_", " "), "color": f"C{number}"}
        epochs = [json.loads(line) for line in log.read_text().splitlines()]
        images = list(accumulate(epoch["seconds"] * epoch["images_per_second"] / 1000 for epoch in epochs))
        losses.plot(images, [epoch["loss"] for epoch in epochs], **line)
        if epochs[-1]["validation"] is not None:
            accuracies.plot(images, [100 * epoch["validation"] for epoch in epochs], **line)
    losses.set(title="training loss, 20-way, distorted images", xlabel="thousand images", ylim=(0, 1.5))
    accuracies.set(title="20-way trials, the validation alphabets: % right", xlabel="thousand images")
    for axes in (losses, accuracies):
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_bytes(options.out, picture.getvalue())


if __name__ == "__main__":
    main()
