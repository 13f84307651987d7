"""What is only faster equals its definition: one test over every function of every tier, and the complex step."""

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.images import augment, warp
from scratchnet.ops import choose, conv, dense, finite, inference, norm, norm_relu, pixels, pool, update
from scratchnet.ops.accelerated import definition_of
from scratchnet.ops.update import Settings, Update
from scratchnet.ops.windows import output_size

DEFINITIONS = {
    "augment": augment, "warp": warp,
    "conv": conv, "dense": dense, "finite": finite, "inference": inference, "norm": norm, "norm_relu": norm_relu,
    "pixels": pixels, "pool": pool, "update": update,
}  # fmt: skip
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def sizes(rng, *most):
    return [int(rng.integers(1, size + 1)) for size in most]


def convolution(rng):
    """dy, x, weight, stride, padding of any small shape; the padding may be wider than the kernel."""
    (kh, kw), stride, padding = sizes(rng, 4, 4), tuple(sizes(rng, 3, 3)), tuple(rng.integers(0, 5, 2).tolist())
    H, W = (max(1, k - 2 * p) + int(rng.integers(0, 6)) for k, p in zip((kh, kw), padding, strict=True))
    N, C, O = sizes(rng, 4, 4, 4)
    Ho, Wo = (output_size(n + 2 * p, k, s) for n, p, k, s in zip((H, W), padding, (kh, kw), stride, strict=True))
    dy, x, weight = (rng.standard_normal(shape) for shape in [(Ho, Wo, N, O), (H, W, N, C), (kh, kw, C, O)])
    return dy, x, weight, stride, padding


def matrices(rng):
    """Shapes of factors, small or large enough for threads."""
    M, K, N = sizes(rng, 9, 9, 9) if rng.random() < 0.8 else sizes(rng, 400, 300, 300)
    return (M, K), (K, N)


def maps(rng, count):
    shape = sizes(rng, 6, 6, 5, 7)
    return [rng.standard_normal(shape) for _ in range(count)], [rng.standard_normal(shape[3]) for _ in range(4)]


def pooling(rng):
    """x, dy, kernel_size, stride; with ties, and windows that overlap or leave pixels out."""
    (k, s), (N, C) = sizes(rng, 3, 4), sizes(rng, 4, 5)
    H, W = (k + int(rng.integers(0, 7)) for _ in range(2))
    x = rng.integers(-3, 4, (H, W, N, C)).astype(float)
    return x, rng.standard_normal((output_size(H, k, s), output_size(W, k, s), N, C)), k, s


# The arguments of each operation, from random numbers; arrays in float64.
def _input_gradient(rng):
    (dy, x), (mean, scale, mean_dy, slope) = maps(rng, 2)
    return dy, x, mean, scale, mean_dy, slope


def _backward_sums(rng):
    (dy, x), (mean, *_) = maps(rng, 2)
    return dy, x, mean


def _norm_relu_backward(rng):
    """dy, y, x, mean, std and weight; y is 0 at about half of the pixels."""
    (dy, y, x), (mean, std, weight, _) = maps(rng, 3)
    return dy, np.maximum(y, 0), x, mean, abs(std) + 0.5, weight


def _pool_backward(rng):
    x, dy, k, s = pooling(rng)
    return dy, definition_of(pool.forward)(x, k, s)[1], x.shape[:2], k, s


def _pool_forward(rng):
    x, _, k, s = pooling(rng)
    return x, k, s


def _pool_bias_relu(rng):
    x, _, k, s = pooling(rng)
    return x, rng.standard_normal(x.shape[3]), k, s


def _convolve(rng):
    """At stride 1 half of the time, where spectra are kept; here there are none yet."""
    _, x, weight, stride, padding = convolution(rng)
    return x, weight, [stride, (1, 1)][rng.integers(2)], padding, {}


def _pool_scale_bias_relu(rng):
    x, _, k, s = pooling(rng)
    scale, bias = rng.standard_normal((2, x.shape[3]))
    return x, [(k, s), (1, 1)][rng.integers(2)], [scale, None][rng.integers(2)], bias


def _sgd(rng):
    arrays, settings = [rng.standard_normal((5, 700)) for _ in range(3)], Settings(*rng.random(3).tolist())
    return *arrays, settings, [None, np.array(0, np.int32), np.array(1, np.int32)][rng.integers(3)]


def _flag_sgd(rng):
    """Of two parameters; one of them may overflow."""
    updates = []
    for _ in range(2):
        arrays = [rng.standard_normal((5, 700)) for _ in range(3)]
        arrays[2][4, 699] = rng.choice([1.0, np.inf, np.nan])
        updates.append(Update(*arrays, Settings(*rng.random(3).tolist())))
    return updates, np.array(0, np.int32)


def _average(rng):
    weight, value, _, _, failed = _sgd(rng)
    return weight, value, float(rng.random()), failed


def _flag(rng):
    arrays = [rng.standard_normal((5, 700)) for _ in range(3)]
    arrays[1][4, 699] = rng.choice([1.0, np.inf, np.nan])
    return arrays, np.array(0, np.int32)


def _sample(rng):
    """Images, small maps near the identity, and displacements or none."""
    N, H, W = sizes(rng, 4, 9, 9)
    maps = np.array([[1.0, 0, 0], [0, 1, 0]]) + rng.normal(0, 0.2, (N, 2, 3))
    return rng.random((N, H, W)), maps, [None, rng.normal(0, 2, (N, 2, H, W))][rng.integers(2)]


def _thick(rng):
    N, H, W = sizes(rng, 4, 9, 9)
    return rng.random((N, H, W)), rng.uniform(-1, 1, N)


ARGUMENTS = {
    "augment.blend_with_thick": _thick,
    "warp.sample": _sample,
    "dense.product": lambda rng: [rng.standard_normal(shape) for shape in matrices(rng)],
    "finite.flag_not_finite": _flag,
    "inference.convolve": _convolve,
    "inference.pool_scale_bias_relu": _pool_scale_bias_relu,
    "norm.statistics": lambda rng: maps(rng, 1)[0],
    "norm.normalise": lambda rng: [array for part in maps(rng, 1) for array in part][:4],
    "norm.backward_sums": _backward_sums,
    "norm.input_gradient": _input_gradient,
    "norm_relu.forward": lambda rng: [array for part in maps(rng, 1) for array in part][:4],
    "norm_relu.backward": _norm_relu_backward,
    "norm.rescale": lambda rng: [array for part in maps(rng, 1) for array in part][:2],
    "pixels.add_bias": lambda rng: [array for part in maps(rng, 1) for array in part][:2],
    "pixels.sum_pixels": lambda rng: maps(rng, 1)[0],
    "pixels.relu": lambda rng: maps(rng, 1)[0],
    "pixels.relu_backward": lambda rng: maps(rng, 2)[0],
    "pool.forward": _pool_forward,
    "pool.backward": _pool_backward,
    "pool.forward_bias_relu": _pool_bias_relu,
    "update.average": _average,
    "update.flag_sgd": _flag_sgd,
    "update.sgd": _sgd,
}


def is_accelerated(module, function):
    """Whether the module itself defines a function with faster equals."""
    found = getattr(module, function)
    return hasattr(found, "definition") and found.__module__ == module.__name__


TIERS = [("cpu", choose.ON_CPU), ("kernels", choose.ON_GPU)]
EQUALS = [
    pytest.param(device, f"{operation}.{function}", getattr(module, function), id=f"{device}-{operation}.{function}")
    for device, tier in TIERS
    for operation, module in tier.items()
    for function in dir(DEFINITIONS[operation])
    if is_accelerated(DEFINITIONS[operation], function) and hasattr(module, function)
]
CONVOLUTIONS = [
    pytest.param(device, name, module, id=f"{device}-{name}")
    for device, tier in [("cpu", choose.CONVOLUTIONS), ("kernels", choose.CONVOLUTIONS_ON_GPU)]
    for name, module in tier.items()
]


def placed(value, dtype, put=np.asarray):
    """Arguments with copies of their real arrays in `dtype`, on a device; integers, such as winners, as they are."""
    if isinstance(value, list | tuple):
        parts = [placed(part, dtype, put) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if not isinstance(value, np.ndarray):
        return value
    return put(value.astype(dtype) if value.dtype.kind == "f" else value.copy())


def arrays_in(value):
    if isinstance(value, list | tuple):
        return [array for part in value for array in arrays_in(part)]
    return [value] if hasattr(value, "dtype") else []


def outcome(function, arguments):
    """What it returns, and what it has made of its arguments."""
    with np.errstate(invalid="ignore"):
        return arrays_in([function(*arguments), arguments])


def assert_equal(found, expected, dtype):
    for a, b in zip(arrays_in([found]), arrays_in([expected]), strict=True):
        a, b = to_host(a), np.asarray(b)
        if b.dtype.kind == "f":
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        else:
            np.testing.assert_array_equal(a, b)


def test_every_accelerated_function_is_tested():
    accelerated = {
        f"{name}.{function}"
        for name, module in DEFINITIONS.items()
        for function in dir(module)
        if is_accelerated(module, function)
    }
    assert accelerated - {"conv.forward", "conv.backward"} == ARGUMENTS.keys()
    assert {name.values[1] for name in EQUALS} >= ARGUMENTS.keys()


@pytest.mark.parametrize(("device", "name", "function"), EQUALS, indirect=["device"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_function_is_its_definition(device, name, function, dtype):
    operation, _, of = name.partition(".")
    for seed in range(12):
        arguments = placed(ARGUMENTS[name](np.random.default_rng(seed)), dtype)
        expected = outcome(definition_of(getattr(DEFINITIONS[operation], of)), placed(arguments, np.float64))
        assert_equal(outcome(function, placed(arguments, dtype, device.upload)), expected, dtype)


@pytest.mark.parametrize(("device", "algorithm", "module"), CONVOLUTIONS, indirect=["device"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("needs_dx", [True, False])
def test_every_convolution_is_the_definition(device, algorithm, module, dtype, needs_dx):
    for seed in range(20):
        dy, x, weight, *geometry = convolution(np.random.default_rng(seed))
        narrow = placed((dy, x, weight), dtype)
        wide_dy, wide_x, wide_weight = placed(narrow, np.float64)
        expected, saved = definition_of(conv.forward)(wide_x, wide_weight, *geometry, "offsets")
        gradients = definition_of(conv.backward)(wide_dy, wide_x, wide_weight, saved, *geometry, needs_dx)
        dy, x, weight = map(device.upload, narrow)
        y, saved = conv.forward(x, weight, *geometry, algorithm)
        dx, dweight = conv.backward(dy, x, weight, saved, *geometry, needs_dx)
        assert saved.algorithm == algorithm
        assert_equal(y, expected, dtype)
        assert_equal(dweight, gradients[1], dtype)
        if needs_dx:
            assert_equal(dx, gradients[0], dtype)
        else:
            assert dx is None


def complex_step(forward, x, direction, dy):
    """d/dh of sum(dy * forward(x + h direction)), exact to rounding."""
    return float((dy * forward(x + 1e-30j * direction)).sum().imag / 1e-30)


@pytest.mark.parametrize("algorithm", choose.CONVOLUTIONS)
def test_the_backward_of_every_convolution_is_the_derivative_of_the_definition(algorithm):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        dy, x, weight, *geometry = convolution(rng)
        _, saved = conv.forward(x, weight, *geometry, algorithm)
        dx, dweight = conv.backward(dy, x, weight, saved, *geometry, True)
        for gradient, tensor, forward in [
            (dx, x, lambda moved, w=weight, g=geometry: conv.forward(moved, w, *g, "auto")[0]),
            (dweight, weight, lambda moved, x=x, g=geometry: conv.forward(x.astype(complex), moved, *g, "auto")[0]),
        ]:
            direction = rng.standard_normal(tensor.shape)
            numeric = complex_step(forward, tensor, direction, dy)
            assert (gradient * direction).sum() == pytest.approx(numeric, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("tier", [None, *(tier for _, tier in TIERS)], ids=["definition", "fast", "cuda"])
def test_every_backward_of_pixels_and_pools_is_the_derivative_of_the_definition(tier, kernels):
    put = kernels.upload if tier is choose.ON_GPU else np.asarray
    for seed in range(10):
        rng = np.random.default_rng(seed)
        (dy, x), (bias, *_) = maps(rng, 2)
        direction = rng.standard_normal(x.shape)
        of = {name: getattr(tier, "get", lambda name, default: default)(name, module)
              for name, module in DEFINITIONS.items()}  # fmt: skip
        numeric = complex_step(definition_of(pixels.relu), x, direction, dy)
        found = to_host(of["pixels"].relu_backward(put(dy), of["pixels"].relu(put(x))))
        assert (found * direction).sum() == pytest.approx(numeric, rel=1e-11)
        along = rng.standard_normal(bias.shape)
        numeric = complex_step(lambda b, x=x: definition_of(pixels.add_bias)(x + 0j, b), bias, along, dy)
        assert (to_host(of["pixels"].sum_pixels(put(dy))) * along).sum() == pytest.approx(numeric, rel=1e-11)

        x, dy, k, s = pooling(rng)
        x += 0.01 * rng.standard_normal(x.shape)  # no ties, where there is no derivative
        direction = rng.standard_normal(x.shape)
        numeric = complex_step(lambda x, k=k, s=s: definition_of(pool.forward)(x, k, s)[0], x, direction, dy)
        _, winners = of["pool"].forward(put(x), k, s)
        found = to_host(of["pool"].backward(put(dy), winners, x.shape[:2], k, s))
        assert (found * direction).sum() == pytest.approx(numeric, rel=1e-11)
