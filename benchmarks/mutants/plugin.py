"""A pytest plugin that runs the tests once for each mutant."""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import coverage
import pytest
from _pytest.runner import runtestprotocol

from .processes import Fork, Process
from .sources import PACKAGE
from .transplant import transplant

# Time for a mutant: above what its tests take without it, for what loops for ever.
SECONDS, PATIENCE = 30, 5
HOUR = 3600


class Mutation:
    """In place of one run of the tests, one for each mutant, until a test fails.

    Args:
        mutants: List of `Mutant`.
        record: Takes a mutant and its outcome: "killed: …", "survived" or "no test".
    """

    def __init__(self, mutants, record):
        self.mutants, self.record = mutants, record
        self.files = sorted({mutant.file for mutant in mutants})
        # Which tests killed how many mutants of the same function.
        self.killers = defaultdict(Counter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.items = {item.nodeid: item for item in session.items}
        self.measure()
        waiting, running = list(reversed(self.mutants)), {}
        while waiting or running:
            while waiting and len(running) < os.cpu_count():
                mutant = waiting.pop()
                running[self.start(mutant)] = mutant
            time.sleep(0.005)
            for process in list(running):
                outcome = process.outcome()
                if outcome is not None:
                    mutant = running.pop(process)
                    self.killers[mutant.place][outcome.partition(": ")[2]] += 1
                    self.record(mutant, outcome)
        return True

    def measure(self):
        """How long each test takes, and which lines it executes, without a mutant."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "measured.json"
            fork = Fork(lambda: self._measure(path), HOUR)
            while fork.outcome() is None:
                time.sleep(0.1)
            measured = json.loads(path.read_text(encoding="utf-8"))
        self.seconds = measured["seconds"]
        self.lines = measured["lines"]
        for module in measured["modules"]:  # so that not every fork imports them
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        print(f"{len(self.seconds)} tests in {sum(self.seconds.values()):.0f} s")

    def _measure(self, path):
        paths = {file: str(PACKAGE / file) for file in self.files}
        cover = coverage.Coverage(data_file=None, include=list(paths.values()))
        seconds = {}
        cover.start()
        for item, following in _with_following(list(self.items.values())):
            cover.switch_context(item.nodeid)
            start = time.perf_counter()
            if not _fails(item, following):
                seconds[item.nodeid] = time.perf_counter() - start
        cover.stop()
        data = cover.get_data()
        lines = {file: data.contexts_by_lineno(path) for file, path in paths.items()}
        measured = {"seconds": seconds, "lines": lines, "modules": list(sys.modules)}
        path.write_text(json.dumps(measured), encoding="utf-8")
        return "measured"

    def tests_of(self, mutant):
        """Those that execute its line, the likely killers first, then the quick."""
        lines = self.lines[mutant.file]
        tests = {test for line in mutant.lines for test in lines.get(str(line), ())}
        # It reads signatures, and so executes no line.
        tests |= {test for test in self.seconds if "test_defaults.py" in test}
        killers = self.killers[mutant.place]
        return sorted(
            tests & self.seconds.keys(),
            key=lambda test: (-killers[test], self.seconds[test]),
        )

    def start(self, mutant):
        """A process that runs the tests of a mutant."""
        tests = self.tests_of(mutant)
        limit = SECONDS + PATIENCE * sum(self.seconds[test] for test in tests)
        if mutant.is_decorator:
            return Process(mutant, tests, limit)
        return Fork(lambda: self._run(mutant, tests), limit)

    def _run(self, mutant, tests):
        name = mutant.file.removesuffix(".py").replace("/", ".")
        try:
            transplant(sys.modules[f"tfattn.{name}"], mutant.source)
        except Exception as error:
            return f"killed: {type(error).__name__} at import"
        for item, following in _with_following([self.items[test] for test in tests]):
            if _fails(item, following):
                return f"killed: {item.nodeid}"
        return "survived" if tests else "no test"


def _with_following(items):
    """Each test with the next one, for which its fixtures stay."""
    return zip(items, [*items[1:], None], strict=True)


def _fails(item, following):
    reports = runtestprotocol(item, log=False, nextitem=following)
    return any(report.failed for report in reports)
