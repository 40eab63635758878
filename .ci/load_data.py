"""Downloads data sets that are not in the package, and MNIST to compare with.

    python .ci/load_data.py [NAME ...]

Without names all of them.
"""

import sys

import tensorflow_datasets

from tfattn import data

missing = []
for name in sys.argv[1:] or set(data.NAMES) - set(data.EMBEDDED_NAMES):
    try:
        print(data.load(name))
    except data.DataUnavailableError as error:
        missing.append(name)
        print(error, file=sys.stderr)
if not missing:
    tensorflow_datasets.load("mnist")
sys.exit(f"missing: {', '.join(missing)}" if missing else 0)
