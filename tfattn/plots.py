"""Every picture that is shown. Each function returns a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Four places around the middle, (row, col) on a map of 14×14.
QUERIES = ((3, 7), (7, 4), (7, 10), (11, 7))


def _show(axes, image):
    """Draws one image (h, w, c) in [0, 1], grey if c is 1, without ticks."""
    axes.imshow(
        image.squeeze(-1) if image.shape[-1] == 1 else image, "gray", vmin=0, vmax=1
    )
    axes.set(xticks=[], yticks=[])


def image_grid(
    images: np.ndarray,
    row_titles: Sequence[str] | None = None,
    title: str | None = None,
    cell_size: float = 0.6,
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """A sheet of images.

    Args:
        images: Array (rows, columns, h, w, c) in [0, 1].
        row_titles: Optional text for each row.
        title: Optional text above the sheet.
        cell_size: Width of an image in inches.
        column_titles: Optional text for each column.

    Returns:
        Figure with one axes: all images are in one picture, since matplotlib needs
        seconds to draw a hundred axes.
    """
    rows, columns, h, w, channels = images.shape
    gap = max(1, round(0.08 * w))
    tops, lefts = (h + gap) * np.arange(rows), (w + gap) * np.arange(columns)
    sheet = np.ones((tops[-1] + h, lefts[-1] + w, channels), "float32")
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            sheet[top : top + h, left : left + w] = images[row, column]
    figure, axes = _axes_of_size(
        width=sheet.shape[1] * cell_size / w,
        height=sheet.shape[0] * cell_size / w,
        left=0.08 * max(map(len, row_titles)) if row_titles else 0.0,
        top=0.3 if column_titles else 0.0,
        title=title,
    )
    _show(axes, sheet)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9)
    if row_titles:
        axes.set_yticks(tops + (h - 1) / 2, row_titles)
    if column_titles:
        axes.xaxis.tick_top()
        axes.set_xticks(lefts + (w - 1) / 2, column_titles)
    return figure


def _axes_of_size(width, height, left, top, title):
    """A figure with room for labels, and its only axes, of a size in inches."""
    margin = 0.08
    top += 0.3 if title else 0.0
    figure = Figure(figsize=(width + left + 2 * margin, height + top + 2 * margin))
    total_width, total_height = figure.get_size_inches()
    if title:
        figure.suptitle(title, fontsize=10, y=1 - 0.1 / total_height, va="top")
    axes = figure.add_axes(
        (
            (left + margin) / total_width,
            margin / total_height,
            width / total_width,
            height / total_height,
        )
    )
    return figure, axes


def completion_figure(
    images: np.ndarray,
    visible: np.ndarray,
    completions: np.ndarray,
    title: str | None = None,
) -> Figure:
    """What was hidden of images, and answers for it.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        visible: Boolean array (h, w) or (n, h, w).
        completions: Array (n, num_samples, h, w, c) in [0, 1].
        title: Optional text above the figure.

    Returns:
        Figure with a row for each image: the image, what is shown of it (the rest is
        grey), its completions.
    """
    shown = np.where(visible[..., None], images, 0.5)
    rows = np.concatenate([images[:, None], shown[:, None], completions], axis=1)
    return image_grid(rows, title=title)


def attention_figure(
    images: np.ndarray,
    maps: np.ndarray,
    queries: Sequence[tuple[int, int]] | None = None,
    title: str | None = None,
) -> Figure:
    """Where chosen positions of images attend.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        maps: Attention maps (n, map_h, map_w, key_h, key_w) of these images.
        queries: Positions (row, col) in the map, one column of pictures for each;
            by default four places around the middle.
        title: Optional text above the figure.

    Returns:
        Figure with a row for each image: the image, then for each query (the cross)
        the image under its map, from dark (no weight) to yellow (the largest).
    """
    n, map_h, map_w = maps.shape[:3]
    h, w = images.shape[1:3]
    if queries is None:
        queries = [(row * map_h // 14, col * map_w // 14) for row, col in QUERIES]
    columns = 1 + len(queries)
    figure = Figure(
        figsize=(columns * 1.3, n * 1.3 * h / w + (0.4 if title else 0)),
        layout="constrained",
    )
    grid = figure.subplots(n, columns, squeeze=False)
    for i in range(n):
        _show(grid[i, 0], images[i])
        for axes, (row, col) in zip(grid[i, 1:], queries, strict=True):
            _show(axes, images[i])
            axes.imshow(
                maps[i, row, col],
                "inferno",
                vmin=0,
                alpha=0.7,
                extent=(-0.5, w - 0.5, h - 0.5, -0.5),
            )
            axes.plot(
                (col + 0.5) * w / map_w - 0.5,
                (row + 0.5) * h / map_h - 0.5,
                "x",
                color="cyan",
                markersize=7,
                markeredgewidth=2,
            )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def curves(
    series: Mapping[str, Any], x_label: str, y_label: str, title: str | None = None
) -> Figure:
    """Lines over a common axis.

    Args:
        series: Dictionary from a line's name to its values, one for each step from 1,
            or to a pair (steps, values).
        x_label: Text below.
        y_label: Text at the side.
        title: Optional text above.

    Returns:
        Figure.
    """
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, values in series.items():
        if not isinstance(values, tuple):
            values = np.arange(1, len(values) + 1), values
        axes.plot(*values, label=name)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def weight_figure(
    images: np.ndarray,
    maps: np.ndarray,
    column_titles: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Where weights lie on images.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        maps: Weights (n, columns, map_h, map_w) of these images; each is scaled to
            its own largest entry.
        column_titles: Optional text above each map.
        title: Optional text above the figure.

    Returns:
        Figure with a row for each image: the image, then the image under each of its
        maps, from dark (no weight) to yellow (the largest).
    """
    n, columns = maps.shape[:2]
    h, w = images.shape[1:3]
    figure = Figure(
        figsize=((1 + columns) * 1.3, n * 1.3 * h / w + (0.4 if title else 0)),
        layout="constrained",
    )
    grid = figure.subplots(n, 1 + columns, squeeze=False)
    for i in range(n):
        _show(grid[i, 0], images[i])
        for axes, weights in zip(grid[i, 1:], maps[i], strict=True):
            _show(axes, images[i])
            axes.imshow(
                weights,
                "inferno",
                vmin=0,
                alpha=0.7,
                extent=(-0.5, w - 0.5, h - 0.5, -0.5),
            )
    for axes, text in zip(grid[0, 1:], column_titles or (), strict=False):
        axes.set_title(text, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
