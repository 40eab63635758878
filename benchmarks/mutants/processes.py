"""Processes in which the tests of a mutant run, and which may hang or die."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# For what asks for more memory than there is.
GIGABYTES = 6
# Each test in one process, in the order that is asked for.
OPTIONS = ["-o", "addopts=-p no:nbmake -p no:xdist -p no:cacheprovider"]
TESTS_FAILED = 1


class Fork:
    """A copy of this process that runs a function.

    Args:
        function: Returns the outcome, a text.
        limit: Seconds that it may take.
    """

    def __init__(self, function, limit):
        self.deadline = time.monotonic() + limit
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
            resource.setrlimit(resource.RLIMIT_AS, (now + GIGABYTES * 2**30,) * 2)
            text = "killed: the process ended"
            with contextlib.suppress(BaseException):
                text = function()
            os.write(writing, text.encode())
            os._exit(0)
        os.close(writing)
        self.pipe = reading

    def outcome(self):
        """The text, or `None` while the function runs."""
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
    """The tests of a mutant in a process that imports it, from a copy of the package.

    Args:
        mutant: A `Mutant`.
        tests: The tests' names, for pytest.
        limit: Seconds that they may take.
    """

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
        """As that of `Fork`."""
        code = self.process.poll()
        if code is None and time.monotonic() < self.deadline:
            return None
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
        if code is None:
            return "killed: time"
        if code not in (0, TESTS_FAILED):
            raise RuntimeError(f"Expected pytest to run. Received: its status {code}")
        return "killed: a test failed" if code else "survived"
