"""Augmentation: the paper's affine distortions (section 4.2), elastic warps, thicker and thinner strokes, symmetries.

A transform is T = (theta, rho_x, rho_y, s_x, s_y, t_x, t_y): rotation in degrees, shears, scales, and shifts in
pixels. The paper gives the ranges, but neither the order nor the centre. Here, about the centre of the image,

    output = rotation(theta) @ [[1, rho_x], [rho_y, 1]] @ diag(s_x, s_y) @ input + (t_x, t_y)

or, with `as_listed`, the three one after the other as T lists them: rotation, shear, scale.
"""

from dataclasses import dataclass

import numpy as np

from scratchnet.backend import Array, array_module, device_of
from scratchnet.images.ink import expect_floats
from scratchnet.images.warp import warp
from scratchnet.ops.accelerated import accelerated

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
SYMMETRIES = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))


@dataclass(frozen=True, kw_only=True)
class AffineRanges:
    """The ranges of random transforms. Each component is drawn uniformly with `probability`, and is neutral otherwise.

    The defaults are the paper's. rotation: degrees. shift: pixels in an image of 105 pixels, scaled with the size.
    """

    rotation: float = 10.0
    shear: float = 0.3
    scale: float = 0.2
    shift: float = 2.0
    probability: float = 0.5

    def draw(self, count: int, *, image_size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `count` random transforms, (count, 7) float64, for images of `image_size` pixels."""
        shift = self.shift * image_size / 105
        reach = np.array([self.rotation, self.shear, self.shear, self.scale, self.scale, shift, shift])
        offsets = rng.uniform(-1, 1, (count, 7)) * reach
        return IDENTITY + offsets * (rng.random((count, 7)) < self.probability)


@dataclass(frozen=True)
class ElasticRanges:
    """The range of random elastic warps: smooth displacements of the ink, which imitate different handwriting.

    The shifts in x, and those in y, are a series of the K x K lowest cosines over the image of S x S pixels, K = waves:

        shift[i, j] = sum over k, l of B[i, k] coefficients[k, l] B[j, l],  so  B @ coefficients @ B.T       (1)
        B[i, 0] = 1,  B[i, k] = sqrt(2) cos(pi k (i + 0.5) / S)

    The columns of B are orthogonal with mean square 1, so the mean square of the shifts is the sum of the squared
    coefficients. These are normally distributed and then scaled so that the root mean square of the shifts, over both
    axes and all pixels, is s S, where s is uniform from 0 to `amplitude` for each image.
    """

    amplitude: float = 0.05
    waves: int = 4

    def draw(self, count: int, *, image_size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw coefficients in pixels, (count, 2, K, K) float64, for `count` images of `image_size` pixels."""
        coefficients = rng.standard_normal((count, 2, self.waves, self.waves))
        mean_square = (coefficients**2).sum(axis=(1, 2, 3), keepdims=True) / 2  # over the axes
        share = rng.uniform(0, self.amplitude, (count, 1, 1, 1))
        return share * image_size * coefficients / np.sqrt(mean_square)


def inverse_maps(transforms: np.ndarray, image_size: int, *, as_listed: bool = False) -> np.ndarray:
    """Convert transforms (N, 7) to affine maps (N, 2, 3) from output to input pixels, for `warp`.

    as_listed: rotation first and scale last, where otherwise scale comes first.
    """
    theta, rho_x, rho_y, s_x, s_y, t_x, t_y = transforms.T
    cos, sin, one = np.cos(np.deg2rad(theta)), np.sin(np.deg2rad(theta)), np.ones_like(theta)
    rotation = np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)
    shear = np.array([[one, rho_x], [rho_y, one]]).transpose(2, 0, 1)
    scale = np.array([[s_x, 0 * one], [0 * one, s_y]]).transpose(2, 0, 1)
    linear = np.linalg.inv(scale @ shear @ rotation if as_listed else rotation @ shear @ scale)
    centre = np.full(2, (image_size - 1) / 2)
    shift = np.stack([t_x, t_y], axis=1)
    # input = linear @ (output - centre - t) + centre
    offset = centre - np.einsum("nij,nj->ni", linear, centre + shift)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def elastic_shifts(coefficients: Array, image_size: int) -> Array:
    """The shifts (N, 2, S, S) in pixels, x before y, of coefficients (N, 2, K, K), for `warp`; S = image_size."""
    waves = np.arange(coefficients.shape[-1])
    cosines = np.cos(np.pi * waves * (np.arange(image_size)[:, None] + 0.5) / image_size)
    basis = np.where(waves == 0, 1.0, np.sqrt(2)) * cosines  # (S, K)
    B = device_of(coefficients).upload(basis.astype(coefficients.dtype.name))
    return B @ coefficients @ B.T  # (1)


def distort(
    images: Array, transforms: np.ndarray, *, elastic: np.ndarray | None = None, as_listed: bool = False
) -> Array:
    """Apply to each of the square images (N, S, S), float, its own transform (N, 7). The identity is exact.

    elastic: coefficients (N, 2, K, K) of an additional elastic warp; zeros change nothing. The values of the images are
    not restricted. as_listed: as in `inverse_maps`. Returns (N, S, S). Raises ShapeError for images that are not float.
    """
    expect_floats("images", images)
    size, shifts = images.shape[-1], None
    if elastic is not None:
        shifts = elastic_shifts(device_of(images).upload(elastic.astype(images.dtype.name)), size)
    return warp(images, inverse_maps(transforms, size, as_listed=as_listed), displacement=shifts)


def thicken(images: Array, shares: np.ndarray) -> Array:
    """Blend images (N, H, W), float, by their shares (N,) from -1 to 1, with thicker or, below zero, thinner strokes.

    Thickening is a grey dilation, the maximum of 3 x 3 neighbours; thinning is an erosion, their minimum; outside the
    image there is paper, 0. As erode(y) = -dilate(-y), one formula covers both, for the share s and its sign g:

        y + s (dilate(y) - y)  and  y + |s| (erode(y) - y)  are  y + s (dilate(g y) - g y)     (1)

    Raises ShapeError for images that are not float.
    """
    expect_floats("images", images)
    return blend_with_thick(images, device_of(images).upload(shares.astype(images.dtype.name)))


@accelerated
def blend_with_thick(images: Array, shares: Array) -> Array:
    """Equation (1) of `thicken`, with shares (N,) that are on the device of the images."""
    xp, s = array_module(images), shares[:, None, None]
    signed = xp.sign(s) * images
    padded = xp.pad(signed, ((0, 0), (1, 1), (1, 1)))
    columns = xp.maximum(xp.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])  # (N, H, W + 2)
    dilated = xp.maximum(xp.maximum(columns[:, :, :-2], columns[:, :, 1:-1]), columns[:, :, 2:])
    return images + s * (dilated - signed)  # (1)


def symmetry(images: Array, turns: int, mirrored: bool) -> Array:
    """Rotate images (..., H, W) by `turns` quarter turns, after mirroring them if `mirrored`: one of SYMMETRIES.

    A rotated character is a different character, so all images of an episode are treated alike: each alphabet yields
    seven more.
    """
    xp = array_module(images)
    if mirrored:
        images = xp.flip(images, axis=-1)
    return xp.rot90(images, turns, axes=(-2, -1))
