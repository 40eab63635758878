import numpy as np
import pytest
from PIL import Image

from tfattn.data import masks, pictures


def saved(path, array, mode=None, **arguments):
    Image.fromarray(np.asarray(array), mode).save(path, **arguments)
    return path


def gradient(h, w):
    """Rows brighten downwards, 8 bits."""
    return np.repeat(np.linspace(0, 255, h).astype("uint8")[:, None], w, axis=1)


def test_a_picture_of_the_models_size_is_left_alone(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (12, 16)).astype("uint8")
    image, words = pictures.read_picture(saved(tmp_path / "a.png", levels), (12, 16, 1))
    np.testing.assert_array_equal(image[..., 0], levels.astype("float32") / 255)
    assert image.dtype == np.float32
    assert "16×12 pixels, L" in words and "resized" not in words
    pictures.as_picture(image).save(tmp_path / "b.png")
    again, _ = pictures.read_picture(tmp_path / "b.png", (12, 16, 1))
    np.testing.assert_array_equal(again, image)


def test_a_large_picture_is_cut_about_the_middle_and_resized(tmp_path):
    levels = np.zeros((60, 200), "uint8")
    levels[:, 70:130] = gradient(60, 60)
    image, words = pictures.read_picture(saved(tmp_path / "a.png", levels), (12, 12, 1))
    assert "cut about the middle where needed and resized to 12×12" in words
    inside = image[:, 1:-1, 0]  # at the cut the interpolation sees beyond it
    expected = np.repeat((np.arange(12)[:, None] + 0.5) / 12, 10, axis=1)
    np.testing.assert_allclose(inside, expected, atol=0.04)


def test_colors_become_gray_or_stay(tmp_path):
    levels = np.zeros((12, 12, 3), "uint8")
    levels[..., 0] = 255
    path = saved(tmp_path / "red.png", levels)
    gray, words = pictures.read_picture(path, (12, 12, 1))
    np.testing.assert_allclose(gray, 0.299, atol=0.005)
    assert "made gray" in words
    color, words = pictures.read_picture(path, (12, 12, 3))
    np.testing.assert_array_equal(color[..., 0], 1)
    assert color.shape == (12, 12, 3) and "made" not in words


def test_sixteen_bits_transparency_and_a_turned_camera(tmp_path):
    deep = np.full((12, 12), 40_000, "uint16")
    image, _ = pictures.read_picture(saved(tmp_path / "deep.png", deep), (12, 12, 1))
    np.testing.assert_allclose(image, 40_000 / 65_535, atol=0.003)
    clear = np.zeros((12, 12, 4), "uint8")  # black, and not to be seen
    image, _ = pictures.read_picture(saved(tmp_path / "clear.png", clear), (12, 12, 1))
    np.testing.assert_array_equal(image, 1)
    turned = Image.Exif()
    turned[0x0112] = 6  # the top of the picture is at its right
    path = saved(tmp_path / "t.png", gradient(12, 12), exif=turned)
    image, _ = pictures.read_picture(path, (12, 12, 1))
    np.testing.assert_allclose(image[0, :, 0], np.linspace(1, 0, 12), atol=0.01)


def test_masks_by_name(tmp_path):
    for name in masks.NAMES:
        found, _ = pictures.read_mask(name, (12, 16), "no picture")
        np.testing.assert_array_equal(found, masks.draw(name, 1, (12, 16))[0])


# Stored upright, lying on its side, upside down, and mirrored and lying.
@pytest.mark.parametrize("orientation", [1, 6, 3, 5])
@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("size", [(40, 90), (90, 40), (50, 50)])
def test_a_mask_of_the_picture_stays_on_its_pixels(tmp_path, size, scale, orientation):
    """What is bright in a picture is visible, wherever its pixels go."""
    upright = np.zeros(size, "uint8")
    upright[size[0] // 3 : -4, : size[1] // 2] = 255
    large = np.kron(upright, np.ones((scale, scale), "uint8"))
    mask = str(saved(tmp_path / "mask.png", large))
    exif = Image.Exif()
    exif[0x0112] = orientation
    # How the camera stored what is upright after it is turned.
    stored = {
        1: lambda x: x,
        3: lambda x: x[::-1, ::-1],
        5: lambda x: x.T,
        6: lambda x: np.rot90(x, 1),
    }[orientation](upright)
    picture = saved(tmp_path / "picture.png", np.ascontiguousarray(stored), exif=exif)
    image, _ = pictures.read_picture(picture, (20, 20, 1))
    visible, words = pictures.read_mask(mask, (20, 20), picture)
    assert "as the picture" in words
    # The edges of the picture are smooth.
    assert np.mean(visible != (image[..., 0] > 0.5)) <= 0.05
    assert 0.1 < visible.mean() < 0.6


def test_a_mask_in_the_pixels_of_the_file_is_turned_with_it(tmp_path):
    levels = np.zeros((40, 90), "uint8")
    levels[:, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = saved(tmp_path / "picture.png", levels, exif=exif)
    mask = saved(tmp_path / "mask.png", levels)
    image, _ = pictures.read_picture(picture, (20, 10, 1))
    visible, _ = pictures.read_mask(str(mask), (20, 10), picture)
    np.testing.assert_array_equal(visible, image[..., 0] > 0.5)


def test_a_mask_of_other_proportions_covers_what_was_cut_out(tmp_path):
    picture = saved(tmp_path / "p.png", gradient(50, 90))
    levels = np.full((24, 24), 255, "uint8")
    levels[:8, 4:] = 0  # black is hidden
    mask = str(saved(tmp_path / "m.png", levels))
    found, words = pictures.read_mask(mask, (12, 12), picture)
    expected = np.ones((12, 12), bool)
    expected[:4, 2:] = False
    np.testing.assert_array_equal(found, expected)
    assert "part of the picture" in words


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match=r"picture file.*missing\.png"):
        pictures.read_picture(tmp_path / "missing.png", (12, 12, 1))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(ValueError, match=r"picture file.*broken\.png"):
        pictures.read_picture(broken, (12, 12, 1))
    with pytest.raises(ValueError, match=r"--mask.*lower_half.*lower half"):
        pictures.read_mask("lower half", (12, 12), broken)
    for level, word in ((255, "all white"), (0, "all black")):
        path = saved(tmp_path / f"{level}.png", np.full((9, 9), level, "uint8"))
        with pytest.raises(ValueError, match=word):
            pictures.read_mask(str(path), (12, 12), path)


def test_thin_lines_of_a_large_drawing_stay(tmp_path):
    """One pixel wide in a picture 50 times as large; cut about the middle."""
    large = np.zeros((400, 700), "uint8")
    large[120, 150:550] = 255  # in row 2 of 8, through the whole width that stays
    large[120:280, 375] = 130  # in column 4 of 8
    large[300, :] = 127  # dark
    large[:, 100] = 255  # cut off
    path = tmp_path / "lines.png"
    Image.fromarray(large).save(path)
    lines, words = pictures.read_drawing(path, (8, 8))
    expected = np.zeros((8, 8, 1), "float32")
    expected[2], expected[2:6, 4] = 1, 1
    np.testing.assert_array_equal(lines, expected)
    assert lines.dtype == np.float32 and "700×400" in words and "8×8" in words
    small = np.where(expected[..., 0] > 0, 200, 90).astype("uint8")
    Image.fromarray(small).save(path)
    lines, words = pictures.read_drawing(path, (8, 8))
    np.testing.assert_array_equal(lines, expected)
    assert "cut" not in words


@pytest.mark.parametrize(("level", "share"), [(0, "0%"), (255, "100%")])
def test_a_drawing_has_lines(level, share, tmp_path):
    path = tmp_path / "page.png"
    Image.fromarray(np.full((9, 9), level, "uint8")).save(path)
    with pytest.raises(ValueError, match=f"white lines on black.*{share}"):
        pictures.read_drawing(path, (4, 4))
    with pytest.raises(ValueError, match="Expected a picture file"):
        pictures.read_drawing(tmp_path / "missing.png", (4, 4))
