"""`scratchnet gradcheck FILE.py:NAME`: somebody's own file, judged in words."""

import json

import pytest

FILE = """
import numpy as np

class Affine:
    def __init__(self, n=3, m=2, wrong=1.0):
        self.W, self.b, self.wrong = np.ones((n, m)), np.zeros(m), wrong
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, dout):
        self.dW, self.db = self.wrong * self.x.T @ dout, dout.sum(0)
        return dout @ self.W.T

class Scale:
    def init(self, rng):
        return {"w": np.ones(3)}
    def forward(self, params, x):
        return np.abs(x) * params["w"], (x, params["w"])
    def backward(self, dy, cache):
        x, w = cache
        return dy * np.sign(x) * w, {"w": (dy * np.abs(x)).sum(0)}

def softmax_loss(x, y):
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(x)), y]).mean()
    p[np.arange(len(x)), y] -= 1
    return loss, p / len(x)

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def sigmoid_prime(x):
    return sigmoid(x) * (1 - sigmoid(x))

def affine_forward(x, w, b):
    return x @ w + b, (x, w)

def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(0)

def relu(x):
    return np.maximum(x, 0)

def relu_gradient(dy, x):
    return dy

def tanh_layer(x):
    return np.tanh(x), lambda dy: dy / np.cosh(x) ** 2

def forever(x):
    while True:
        pass

def forever_gradient(dy, x):
    return dy

class NoBackward:
    def forward(self, x):
        return x
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(FILE)
    return path


RIGHT = ["Affine", "Affine(5, m=4)", "Scale", "softmax_loss", "sigmoid", "affine_forward", "tanh_layer"]


@pytest.mark.parametrize("name", RIGHT)
def test_right_code_in_any_style_passes_with_exit_code_0(name, file, ask):
    answer = ask("gradcheck", f"{file}:{name}")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"PASS: backward of {name} is the derivative of its forward, for ")
    assert "since they fit; --shape chooses others" in answer.out


def test_a_mistake_is_explained_and_exits_with_1(file, ask):
    answer = ask("gradcheck", f"{file}:Affine(3, 2, 2.0)", "--shape", "7,3")
    assert answer.code == 1
    assert "FAIL: the gradient of W is wrong at W[" in answer.out
    assert "Hint: factor 2" in answer.out
    assert ask("gradcheck", f"{file}:relu").code == 1


def test_the_verdict_is_also_json(file, ask):
    answer = ask("gradcheck", f"{file}:Affine(3, 2, 2.0)", "--json", "--shape=4,3")
    assert answer.code == 1
    figures = json.loads(answer.out)
    assert figures["passed"] is False
    assert figures["shapes"] == [[4, 3]]
    assert figures["tensors"]["W"]["passed"] is False
    assert figures["tensors"]["x"]["passed"] is True


def test_a_loop_that_never_ends_is_stopped(file, ask):
    answer = ask("gradcheck", f"{file}:forever", "--time-limit", "3")
    assert answer.code == 1
    assert "took longer than 3 seconds: is there a loop that never ends?" in answer.err


REFUSED = {
    "Afine": "did you mean 'Affine'?",
    "NoBackward": "has no method backward, so there is nothing to check",
    "sigmoid_prime": "there is no gradient to check: sigmoid_prime returns neither",
    "Affine(": "is no name, or name with plain arguments",
    "Affine(1, 2, 3, 4)": "could not be made",
}


@pytest.mark.parametrize(("name", "answer"), REFUSED.items())
def test_what_cannot_be_checked_is_said_in_one_line(name, answer, file, ask):
    found = ask("gradcheck", f"{file}:{name}")
    assert found.code == 2
    assert answer in found.err
    assert len(found.err.splitlines()) == 1


def test_a_file_that_is_missing_or_broken_is_named_with_its_line(tmp_path, ask):
    assert "there is no file" in ask("gradcheck", f"{tmp_path / 'none.py'}:A").err
    (tmp_path / "broken.py").write_text("import numpy\nx = 1 +\n")
    assert "broken.py, line 2: SyntaxError" in ask("gradcheck", f"{tmp_path / 'broken.py'}:A").err
    (tmp_path / "raises.py").write_text("\n\nraise ValueError('no')\n")
    assert "raises.py, line 3: ValueError: no" in ask("gradcheck", f"{tmp_path / 'raises.py'}:A").err


def test_a_file_with_several_layers_asks_which(file, ask):
    assert "which of Affine, Scale, sigmoid, affine_forward, relu, forever in" in ask("gradcheck", str(file)).err


def test_shapes_that_do_not_fit_are_answered_with_what_forward_said(file, ask):
    found = ask("gradcheck", f"{file}:Affine", "--shape", "4,5")
    assert found.code == 2
    assert "forward does not take these inputs (ValueError" in found.err
    assert "is no shape, expected numbers such as 4,6" in ask("gradcheck", f"{file}:Affine", "--shape", "4x5").err
    assert "--shape and --time-limit go with FILE.py:NAME" in ask("gradcheck", "--shape", "4,5").err
