"""Batch normalisation of a batch whose images lie on several ranks."""

from dataclasses import KW_ONLY, dataclass

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect
from scratchnet.errors import ShapeError
from scratchnet.layers.batchnorm2d import BatchNorm2d, BatchNorm2dCache
from scratchnet.layers.norm_relu import NormReLU, NormReLUCache
from scratchnet.ops import norm
from scratchnet.ops.pixels import relu_backward
from scratchnet.parallel.comm import ALONE, Comm


@dataclass(frozen=True)
class RanksBatchNorm2d(BatchNorm2d):
    """BatchNorm2d by the statistics of the whole batch, of which each of K ranks has equally many images.

    With the mean m_k and the variance v_k of rank k's images, those of the batch are

        mean     = sum over k of m_k / K                          (1)
        variance = sum over k of (v_k + (m_k - mean)^2) / K       (2)

    and with the sums dbias_k and dweight_k of its pixels, (1) and (2) of BatchNorm2d, rank k's share of

        dx = weight / std * (dy - sum over k of dbias_k / M - z sum over k of dweight_k / M)     (3)

    M counts the pixels of all ranks. The gradients returned are those of this rank's images; the caller sums them over
    all ranks, as those of any other layer. Raises ShapeError in training when M < 2.
    """

    _: KW_ONLY
    ranks: Comm = ALONE

    def statistics(self, params: Params, x: Array, training: bool) -> BatchNorm2dCache:
        """As in BatchNorm2d, of the images of all ranks."""
        if not training:
            return super().statistics(params, x, training)
        weight, bias, *old = (params[name] for name in ("weight", "bias", "running_mean", "running_var"))
        shapes = "x: H W N C, weight: C, bias: C, running_mean: C, running_var: C"
        xp = expect("BatchNorm2d", shapes, x, weight, bias, *old, C=self.num_features)
        if (M := self._pixels(x)) < 2:
            raise ShapeError(f"BatchNorm2d: x has {M} pixels a channel (H W N) on all ranks, expected 2 or more")
        K, (own_mean, own_variance) = self.ranks.size, norm.statistics(x)
        mean = self.ranks.allreduce(own_mean / K)  # (1)
        offset = own_mean - mean
        variance = self.ranks.allreduce((own_variance + offset * offset) / K)  # (2)
        share = self.momentum
        updated = {
            "running_mean": (1 - share) * old[0] + share * mean,
            "running_var": (1 - share) * old[1] + share * M / (M - 1) * variance,
        }
        return BatchNorm2dCache(x, mean, xp.sqrt(variance + self.eps), weight, training, updated)

    def backward(self, dy: Array, cache: BatchNorm2dCache) -> tuple[Array, Params]:
        """dx (H, W, N, C) of this rank's images; dweight and dbias (C,), the sums over these alone."""
        x, mean, std, weight, training, _ = cache
        if not training:
            return super().backward(dy, cache)
        xp = expect("BatchNorm2d", "x: H W N C, dy: H W N C", x, dy)
        dbias, dscale = norm.backward_sums(dy, x, mean)
        dweight = dscale / std
        of_all = self.ranks.allreduce(xp.stack([dbias, dweight])) / self._pixels(x)
        dx = norm.input_gradient(dy, x, mean, weight / std, of_all[0], of_all[1] / std)  # (3)
        return dx, {"weight": dweight, "bias": dbias}

    def _pixels(self, x: Array) -> int:
        return self.ranks.size * int(x.size) // self.num_features


@dataclass(frozen=True)
class RanksNormReLU(NormReLU):
    """NormReLU around a RanksBatchNorm2d."""

    def backward(self, dy: Array, cache: NormReLUCache) -> tuple[Array, Params]:
        """As in NormReLU, apart: between the sums and dx there is a word with the other ranks."""
        return self.norm.backward(relu_backward(dy, cache.y), BatchNorm2dCache(*cache[1:]))
