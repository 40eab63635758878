"""docs/own_pictures.md: what a GAN of each size costs, and what reading costs."""

from pages.blocks import results, table


def sizes_block():
    """Parameters, memory and time of a training step, by the size of the images."""
    measured = results("gan_sizes")
    rows = [
        [
            name,
            f"{row['parameters'] / 1e6:.2f} million",
            f"{row['GiB']:.2f} GiB",
            f"{row['seconds']:.2f} s",
        ]
        for name, row in measured["sizes"].items()
    ]
    head = ["side, attention", "parameters", "peak memory", "a training step"]
    return [*table(head, rows), "", f"Protocol: {measured['protocol']}."]


def folders_block():
    """Time and memory of reading a folder at once and as a stream."""
    measured = results("folders")
    rows = [
        [
            f"`data.{name}`",
            measured[name]["pictures"],
            f"{measured[name]['seconds']:.1f} s",
            f"{measured[name]['MiB']:.0f} MiB",
        ]
        for name in ("from_folder", "stream")
    ]
    arrays = measured["MiB of the arrays"]
    words = f"The arrays alone have {arrays:.0f} MiB. Protocol: {measured['protocol']}."
    return [*table(["way", "pictures", "time", "memory"], rows), "", words]
