"""Writes the tables of docs/own_pictures.md from the results of two benchmarks.

python benchmarks/write_own_pictures.py
"""

import json
from pathlib import Path

from blocks import with_block

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "own_pictures.md"


def sizes_block():
    """Parameters, memory and time of a training step, by the size of the images."""
    measured = json.loads((RESULTS / "gan_sizes.json").read_text(encoding="utf-8"))
    lines = [
        "| side, attention | parameters | peak memory | a training step |",
        "|---|---|---|---|",
    ]
    for name, row in measured["sizes"].items():
        lines.append(
            f"| {name} | {row['parameters'] / 1e6:.2f} million | {row['GiB']:.2f} GiB "
            f"| {row['seconds']:.2f} s |"
        )
    return "\n".join([*lines, "", f"Protocol: {measured['protocol']}."])


def folders_block():
    """Time and memory of reading a folder at once and as a stream."""
    measured = json.loads((RESULTS / "folders.json").read_text(encoding="utf-8"))
    lines = ["| way | pictures | time | memory |", "|---|---|---|---|"]
    for name in ("from_folder", "stream"):
        row = measured[name]
        lines.append(
            f"| `data.{name}` | {row['pictures']} | {row['seconds']:.1f} s "
            f"| {row['MiB']:.0f} MiB |"
        )
    arrays = measured["MiB of the arrays"]
    words = f"The arrays alone have {arrays:.0f} MiB. Protocol: {measured['protocol']}."
    return "\n".join([*lines, "", words])


def page(text):
    """The page with both of its tables written anew."""
    for name, block in (("sizes", sizes_block), ("folders", folders_block)):
        text = with_block(text, name, block())
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
