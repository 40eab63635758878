"""Interrupts the command at many moments, and counts after which nothing was lost.

    python benchmarks/kills.py

runs tests/cli/test_kills.py, which says what "nothing lost" means, and writes how many
of its tests passed into benchmarks/results/kills.json. Takes an hour or two on two idle
cores, and can be done in parts, with arguments for pytest:

    python benchmarks/kills.py -k "not test_killed"
    python benchmarks/kills.py -k test_killed

Each part leaves the counts of the others as they are, if they are of the same system
and versions.
"""

import json
import os
import platform
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results/kills.json"
PROTOCOL = (
    "a VAE of three epochs on the digits; each command in a process of its own, with "
    "one of these mishaps; then every file is complete or missing, and the same "
    "command (a training with --resume) gives the result of no mishap, within 1e-4; a "
    "damaged file, a read-only disk and a second training are refused in a line, and "
    "nothing is changed"
)

MACHINE = (
    f"{platform.system()}, Python {platform.python_version()}, "
    f"keras {version('keras')}, tensorflow {version('tensorflow')}"
)


class Counts:
    """A pytest plugin: how each test function ended, by the command it ran."""

    def __init__(self):
        self.found = {}
        before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        # Counts of another machine or other versions are not those of this one.
        if before.get("machine") == MACHINE:
            for row in before["tests"]:
                self.found[row.pop("test"), row.pop("command")] = Counter(row)
        self.anew = set()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            print(f"\n{report.nodeid}\n{report.longreprtext}", flush=True)
        # A test that fails may also fail to clean up.
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        function, _, parameters = report.nodeid.rpartition("::")[2].partition("[")
        command = (parameters.rstrip("]") or "train").split("-")
        names = [name for name in command if name in ("train", *COMMANDS)]
        key = function, names[0]
        if key not in self.anew:
            self.anew.add(key)
            self.found[key] = Counter()
        self.found[key][report.outcome] += 1
        self.write()  # an hour may be too long for whoever runs it

    def write(self):
        content = {
            "protocol": PROTOCOL,
            "machine": MACHINE,
            "tests": [
                {"test": test, "command": command, **outcomes}
                for (test, command), outcomes in sorted(self.found.items())
            ],
        }
        text = json.dumps(content, indent=1)
        RESULTS.write_text(text + "\n", encoding="utf-8")


COMMANDS = ("evaluate", "generate", "each", "complete")


def main():
    counts = Counts()
    os.chdir(ROOT)
    options = ["-o", "addopts=-p no:nbmake -n auto --dist load", "-m", "kill", "-q"]
    arguments = [*options, "tests/cli/test_kills.py", *sys.argv[1:]]
    status = pytest.main(arguments, plugins=[counts])
    raise SystemExit(status)


if __name__ == "__main__":
    main()
