"""A program for mpiexec: a training run of a second, on the ranks of its job, that may be disturbed.

    train_on_ranks.py RECIPE OUT [resume] [RANK:STEP:EVENT]

EVENT is what happens to the rank after that step of the run: "signal", it gets SIGTERM; "job", mpiexec gets SIGUSR1,
which it passes on; "kill", the rank is killed; "raise", an exception.
"""

import os
import signal
import sys
from pathlib import Path

from short_runs import PLAIN, RUNS, tiny_split

from scratchnet.errors import DataError
from scratchnet.parallel.job import job
from scratchnet.train import Interrupted, exit_code, train

EPOCH = 4  # steps
EVENTS = {
    "signal": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "job": lambda: os.kill(os.getppid(), signal.SIGUSR1),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def main(recipe, out, *more):
    disturbed = [word.split(":") for word in more if ":" in word]

    def on_step(record, rank):
        for where, step, event in disturbed:
            if (rank, record["step"] + EPOCH * (record["epoch"] - 1)) == (int(where), int(step)):
                if event == "raise":
                    raise DataError("the pictures are gone")
                EVENTS[event]()

    with job() as ranks:
        train(
            {**RUNS, "plain": PLAIN}[recipe],
            tiny_split(),
            Path(out),
            resume="resume" in more,
            ranks=ranks,
            on_step=lambda record: on_step(record, ranks.rank),
        )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(exit_code(stop))
