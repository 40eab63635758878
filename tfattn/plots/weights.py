"""Attention and other weights, beside the images that they are of."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tfattn.plots.style import PANEL_SIZE, WEIGHTS, show

# Four places around the middle, (row, col) on a map of 14×14.
QUERIES = ((3, 7), (7, 4), (7, 10), (11, 7))


def attention_figure(
    images: np.ndarray,
    maps: np.ndarray,
    queries: Sequence[tuple[int, int]] | None = None,
    title: str | None = None,
) -> Figure:
    """Where chosen positions of images attend to.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        maps: Attention maps (n, map_h, map_w, key_h, key_w) of these images.
        queries: Positions (row, col) in the map, one column of pictures for each;
            by default four places around the middle.
        title: Optional text above the figure.

    Returns:
        Figure with a row for each image: the image with its numbered queries, then the
        map of each query (the cross), in multiples of the weight that uniform attention
        gives every key. One color bar holds for all maps.
    """
    map_h, map_w = maps.shape[1:3]
    if queries is None:
        queries = [(row * map_h // 14, col * map_w // 14) for row, col in QUERIES]
    rows, cols = np.transpose(queries)
    places = np.stack([(rows + 0.5) / map_h, (cols + 0.5) / map_w], axis=-1)
    figure, grid = _weights_beside(
        images,
        maps[:, rows, cols],
        [f"query {i + 1}: ({row}, {col})" for i, (row, col) in enumerate(queries)],
        title,
        "times uniform",
    )
    for line in grid:
        for i, place in enumerate(places):
            _mark(line[0], place, i + 1)
            _mark(line[i + 1], place)
    return figure


def _mark(axes, place, number=None):
    """A cross at a place, (row, col) as shares of the picture's height and width."""
    h, w = axes.images[0].get_array().shape[:2]
    row, col = place[0] * h - 0.5, place[1] * w - 0.5
    for color, width in (("black", 4), ("white", 2)):  # seen on dark and on bright
        axes.plot(col, row, "x", color=color, markersize=7, markeredgewidth=width)
    if number is not None:
        axes.annotate(
            str(number),
            (col, row),
            (4, 3),
            textcoords="offset points",
            color="white",
            fontsize=8,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "black", "linewidth": 0},
        )


def weight_figure(
    images: np.ndarray,
    maps: np.ndarray,
    column_titles: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """How weights are distributed over images.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        maps: Non-negative weights (n, columns, map_h, map_w) of these images.
        column_titles: Optional text above each map.
        title: Optional text above the figure.

    Returns:
        Figure with a row for each image: the image, then each of its maps, in multiples
        of the map's mean. One color bar holds for all maps.
    """
    return _weights_beside(images, maps, column_titles, title, "times the mean")[0]


def _weights_beside(images, maps, column_titles, title, unit):
    """Images, their maps (n, columns, h, w) beside them, and a color bar."""
    n, columns = maps.shape[:2]
    h, w = images.shape[1:3]
    relative = maps / np.maximum(maps.mean(axis=(-2, -1), keepdims=True), 1e-12)
    # In inches, so that an image is as large whatever else is in the figure.
    gap, room, top = 0.1, 0.9, 0.3 + (0.3 if title else 0)  # room: for the color bar
    width, height = PANEL_SIZE, PANEL_SIZE * h / w
    total = ((1 + columns) * (width + gap) + gap + room, n * (height + gap) + gap + top)
    figure = Figure(figsize=total)
    grid = figure.subplots(
        n,
        1 + columns,
        squeeze=False,
        gridspec_kw={
            "left": gap / total[0],
            "right": 1 - (gap + room) / total[0],
            "bottom": gap / total[1],
            "top": 1 - (gap + top) / total[1],
            "wspace": gap / width,
            "hspace": gap / height,
        },
    )
    # At least 2, or weights that are all alike would be drawn in the color of the
    # largest.
    scale = Normalize(0, max(2.0, float(relative.max())))
    for line, image, panels in zip(grid, images, relative, strict=True):
        show(line[0], image)
        for axes, panel in zip(line[1:], panels, strict=True):
            axes.imshow(panel, WEIGHTS, scale, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
    for axes, text in zip(grid[0], ["image", *(column_titles or ())], strict=False):
        axes.set_title(text, fontsize=9)
    bar_axes = figure.add_axes(
        (
            1 - room / total[0],
            gap / total[1],
            0.12 / total[0],
            1 - (2 * gap + top) / total[1],
        )
    )
    colors = ScalarMappable(scale, WEIGHTS)
    bar = figure.colorbar(colors, cax=bar_axes, label=unit)
    bar.ax.axhline(1, color="white", linewidth=1.5)
    if title:
        figure.suptitle(title, fontsize=10, y=1 - 0.08 / total[1], va="top")
    return figure, grid
