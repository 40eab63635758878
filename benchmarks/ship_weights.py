"""Puts the model of a measured run into the package.

python benchmarks/ship_weights.py runs/vae_mnist vae_mnist
"""

import hashlib
import json
import sys
from pathlib import Path

import h5py
import keras

from tfattn.models.pretrained import WEIGHTS


def compress(path):
    """Writes an HDF5 file again, its arrays compressed without loss."""
    part = path.with_suffix(".part")
    with h5py.File(path) as source, h5py.File(part, "w") as target:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                # A small array would need more room for its chunk.
                large = item.size > 4096
                options = {"compression": "gzip", "shuffle": True} if large else {}
                item = target.create_dataset(name, data=item[()], **options)
            else:
                target.require_group(name).attrs.update(item.attrs)

        source.visititems(copy)
    part.replace(path)


def main(run, name):
    model = keras.saving.load_model(Path(run) / "model.keras")
    # Built anew without its optimizer, whose moments would triple the file.
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    weights = WEIGHTS / f"{name}.weights.h5"
    bare.save_weights(weights)
    compress(weights)
    arguments = {
        key: value
        for key, value in bare.get_config().items()
        if key not in ("name", "trainable", "dtype")
    }
    description = {
        "arguments": arguments,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "results": json.loads((Path(run) / "metrics.json").read_text()),
    }
    (WEIGHTS / f"{name}.json").write_text(json.dumps(description, indent=2) + "\n")
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
