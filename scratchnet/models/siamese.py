"""A Siamese network with its parameters: what is trained, saved, and asked about pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scratchnet.backend import (
    CPU,
    Array,
    Device,
    Params,
    array_module,
    device_of,
    keep_freed_memory,
    memory_errors,
    one_blas_thread,
    to_device,
)
from scratchnet.common.tables import Table
from scratchnet.errors import DataError, ScratchnetError, ShapeError
from scratchnet.images.frames import find_frame
from scratchnet.images.ink import expect_images, is_wrong
from scratchnet.layers import Sequential, Siamese, WeightedL1, sigmoid
from scratchnet.layers.fuse import fuse
from scratchnet.layers.protocol import strip_prefix
from scratchnet.layers.siamese import SiameseCache
from scratchnet.models.inference import Inference
from scratchnet.models.pair_trace import Pairs, PairTrace, summary, trace_pair
from scratchnet.models.reading import Drawing, OnError, expect_range, read_drawings
from scratchnet.models.scoring import Aligned, Look, align_best, align_pairs, expect_ways, in_views

Images = Array | Sequence[Drawing]

SCORE_ELEMENTS = 2**24  # elements of |h1 - h2| held at a time


@dataclass
class SiameseNet:
    """A network of twins, `layers.Siamese`, with its parameters and a way of looking at pictures.

    `params` holds the parameters by dotted name, "encoder.conv1.weight" ... "head.bias". init, forward and backward
    follow the layer protocol and take the parameters by hand; embed, similarity and scores use `params`.
    `architecture` is what `models.build` needs to make the network again. `embed_batch` images are embedded at a time,
    so that memory does not grow with the number of images. `frame` is what the network looks at of an image, a name
    of `frames.FRAMES`: "page", all of it; "ink", the window that its ink fills, and files are cleaned first; or "grey",
    all of it as it is, from 0 for white to 127/255 for black, without ink and paper.
    `dataclasses.replace(net, encoder=...)` makes another network; its parts are not assigned to. `network` has the
    layers as they were given; what runs is `fused`, which computes the same to rounding in fewer passes over the maps.
    Raises ScratchnetError for another frame, and for an `embed_batch` less than 1.
    """

    encoder: Any
    head: WeightedL1
    image_size: int = 105
    params: Params = field(default_factory=dict, repr=False)
    architecture: Mapping[str, Any] = field(default_factory=dict)
    embed_batch: int = 128
    frame: str = "page"

    def __post_init__(self) -> None:
        find_frame(self.frame)
        if self.embed_batch < 1:
            raise ScratchnetError(f"embed_batch={self.embed_batch}: embed at least 1 image at a time")
        self.network = Siamese(self.encoder, self.head, self.image_size)
        self.fused = Siamese(fuse(self.encoder), self.head, self.image_size)
        self._inference: Inference | None = None

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Fresh parameters on the host."""
        return self.network.init(rng, dtype)

    def forward(self, params: Params, a: Array, b: Array, training: bool = False) -> tuple[Array, SiameseCache]:
        """The logits of pairs of images (..., H, W), and the cache: see `layers.Siamese`."""
        return self.fused.forward(params, a, b, training)

    def backward(
        self, dlogits: Array, cache: SiameseCache, needs_dx: bool = True
    ) -> tuple[tuple[Array, Array] | None, Params]:
        """(da, db), or None without `needs_dx`, and the gradients of the parameters: see `layers.Siamese`."""
        return self.fused.backward(dlogits, cache, needs_dx)

    def prepare(self, images: Images, *, on_error: OnError = "raise") -> Array:
        """What the encoder sees of images: (N, S, S) of the parameters' precision and device, S = image_size, framed.

        images: an array (N, H, W) of any size, bool or float, ink 1 and paper 0; or a list of pictures, each a path,
        the bytes of a file, an open binary file, a Pillow image or an array (H, W) on the host, read in threads.
        on_error: "raise", or "skip" what cannot be read, which gives NaN in its place, so that N stays the same.

        Raises DataError, naming the image, for files that cannot be read, values outside of 0 to 1, NaN, infinity and
        inverted images (paper 1, ink 0, as `images/ink.py` judges it), ShapeError for other dtypes and shapes, and
        OutOfMemoryError. An array on a GPU is not waited for: there an image at fault gives NaN. Images last,
        (H, W, N), cannot be told from (N, H, W).
        """
        with one_blas_thread():
            x, wrong = self._prepare("images", images, on_error)
        return x if wrong is None else array_module(x).where(wrong[:, None, None], np.nan, x)

    def embed(self, images: Images, *, on_error: OnError = "raise") -> Array:
        """The embeddings (N, D) of images, as `prepare` takes them; of what was skipped, NaN. Raises as `prepare`."""
        return self._embed("images", images, on_error)

    def similarity(self, a: Images, b: Images, *, on_error: OnError = "raise") -> Array:
        """The probability (N,) that a[i] and b[i] show the same character. Raises as `prepare` does."""
        return sigmoid(self.logits(a, b, on_error=on_error))

    def logits(self, a: Images, b: Images, *, on_error: OnError = "raise") -> Array:
        """The logit (N,) of each pair a[i] and b[i], before the sigmoid."""
        h1, h2 = self._embed("a", a, on_error), self._embed("b", b, on_error)
        if h1.shape != h2.shape:
            raise ShapeError(f"a has {h1.shape[0]} images and b {h2.shape[0]}, expected the same number")
        return self.head.forward(strip_prefix("head", self.params), h1, h2)[0]

    def scores(
        self, queries: Images, supports: Images, *, views: int = 1, align: int = 0, on_error: OnError = "raise"
    ) -> Array:
        """The logits (Q, S) of each query against each support; every image is embedded once, or once in each view.

        views: 1, 2 or 8 symmetries in which queries and supports are seen. align: how many of the supports that match
        a query best are compared with it again, each warped onto the other (`models/scoring.py`), which is measured for
        networks like the bundled one. Raises as `prepare` does, and ScratchnetError for other numbers.
        """
        named = (("queries", queries), ("supports", supports))
        seen, known = (self._look(name, images, views, align, on_error) for name, images in named)
        return self.match(seen, known, align=align)

    def look(self, images: Images, *, views: int = 1, keep: bool = False, on_error: OnError = "raise") -> Look:
        """What `match` takes of images, to keep: their embeddings in each view and, if `keep`, themselves to align."""
        return self._look("images", images, views, int(keep), on_error)

    def match(self, queries: Look, supports: Look, *, align: int = 0) -> Array:
        """`scores` of images that were looked at before. Raises ShapeError unless both were seen in as many views."""
        h1, h2 = queries.embeddings, supports.embeddings
        if h1.shape[1] != h2.shape[1]:
            raise ShapeError(f"queries were seen in views={h1.shape[1]} and supports in views={h2.shape[1]}: take one")
        by_view = [self.scores_of(h1[:, v], h2[:, v]) for v in range(h1.shape[1])]
        logits = sum(by_view[1:], start=by_view[0]) / len(by_view)
        if not align:
            return logits
        return align_best(queries, supports, logits, align, embed=self._encode_like(h1), compare=self._compare)

    def match_pairs(self, a: Look, b: Look, *, align: bool = False) -> Array:
        """The logits (N,) of pairs a[i] and b[i]; with `align`, their scores after each is warped onto the other."""
        return self.align_pairs(a, b).score if align else self._compare(a.embeddings, b.embeddings)

    def align_pairs(self, a: Look, b: Look) -> Aligned:
        """Each of N pairs a[i] and b[i] warped onto the other and compared again, with all that their score is made of.

        Raises ScratchnetError where the images were not kept.
        """
        h1, h2 = a.embeddings, b.embeddings
        return align_pairs(a, b, self._compare(h1, h2), embed=self._encode_like(h1), compare=self._compare)

    def scores_of(self, h1: Array, h2: Array) -> Array:
        """`scores` of embeddings (Q, D) and (S, D) that were kept: logits (Q, S).

        Raises ShapeError unless both are embeddings of this network.
        """
        head = strip_prefix("head", self.params)
        for name, h in (("h1", h1), ("h2", h2)):
            if h.ndim != 2 or h.shape[1] != self.head.features:
                raise ShapeError(f"{name} has shape {tuple(h.shape)}, expected embeddings (N, {self.head.features})")
        step = max(1, SCORE_ELEMENTS // max(1, h2.size))
        blocks = [self.head.forward(head, h1[i : i + step, None], h2)[0] for i in range(0, max(1, len(h1)), step)]
        return array_module(h1).concatenate(blocks)

    def trace(self, a: Drawing, b: Drawing, *, same: bool = True, others: Pairs | None = None) -> PairTrace:
        """Every array of a pair's way through the network, as `similarity` goes it, and of a training step on it.

        a, b: two images (H, W), or two pictures or files. same: whether they show the same character, which is what the
        step teaches. others: more pairs for its batch, (N, S, S) images with S = image_size, framed already.
        Raises as `embed` does, and ShapeError for others that are no pairs.
        """
        with one_blas_thread():
            x, z = (self._prepare(name, _as_images(image))[0][0] for name, image in (("a", a), ("b", b)))
            return trace_pair(self.network, self.params, x, z, same=same, others=others)

    def summary(self) -> Table:
        """A table of the layers for one image: shapes, parameters and cost."""
        blank = array_module(self._reference_param).zeros((1, self.image_size, self.image_size), self.dtype)
        return summary(self.network, self.params, blank)

    @property
    def device(self) -> Device:
        """Where the parameters live, and arrays of images have to."""
        return device_of(self._reference_param)

    @property
    def dtype(self) -> Any:
        """The precision of the parameters. Raises ShapeError if there are none yet."""
        return self._reference_param.dtype

    @property
    def _reference_param(self) -> Array:
        """A parameter that every Siamese network has: it shows the device and the precision."""
        if "head.weight" not in self.params:
            raise ShapeError("the network has no parameters yet: net.params = net.init(rng)")
        return self.params["head.weight"]

    def to_device(self, device: str | Device | None) -> "SiameseNet":
        """The same network with its parameters in the memory of `device`; they are shared if they are there already."""
        return replace(self, params={name: to_device(value, device) for name, value in self.params.items()})

    def _embed(self, name: str, images: Images, on_error: OnError = "raise") -> Array:
        """`embed`, of images that the caller knows by this name."""
        return self._look(name, images, 1, 0, on_error).embeddings[:, 0]

    def _look(self, name: str, images: Images, views: int, align: int, on_error: OnError) -> Look:
        """`look`, of images that the caller knows by this name; they are kept if some are to be aligned."""
        expect_ways(views, align)
        with one_blas_thread(), memory_errors(lambda: _embed_fewer(min(self.embed_batch, len(images)))):
            x, wrong = self._prepare(name, images, on_error)
            h = self._encode_views(x, views)
        if wrong is not None:
            h = array_module(h).where(wrong[:, None, None], array_module(h).nan, h)
        return Look(h, x if align else None)

    def _encode_views(self, x: Array, views: int) -> Array:
        """The embeddings (N, V, D) of framed images (N, S, S), seen in V views."""
        step, xp = self.embed_batch, array_module(x)
        with one_blas_thread(), memory_errors(lambda: _embed_fewer(min(step, len(x)))):
            by_view = [
                xp.concatenate([self._encode(y[i : i + step]) for i in range(0, len(y) or 1, step)])
                for y in in_views(x, views)
            ]
            return by_view[0][:, None] if views == 1 else xp.stack(by_view, axis=1)

    def _encode_like(self, h: Array) -> Callable[[Array], Array]:
        """`_encode_views`, in as many views as embeddings (N, V, D) have."""
        return lambda x: self._encode_views(x, h.shape[1])

    def _compare(self, h1: Array, h2: Array) -> Array:
        """The logits (N,) of pairs of embeddings (N, V, D), the mean over views."""
        return self.head.forward(strip_prefix("head", self.params), h1, h2)[0].mean(axis=1)

    def _encode(self, x: Array) -> Array:
        """The embeddings (N, D) of x (N, S, S); by an `Inference` where the network has one, on the host."""
        if self.device is not CPU or not isinstance(self.encoder, Sequential):
            return self.fused.encode(self.params, x)[0]
        keep_freed_memory()
        params = strip_prefix("encoder", self.params)
        if self._inference is None or not self._inference.fits(params):
            self.fused.encode(self.params, x[:1])  # whose layers refuse parameters and images that do not fit
            self._inference = Inference(self.encoder, params)
        return self._inference(params, x.transpose(1, 2, 0)[..., None])

    def _prepare(self, name: str, images: Images, on_error: OnError = "raise") -> tuple[Array, Array | None]:
        """Images as the encoder wants them, (N, size, size); and which of them are wrong, (N,) bool, None if none."""
        weight, frame = self._reference_param, find_frame(self.frame)
        if isinstance(images, str | Path | Image.Image | bytes):
            raise DataError(f"{name} is a single picture, expected a list of them: write [picture]")
        if on_error == "skip" and isinstance(images, np.ndarray):
            images = list(images)
        if isinstance(images, Sequence):
            ink, skipped = read_drawings(name, images, frame, self.image_size, on_error)
            x = self.device.upload(ink.astype(weight.dtype.name))
            return x, self.device.upload(skipped) if skipped.any() else None
        array_module(images, weight)
        expect_images(name, images)
        expect_range(name, images, frame)
        x = frame.fit(images.astype(weight.dtype), self.image_size)
        return x, is_wrong(images) if self.device.asynchronous else None  # refusing them would mean waiting


def _as_images(image: Any) -> Images:
    """One image as several: an array (1, H, W), on its device, or a list."""
    return image[None] if hasattr(image, "ndim") else [image]


def _embed_fewer(images: int) -> str:
    otherwise = "give fewer images, or take a smaller network or another device"
    return f"set net.embed_batch to {images // 2}, {otherwise}" if images > 1 else otherwise
