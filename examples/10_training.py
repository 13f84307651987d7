"""
10. Training on generated alphabets
===================================

All parts together: a Siamese network learns from pairs of drawings whether they show the same character, and is then
asked about alphabets that it has never seen. The alphabets are invented by the program, so there is nothing to
download.
"""

import numpy as np

import scratchnet as sn
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.pairs import sample_pairs

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Data
# ----
# Twelve alphabets of 20 characters, each drawn by 12 hands: ten to train on, and two for the test. To split by
# alphabet is what makes the test honest: new drawings of known characters would be much easier.

alphabets = generate_alphabets(12, image_size=24)
train, unseen = alphabets[:10], alphabets[10:]
drawings = Drawings.of(train, size=24)
runs = sn.oneshot.sample_runs(unseen, runs=10, rng=np.random.default_rng(1))
print(f"{len(train)} alphabets to train on, {len(runs)} runs of {len(runs[0].query)} trials on {len(unseen)} others")

# %%
# The network
# -----------
# Six convolutions, with batch norm and max-pooling between them, and a dense layer turn an image into 128 numbers. The
# head is a weighted distance.

net = sn.models.compact(image_size=24, width=16, features=128)
print(net.summary())

# %%
# Before training
# ---------------
# Guessing gives 5 %. The nearest drawing in pixels does better, and so, to most people's surprise, do random weights.
# All of that has to be beaten before we may say that something was learned.

print("nearest in pixels:", sn.oneshot.evaluate(sn.oneshot.PixelNearestNeighbour(), runs))
print("random weights:   ", sn.oneshot.evaluate(net, runs))

# %%
# Training
# --------
# Every step draws 64 pairs, half of them of the same character by two hands, and does what lesson 00 does: forward,
# loss, backward, and a step of gradient descent with momentum.

rng = np.random.default_rng(0)
optimiser = sn.SGD(lr=0.1, momentum=0.9)
losses = []
for step in range(200):
    optimiser.lr = 0.1 if step < 150 else 0.02  # small steps at the end, to settle
    pairs = sample_pairs(drawings.numbers, count=64, rng=rng)
    a, b = (drawings.ink(numbers, net.device) for numbers in (pairs.first, pairs.second))
    losses.append(float(sn.train_step(net, optimiser, a, b, pairs.labels)))
print(f"loss: {np.mean(losses[:20]):.3f} in the first 20 steps, {np.mean(losses[-20:]):.3f} in the last 20")
print("after training:   ", sn.oneshot.evaluate(net, runs))

if plt:
    query = runs[0].query[:1] * 1.0
    order = np.argsort(-net.scores(query, runs[0].support * 1.0)[0])[:4]
    shown = {"query": query[0], "the right one": runs[0].support[runs[0].query_labels[0]]}
    shown |= {f"choice {k}": runs[0].support[number] for k, number in enumerate(order, start=1)}
    figure = plt.figure(figsize=(9, 3.2))
    left = figure.add_subplot(1, 2, 1)
    left.plot(losses)
    left.axhline(np.log(2), color="k", linestyle=":", label="tossing a coin")
    left.set(xlabel="step", ylabel="loss")
    left.legend()
    for place, (title, image) in zip((4, 10, 5, 6, 11, 12), shown.items(), strict=True):
        axis = figure.add_subplot(2, 6, place)
        axis.imshow(image, cmap="gray_r")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# Write the step of gradient descent with momentum that ``sn.SGD`` takes. The velocity v keeps a part m of itself and
# gains -lr times the gradient g; then the weight moves by the velocity: v becomes m v - lr g, and w becomes w + v.


def sgd_step(w, v, g, lr, m):
    """The new (w, v)."""
    ### BEGIN SOLUTION
    v = m * v - lr * g
    return w + v, v
    ### END SOLUTION


def check(step):
    """Says whether an answer is right, and if not, what is wrong."""
    w, v = step(1.0, 0.5, 2.0, 0.1, 0.9)  # by hand: v = 0.9 * 0.5 - 0.1 * 2 = 0.25, w = 1.25
    if np.isclose(w, 1.25) and np.isclose(v, 0.25):
        return "right"
    if np.isclose(v, 0.65):
        return "refused: that climbs; the loss falls against the gradient"
    if np.isclose(v, 0.25) and np.isclose(w, 1.5):
        return "refused: the weight moves by the new velocity, not by the old one"
    if np.isclose(w, 0.8):
        return "refused: without the velocity it is plain gradient descent"
    return f"refused: w = {w:g} and v = {v:g}, expected 1.25 and 0.25"


print("your answer:", check(sgd_step))

### BEGIN HIDDEN TESTS
MISTAKES = [
    lambda w, v, g, lr, m: (w + m * v + lr * g, m * v + lr * g),
    lambda w, v, g, lr, m: (w + v, m * v - lr * g),
    lambda w, v, g, lr, m: (w - lr * g, m * v),
]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
