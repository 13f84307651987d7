"""The Siamese network: two twins with the same weights, and a learned distance between what they see."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from scratchnet.backend import (
    Array,
    Device,
    Params,
    array_module,
    device_of,
    get_device,
    memory_errors,
    one_blas_thread,
    to_device,
)
from scratchnet.errors import DataError, ShapeError
from scratchnet.images.frames import find_frame
from scratchnet.images.ink import expect_images, is_wrong
from scratchnet.layers import Layer, WeightedL1, sigmoid
from scratchnet.layers.base import backward_params, branches, prefixed, running_statistics, under
from scratchnet.layers.conv_pool_relu import fused

Images = Array | Sequence[Image.Image | str | Path]

SCORE_ELEMENTS = 2**24  # elements of |h1 - h2| held at a time


class SiameseCache(NamedTuple):
    encoder: Any
    head: Any
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]


@dataclass
class SiameseNet:
    """logit = head(encoder(a), encoder(b)), with one encoder and one set of weights for both twins.

    The images of both twins pass through the encoder as one batch, so the gradient of a shared weight is the sum
    over both twins without a line that says so, and batch norm sees one batch of both.

    `params` holds the parameters by dotted name, "encoder.conv1.weight" ... "head.bias". forward and backward
    follow the layer protocol and take the parameters by hand; embed, similarity and scores use `params`.
    `architecture` is what `models.build` needs to make the network again. `embed_batch` images are embedded at a time,
    so that memory does not grow with the number asked for. `frame` is what the network looks at of an image, a name
    of `frames.FRAMES`: "page", all of it, or "ink", the window that the ink fills; files are then cleaned, too.
    Raises ScratchnetError for another name.
    """

    encoder: Layer
    head: WeightedL1
    image_size: int = 105
    params: Params = field(default_factory=dict, repr=False)
    architecture: Mapping[str, Any] = field(default_factory=dict)
    embed_batch: int = 128
    frame: str = "page"

    def __post_init__(self) -> None:
        find_frame(self.frame)

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Fresh parameters on the host."""
        return prefixed("encoder", self.encoder.init(rng, dtype)) | prefixed("head", self.head.init(rng, dtype))

    def forward(self, params: Params, a: Array, b: Array, training: bool = False) -> tuple[Array, SiameseCache]:
        """Logits that a and b show the same character, before the sigmoid.

        a and b: (..., H, W) images, ink 1 and paper 0. The leading axes broadcast: (N, H, W) with (N, H, W) gives
        the logits (N,) of N pairs; (Q, 1, H, W) with (S, H, W) the scores (Q, S), each image embedded once.
        """
        xp = array_module(a, b)
        for name, images in (("a", a), ("b", b)):
            if images.ndim < 3 or images.shape[-2:] != (self.image_size, self.image_size):
                size = self.image_size
                raise ShapeError(
                    f"SiameseNet: {name} has shape {images.shape}, expected (..., H={size}, W={size})"
                    f"{_layout_hint(name, images.shape, size)}"
                )
        try:
            np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError as cause:
            given = f"a {a.shape} and b {b.shape}"
            raise ShapeError(f"SiameseNet: {given}, expected leading axes that broadcast") from cause
        twins = xp.concatenate([images.reshape(-1, *images.shape[-2:]) for images in (a, b)])  # (N, H, W)
        h, encoder_cache = self._encode(params, twins, training)  # (N, D)
        n_a = math.prod(a.shape[:-2])
        h1, h2 = h[:n_a].reshape(*a.shape[:-2], h.shape[-1]), h[n_a:].reshape(*b.shape[:-2], h.shape[-1])
        logits, head_cache = self.head.forward(under("head", params), h1, h2)
        return logits, SiameseCache(encoder_cache, head_cache, a.shape, b.shape)

    def backward(self, dlogits: Array, cache: SiameseCache) -> tuple[tuple[Array, Array], Params]:
        """(da, db) and the gradients of the parameters, from dlogits shaped like the logits."""
        dh, head_grads = self._backward_head(dlogits, cache)
        dx, encoder_grads = self.encoder.backward(dh, cache.encoder)
        dtwins = dx[..., 0].transpose(2, 0, 1)  # (N, H, W)
        n_a = math.prod(cache.shape_a[:-2])
        da, db = dtwins[:n_a].reshape(cache.shape_a), dtwins[n_a:].reshape(cache.shape_b)
        return (da, db), prefixed("encoder", encoder_grads) | head_grads

    def backward_params(self, dlogits: Array, cache: SiameseCache) -> Params:
        """The gradients of the parameters alone, which is all that training needs."""
        dh, head_grads = self._backward_head(dlogits, cache)
        return prefixed("encoder", backward_params(self.encoder, dh, cache.encoder)) | head_grads

    def _backward_head(self, dlogits: Array, cache: SiameseCache) -> tuple[Array, Params]:
        """The gradient of both twins' embeddings as one batch (N, D), and those of the head's parameters."""
        (dh1, dh2), grads = self.head.backward(dlogits, cache.head)
        dh = array_module(dlogits).concatenate([dh.reshape(-1, dh.shape[-1]) for dh in (dh1, dh2)])
        return dh, prefixed("head", grads)

    def branches(self, cache: SiameseCache) -> dict[str, Any]:
        """The branches that the encoder and the head took at their kinks."""
        return {"encoder": branches(self.encoder, cache.encoder), "head": branches(self.head, cache.head)}

    def running_statistics(self, cache: SiameseCache) -> Params:
        """What batch norm measured in a forward in training, for the training step to write back."""
        return prefixed("encoder", running_statistics(self.encoder, cache.encoder))

    def embed(self, images: Images) -> Array:
        """The embeddings (N, D) of images: (N, H, W) arrays of any size, ink 1 and paper 0, or a list of files.

        Arrays are bool or float. Raises DataError, naming the image, for values outside of 0 to 1, NaN, infinity and
        negatives (paper 1, as `images/ink.py` judges it), ShapeError for other dtypes and shapes, and BackendError
        when there is too little memory. An array on a GPU is not waited for: there an image at fault has embeddings of
        NaN. Images last, (H, W, N), cannot be told from (N, H, W).
        """
        return self._embed("images", images)

    def similarity(self, a: Images, b: Images) -> Array:
        """The probability (N,) that a[i] and b[i] show the same character. Raises as `embed` does."""
        return sigmoid(self.logits(a, b))

    def logits(self, a: Images, b: Images) -> Array:
        """The logit (N,) of each pair a[i] and b[i], before the sigmoid."""
        h1, h2 = self._embed("a", a), self._embed("b", b)
        if h1.shape != h2.shape:
            raise ShapeError(f"similarity: a has {h1.shape[0]} images and b {h2.shape[0]}, expected as many")
        return self.head.forward(under("head", self.params), h1, h2)[0]

    def scores(self, queries: Images, supports: Images) -> Array:
        """The logits (Q, S) of each query against each support; every image is embedded once. Raises as `embed`."""
        h1, h2 = self._embed("queries", queries), self._embed("supports", supports)
        head = under("head", self.params)
        step = max(1, SCORE_ELEMENTS // max(1, h2.size))
        blocks = [self.head.forward(head, h1[i : i + step, None], h2)[0] for i in range(0, max(1, len(h1)), step)]
        return array_module(h1).concatenate(blocks)

    @property
    def device(self) -> Device:
        """Where the parameters live, and arrays of images have to."""
        return device_of(self._anchor)

    @property
    def _anchor(self) -> Array:
        """A parameter that every Siamese network has, to tell the device and the precision by."""
        if "head.weight" not in self.params:
            raise ShapeError("the network has no parameters yet: net.params = net.init(rng)")
        return self.params["head.weight"]

    def to_device(self, device: str | Device | None) -> "SiameseNet":
        """The same network with its parameters in the memory of `device`; they are shared if they are there already.

        Where there are kernels for it, layers that pass large maps on to each other are made one.
        """
        encoder = fused(self.encoder) if get_device(device).launch else self.encoder
        params = {name: to_device(value, device) for name, value in self.params.items()}
        return replace(self, encoder=encoder, params=params)

    def _encode(self, params: Params, images: Array, training: bool = False) -> tuple[Array, Any]:
        x = images.transpose(1, 2, 0)[..., None]  # (N, H, W) -> (H, W, N, C=1)
        return self.encoder.forward(under("encoder", params), x, training)

    def _embed(self, name: str, images: Images) -> Array:
        """`embed`, of images that the caller knows by this name."""
        step = self.embed_batch
        with one_blas_thread(), memory_errors(lambda: _embed_fewer(min(step, len(images)))):
            x = self._prepare(name, images)
            xp = array_module(x)
            h = xp.concatenate([self._encode(self.params, x[i : i + step])[0] for i in range(0, max(1, len(x)), step)])
            if self.device.asynchronous and not isinstance(images, Sequence):
                h = xp.where(is_wrong(images)[:, None], xp.nan, h)  # to refuse them would mean to wait
            return h

    def _prepare(self, name: str, images: Images) -> Array:
        """Images as the encoder wants them: framed, (N, size, size), the parameters' precision and device."""
        weight = self._anchor
        if isinstance(images, str | Path | Image.Image):
            raise DataError(f"{name} is a single picture, expected a list of them: write [picture]")
        if isinstance(images, Sequence):
            return self.device.upload(self._read(name, images).astype(weight.dtype.name))
        array_module(images, weight)
        expect_images(name, images)
        return find_frame(self.frame).fit(images.astype(weight.dtype), self.image_size)

    def _read(self, name: str, pictures: Sequence[Image.Image | str | Path]) -> np.ndarray:
        """Pictures of any size, framed, as one array on the host: (N, size, size) float32."""
        read, fit = find_frame(self.frame)
        ink = np.zeros((len(pictures), self.image_size, self.image_size), np.float32)
        for i, picture in enumerate(pictures):
            if not isinstance(picture, Image.Image | str | Path):
                kind = type(picture).__name__
                raise DataError(f"{name} holds a {kind}, expected Pillow images or paths: stack arrays as (N, H, W)")
            ink[i] = fit(read(picture)[None], self.image_size)[0]
        return ink


def _layout_hint(name: str, shape: tuple[int, ...], size: int) -> str:
    """What to do about images that have a layout of other libraries."""
    if len(shape) == 3 and shape[:2] == (size, size):
        return f": it looks like (H, W, N), which becomes {name}.transpose(2, 0, 1)"
    if len(shape) > 3 and shape[-3:] == (size, size, 1):
        return f": the channel goes as {name}[..., 0]"
    return ""


def _embed_fewer(images: int) -> str:
    otherwise = "give fewer images, or take a smaller network or another device"
    return f"set net.embed_batch to {images // 2}, {otherwise}" if images > 1 else otherwise
