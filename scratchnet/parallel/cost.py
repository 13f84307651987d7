"""What a training step costs on several ranks: a model of four numbers, each of which is measured by itself.

A step computes, and sums numbers over the ranks. On K ranks of one machine with P processors for all of them, T of
which one rank's threads can use,

    compute(K) = work / min(P, K T) + K fixed / min(P, K)              (1)
    sums(K)    = messages latency + 2 (K - 1) / K bytes / bandwidth     (2)

work: the seconds of one processor that the batch takes, whoever takes them. fixed: those that every rank takes,
however few of the images it has: the update of all weights, Python's calls. (2) is a ring's: each rank sends and
receives (K - 1) / K of the bytes twice. With a machine for each rank, P grows with K.

The sums of gradients go on behind the computation, but the processors of a machine that is busy move the bytes
themselves, so that nothing is gained; (2) counts all of it. What a network gains by it is not in here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepCost:
    """The cost of a step. Times in seconds; bandwidth in bytes a second, between two ranks."""

    work: float
    fixed: float
    messages: int
    bytes: int
    latency: float
    bandwidth: float

    def compute(self, ranks: int, processors: int, threads: int) -> float:
        """The time that the slowest rank computes, by (1)."""
        busy = min(processors, ranks * threads)
        return self.work / busy + ranks * self.fixed / min(processors, ranks)  # (1)

    def sums(self, ranks: int) -> float:
        """The time that the sums take, by (2)."""
        if ranks == 1:
            return 0.0
        return self.messages * self.latency + 2 * (ranks - 1) / ranks * self.bytes / self.bandwidth  # (2)

    def step(self, ranks: int, processors: int, threads: int = 1) -> float:
        """The time of a step."""
        return self.compute(ranks, processors, threads) + self.sums(ranks)

    def efficiency(self, ranks: int, processors_each: int) -> float:
        """The speed of `ranks` machines of so many processors, as a share of as many times one machine's.

        A machine is one rank, which uses all of them.
        """
        one = self.step(1, processors_each, processors_each)
        return one / (ranks * self.step(ranks, ranks * processors_each, processors_each))
