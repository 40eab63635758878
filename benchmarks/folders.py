"""Time and memory of reading 10 000 pictures, at once and as a stream.

    python benchmarks/folders.py

Writes avatars as PNG files of 128×128 pixels to a temporary folder, then reads them in
processes of their own: by `data.from_folder`, and by one pass over `data.stream`.
Writes `results/folders.json`.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tfattn.data import avatars
from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "folders.json"
NUM_PICTURES = 10_000
SIDE = 128
IMAGE_SIZE = 64
MEASURED = """
import json, resource, sys, time
import numpy as np
import tensorflow as tf
from tfattn import data

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, image_size, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
before, started = peak(), time.monotonic()
if kind == "from_folder":
    dataset = data.from_folder(folder, image_size)
    count = len(dataset.x_train) + len(dataset.x_test)
else:
    count = sum(len(batch) for batch in data.stream(folder, image_size, batch_size=64))
seconds = time.monotonic() - started
print(json.dumps({"pictures": count, "seconds": seconds, "MiB": peak() - before}))
"""


def write_pictures(folder):
    images, _ = avatars.draw(NUM_PICTURES, seed=0)
    for i, image in enumerate(images):
        picture = Image.fromarray(np.rint(255 * image).astype("uint8"))
        picture.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(
            folder / f"{i:05}.png", compress_level=1
        )


with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    started = time.monotonic()
    write_pictures(folder)
    print(f"written in {time.monotonic() - started:.0f} s", flush=True)
    found = {}
    for kind in ("from_folder", "stream"):
        run = subprocess.run(
            [sys.executable, "-c", MEASURED, str(folder), str(IMAGE_SIZE), kind],
            check=True,
            capture_output=True,
            text=True,
        )
        found[kind] = json.loads(run.stdout.splitlines()[-1])
        print(kind, found[kind], flush=True)
of_arrays = NUM_PICTURES * IMAGE_SIZE**2 * 3 * 4 / 2**20
write_json(
    RESULTS,
    {
        "protocol": f"{NUM_PICTURES} PNG files of {SIDE}×{SIDE} pixels in color, read "
        f"as {IMAGE_SIZE}×{IMAGE_SIZE}; memory: how far the peak of the process rises "
        "above the peak that the import of TensorFlow left",
        "MiB of the arrays": of_arrays,
        **found,
    },
)
