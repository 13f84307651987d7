"""
13. The same on a GPU
=====================

The code of lesson 10 runs on a GPU without a change: arrays say where they live, and every function computes there.
What you choose is where they start. Without a GPU, this lesson runs on the CPU and says so.
"""

import time

import numpy as np

import scratchnet as sn
from scratchnet.backend import get_device
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.pairs import sample_pairs

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# A device
# --------
# ``"cuda"`` needs CuPy and an NVIDIA GPU.

try:
    device = get_device("cuda")
except sn.BackendError as error:
    device = get_device("cpu")
    print(f"on the CPU, as there is no GPU to use ({error})")

# %%
# Arrays there
# ------------
# ``to_device`` copies an array over, ``to_host`` copies one back; nothing else moves your data. Whatever is computed
# from an array stays where that array is.

x = sn.to_device(np.arange(6, dtype=np.float32).reshape(2, 3), device)
y = (x * x).sum(axis=1)
print(type(y).__module__.partition(".")[0], sn.to_host(y))

# %%
# The same network, the same step
# -------------------------------
# Both networks start from the same weights and see the same pairs, so their losses agree to float32's rounding. Each
# step reads its loss, which makes Python wait for the GPU. The training loop of the package reads it once in a while
# instead, and so keeps the GPU busy.

drawings = Drawings.of(generate_alphabets(4, image_size=24), size=24)
losses, seconds = {}, {}
for place in dict.fromkeys(["cpu", device.name]):
    net = sn.models.compact(image_size=24, width=8, features=64, seed=0).to_device(place)
    optimiser, rng, losses[place] = sn.SGD(lr=0.05, momentum=0.9), np.random.default_rng(0), []
    for step in range(40):
        if step == 10:  # the first steps compile and warm up
            started = time.perf_counter()
        pairs = sample_pairs(drawings.numbers, count=64, rng=rng)
        a, b = (drawings.ink(numbers, net.device) for numbers in (pairs.first, pairs.second))
        loss = sn.train_step(net, optimiser, a, b, sn.to_device(pairs.labels, net.device))
        losses[place].append(float(loss))
    seconds[place] = (time.perf_counter() - started) / 30
    print(f"{place}: {1000 * seconds[place]:.1f} ms a step, loss {losses[place][0]:.4f}, then {losses[place][-1]:.4f}")

if plt:
    for place, curve in losses.items():
        plt.plot(
            curve, label=f"{place}, {1000 * seconds[place]:.1f} ms a step", linestyle="-" if place == "cpu" else "--"
        )
    plt.xlabel("step")
    plt.ylabel("loss")
    plt.legend()
    plt.show()

# %%
# Exercise
# --------
# Write code that runs where its arrays are: from labels (N,), whole numbers, the one-hot array (N, classes) in
# float32. ``xp`` is the module of the labels, NumPy or CuPy. The check uses a stand-in for a GPU's arrays, which
# refuses what CuPy refuses: to become a NumPy array without being asked.


def one_hot(labels, classes, xp):
    ### BEGIN SOLUTION
    return xp.eye(classes, dtype=xp.float32)[labels]
    ### END SOLUTION


class Elsewhere:
    """An array in another memory, with just enough methods for the exercise."""

    copied = 0  # how often one was copied to the host

    def __init__(self, values):
        self._values = values
        self.dtype, self.shape = values.dtype, values.shape

    def __array__(self, *arguments, **options):
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __getitem__(self, place):
        places = place if isinstance(place, tuple) else (place,)
        return Elsewhere(self._values[tuple(p._values if isinstance(p, Elsewhere) else p for p in places)])

    def __eq__(self, other):
        return Elsewhere(self._values == (other._values if isinstance(other, Elsewhere) else other))

    __hash__ = None

    def astype(self, dtype):
        return Elsewhere(self._values.astype(dtype))

    def get(self):
        Elsewhere.copied += 1
        return self._values


class Module:
    """What stands in for CuPy."""

    newaxis, float32, float64 = None, np.float32, np.float64

    @staticmethod
    def asarray(values, dtype=None):
        return Elsewhere(np.asarray(values, dtype))

    @staticmethod
    def arange(count, dtype=None):
        return Elsewhere(np.arange(count, dtype=dtype))

    @staticmethod
    def eye(count, dtype=float):
        return Elsewhere(np.eye(count, dtype=dtype))


def check(one_hot):
    """Says whether an answer is right, and if not, what is wrong."""
    Elsewhere.copied = 0
    try:
        got = one_hot(Elsewhere(np.array([2, 0, 1, 2])), 3, Module)
    except (TypeError, IndexError) as error:
        return f"refused: NumPy was asked to work on an array that is elsewhere ({error}): use xp"
    if Elsewhere.copied:
        return "refused: the labels were copied to the host and back, and the GPU waited for it"
    if not isinstance(got, Elsewhere) or got.shape != (4, 3):
        return "refused: expected an array (4, 3) where the labels are"
    if got.dtype != np.float32:
        return f"refused: {got.dtype}; on most GPUs float64 runs at a small fraction of the speed of float32"
    return "right" if np.array_equal(got.get(), np.eye(3)[[2, 0, 1, 2]]) else "refused: the ones are in other places"


print("your answer:", check(one_hot))

### BEGIN HIDDEN TESTS
MISTAKES = [
    lambda labels, classes, xp: np.eye(classes, dtype=np.float32)[labels],
    lambda labels, classes, xp: xp.eye(classes)[labels],
    lambda labels, classes, xp: xp.asarray(np.eye(classes, dtype=np.float32)[labels.get()]),
]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
