"""Mutants of the mathematics and the layers, and the tests that kill them.

    KERAS_BACKEND=torch python benchmarks/mutation.py
    python benchmarks/mutation.py --survivors

The first command makes every mutant that cosmic-ray's operators can make of FILES (one
operator, number, keyword or comparison replaced at a time), runs the tests that execute
the changed line until one fails, and writes what happened to each into
benchmarks/results/mutation.json. The second runs those that survived again, on another
backend: a mutant is dead if the tests of any backend kill it. `--files ops.py` makes
the mutants of some files only, `--keys KEY …` runs some mutants again. Why a survivor
is no fault is written by hand into its "reason", and stays there; `--survivors` fails
if one has none.

A process of its own for each mutant would take half a day: most of it is the import of
a backend. Here pytest collects once, and a fork of that process gets the code of the
mutant's functions in place of theirs, and its constants. A decorator that is removed
needs that import: its tests run in a process of their own.
"""

import argparse
import ast
import contextlib
import difflib
import hashlib
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import coverage
import pytest
from _pytest.runner import runtestprotocol
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results/mutation.json"
PACKAGE = ROOT / "tfattn"
LAYERS = sorted(f"layers/{path.name}" for path in (PACKAGE / "layers").glob("*.py"))
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
# Above what its tests take without the mutant: for what loops for ever.
PATIENCE = 5
SECONDS = 30
GIGABYTES = 6  # and for what asks for more memory than there is


@dataclass
class Mutant:
    """A file with one thing changed.

    Attributes:
        key: A name that stays as long as the code around it does.
        place: The class and function that it is in.
        lines: Numbers of lines, from 1, of which one is executed where it counts.
        is_decorator: Whether a decorator of a class or a method is removed.
    """

    key: str
    file: str
    place: str
    operator: str
    before: str
    after: str
    lines: range
    source: str
    is_decorator: bool


class _WithoutAnnotations(ast.NodeTransformer):
    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def meaning(source):
    """What a source does, as text: two with the same text are the same program."""
    return ast.dump(_WithoutAnnotations().visit(ast.parse(source)))


def mutants_of(file):
    """Every mutant of a file, each program once."""
    source = (PACKAGE / file).read_text(encoding="utf-8")
    tree = get_ast(source)
    seen, numbers, mutants = {meaning(source)}, Counter(), []
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():  # asks which variables to exchange
            continue
        positions = [
            (node, start, stop)
            for node in ast_nodes(tree)
            for start, stop in operator_class().mutation_positions(node)
        ]
        for occurrence, (node, start, stop) in enumerate(positions):
            mutated = mutate_code(source, operator_class(), occurrence)
            if mutated is None:
                continue
            try:
                program = meaning(mutated)
            except SyntaxError:
                continue
            if program in seen:
                continue
            seen.add(program)
            before, after = changed_lines(source, mutated)
            names = definition(node)
            place = ".".join(names)
            # The same change of two equal lines of a function is two mutants.
            text = "\n".join((file, place, before, after))
            numbers[text] += 1
            text += f"\n{numbers[text]}"
            mutant = Mutant(
                key=hashlib.sha256(text.encode()).hexdigest()[:10],
                file=file,
                place=place,
                operator=name.split("/")[-1],
                before=before,
                after=after,
                lines=lines_of(node, start, stop),
                source=mutated,
                is_decorator=node.type == "decorator",
            )
            mutants.append(mutant)
    return mutants


def definition(node):
    """Names of the classes and functions around a node."""
    names = []
    while node is not None:
        if node.type in ("funcdef", "classdef"):
            names.insert(0, node.name.value)
        node = node.parent
    return names


def lines_of(node, start, stop):
    """Lines of which one is executed where the mutant has an effect."""
    statement = None
    while node.parent is not None and node.type != "classdef":
        if node.type == "funcdef" and statement is not None:
            return range(min(statement.start_pos[0], start[0]), stop[0] + 1)
        if node.type in ("parameters", "decorator"):
            # A default, for one, has its effect when the function is called.
            return range(node.parent.start_pos[0], node.parent.end_pos[0] + 1)
        if statement is None and node.type.endswith("stmt"):
            statement = node
        node = node.parent
    return range(node.start_pos[0], node.end_pos[0] + 1)


def changed_lines(before, after):
    lines = list(
        difflib.unified_diff(before.split("\n"), after.split("\n"), n=0, lineterm="")
    )[2:]
    return tuple(
        " ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"
    )


def transplant(module, source):
    """Gives an imported module the functions and constants of another source of it."""
    import keras

    registered = keras.saving.get_custom_objects()
    before = dict(registered)
    names = dict(keras.src.saving.object_registration.GLOBAL_CUSTOM_NAMES)
    new = {"__name__": module.__name__, "__package__": module.__package__}
    exec(compile(source, module.__file__, "exec"), new)
    registered.clear()
    registered.update(before)
    keras.src.saving.object_registration.GLOBAL_CUSTOM_NAMES.clear()
    keras.src.saving.object_registration.GLOBAL_CUSTOM_NAMES.update(names)
    _adopt(vars(module), new, module.__name__)


def _adopt(old, new, module):
    for name, value in new.items():
        there = old.get(name)
        if (
            isinstance(old, dict)
            and isinstance(value, int | float | dict)
            and name[0] != "_"
        ):
            old[name] = value
        if getattr(value, "__module__", None) != module and not isinstance(
            value, (property, classmethod, staticmethod)
        ):
            continue
        if isinstance(value, type):
            _adopt(vars(there), vars(value), module)
            continue
        for part in ("fget", "__func__", None):
            if part is not None and hasattr(value, part):
                value, there = getattr(value, part), getattr(there, part)
        if isinstance(value, FunctionType):
            there.__code__ = value.__code__
            there.__defaults__ = value.__defaults__
            there.__kwdefaults__ = value.__kwdefaults__


class Mutation:
    """A pytest plugin: in place of one run of the tests, one for each mutant."""

    def __init__(self, mutants, record, processes):
        self.mutants, self.record, self.processes = mutants, record, processes
        # Which tests killed how many mutants of the same function.
        self.killers = defaultdict(Counter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.items = {item.nodeid: item for item in session.items}
        self.measure()
        waiting, running = list(reversed(self.mutants)), {}
        while waiting or running:
            while waiting and len(running) < self.processes:
                mutant = waiting.pop()
                tests = self.tests_of(mutant)
                running[self.start(mutant, tests)] = mutant
            time.sleep(0.005)
            for handle in list(running):
                outcome = handle.outcome()
                if outcome is not None:
                    mutant = running.pop(handle)
                    self.killers[mutant.place][outcome.partition(": ")[2]] += 1
                    self.record(mutant, outcome)
        return True

    def measure(self):
        """How long each test takes, and which lines it executes, without a mutant."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "measured.json"
            handle = Fork(lambda: self._measure(path), 3600)
            while handle.outcome() is None:
                time.sleep(0.1)
            measured = json.loads(path.read_text(encoding="utf-8"))
        self.seconds = measured["seconds"]
        self.lines = measured["lines"]
        for module in measured["modules"]:  # so that not every fork imports them
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        print(f"{len(self.seconds)} tests in {sum(self.seconds.values()):.0f} s")

    def _measure(self, path):
        cover = coverage.Coverage(
            data_file=None, include=[str(PACKAGE / file) for file in FILES]
        )
        seconds = {}
        items = list(self.items.values())
        cover.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            cover.switch_context(item.nodeid)
            start = time.perf_counter()
            reports = runtestprotocol(item, log=False, nextitem=following)
            if not any(report.failed for report in reports):
                seconds[item.nodeid] = time.perf_counter() - start
        cover.stop()
        data = cover.get_data()
        lines = {file: data.contexts_by_lineno(str(PACKAGE / file)) for file in FILES}
        measured = {"seconds": seconds, "lines": lines, "modules": list(sys.modules)}
        path.write_text(json.dumps(measured), encoding="utf-8")
        return "measured"

    def tests_of(self, mutant):
        """Those that execute its line, the likely killers first, then the quick."""
        lines = self.lines[mutant.file]
        tests = {
            test
            for line in mutant.lines
            for test in lines.get(str(line), ())
            if test in self.seconds
        }
        # It reads signatures, and so executes no line.
        tests |= {test for test in self.seconds if "test_defaults.py" in test}
        killers = self.killers[mutant.place]
        return sorted(tests, key=lambda test: (-killers[test], self.seconds[test]))

    def start(self, mutant, tests):
        limit = SECONDS + PATIENCE * sum(self.seconds[test] for test in tests)
        if mutant.is_decorator:
            return Process(mutant, tests, limit)
        return Fork(lambda: self.run(mutant, tests), limit)

    def run(self, mutant, tests):
        parts = mutant.file.removesuffix(".py").replace("/__init__", "").split("/")
        try:
            transplant(sys.modules[".".join(["tfattn", *parts])], mutant.source)
        except Exception as error:
            return f"killed: {type(error).__name__} at import"
        items = [self.items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            reports = runtestprotocol(item, log=False, nextitem=following)
            if any(report.failed for report in reports):
                return f"killed: {item.nodeid}"
        return "survived" if tests else "no test"


class Fork:
    """A copy of this process that runs a function and tells what it returned."""

    def __init__(self, function, limit):
        self.deadline = time.monotonic() + limit
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            if limit < 3600:
                bytes_now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
                most = bytes_now + GIGABYTES * 2**30
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
            text = "killed: the process ended"
            with contextlib.suppress(BaseException):
                text = function()
            os.write(writing, text.encode())
            os._exit(0)
        os.close(writing)
        self.pipe = reading

    def outcome(self):
        pid, _ = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0 and time.monotonic() < self.deadline:
            return None
        if pid == 0:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        text = os.read(self.pipe, 10_000).decode()
        os.close(self.pipe)
        return text or ("killed: time" if pid == 0 else "killed: the process died")


class Process:
    """The tests of a mutant in a process that imports it."""

    def __init__(self, mutant, tests, limit):
        self.deadline = time.monotonic() + 60 + limit
        self.folder = tempfile.mkdtemp()
        for part in ("tfattn", "tests", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, Path(self.folder) / part)
        path = Path(self.folder) / "tfattn" / mutant.file
        path.write_text(mutant.source, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-x", "-q", *OPTIONS, *tests],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": self.folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def outcome(self):
        code = self.process.poll()
        if code is None and time.monotonic() < self.deadline:
            return None
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
        return "killed: time" if code is None else "killed" if code else "survived"


# Each test in this process, in the order that is asked for.
OPTIONS = ["-o", "addopts=-p no:nbmake -p no:xdist -p no:cacheprovider"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--files", nargs="+", default=FILES, choices=FILES)
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--keys", nargs="+", default=[])
    parser.add_argument("--tests", nargs="+", default=TESTS)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    args = parser.parse_args()
    results = {"files": {}, "survivors": {}}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    with ProcessPoolExecutor() as pool:
        mutants = {m.key: m for of in pool.map(mutants_of, args.files) for m in of}
    found = results["survivors"]
    reasons = {key: survivor["reason"] for key, survivor in found.items()}
    if args.keys:
        chosen = [mutants[key] for key in args.keys]
    elif args.survivors:
        chosen = [mutants[key] for key, s in found.items() if s["file"] in args.files]
    else:
        chosen = list(mutants.values())
        counts = Counter(mutant.file for mutant in chosen)
        results["files"] |= {file: counts[file] for file in args.files}
        for key in [key for key, s in found.items() if s["file"] in args.files]:
            del found[key]
    done = Counter()
    start = time.time()

    def write():
        text = json.dumps(results, indent=1, ensure_ascii=False)
        RESULTS.write_text(text + "\n", encoding="utf-8")

    def record(mutant, outcome):
        word = outcome.partition(":")[0]
        done[word] += 1
        found.pop(mutant.key, None)
        if word != "killed":
            found[mutant.key] = {
                "file": mutant.file,
                "in": mutant.place,
                "operator": mutant.operator,
                "line": mutant.before,
                "mutant": mutant.after,
                "reason": reasons.get(mutant.key, ""),
            }
            write()
        if word != "killed" or done["killed"] % 50 == 0 or args.keys:
            print(f"{time.time() - start:.0f} s {dict(done)} of {len(chosen)}")
            print(f"  {mutant.key} {mutant.file} {mutant.place}: {outcome}")
            print(f"    {mutant.before}\n    {mutant.after}", flush=True)

    tests = [str(Path("tests") / test) for test in args.tests]
    os.chdir(ROOT)
    pytest.main(
        ["-q", *OPTIONS, *tests], plugins=[Mutation(chosen, record, args.processes)]
    )
    write()
    print(dict(done), f"{time.time() - start:.0f} s")
    unexplained = [key for key, survivor in found.items() if not survivor["reason"]]
    if args.survivors and unexplained:
        sys.exit(f"{len(unexplained)} mutants live without a reason: {unexplained}")


if __name__ == "__main__":
    main()
