"""Every picture that is shown. Each function returns a matplotlib figure.

All figures have one style: images are at least 96 pixels wide on the screen and are not
smoothed, so that each pixel can be seen; weights are drawn in colors that color-blind
readers can tell apart, beside the image and never over it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

# Four places around the middle, (row, col) on a map of 14×14.
QUERIES = ((3, 7), (7, 4), (7, 10), (11, 7))
# Inches. At matplotlib's 100 dots per inch an image is 100 pixels wide.
IMAGE_SIZE, PANEL_SIZE = 1.0, 1.25
# For weights, and for numbers of both signs. Color-blind readers can tell them apart.
WEIGHTS, SIGNED = "viridis", "PuOr"


def _show(axes, image):
    """Draws one image (h, w, c) in [0, 1], gray if c is 1, without ticks."""
    axes.imshow(
        image.squeeze(-1) if image.shape[-1] == 1 else image,
        "gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set(xticks=[], yticks=[])


def image_grid(
    images: np.ndarray,
    row_titles: Sequence[str] | None = None,
    title: str | None = None,
    cell_size: float = IMAGE_SIZE,
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """A sheet of images.

    Args:
        images: Array (rows, columns, h, w, c) in [0, 1].
        row_titles: Optional text for each row.
        title: Optional text above the sheet.
        cell_size: Width of an image in inches.
        column_titles: Optional text for each column, of any number of lines.

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
    lines = [text.count("\n") + 1 for text in column_titles or ()]
    figure, axes = _axes_of_size(
        width=sheet.shape[1] * cell_size / w,
        height=sheet.shape[0] * cell_size / w,
        left=0.1 + _width_of(row_titles) if row_titles else 0.0,
        top=0.1 + 0.16 * max(lines) if lines else 0.0,
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


def _width_of(texts):
    """Inches that the longest line of some texts takes at font size 9."""
    return 0.075 * max(len(line) for text in texts for line in text.split("\n"))


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
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """What was hidden of images, and answers for it.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        visible: Boolean array (h, w) or (n, h, w).
        completions: Array (n, num_samples, h, w, c) in [0, 1].
        title: Optional text above the figure.
        column_titles: Text for each completion; by default they are numbered.

    Returns:
        Figure with a row for each image: the image, what is shown of it (the rest is
        gray), its completions.
    """
    shown = np.where(visible[..., None], images, 0.5)
    rows = np.concatenate([images[:, None], shown[:, None], completions], axis=1)
    if column_titles is None:
        column_titles = [str(i + 1) for i in range(completions.shape[1])]
    titles = ["image", "visible", *column_titles]
    return image_grid(rows, title=title, column_titles=titles)


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
        _show(line[0], image)
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


def heatmaps(
    matrices: Mapping[str, np.ndarray],
    x_label: str,
    y_label: str,
    title: str | None = None,
) -> Figure:
    """Matrices side by side, in one color scale, with their indices.

    Args:
        matrices: Dictionary from a title to a matrix (rows, columns).
        x_label: What the columns are.
        y_label: What the rows are.
        title: Optional text above.

    Returns:
        Figure. The number is written into each cell if no matrix has more than 8 rows
        or columns.
    """
    values = [np.asarray(matrix, "float32") for matrix in matrices.values()]
    largest = max(float(np.abs(value).max()) for value in values)
    signed = any((value < 0).any() for value in values)
    scale = Normalize(-largest if signed else 0, largest)
    colors = ScalarMappable(scale, SIGNED if signed else WEIGHTS)
    height = 2.2 if max(max(value.shape) for value in values) <= 8 else 2.8
    sizes = [max(1.6, height * value.shape[1] / value.shape[0]) for value in values]
    figure = Figure(figsize=(sum(sizes) + 1.8, height + 0.9), layout="constrained")
    grid = figure.subplots(1, len(values), squeeze=False, width_ratios=sizes)[0]
    for axes, name, value in zip(grid, matrices, values, strict=True):
        axes.imshow(
            value, colors.get_cmap(), scale, interpolation="nearest", aspect="auto"
        )
        axes.set(xlabel=x_label)
        axes.set_title(name, fontsize=10)
        axes.locator_params(integer=True)
        if max(max(v.shape) for v in values) <= 8:
            axes.set(xticks=range(value.shape[1]), yticks=range(value.shape[0]))
            for (row, col), number in np.ndenumerate(value):
                dark = abs(number) > largest / 2 if signed else number < largest / 2
                axes.text(
                    col,
                    row,
                    f"{number:.2f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
    grid[0].set_ylabel(y_label)
    figure.colorbar(colors, ax=list(grid), shrink=0.9)
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


def diagram(
    boxes: Mapping[str, tuple[float, float]],
    arrows: Sequence[tuple[str, str] | tuple[str, str, str]],
    title: str | None = None,
    dashed: Collection[str] = (),
) -> Figure:
    """Boxes and the arrows between them: where data flow.

    Args:
        boxes: Dictionary from the text in a box, which may have several lines, to the
            middle of the box, (x, y): columns from left to right, rows downwards. A box
            is 0.8 wide and 0.6 high.
        arrows: Pairs of texts of boxes, from and to, or triples with a text for the
            arrow.
        title: Optional text above.
        dashed: Texts of boxes that are drawn dashed.

    Returns:
        Figure.

    Raises:
        ValueError: If an arrow starts or ends at a box that is not there.
    """
    unknown = {end for arrow in arrows for end in arrow[:2]} | set(dashed)
    if unknown := sorted(unknown - set(boxes)):
        raise ValueError(
            f"Arrows and `dashed` must name boxes. Expected some of {sorted(boxes)}. "
            f"Received: {unknown}"
        )
    x, y = np.transpose(list(boxes.values()))
    width, height = np.ptp(x) + 1, np.ptp(y) + 1
    figure = Figure(figsize=(1.7 * width, 0.95 * height + (0.3 if title else 0)))
    axes = figure.add_axes((0, 0, 1, 0.95 * height / figure.get_figheight()))
    axes.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.max() + 0.5, y.min() - 0.5))
    axes.axis("off")
    patches = {}
    for text, (col, row) in boxes.items():
        patches[text] = axes.add_patch(
            FancyBboxPatch(
                (col - 0.4, row - 0.3),
                0.8,
                0.6,
                "round,pad=0,rounding_size=0.08",
                facecolor="white" if text in dashed else "#dbe9f6",
                edgecolor="black",
                linestyle="--" if text in dashed else "-",
            )
        )
        axes.text(col, row, text, ha="center", va="center", fontsize=9)
    for start, end, *text in arrows:
        axes.add_patch(
            FancyArrowPatch(
                boxes[start],
                boxes[end],
                patchA=patches[start],
                patchB=patches[end],
                shrinkA=2,
                shrinkB=2,
                arrowstyle="-|>",
                mutation_scale=12,
                color="black",
            )
        )
        if text:
            x, y = np.mean([boxes[start], boxes[end]], axis=0)
            axes.text(
                x,
                y,
                text[0],
                ha="center",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
            )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
