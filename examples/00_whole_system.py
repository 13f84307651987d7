"""
00. The whole system in one file
================================

A Siamese network in NumPy alone: data, network, gradients, training, and the test that matters. Given one drawing of
each of 20 characters that it has never seen, which of them does another drawing show?

Read it once without stopping at what you don't understand; lessons 01 to 11 take it apart. Maps are (H, W, N, C):
height, width, images, channels.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = print("without matplotlib, the picture is left out")

rng = np.random.default_rng(0)
SIZE = 20  # pixels


def draw(corners):
    """A drawing (SIZE, SIZE) of a character, given its corners (K, 2), by an unsteady hand."""
    turn = np.eye(2) + rng.normal(0, 0.12, (2, 2))
    points = (corners - SIZE / 2) @ turn + SIZE / 2 + rng.normal(0, 0.6, corners.shape) + rng.normal(0, 1, 2)
    pixels = np.stack(np.mgrid[:SIZE, :SIZE], axis=-1)[:, :, None]  # (SIZE, SIZE, 1, 2)
    start, way = points[:-1], np.diff(points, axis=0)
    along = np.clip(((pixels - start) * way).sum(-1) / (way**2).sum(-1), 0, 1)  # the nearest point of each line
    distance = np.linalg.norm(pixels - start - along[..., None] * way, axis=-1).min(axis=-1)
    return np.clip(1.6 - distance, 0, 1)  # ink 1, paper 0


def characters(count):
    """New characters: four corners each, anywhere."""
    return rng.uniform(3, SIZE - 3, (count, 4, 2))


# %%
# The network. Every gradient is written by hand; ``d<name>`` is that of the loss with respect to ``<name>``.


def conv(x, weight):
    """y[i, j] = sum over a, b of x[i + a, j + b] @ weight[a, b]: (H, W, N, C) to (Ho, Wo, N, O)."""
    (kh, kw), Ho, Wo = weight.shape[:2], x.shape[0] - len(weight) + 1, x.shape[1] - weight.shape[1] + 1
    return sum(x[a : a + Ho, b : b + Wo] @ weight[a, b] for a in range(kh) for b in range(kw))


def conv_backward(dy, x, weight):
    dx, dweight, (Ho, Wo) = np.zeros_like(x), np.zeros_like(weight), dy.shape[:2]
    for a, b in np.ndindex(weight.shape[:2]):
        dweight[a, b] = np.tensordot(x[a : a + Ho, b : b + Wo], dy, axes=((0, 1, 2), (0, 1, 2)))
        dx[a : a + Ho, b : b + Wo] += dy @ weight[a, b].T
    return dx, dweight


def halves(x):
    """The four pixels of each 2 x 2 window, (4, H / 2, W / 2, N, C)."""
    return np.stack([x[a::2, b::2] for a in (0, 1) for b in (0, 1)])


def encode(params, images):
    """Images (N, SIZE, SIZE) to embeddings (N, D), and what backward needs."""
    x = images.transpose(1, 2, 0)[..., None]
    z = conv(x, params["conv.weight"]) + params["conv.bias"]
    pooled = halves(z).max(axis=0)
    flat = np.maximum(pooled, 0).transpose(2, 0, 1, 3).reshape(len(images), -1)
    return flat @ params["dense.weight"], (x, z, pooled, flat)


def encode_backward(dh, params, cache):
    x, z, pooled, flat = cache
    grads, (H, W, N, C) = {"dense.weight": flat.T @ dh}, pooled.shape
    dpooled = (dh @ params["dense.weight"].T).reshape(N, H, W, C).transpose(1, 2, 0, 3) * (pooled > 0)
    dz, winner = np.zeros_like(z), halves(z).argmax(axis=0)
    for number, (a, b) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        dz[a::2, b::2] = dpooled * (winner == number)
    _, grads["conv.weight"] = conv_backward(dz, x, params["conv.weight"])
    return grads | {"conv.bias": dz.sum(axis=(0, 1, 2))}


def logit_gradient(p, labels):
    """The exercise: d loss / d logit, for each pair, of loss = mean of -log(p if the label is 1, else 1 - p)."""
    ### BEGIN SOLUTION
    return (p - labels) / len(p)
    ### END SOLUTION


def loss_and_gradients(params, a, b, labels):
    """The cross-entropy of "same character?" for pairs of images, and its gradient for every parameter."""
    h, cache = encode(params, np.concatenate([a, b]))  # both twins as one batch: the same weights
    h1, h2 = np.split(h, 2)
    logits = np.abs(h1 - h2) @ params["head.weight"] + params["head.bias"]
    p = 1 / (1 + np.exp(-logits))
    loss = -np.log(np.where(labels == 1, p, 1 - p)).mean()
    dlogits = logit_gradient(p, labels)
    ddifference = dlogits[:, None] * params["head.weight"] * np.sign(h1 - h2)
    grads = encode_backward(np.concatenate([ddifference, -ddifference]), params, cache)
    return loss, grads | {"head.weight": dlogits @ np.abs(h1 - h2), "head.bias": dlogits.sum(keepdims=True)}


def check(gradient):
    """Four pairs at logit 0, where p = 1/2. By hand: the slope of -log p is -1/2, and the mean divides it by 4."""
    got, right = gradient(np.full(4, 0.5), np.array([1.0, 0, 0, 1])), np.array([-1, 1, 1, -1]) / 8
    reasons = {1: "right", -1: "refused: the sign; a larger logit makes a pair of label 1 less wrong",
               4: "refused: this is the gradient of the sum, but the loss is the mean over the pairs",
               0.25: "refused: p (1 - p) cancels against the 1 / p and 1 / (1 - p) of the logarithms"}  # fmt: skip
    return next((r for factor, r in reasons.items() if np.allclose(got, factor * right)), f"refused: not {right}")


def one_shot(params):
    """20 trials of 20 new characters: the share of right choices, and the last queries and what was chosen for each."""
    right = 0
    for _ in range(20):
        supports, queries = np.array([[draw(corners), draw(corners)] for corners in characters(20)]).swapaxes(0, 1)
        h_queries, h_supports = encode(params, queries)[0], encode(params, supports)[0]
        choices = (np.abs(h_queries[:, None] - h_supports) @ params["head.weight"]).argmax(axis=1)
        right += (choices == np.arange(20)).sum()
    return right / 400, queries, supports[choices]


# %%
# Training: 600 steps of gradient descent with momentum, on pairs of drawings of 600 other characters.
print("your answer:", check(logit_gradient))
params = {"conv.weight": rng.normal(0, 0.3, (5, 5, 1, 8)), "conv.bias": np.zeros(8), "head.bias": np.ones(1),
          "dense.weight": rng.normal(0, 0.06, (512, 32)), "head.weight": np.full(32, -4 / 32)}  # fmt: skip
print(f"recognised before training: {one_shot(params)[0]:.1%} of 400 new drawings; guessing gives 5 %")
losses, velocity = [], {name: np.zeros_like(value) for name, value in params.items()}
drawings = np.array([[draw(corners) for _ in range(4)] for corners in characters(600)])  # (600, 4, SIZE, SIZE)
for step in range(600):
    labels, first = np.arange(64) % 2, rng.integers(600, size=64)
    second = np.where(labels == 1, first, (first + rng.integers(1, 600, size=64)) % 600)
    a, b = drawings[first, rng.integers(4, size=64)], drawings[second, rng.integers(4, size=64)]
    loss, grads = loss_and_gradients(params, a, b, labels)
    velocity = {name: 0.9 * velocity[name] - 0.1 * (1 - step / 600) * grads[name] for name in params}
    params = {name: params[name] + velocity[name] for name in params}
    losses += [loss]
accuracy, queries, choices = one_shot(params)
print(f"and after: {accuracy:.1%}; the loss fell from {np.mean(losses[:50]):.3f} to {np.mean(losses[-50:]):.3f}")
if plt:  # ten queries of the last trial, and below each the support that was chosen
    plt.figure(figsize=(8, 2))
    plt.imshow(np.vstack([np.hstack(queries[:10]), np.hstack(choices[:10])]), cmap="gray_r")
    plt.xticks([])
    plt.yticks([SIZE / 2, 3 * SIZE / 2], ["query", "choice"])
    plt.show()

### BEGIN HIDDEN TESTS
MISTAKES = [lambda p, t: (t - p) / len(p), lambda p, t: p - t, lambda p, t: (p - t) * p * (1 - p) / len(p)]
print("the usual mistakes:", *map(check, MISTAKES), sep="\n")
### END HIDDEN TESTS
