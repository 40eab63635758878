"""Loads each data set that is not in the package, and says which ones are missing."""

from tfattn import data

for name in data.NAMES:
    if name not in data.EMBEDDED_NAMES:
        try:
            print(data.load(name))
        except data.DataUnavailableError as error:
            print(f"ITS TESTS ARE SKIPPED: {error}")
