"""
11. One-shot on Omniglot
========================

Omniglot has 50 alphabets, each character drawn by 20 people. The test is always the same: 20 characters of an alphabet
that was not trained on, each drawn once, and a new drawing by somebody else. People choose right in 95.5 % of the
official trials (Lake et al. 2015). Here a trained network takes them.
"""

from pathlib import Path

import numpy as np

import scratchnet as sn
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import look_for

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# The trials
# ----------
# There are 20 official runs of 20 trials. The first run comes with the examples; ``scratchnet download`` gets them
# all.

here = Path(__file__).parent if "__file__" in globals() else Path()
if found := look_for(None, "all_runs.zip", "all_runs"):
    runs = sn.oneshot.official_runs(found)
elif (here / "omniglot").exists():
    runs = sn.oneshot.official_runs(here / "omniglot")
    print("Omniglot is not here (scratchnet download): the first official run only")
else:
    runs = sn.oneshot.sample_runs(generate_alphabets(2, image_size=105, seed=1), runs=1, rng=np.random.default_rng(0))
    print("Omniglot is not here (scratchnet download): generated alphabets in its place")
print(
    f"{len(runs)} run(s), {sum(len(run.query) for run in runs)} trials, {len(runs[0].support)} to choose from in each"
)

# %%
# The scores
# ----------
# The network that comes with scratchnet was trained on other alphabets. It gives every pair of a query and a support
# a score, higher where it sees the same character. Each query takes the support with the highest.

net = sn.load_model("omniglot")
scores = [sn.to_host(net.scores(run.query * 1.0, run.support * 1.0)) for run in runs]  # (20 queries, 20 supports) each
choices = [each.argmax(axis=1) for each in scores]
right = [run.support_labels[choice] == run.query_labels for run, choice in zip(runs, choices, strict=True)]
correct, trials = int(np.sum(right)), int(np.size(right))
low, high = sn.oneshot.wilson_interval(correct, trials)
print(f"right: {correct} of {trials}, {correct / trials:.1%}; 95 % interval {low:.1%} to {high:.1%}")
print("nearest in pixels:", sn.oneshot.evaluate(sn.oneshot.PixelNearestNeighbour(), runs))

# %%
# The interval belongs to the figure. 20 of 20 in one run looks perfect, but says no more than "above five in six";
# that is why nobody should compare networks on a single run.

if plt:
    figure, (left, middle, last) = plt.subplots(1, 3, figsize=(9, 3.6), width_ratios=[2, 1, 1])
    left.imshow(scores[0])
    left.plot(choices[0], range(len(choices[0])), "r.")
    left.set(xlabel="support", ylabel="query", title="scores of the first run; dots: choices")
    left.set(xticks=range(0, 20, 5), yticks=range(0, 20, 5))
    middle.imshow(runs[0].query[0], cmap="gray_r")
    middle.set(title="first query", xticks=[], yticks=[])
    last.imshow(runs[0].support[choices[0][0]], cmap="gray_r")
    last.set(title="its choice", xticks=[], yticks=[])
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# Write the choice: from scores (queries, supports), the number of the support that each query takes. Each query
# stands for itself: in use there would be only one, so the others must not help.


def choose(scores):
    ### BEGIN SOLUTION
    return scores.argmax(axis=1)
    ### END SOLUTION


def check(choose):
    """Says whether an answer is right, and if not, what is wrong."""
    scores = np.array([[3.0, 1, 0, -2], [9, 8, 1, -1], [2, 0, 1, 4]])
    got = np.asarray(choose(scores))
    reasons = [
        ([0, 0, 3], "right"),
        ([1, 1, 1, 2], "refused: that is a query for each support; here the queries choose"),
        ([3, 3, 1], "refused: a score is high where the pictures are alike; that takes the lowest"),
        ([1, 0, 3], "refused: it uses that no two queries show the same character, which one query could not know"),
    ]
    return next((reason for choice, reason in reasons if np.array_equal(got, choice)), f"refused: {got}")


print("your answer:", check(choose))


### BEGIN HIDDEN TESTS
def one_to_one(scores):
    """The best pair first, then the best of what is left."""
    left, choice = scores.copy(), np.zeros(len(scores), int)
    for _ in range(len(scores)):
        query, support = np.unravel_index(left.argmax(), left.shape)
        choice[query] = support
        left[query], left[:, support] = -np.inf, -np.inf
    return choice


MISTAKES = [lambda scores: scores.argmax(axis=0), lambda scores: scores.argmin(axis=1), one_to_one]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
