import functools

import numpy as np

from tfattn import plots


def cell(axes, row, column, h, w):
    """The image in a row and column of an `image_grid` of images up to 18 wide."""
    top, left = row * (h + 1), column * (w + 1)
    return axes.images[0].get_array()[top : top + h, left : left + w]


def drawn(figure):
    """Saves the figure to memory, which is where bad arrays raise."""
    figure.canvas.draw()
    return figure.axes


def test_image_grid_keeps_rows_and_columns():
    images = np.random.default_rng(0).random((2, 3, 5, 7, 1))
    (axes,) = drawn(
        plots.image_grid(images, ["a", "b"], title="t", column_titles=["c", "d", "e"])
    )
    for row in range(2):
        for column in range(3):
            found = cell(axes, row, column, 5, 7)
            np.testing.assert_allclose(found, images[row, column, ..., 0], rtol=1e-6)
    sheet = axes.images[0].get_array()
    assert (
        sheet.shape == (11, 23) and np.all(sheet[5] == 1) and np.all(sheet[:, 7] == 1)
    )
    # Labels stand at the middle of their rows and columns.
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert list(axes.get_yticks()) == [2, 8] and list(axes.get_xticks()) == [3, 11, 19]


def test_completion_figure_hides_what_is_not_visible():
    rng = np.random.default_rng(0)
    images, completions = rng.random((2, 4, 6, 1)), rng.random((2, 3, 4, 6, 1))
    visible = np.zeros((4, 6), bool)
    visible[:1, 2:] = True
    (axes,) = drawn(plots.completion_figure(images, visible, completions, "t"))
    shown = cell(axes, 1, 1, 4, 6)
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    equal(shown[visible], images[1, ..., 0][visible])
    assert np.all(shown[~visible] == 0.5)
    equal(cell(axes, 1, 0, 4, 6), images[1, ..., 0])
    equal(cell(axes, 1, 4, 4, 6), completions[1, 2, ..., 0])
    # A mask of its own for each image.
    both = np.stack([visible, ~visible])
    (axes,) = drawn(plots.completion_figure(images, both, completions))
    assert np.all(cell(axes, 1, 1, 4, 6)[visible] == 0.5)


def test_attention_figure_puts_the_cross_on_the_query():
    images = np.zeros((2, 8, 12, 3), "float32")
    maps = np.random.default_rng(0).random((2, 4, 6, 2, 3))
    axes = drawn(plots.attention_figure(images, maps, [(0, 0), (3, 5)]))
    assert len(axes) == 6
    # Map cell (3, 5) of 4×6 covers pixels 6-7 and 10-11: its centre is (6.5, 10.5).
    x, y = axes[2].lines[0].get_data()
    assert (x[0], y[0]) == (10.5, 6.5)
    np.testing.assert_array_equal(axes[5].images[1].get_array(), maps[1, 3, 5])


def test_attention_figure_chooses_places_on_a_map_of_any_size():
    """14×14 gives (3, 7), (7, 4), (7, 10), (11, 7); 4×6 gives (0, 3), (2, 1), ..."""
    for map_h, map_w, expected in (
        (14, 14, [(3, 7), (7, 4), (7, 10), (11, 7)]),
        (4, 6, [(0, 3), (2, 1), (2, 4), (3, 3)]),
    ):
        maps = np.random.default_rng(0).random((1, map_h, map_w, 2, 3))
        axes = drawn(plots.attention_figure(np.zeros((1, 28, 28, 1)), maps))
        assert len(axes) == 5
        for (row, col), axis in zip(expected, axes[1:], strict=True):
            np.testing.assert_array_equal(axis.images[1].get_array(), maps[0, row, col])


def test_weight_figure():
    images = np.zeros((2, 8, 12, 1), "float32")
    maps = np.random.default_rng(0).random((2, 3, 4, 6))
    axes = drawn(plots.weight_figure(images, maps, column_titles=["a", "b", "c"]))
    assert len(axes) == 8 and axes[1].get_title() == "a"
    np.testing.assert_array_equal(axes[6].images[1].get_array(), maps[1, 1])


def test_curves():
    axes = drawn(plots.curves({"a": [3, 1], "b": ([5, 9], [2, 4])}, "x", "y", "t"))[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2], [5, 9]]
