"""The contract of a pure backward: every broken promise is caught and named."""

import numpy as np
import pytest

from scratchnet.gradcheck import check


class Good:
    """y = x * w, right in every respect; each layer below breaks one thing."""

    def forward(self, params, x):
        return x * params["w"], (x, params["w"])

    def backward(self, dy, cache):
        x, w = cache
        return dy * w, {"w": (dy * x).sum(axis=0)}


class RemembersTheLast(Good):
    def forward(self, params, x):
        self.x = x
        return super().forward(params, x)

    def backward(self, dy, cache):
        return super().backward(dy, (self.x, cache[1]))


class AddsUp(Good):
    def __init__(self):
        self.total = 0.0

    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        self.total = self.total + grads["w"]
        return dx, {"w": self.total}


class UsesUpItsCache(Good):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y, [cache]

    def backward(self, dy, cache):
        return super().backward(dy, cache.pop())


class WritesToX(Good):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        x += 0.5
        return y, cache


class WritesToXInBackward(Good):
    def backward(self, dy, cache):
        answer = super().backward(dy, cache)
        cache[0][...] *= 2
        return answer


class WritesToDy(Good):
    def backward(self, dy, cache):
        dy *= cache[1]
        return dy.copy(), {"w": (dy / cache[1] * cache[0]).sum(axis=0)}


class WritesToY(Good):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y, (*cache, y)

    def backward(self, dy, cache):
        cache[2][...] = 0
        return super().backward(dy, cache[:2])


class ReturnsDy(Good):
    def forward(self, params, x):
        return x + params["w"], None

    def backward(self, dy, cache):
        return dy, {"w": dy.sum(axis=0)}


class NotLinear(Good):
    def backward(self, dy, cache):
        return super().backward(dy * np.abs(dy), cache)


class NotZero(Good):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, {"w": grads["w"] + 1.0}


class NeedsRowsInOrder(Good):
    def forward(self, params, x):
        flat = np.frombuffer(x.tobytes(order="A"), x.dtype).reshape(x.shape)
        return flat * params["w"], (flat, params["w"])


class RefusesStrides(Good):
    def backward(self, dy, cache):
        if not dy.flags.c_contiguous:
            raise ValueError("a contiguous array, please")
        return super().backward(dy, cache)


BROKEN = {
    "stale cache: dw changes when another forward": RemembersTheLast,
    "two backward calls on one cache give different dw": AddsUp,
    "deterministic: the test raised IndexError": UsesUpItsCache,
    "forward writes to x": WritesToX,
    "backward writes to x": WritesToXInBackward,
    "backward writes to dy": WritesToDy,
    "backward writes to y": WritesToY,
    "dx shares memory with dy": ReturnsDy,
    "backward is not linear in the cotangent: dx": NotLinear,
    "a zero cotangent gives a nonzero dw": NotZero,
    "Fortran-ordered arrays give a different y": NeedsRowsInOrder,
    "strided arrays raise ValueError: a contiguous array, please": RefusesStrides,
}


@pytest.mark.parametrize(("line", "broken"), BROKEN.items(), ids=BROKEN)
def test_every_broken_promise_is_reported(line, broken, rng):
    params = {"w": rng.standard_normal(4)}
    report = check(broken(), params, rng.standard_normal((3, 4)))
    assert not report
    assert line in str(report)


def test_the_good_layer_keeps_all_promises(rng):
    report = check(Good(), {"w": rng.standard_normal(4)}, rng.standard_normal((3, 4)))
    assert report
    assert set(report.properties) == {
        "writes to no argument",
        "deterministic",
        "returns no views",
        "zero for a zero cotangent",
        "linear in the cotangent",
        "any memory layout",
        "no state between calls",
    }


def test_the_promises_are_not_asked_for_when_the_caller_does_not_care(rng):
    assert check(ReturnsDy(), {"w": rng.standard_normal(4)}, rng.standard_normal((3, 4)), contract=False)
