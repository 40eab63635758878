"""Makes `tfattn/data/mnist.npz`: MNIST as tensorflow-datasets reads and orders it.

    python benchmarks/embed_mnist.py

Needs MNIST in `TFDS_DATA_DIR`, or a network. Prints the SHA-256 of the file, which
belongs in `tfattn/data/sources.py`. `tests/data/test_data.py` checks the arrays.
"""

import hashlib

import numpy as np
import tensorflow_datasets as tfds

from tfattn.data.sources import MNIST_FILE

train, test = tfds.as_numpy(tfds.load("mnist", split=["train", "test"], batch_size=-1))
np.savez_compressed(
    MNIST_FILE,
    x_train=train["image"],
    y_train=train["label"].astype(np.uint8),
    x_test=test["image"],
    y_test=test["label"].astype(np.uint8),
)
content = MNIST_FILE.read_bytes()
print(f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
