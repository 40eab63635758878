"""A folder of pictures becomes a data set: each file is read right, or named."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from tfattn import data
from tfattn.data import folders
from tfattn.models import AttentionVAE

RNG = np.random.default_rng(0)


def color(*rgb, size=(20, 16)):
    """A picture of one color, width and height as Pillow has them."""
    return Image.new("RGB", size, rgb)


@pytest.fixture
def folder(tmp_path):
    """Thirty different pictures of several sizes, in two classes."""
    for i in range(30):
        place = tmp_path / ("cats", "dogs")[i % 2]
        place.mkdir(exist_ok=True)
        levels = RNG.integers(0, 256, (12 + i, 20, 3)).astype("uint8")
        Image.fromarray(levels).save(place / f"{i:02}.png")
    return tmp_path


def read(folder, size=8, **arguments):
    """All images of a folder, without any for testing."""
    return data.from_folder(folder, size, test_share=0.0, **arguments)


def test_images_are_in_the_order_of_their_names_and_exact(tmp_path):
    levels = RNG.integers(0, 256, (5, 6, 7, 3)).astype("uint8")
    for name, picture in zip("cadeb", levels, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    dataset = read(tmp_path, (6, 7))
    expected = levels[[1, 4, 0, 2, 3]].astype("float32") / 255
    np.testing.assert_array_equal(dataset.x_train, expected)
    assert dataset.x_train.dtype == np.float32
    assert dataset.x_test.shape == (0, 6, 7, 3)
    assert dataset.y_train is dataset.y_test is dataset.class_names is None
    assert dataset.source == (
        "5 pictures of 7×6 pixels, cut about the middle and resized to 7×6, RGB"
    )


def test_folders_are_classes(folder):
    dataset = data.from_folder(folder, 8, labels="folders", test_share=0.3)
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.y_train.dtype == np.int64
    counts = np.bincount(dataset.y_train) + np.bincount(dataset.y_test, minlength=2)
    assert counts.tolist() == [15, 15]
    # Cats come first by name.
    assert np.all(np.diff(dataset.y_train) >= 0)
    assert len(dataset.y_test) == len(dataset.x_test) > 0


def test_labels_belong_to_their_pictures(tmp_path):
    for name, rgb in (("b red", (255, 0, 0)), ("a green", (0, 255, 0))):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for i in range(12):
            color(*rgb, size=(20 + i, 16)).save(tmp_path / name / "deeper" / f"{i}.png")
    dataset = data.from_folder(tmp_path, 4, labels="folders", test_share=0.4)
    for x, y in (
        (dataset.x_train, dataset.y_train),
        (dataset.x_test, dataset.y_test),
    ):
        np.testing.assert_array_equal(x[:, 0, 0, 0], y == 1)
        np.testing.assert_array_equal(x[:, 0, 0, 1], y == 0)


def test_test_images_stay_test_images_when_pictures_are_added(folder):
    def held_out(seed=0):
        dataset = data.from_folder(folder, 8, test_share=0.4, seed=seed)
        return {image.tobytes() for image in dataset.x_test}

    before = held_out()
    for i in range(20):
        levels = RNG.integers(0, 256, (9, 9, 3)).astype("uint8")
        Image.fromarray(levels).save(folder / f"{i}.png")
    after = held_out()
    assert before < after
    assert 10 < len(after) < 30
    assert held_out(seed=1) != after


def test_copies_are_where_their_originals_are(folder):
    before = data.from_folder(folder, 8, test_share=0.4)
    for path in sorted(folder.glob("*/*.png")):
        picture = Image.open(path)
        picture.save(folder / f"copy of {path.stem}.png")
        picture.save(folder / f"{path.stem}.bmp")  # the same pixels in another file
    after = data.from_folder(folder, 8, test_share=0.4)
    for side in ("x_train", "x_test"):
        old, new = getattr(before, side), getattr(after, side)
        assert len(new) == 3 * len(old)
        assert {x.tobytes() for x in new} == {x.tobytes() for x in old}


def test_the_sides_do_not_depend_on_the_size_and_the_channels(folder):
    sides = [
        data.from_folder(folder, size, channels, labels="folders", test_share=0.4)
        for size, channels in ((8, 3), (9, 1), (1, 3))
    ]
    for other in sides[1:]:
        np.testing.assert_array_equal(other.y_train, sides[0].y_train)
        np.testing.assert_array_equal(other.y_test, sides[0].y_test)


@pytest.mark.parametrize("seed", range(8))
def test_every_class_is_trained_on(tmp_path, seed):
    for i in range(24):
        place = tmp_path / f"{max(0, i - 18)}"
        place.mkdir(exist_ok=True)
        color(i, 2, 3).save(place / f"{i}.png")
    dataset = data.from_folder(tmp_path, 8, labels="folders", test_share=0.5, seed=seed)
    assert set(dataset.y_train) == set(range(6))
    assert len(dataset.y_test) >= 2


@pytest.mark.parametrize("share", [0.001, 0.999])
@pytest.mark.parametrize(("num_pictures", "least"), [(2, 1), (3, 1), (4, 2), (9, 2)])
def test_both_sides_have_images(tmp_path, share, num_pictures, least):
    for i in range(num_pictures):
        color(i, 2, 3).save(tmp_path / f"{i}.png")
    dataset = data.from_folder(tmp_path, 8, test_share=share)
    smaller = dataset.x_test if share < 0.5 else dataset.x_train
    assert len(smaller) == least
    assert len(dataset.x_train) + len(dataset.x_test) == num_pictures


def test_a_single_picture_is_for_training(tmp_path):
    color(1, 2, 3).save(tmp_path / "a.png")
    color(1, 2, 3).save(tmp_path / "b.png")
    dataset = data.from_folder(tmp_path, 8, test_share=0.5)
    assert (len(dataset.x_train), len(dataset.x_test)) == (2, 0)


def saved(path, picture, **arguments):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **arguments)


def gray16(path):
    saved(path, Image.fromarray(np.full((16, 20), 40_000, "uint16")))


def turned(path):
    """A camera held upright: red is above, and stored on the left."""
    levels = np.zeros((16, 16, 3), "uint8")
    levels[:, :8, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    saved(path, Image.fromarray(levels), exif=exif, quality=95)


def animated(path):
    first, second = color(255, 0, 0), color(0, 0, 255)
    saved(path, first, save_all=True, append_images=[second])


def floats(scale, damage=False):
    def write(path):
        levels = np.full((16, 20), 0.5 * scale, "float32")
        levels[0, 0] = scale
        if damage:
            levels[5, 5] = np.nan
        saved(path, Image.fromarray(levels))

    return write


def text(content):
    return lambda path: path.write_text(content)


def cut_short(path):
    saved(path, Image.fromarray(RNG.integers(0, 256, (64, 64, 3)).astype("uint8")))
    path.write_bytes(path.read_bytes()[:2000])


# Name of the file, what writes it, and what the middle pixel is, or `None` if it
# cannot be read.
FILES = {
    "plain": ("a.png", lambda p: saved(p, color(255, 0, 51)), (1, 0, 0.2)),
    "jpeg": (
        "a.JPG",
        lambda p: saved(p, color(255, 0, 51), quality=95),
        (1, 0, 0.2),
    ),
    "webp": ("a.webp", lambda p: saved(p, color(0, 255, 0), lossless=True), (0, 1, 0)),
    "bmp": ("a.bmp", lambda p: saved(p, color(0, 255, 0)), (0, 1, 0)),
    "one pixel": (
        "a.png",
        lambda p: saved(p, color(0, 255, 0, size=(1, 1))),
        (0, 1, 0),
    ),
    "a strip": (
        "a.png",
        lambda p: saved(p, color(0, 255, 0, size=(20_000, 10))),
        (0, 1, 0),
    ),
    "cmyk": (
        "a.jpg",
        lambda p: saved(p, Image.new("CMYK", (20, 16), (0, 255, 255, 0))),
        (1, 0, 0),
    ),
    "animated gif": ("a.gif", animated, (1, 0, 0)),
    "animated webp": ("a.webp", animated, (1, 0, 0)),
    "16 bits": ("a.png", gray16, (0.61, 0.61, 0.61)),
    "1 bit": ("a.png", lambda p: saved(p, Image.new("1", (20, 16), 1)), (1, 1, 1)),
    "gray": ("a.png", lambda p: saved(p, Image.new("L", (20, 16), 51)), (0.2,) * 3),
    "palette": ("a.png", lambda p: saved(p, color(255, 0, 0).convert("P")), (1, 0, 0)),
    "transparent": (
        "a.png",
        lambda p: saved(p, Image.new("RGBA", (20, 16), (255, 0, 0, 0))),
        (1, 1, 1),
    ),
    "half transparent": (
        "a.png",
        lambda p: saved(p, Image.new("LA", (20, 16), (0, 128))),
        (0.5, 0.5, 0.5),
    ),
    "turned by its camera": ("a.jpg", turned, None),  # asserted below
    "damaged words of a camera": (
        "a.png",
        lambda p: saved(p, color(0, 255, 0), exif=b"garbage!"),
        (0, 1, 0),
    ),
    "words of a camera cut short": (
        "a.png",
        lambda p: saved(p, color(0, 255, 0), exif=b"II*\0"),
        (0, 1, 0),
    ),
    "spaces and other scripts": (
        "my photos/été/图片 1.png",
        lambda p: saved(p, color(0, 255, 0)),
        (0, 1, 0),
    ),
    "floats to 1": ("a.tiff", floats(1), (0.5, 0.5, 0.5)),
    "floats to 255": ("a.tiff", floats(255), (0.5, 0.5, 0.5)),
    "floats with NaN": ("a.tiff", floats(1, damage=True), None),
    "a text": ("a.png", text("no picture"), None),
    "empty": ("a.png", text(""), None),
    "cut short": ("a.png", cut_short, None),
    "a link to itself": ("a.png", lambda p: p.symlink_to(p), None),
    "a link to nothing": ("a.png", lambda p: p.symlink_to("nowhere.png"), None),
    "a pipe": ("a.png", os.mkfifo, None),
}
DAMAGED = [name for name, (*_, pixel) in FILES.items() if pixel is None]
DAMAGED.remove("turned by its camera")


@pytest.mark.parametrize("name", [name for name in FILES if name not in DAMAGED])
def test_pictures_of_all_kinds_are_read(tmp_path, name):
    file, write, pixel = FILES[name]
    write(tmp_path / file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (image,) = read(tmp_path).x_train
    if pixel is None:
        np.testing.assert_allclose(image[1, 4], (1, 0, 0), atol=0.1)
        np.testing.assert_allclose(image[6, 4], (0, 0, 0), atol=0.1)
    else:
        np.testing.assert_allclose(image[4, 4], pixel, atol=0.01)


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_is_named_and_left_out(folder, name):
    file, write, _ = FILES[name]
    write(folder / file)
    with pytest.warns(
        data.PictureWarning, match=r"^1 of the files .* out: a\."
    ) as seen:
        dataset = read(folder)
    assert len(dataset.x_train) == 30
    assert "1 more could not be read" in dataset.source
    assert "\n" not in str(seen[0].message) and "object" not in str(seen[0].message)
    assert "BufferedReader" not in str(seen[0].message)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads"
)
def test_no_permission_is_named(folder):
    (folder / "cats" / "00.png").chmod(0)
    (folder / "dogs").chmod(0)
    with pytest.warns(data.PictureWarning, match="^2 of the files .*Permission"):
        assert len(read(folder).x_train) == 14


def test_many_damaged_files_are_counted(folder):
    for i in range(50):
        (folder / f"{i}.png").write_text("no picture")
    with pytest.warns(data.PictureWarning, match="^50 of .* and 30 more$"):
        read(folder)


def test_other_files_are_passed_over(folder):
    for name in ("notes.txt", "paper.pdf", "film.mpg", "model.h5"):
        (folder / name).write_text("no picture")
    (folder / "._00.png").write_text("made by a Macintosh")
    (folder / ".cache").mkdir()
    color(1, 2, 3).save(folder / ".cache" / "thumbnail.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(folder).x_train) == 30


def test_a_loop_of_folders_ends(folder):
    (folder / "again").symlink_to(folder)
    (folder / "cats" / "up").symlink_to("..")
    assert len(read(folder).x_train) == 30


def test_a_linked_folder_is_read(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("other")
    (place / "cats").symlink_to(folder / "cats")
    assert len(read(place).x_train) == 15


def test_resizing_does_not_alias(tmp_path):
    stripes = np.zeros((64, 64), "uint8")
    stripes[:, ::2] = 255  # to every eighth column, all of one color
    Image.fromarray(stripes).save(tmp_path / "a.png")
    (image,) = read(tmp_path, 8, channels=1).x_train
    np.testing.assert_allclose(image, 0.5, atol=0.02)


def test_the_middle_is_kept(tmp_path):
    levels = np.zeros((10, 30, 3), "uint8")
    levels[:, 10:20] = 255
    Image.fromarray(levels).save(tmp_path / "a.png")
    (image,) = read(tmp_path, 10).x_train
    assert image.min() == 1


def test_words_say_what_was_done(folder):
    source = read(folder, 16, channels=1).source
    assert source == (
        "30 pictures of 20×12 to 20×41 pixels, cut about the middle and resized to "
        "16×16, gray; 4 of them enlarged"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "nowhere"}, "folder of pictures"),
        ({"path": ""}, "name of a folder"),
        ({"path": None}, "name of a folder"),
        ({"channels": 3.0}, "channels"),
        ({"channels": True}, "channels"),
        ({"image_size": 0}, "image_size"),
        ({"image_size": (8, 8, 3)}, "image_size"),
        ({"image_size": 8.0}, "image_size"),
        ({"channels": 4}, "channels"),
        ({"labels": "names"}, "labels"),
        ({"test_share": 1.0}, "test_share"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments(folder, change, words):
    arguments = {"path": folder, "image_size": 8, **change}
    with pytest.raises(ValueError, match=words):
        data.from_folder(**arguments)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none among 0 files"):
        data.from_folder(tmp_path, 8)
    (tmp_path / "a.png").write_text("no picture")
    with (
        pytest.warns(data.PictureWarning),
        pytest.raises(ValueError, match="none among 1 files"),
    ):
        data.from_folder(tmp_path, 8)


def test_classes_that_are_none_are_refused(folder):
    color(1, 2, 3).save(folder / "outside.png")
    with pytest.raises(ValueError, match=r"1 in .* such as outside.png"):
        data.from_folder(folder, 8, labels="folders")
    (folder / "outside.png").unlink()
    for path in (folder / "dogs").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"two.*\['cats'\]"):
        data.from_folder(folder, 8, labels="folders")


def test_a_thousand_classes(tmp_path):
    for i in range(1000):
        (tmp_path / f"{i:04}").mkdir()
        color(i % 256, i // 256, 7).save(tmp_path / f"{i:04}" / "a.png")
    dataset = read(tmp_path, 4, labels="folders")
    np.testing.assert_array_equal(dataset.y_train, np.arange(1000))


# Streams


@pytest.mark.backend
def test_a_stream_holds_every_picture_once_in_each_epoch(folder):
    pytest.importorskip("tensorflow")
    batches = data.stream(folder, 8, labels="folders", batch_size=7)
    expected = read(folder, labels="folders")
    for _ in range(2):
        x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
        assert x.shape == (30, 8, 8, 3) and x.dtype == np.float32
        assert x.min() >= 0 and x.max() <= 1
        assert np.bincount(y).tolist() == [15, 15]
        # Of noise the two ways to resize make nearly the same.
        means = np.sort(expected.x_train.mean(axis=(1, 2, 3)))
        np.testing.assert_allclose(np.sort(x.mean(axis=(1, 2, 3))), means, atol=0.02)


@pytest.mark.backend
def test_a_stream_without_labels(folder):
    pytest.importorskip("tensorflow")
    batches = data.stream(folder, (12, 8), channels=1, batch_size=16)
    assert [x.shape for x in batches] == [(16, 12, 8, 1), (14, 12, 8, 1)]
    model = AttentionVAE((12, 8, 1), latent_dim=2, width=8, levels=256)
    model.compile("sgd")
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()


@pytest.mark.backend
def test_a_stream_refuses_bad_arguments(folder, tmp_path):
    pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match="folder of pictures"):
        data.stream(tmp_path / "nowhere", 8)
    with pytest.raises(ValueError, match="batch_size"):
        data.stream(folder, 8, batch_size=0)
    with pytest.raises(ValueError, match="in a folder of its class"):
        data.stream(folder / "cats", 8, labels="folders")


def test_only_files_that_pillow_knows_are_pictures(folder):
    names, unreadable = folders.picture_names(folder)
    assert len(names) == 30 and names == sorted(names) and not unreadable
