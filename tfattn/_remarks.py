"""Keeps TensorFlow's remarks off the screen.

TensorFlow writes remarks for its own developers while it is imported, before any log
level applies. The command `tfattn` and the notebooks filter them out of the standard
error while they import the backend. The library itself changes nothing.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# The start of a log line of a level I, W or E, from TensorFlow 2.21 on and before.
LEVEL = r"(?:{0}\d{{4}} |\d{{4}}-\d\d-\d\d [\d:.]+: {0} )"
# Everything else passes: warnings, errors and tracebacks, of a crash as well.
REMARKS = "|".join(
    [
        LEVEL.format("I"),  # informational
        r"To enable the following instructions",  # second line of such a remark
        r"WARNING: All log messages before absl::InitializeLog",
        # CUDA parts that nobody uses here
        LEVEL.format("[WE]") + ".*already (been )?registered",
        # no NVIDIA driver; the device is printed later
        LEVEL.format("E") + r".*cuInit: .*\(303\)",
    ]
)
# In a process of its own, which passes on the last words of one that crashes.
FILTER = """
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Filters what is written to standard error, C++ code included."""
    sys.stderr.flush()
    stderr = os.dup(2)
    reader = subprocess.Popen(
        [sys.executable, "-c", FILTER, REMARKS], stdin=subprocess.PIPE
    )
    assert reader.stdin is not None  # because of PIPE
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        # A process that the import left behind may hold the pipe open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(timeout=2)
