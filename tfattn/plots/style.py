"""What all figures have in common: sizes, colors, and how an image is drawn."""

import numpy as np
from matplotlib.axes import Axes

# Inches. At matplotlib's 100 dots per inch an image is 100 pixels wide.
IMAGE_SIZE, PANEL_SIZE = 1.0, 1.25
# For weights, and for numbers of both signs. Color-blind readers can tell them apart.
WEIGHTS, SIGNED = "viridis", "PuOr"


def show(axes: Axes, image: np.ndarray) -> None:
    """Draws one image (h, w, c) in [0, 1], gray if c is 1, without ticks."""
    axes.imshow(
        image.squeeze(-1) if image.shape[-1] == 1 else image,
        "gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set(xticks=[], yticks=[])
