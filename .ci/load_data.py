"""Downloads each data set that is not in the package, and MNIST to compare with."""

import sys

import tensorflow_datasets

from tfattn import data

missing = []
for name in data.NAMES:
    if name not in data.EMBEDDED_NAMES:
        try:
            print(data.load(name))
        except data.DataUnavailableError as error:
            missing.append(name)
            print(error, file=sys.stderr)
if not missing:
    tensorflow_datasets.load("mnist")
sys.exit(f"missing: {', '.join(missing)}" if missing else 0)
