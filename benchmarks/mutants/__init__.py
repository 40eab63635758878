"""Mutants of source files, and the tests that kill them; see `mutation.py`."""
