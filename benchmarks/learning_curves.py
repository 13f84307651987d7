"""The learning curves of the training runs in record.md as a picture: loss and validation against the images seen.

    python benchmarks/learning_curves.py [LOG.jsonl ...] [--out benchmarks/learning_curves.png]

Without arguments, those of benchmarks/logs. It is `scratchnet plot LOG.jsonl ... --only curves --x images`; a curve is
named after its file. Needs matplotlib: in your clone, pip install -e ".[study]".
"""

import argparse
import sys
from pathlib import Path

from scratchnet.cli import main as scratchnet

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="*", metavar="LOG", default=sorted(map(str, (HERE / "logs").glob("*.jsonl"))))
    parser.add_argument("--out", default=str(HERE / "learning_curves.png"))
    options = parser.parse_args()
    return scratchnet(["plot", *options.logs, "--only", "curves", "--x", "images", "--out", options.out])


if __name__ == "__main__":
    sys.exit(main())
