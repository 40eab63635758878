"""Mutants of the mathematics and the layers, and the tests that kill them.

    KERAS_BACKEND=torch python benchmarks/mutation.py
    python benchmarks/mutation.py --survivors

The first command makes every mutant that cosmic-ray's operators can make of FILES (one
operator, number, keyword or comparison replaced at a time), runs the tests that execute
the changed line until one fails, and writes into benchmarks/results/mutation.json which
mutants survive. The second runs those again, on another backend: a mutant is dead if
the tests of any backend kill it. Why a survivor is no fault is written by hand into its
"reason", and stays there; `--survivors` fails if one has none. After a new test,

    python benchmarks/mutation.py --survivors --files ops.py --tests test_ops.py

A process of its own for each mutant would take half a day: most of it is the import of
a backend. Here pytest collects once, and a fork of that process gets the code of the
mutant's functions in place of theirs, and its constants. A decorator that is removed
needs that import: its tests run in a process of their own.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import keras
import pytest
from mutants.plugin import Mutation
from mutants.processes import OPTIONS, ROOT
from mutants.sources import PACKAGE, mutants_of

RESULTS = ROOT / "benchmarks/results/mutation.json"
LAYERS = sorted(f"layers/{path.name}" for path in (PACKAGE / "layers").glob("[!_]*.py"))
FILES = ["ops.py", "densities.py", "evaluation/metrics.py", *LAYERS]
TESTS = [
    "layers",
    "test_ops.py",
    "test_defaults.py",
    "test_densities.py",
    "test_chunked_attention.py",
    "test_kill_matrix.py",
    "test_properties.py",
    "evaluation",
]
PROTOCOL = (
    "every mutant that the operators of cosmic-ray make, of annotations none, each "
    "program once; killed if one of the tests that execute the changed line fails or "
    "takes far longer than without it; the backends on which a survivor was tried are "
    "with it"
)


class Results:
    """What became of the mutants, in a file that later runs go on with.

    Attributes:
        files: Dictionary from a file to the number of its mutants.
        survivors: Dictionary from a mutant's key to what is known of it.
    """

    def __init__(self, path):
        self.path = path
        self.files, self.survivors = {}, {}
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            self.files, self.survivors = found["files"], found["survivors"]
        self.known = dict(self.survivors)

    def forget(self, files):
        """Drops the survivors of some files, but not why they are no faults."""
        for key in self.of(files):
            del self.survivors[key]

    def of(self, files):
        """The keys of the survivors of some files."""
        return {key for key, found in self.survivors.items() if found["file"] in files}

    def add(self, mutant, survives):
        """Notes what the tests of this process's backend found."""
        before = self.known.get(mutant.key, {})
        old = self.survivors.pop(mutant.key, {})
        if survives:
            backends = {*old.get("backends", []), keras.backend.backend()}
            self.survivors[mutant.key] = {
                "file": mutant.file,
                "in": mutant.place,
                "operator": mutant.operator,
                "line": mutant.before,
                "mutant": mutant.after,
                "backends": sorted(backends),
                "reason": before.get("reason", ""),
            }

    def write(self):
        """Writes the file, at the end alone: what has not been tried is not killed."""
        ordered = sorted(
            self.survivors.items(), key=lambda item: (item[1]["file"], item[1]["line"])
        )
        content = {
            "protocol": PROTOCOL,
            "files": self.files,
            "survivors": dict(ordered),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        self.path.write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--files", nargs="+", default=FILES, choices=FILES)
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--tests", nargs="+", default=TESTS)
    args = parser.parse_args()
    results, done, start = Results(RESULTS), Counter(), time.monotonic()
    with ProcessPoolExecutor() as pool:
        made = dict(zip(args.files, pool.map(mutants_of, args.files), strict=True))
    chosen = [mutant for of_file in made.values() for mutant in of_file]
    if args.survivors:
        alive = results.of(args.files)
        chosen = [mutant for mutant in chosen if mutant.key in alive]
    else:
        results.files |= {file: len(of_file) for file, of_file in made.items()}
        results.forget(args.files)

    def record(mutant, outcome):
        survives = not outcome.startswith("killed")
        results.add(mutant, survives)
        done["survived" if survives else "killed"] += 1
        if survives or done["killed"] % 50 == 0:
            print(f"{time.monotonic() - start:.0f} s {dict(done)} of {len(chosen)}")
            print(f"  {mutant.file} {mutant.place}: {outcome}")
            print(f"    {mutant.before}\n    {mutant.after}", flush=True)

    os.chdir(ROOT)
    tests = [f"tests/{test}" for test in args.tests]
    pytest.main(["-q", *OPTIONS, *tests], plugins=[Mutation(chosen, record)])
    results.write()
    unexplained = [s for s in results.survivors.values() if not s["reason"]]
    if args.survivors and unexplained:
        sys.exit(f"{len(unexplained)} mutants live without a reason: {unexplained}")


if __name__ == "__main__":
    main()
