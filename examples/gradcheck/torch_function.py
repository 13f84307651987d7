"""Checks a torch.autograd.Function: is its backward the derivative of its forward?"""

import torch

from scratchnet.gradcheck import check, draw


class Gate(torch.autograd.Function):
    """y = x sigmoid(g)"""

    @staticmethod
    def forward(ctx, x, g):
        ctx.save_for_backward(x, g)
        return x * torch.sigmoid(g)

    @staticmethod
    def backward(ctx, dy):
        x, g = ctx.saved_tensors
        s = torch.sigmoid(g)
        return dy * s, dy * x * s * (1 - s)


class TorchLayer:
    def __init__(self, function):
        self.function = function

    def forward(self, params, *inputs):
        tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
        y = self.function.apply(*tensors)
        return y.detach().numpy(), (y, tensors)

    def backward(self, dy, cache):
        y, tensors = cache
        return tuple(dx.numpy() for dx in torch.autograd.grad(y, tensors, torch.tensor(dy), retain_graph=True)), {}


params, inputs = draw(TorchLayer(Gate), (4, 3), (4, 3), seed=0)
print(check(TorchLayer(Gate), params, *inputs))
