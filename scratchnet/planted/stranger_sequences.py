"""Bugs in strangers' layers on sequences: LSTM, attention, layer norm, group norm."""

from scratchnet.backend import Array
from scratchnet.planted.bug import STRANGERS, ForwardPass, edited, planted_in
from scratchnet.planted.parts import BackwardResult
from scratchnet.planted.stranger_layers import LSTM, Attention, GroupNorm, Step, gate_gradients

in_lstm = planted_in(LSTM(), (4, 2, 3), catalogue=STRANGERS)
in_attention = planted_in(Attention(), (2, 4, 4), catalogue=STRANGERS)
in_layer_norm = planted_in(GroupNorm(4), (3, 4, 5), catalogue=STRANGERS)
in_group_norm = planted_in(GroupNorm(4, groups=2), (3, 4, 5), catalogue=STRANGERS)


@in_lstm
def gates_in_another_order(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward lays the gates out as i, o, f, g, as another library does."""
    return at.layer.through_time(dy, at.cache, lambda *a: [gate_gradients(*a)[k] for k in (0, 2, 1, 3)])


@in_lstm
def forget_gate_not_trained(dy: Array, at: ForwardPass) -> BackwardResult:
    """The block of dwh that belongs to the forget gate stays zero."""
    dx, grads = at.backward(dy)
    return dx, grads | {"wh": edited(grads["wh"], (slice(None), slice(4, 8)), 0.0)}


@in_lstm
def cell_not_carried_over(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of the cell state is not passed to the step before."""
    return at.layer.through_time(dy, at.cache, carry=lambda dc, s: 0 * dc)


@in_lstm
def hidden_state_not_carried_over(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of the hidden state is not passed to the step before."""
    return at.layer.through_time(dy, at.cache, hidden=0.0)


@in_lstm
def cell_carried_through_the_input_gate(dy: Array, at: ForwardPass) -> BackwardResult:
    """The gradient of the cell state is multiplied by i instead of f on its way back."""
    return at.layer.through_time(dy, at.cache, carry=lambda dc, s: dc * s.i)


@in_lstm
def tanh_of_the_cell_not_derived(dy: Array, at: ForwardPass) -> BackwardResult:
    """dc = dh o, without 1 - tanh(c)^2."""
    return at.layer.through_time(dy, at.cache, cell=lambda dh, s: dh * s.o)


@in_lstm
def output_gate_not_derived(dy: Array, at: ForwardPass) -> BackwardResult:
    """The output gate's gradient lacks o (1 - o)."""

    def gates(dh: Array, dc: Array, s: Step) -> list[Array]:
        i, f, _, g = gate_gradients(dh, dc, s)
        return [i, f, dh * s.tanh_c, g]

    return at.layer.through_time(dy, at.cache, gates)


@in_lstm
def candidate_taken_for_a_sigmoid(dy: Array, at: ForwardPass) -> BackwardResult:
    """g is a tanh, but is derived as g (1 - g), like its neighbours."""

    def gates(dh: Array, dc: Array, s: Step) -> list[Array]:
        return [*gate_gradients(dh, dc, s)[:3], dc * s.i * s.g * (1 - s.g)]

    return at.layer.through_time(dy, at.cache, gates)


@in_lstm
def forget_gate_meets_the_new_cell(dy: Array, at: ForwardPass) -> BackwardResult:
    """df is taken with c_t instead of c_(t-1)."""

    def gates(dh: Array, dc: Array, s: Step) -> list[Array]:
        i, _, o, g = gate_gradients(dh, dc, s)
        new = s.f * s.c + s.i * s.g
        return [i, dc * new * s.f * (1 - s.f), o, g]

    return at.layer.through_time(dy, at.cache, gates)


@in_lstm
def bias_of_the_first_step(dy: Array, at: ForwardPass) -> BackwardResult:
    """db = dgates of the last step visited, assigned instead of added."""
    dx, grads = at.backward(dy)
    later = at.layer.backward(dy[1:], (at.cache[0][1:], at.cache[1]))[1]
    return dx, grads | {"b": grads["b"] - later["b"]}


@in_lstm
def time_left_reversed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx comes out with the last step first."""
    dx, grads = at.backward(dy)
    return dx[::-1].copy(), grads


@in_attention
def scores_not_scaled(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward forgets 1 / sqrt(D)."""
    scores = at.layer.scores(dy, at.cache) * 2
    return at.layer.collect(*at.layer.inside(dy, at.cache, scores), at.cache)


@in_attention
def scores_scaled_twice(dy: Array, at: ForwardPass) -> BackwardResult:
    """1 / sqrt(D) is applied to the scores and again to dq."""
    dq, dk, dv = at.layer.inside(dy, at.cache)
    return at.layer.collect(dq / 2, dk, dv, at.cache)


@in_attention
def softmax_without_its_sum(dy: Array, at: ForwardPass) -> BackwardResult:
    """The softmax is derived entry by entry, as w (1 - w)."""
    dweights = dy @ at.cache.v.swapaxes(1, 2)
    scores = at.cache.weights * (1 - at.cache.weights) * dweights / 2
    return at.layer.collect(*at.layer.inside(dy, at.cache, scores), at.cache)


@in_attention
def softmax_summed_over_queries(dy: Array, at: ForwardPass) -> BackwardResult:
    """The sum in the derivative of the softmax runs over queries instead of keys; both are T."""
    dweights = dy @ at.cache.v.swapaxes(1, 2)
    scores = at.cache.weights * (dweights - (dweights * at.cache.weights).sum(axis=1, keepdims=True)) / 2
    return at.layer.collect(*at.layer.inside(dy, at.cache, scores), at.cache)


@in_attention
def queries_and_keys_swapped(dy: Array, at: ForwardPass) -> BackwardResult:
    """dq and dk change places."""
    dq, dk, dv = at.layer.inside(dy, at.cache)
    return at.layer.collect(dk, dq, dv, at.cache)


@in_attention
def key_gradient_not_transposed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dk = dscores q without a transpose; both are T x T."""
    dq, _, dv = at.layer.inside(dy, at.cache)
    return at.layer.collect(dq, at.layer.scores(dy, at.cache) @ at.cache.q, dv, at.cache)


@in_attention
def value_gradient_not_transposed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dv = weights dy without a transpose."""
    dq, dk, _ = at.layer.inside(dy, at.cache)
    return at.layer.collect(dq, dk, at.cache.weights @ dy, at.cache)


@in_attention
def value_path_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx has the paths through queries and keys, not that through values."""
    dx, grads = at.backward(dy)
    return dx - at.layer.inside(dy, at.cache)[2] @ at.params["wv"].T, grads


@in_attention
def weights_detached(dy: Array, at: ForwardPass) -> BackwardResult:
    """The attention weights are treated as constants."""
    dq, dk, dv = at.layer.inside(dy, at.cache)
    return at.layer.collect(0 * dq, 0 * dk, dv, at.cache)


@in_attention
def query_matrix_of_the_first_sample(dy: Array, at: ForwardPass) -> BackwardResult:
    """dwq is not summed over the batch: it is that of the first sample."""
    dx, grads = at.backward(dy)
    return dx, grads | {"wq": at.x[0].T @ at.layer.inside(dy, at.cache)[0][0]}


def _normalised(dy: Array, at: ForwardPass, mean: float = 1.0, spread: float = 1.0, scale: bool = True) -> Array:
    """dx of group norm with parts of it left out."""
    x, z, std, gamma = at.cache
    dz = (dy * (gamma if scale else 1.0)).reshape(z.shape)
    centred = dz - mean * dz.mean(axis=2, keepdims=True) - spread * z * (dz * z).mean(axis=2, keepdims=True)
    return (centred / std).reshape(x.shape)


@in_layer_norm
def mean_held_constant(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx lacks the path through the mean."""
    return _normalised(dy, at, mean=0.0), at.backward(dy)[1]


@in_layer_norm
def variance_held_constant(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx lacks the path through the variance."""
    return _normalised(dy, at, spread=0.0), at.backward(dy)[1]


@in_layer_norm
def gamma_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is computed from dy instead of dy gamma."""
    return _normalised(dy, at, scale=False), at.backward(dy)[1]


@in_layer_norm
def variance_path_doubled(dy: Array, at: ForwardPass) -> BackwardResult:
    """The path through the variance has a factor 2, from d(x^2) and again from the formula."""
    return _normalised(dy, at, spread=2.0), at.backward(dy)[1]


@in_layer_norm
def gamma_meets_the_raw_input(dy: Array, at: ForwardPass) -> BackwardResult:
    """dgamma is summed with x instead of the normalised x."""
    dx, grads = at.backward(dy)
    return dx, grads | {"gamma": (dy * at.x).sum(axis=(0, 2))[:, None]}


@in_layer_norm
def beta_averaged(dy: Array, at: ForwardPass) -> BackwardResult:
    """dbeta is the mean over samples."""
    dx, grads = at.backward(dy)
    return dx, grads | {"beta": grads["beta"] / len(dy)}


@in_layer_norm
def divided_by_the_variance(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is divided by the variance instead of its root."""
    dx, grads = at.backward(dy)
    return (dx.reshape(at.cache[1].shape) / at.cache[2]).reshape(dx.shape), grads


@in_group_norm
def groups_forgotten(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward takes its means over all channels, as layer norm does."""
    _, z, std, gamma = at.cache
    whole = (len(dy), 1, dy[0].size)
    dz, z = (dy * gamma).reshape(whole), z.reshape(whole)
    centred = dz - dz.mean(axis=2, keepdims=True) - z * (dz * z).mean(axis=2, keepdims=True)
    return (centred.reshape(at.cache[1].shape) / std).reshape(dy.shape), at.backward(dy)[1]


@in_group_norm
def statistics_over_the_batch(dy: Array, at: ForwardPass) -> BackwardResult:
    """The means in backward run over samples too, as in batch norm."""
    _, z, std, gamma = at.cache
    dz = (dy * gamma).reshape(z.shape)
    centred = dz - dz.mean(axis=(0, 2), keepdims=True) - z * (dz * z).mean(axis=(0, 2), keepdims=True)
    return (centred / std).reshape(dy.shape), at.backward(dy)[1]


@in_group_norm
def gamma_of_one_sample(dy: Array, at: ForwardPass) -> BackwardResult:
    """dgamma is that of the last sample."""
    dx, grads = at.backward(dy)
    return dx, grads | {"gamma": (dy * at.cache[1].reshape(dy.shape))[-1].sum(axis=1)[:, None]}


@in_group_norm
def unbiased_variance_in_backward(dy: Array, at: ForwardPass) -> BackwardResult:
    """The path through the variance is divided by n - 1."""
    size = at.cache[1].shape[2]
    return _normalised(dy, at, spread=size / (size - 1)), at.backward(dy)[1]
