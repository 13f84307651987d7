"""What a training step costs on several ranks: a model of a few numbers, each of which is measured by itself.

A step computes, and sums numbers over the ranks. On K ranks of one thread that share P processors,

    compute(K) = crowding (work / K + fixed) max(1, K / P)             (1)
    sums(K)    = messages latency + 2 (K - 1) / K bytes / bandwidth     (2)

work: the seconds that the batch takes one processor, shared by all. fixed: those that every rank takes, however few of
the images it has: the update of all weights, Python's calls. crowding: how much slower a processor is while the others
of its machine are busy too, for they share its memory; 1 for a single rank. (2) is a ring's: each rank sends and
receives (K - 1) / K of the bytes twice.

Sums of gradients go on behind the computation, but on a machine that is busy the same processors move the bytes, and
nothing is gained; (2) counts all of it. Ranks wait for the slowest of them in every sum; that is not in here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepCost:
    """The cost of a step. Times in seconds; bandwidth in bytes a second, from one rank to the next."""

    work: float
    fixed: float
    crowding: float
    messages: int
    bytes: int
    latency: float
    bandwidth: float

    def compute(self, ranks: int, processors: int) -> float:
        """The time for which a rank computes, by (1)."""
        crowding = self.crowding if ranks > 1 else 1.0
        return crowding * (self.work / ranks + self.fixed) * max(1.0, ranks / processors)  # (1)

    def sums(self, ranks: int) -> float:
        """The time that the sums take, by (2)."""
        if ranks == 1:
            return 0.0
        return self.messages * self.latency + 2 * (ranks - 1) / ranks * self.bytes / self.bandwidth  # (2)

    def step(self, ranks: int, processors: int) -> float:
        """The time of a step; processors: of all machines together."""
        return self.compute(ranks, processors) + self.sums(ranks)

    def efficiency(self, ranks: int, processors: int) -> float:
        """The speed of so many ranks, as a share of as many times that of one."""
        return self.step(1, 1) / (ranks * self.step(ranks, processors))
