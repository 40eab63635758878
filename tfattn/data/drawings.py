"""Line drawings of images: edges of gray and color, skeletons of black and white."""

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import checked_images


def edges(images: ArrayLike) -> np.ndarray:
    """Edges of images by Canny's detector, after a Gaussian blur with σ of one pixel.

    Source: Canny, *A Computational Approach to Edge Detection*, 1986; scikit-image's
    `canny` with its default thresholds.

    Args:
        images: Images (n, h, w, c) in [0, 1]; colors are averaged.

    Returns:
        Float32 array (n, h, w, 1): 1 on an edge, 0 elsewhere.

    Raises:
        ValueError: For other shapes or values.
    """
    from skimage.feature import canny

    return _each(canny, images)


def skeletons(images: ArrayLike) -> np.ndarray:
    """Skeletons of white shapes: lines of one pixel that keep how shapes connect.

    Source: Zhang & Suen, *A Fast Parallel Algorithm for Thinning Digital Patterns*,
    1984; scikit-image's `skeletonize`.

    Args:
        images: Images (n, h, w, c) in [0, 1]; colors are averaged, and what is above
            0.5 is white.

    Returns:
        Float32 array (n, h, w, 1): 1 on the skeleton, 0 elsewhere.

    Raises:
        ValueError: For other shapes or values.
    """
    from skimage.morphology import skeletonize

    return _each(lambda gray: skeletonize(gray > 0.5), images)


def _each(draw, images):
    shape = np.shape(images)
    if len(shape) != 4:
        raise ValueError(
            f"Expected images of shape (n, h, w, c). Received: shape {shape}"
        )
    images = checked_images(images, shape[1:])
    drawn = [draw(gray) for gray in images.mean(axis=-1)]
    return np.stack(drawn)[..., None].astype("float32")
