"""Forward passes against PyTorch, if installed: pip install -e ".[test,torch]"."""

import numpy as np
import pytest

from scratchnet.errors import install_extra
from scratchnet.exchange.channels_first import to_torch
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU, Sigmoid
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.models import networks as models
from scratchnet.ops.choose import CONVOLUTIONS
from scratchnet.planted.cases import Case

torch = pytest.importorskip("torch", reason=f"compares with PyTorch, which is an extra; {install_extra('torch')}")
F = torch.nn.functional


def nchw(x: np.ndarray):
    """(H, W, N, C) as PyTorch's (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 3, 0, 1)))


def hwnc(x) -> np.ndarray:
    return x.numpy().transpose(2, 3, 0, 1)


@pytest.mark.parametrize("algorithm", CONVOLUTIONS)
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"), [(3, 1, 0), (3, 1, 1), (2, 2, 0), (5, 3, 2), ((2, 3), 1, 1)]
)
def test_convolution(algorithm, kernel_size, stride, padding, rng):
    if algorithm == "winograd" and kernel_size == 5:
        pytest.skip("takes kernels of up to 4 pixels")
    layer = Conv2d(3, 4, kernel_size, stride=stride, padding=padding, algorithm=algorithm)
    params, (x,) = Case(layer, ((9, 8, 2, 3),)).draw(rng)
    weight = torch.from_numpy(np.ascontiguousarray(to_torch(params["weight"])))
    expected = F.conv2d(nchw(x), weight, torch.from_numpy(params["bias"]), stride, padding)
    np.testing.assert_allclose(layer.forward(params, x)[0], hwnc(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, None), (3, 1), (3, 2), (2, 3)])
def test_max_pooling(kernel_size, stride, rng):
    x = rng.standard_normal((7, 6, 2, 3))
    found, _ = MaxPool2d(kernel_size, stride=stride).forward({}, x)
    np.testing.assert_array_equal(found, hwnc(F.max_pool2d(nchw(x), kernel_size, stride)))


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_and_its_running_statistics(training, rng):
    layer = BatchNorm2d(3)
    params, (x,) = Case(layer, ((4, 5, 2, 3),)).draw(rng)
    mean, variance = (torch.from_numpy(params[name].copy()) for name in ("running_mean", "running_var"))
    weight, bias = (torch.from_numpy(params[name]) for name in ("weight", "bias"))
    expected = F.batch_norm(nchw(x), mean, variance, weight, bias, training, 0.1, layer.eps)
    found, cache = layer.forward(params, x, training)
    np.testing.assert_allclose(found, hwnc(expected), rtol=1e-11, atol=1e-12)
    statistics = params | cache.running_statistics
    np.testing.assert_allclose(statistics["running_mean"], mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(statistics["running_var"], variance.numpy(), rtol=1e-12)


def test_dense_layer_and_activations(rng):
    params, (x,) = Case(Linear(5, 3), ((4, 5),)).draw(rng)
    expected = F.linear(
        torch.from_numpy(x), torch.from_numpy(params["weight"].T.copy()), torch.from_numpy(params["bias"])
    )
    y, _ = Linear(5, 3).forward(params, x)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(ReLU().forward({}, y)[0], torch.relu(torch.from_numpy(y)).numpy())
    np.testing.assert_allclose(Sigmoid().forward({}, y)[0], torch.sigmoid(torch.from_numpy(y)).numpy(), rtol=1e-14)


def test_losses(rng):
    logits, labels = rng.standard_normal(9) * 20, rng.random(9)
    expected = F.binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(labels))
    assert float(PairCrossEntropy().forward(logits, labels)[0]) == pytest.approx(expected.item(), rel=1e-12)
    scores, target = rng.standard_normal((4, 5)), rng.integers(0, 5, 4)
    expected = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(target))
    assert float(NWayCrossEntropy().forward(scores, np.eye(5)[target])[0]) == pytest.approx(expected.item(), rel=1e-12)
    scores, support = rng.standard_normal((4, 4)), rng.permutation(4)
    rows = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(support))
    columns = F.cross_entropy(torch.from_numpy(scores.T), torch.from_numpy(np.argsort(support)))
    loss, _ = NWayCrossEntropy(both_ways=True).forward(scores, np.eye(4)[support])
    assert float(loss) == pytest.approx((rows + columns).item() / 2, rel=1e-12)


def test_the_whole_network_of_the_paper(rng):
    """With few channels, in float64: conv, ReLU, pool in the paper's order, then |h1 - h2| @ alpha."""
    net = models.koch2015(image_size=65, channels=(2, 3, 4, 5), features=6)
    params = {name: value.astype(np.float64) for name, value in net.params.items()}
    a, b = rng.random((2, 3, 65, 65))

    def embed(images):
        x = torch.from_numpy(images)[:, None]
        for layer, pooled in (("conv1", True), ("conv2", True), ("conv3", True), ("conv4", False)):
            weight = torch.from_numpy(np.ascontiguousarray(to_torch(params[f"encoder.{layer}.weight"])))
            x = torch.relu(F.conv2d(x, weight, torch.from_numpy(params[f"encoder.{layer}.bias"])))
            x = F.max_pool2d(x, 2) if pooled else x
        flat = x.permute(0, 2, 3, 1).flatten(1)  # our Flatten: row, column, channel
        weight, bias = (torch.from_numpy(params[f"encoder.linear.{name}"]) for name in ("weight", "bias"))
        return torch.sigmoid(flat @ weight + bias)

    expected = (embed(a) - embed(b)).abs() @ torch.from_numpy(params["head.weight"]) + params["head.bias"][0]
    np.testing.assert_allclose(net.forward(params, a, b)[0], expected.numpy(), rtol=1e-10)
