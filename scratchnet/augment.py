"""Random affine distortions (section 4.2 of the paper), and the symmetries of the square.

A transform is T = (theta, rho_x, rho_y, s_x, s_y, t_x, t_y): rotation in degrees, shears, scales, and shifts in
pixels. The paper gives the ranges, but neither the order nor the centre. Here, about the centre of the image,

    output = rotation(theta) @ [[1, rho_x], [rho_y, 1]] @ diag(s_x, s_y) @ input + (t_x, t_y)
"""

from dataclasses import dataclass

import numpy as np

from scratchnet.backend import Array, array_module
from scratchnet.ops.warp import warp

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True)
class AffineRanges:
    """How far a transform may go; each component is drawn uniformly, and kept with `probability`, else neutral.

    The defaults are the paper's; shift is in pixels of a 105-pixel image and scales with the size.
    """

    rotation: float = 10.0
    shear: float = 0.3
    scale: float = 0.2
    shift: float = 2.0
    probability: float = 0.5

    def draw(self, rng: np.random.Generator, count: int, image_size: int) -> np.ndarray:
        """`count` random transforms (count, 7) float64 for images of `image_size` pixels."""
        shift = self.shift * image_size / 105
        reach = np.array([self.rotation, self.shear, self.shear, self.scale, self.scale, shift, shift])
        offsets = rng.uniform(-1, 1, (count, 7)) * reach
        return IDENTITY + offsets * (rng.random((count, 7)) < self.probability)


def inverse_maps(transforms: np.ndarray, image_size: int) -> np.ndarray:
    """(N, 7) transforms as maps from output to input pixels, (N, 2, 3), for `warp`."""
    theta, rho_x, rho_y, s_x, s_y, t_x, t_y = transforms.T
    cos, sin, one = np.cos(np.deg2rad(theta)), np.sin(np.deg2rad(theta)), np.ones_like(theta)
    rotation = np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)
    shear = np.array([[one, rho_x], [rho_y, one]]).transpose(2, 0, 1)
    scale = np.array([[s_x, 0 * one], [0 * one, s_y]]).transpose(2, 0, 1)
    linear = np.linalg.inv(rotation @ shear @ scale)
    centre = np.full(2, (image_size - 1) / 2)
    shift = np.stack([t_x, t_y], axis=1)
    # input = linear @ (output - centre - t) + centre
    offset = centre - np.einsum("nij,nj->ni", linear, centre + shift)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def distort(images: Array, transforms: np.ndarray) -> Array:
    """Square images (N, H, W), each through its own transform (N, 7). The identity returns its image exactly."""
    return warp(images, inverse_maps(transforms, images.shape[-1]))


def symmetry(images: Array, turns: int, mirrored: bool) -> Array:
    """Images (..., H, W) turned by `turns` quarter turns, after a mirror image if asked for.

    A turned character is another character, so that a whole batch is turned alike: seven more alphabets for each.
    """
    xp = array_module(images)
    if mirrored:
        images = xp.flip(images, axis=-1)
    return xp.rot90(images, turns, axes=(-2, -1))
