"""The paper's network learns pairs by heart: how many steps until the loss is below 0.05.

    python benchmarks/overfit.py --pairs 32

Pairs are generated glyphs at 105 x 105 pixels; a step is forward, backward of both twins, and SGD with momentum and
weight decay, in float32.
"""

import argparse

from scratchnet.bench.workload import Workload
from scratchnet.models import networks as models

STEPS, ENOUGH = 300, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=32)
    training = Workload("koch2015", parser.parse_args().pairs).prepare()
    training.net.params = models.koch2015(seed=0).params  # with biases of 0, as a training starts
    for number in range(1, STEPS + 1):
        loss = training.step()
        if number % 10 == 0 or loss < ENOUGH:
            print(f"step {number:3d}  loss {loss:.4f}", flush=True)
        if loss < ENOUGH:
            return


if __name__ == "__main__":
    main()
