"""What the command lets through to standard error, and what it takes out."""

import os
import subprocess
import sys

import pytest

REMARKS = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795851893.626908    5190 port.cc:153] oneDNN custom operations are on.
2026-11-28 07:40:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This
To enable the following instructions: AVX2 FMA, rebuild TensorFlow.
E0000 00:00:1795851893.6 5190 cuda_fft.cc:467] one has already been registered
E0000 00:00:1795851893.6 5190 cuda_platform.cc:52] failed call to cuInit: ERROR (303)
2026-11-28 07:40:00.12: E external/xla/cuda_fft.cc:477] one has already been registered
2026-11-28 07:40:00.12: E external/xla/cuda_platform.cc:51] failed cuInit: ERROR (303)
"""
REAL = """\
E0000 00:00:1795851893.6 5190 cuda_platform.cc:52] failed call to cuInit: ERROR (804)
W0000 00:00:1795851893.6 5190 gpu_device.cc:2432] Cannot dlopen some GPU libraries.
2026-11-28 07:40:00.123456: E tensorflow/core/platform/x.cc:1] Out of memory
Traceback (most recent call last):
ImportError: libfoo.so: Illegal file
"""
CODE = """
import os, sys
from tfattn import __main__
with __main__.without_remarks():
    os.write(2, sys.argv[1].encode())
    if sys.argv[2] == "crash":
        os.abort()
os.write(2, b"I0000 after")
"""


def run(ending):
    return subprocess.run(
        [sys.executable, "-c", CODE, REMARKS + REAL + REMARKS, ending],
        capture_output=True,
        text=True,
    )


def test_only_remarks_are_taken_out():
    result = run("go on")
    assert result.returncode == 0
    assert result.stderr == REAL + "I0000 after"


def test_errors_of_a_crash_are_shown():
    result = run("crash")
    assert result.returncode != 0
    assert REAL in result.stderr and "oneDNN" not in result.stderr


IGNORED = """
import sys, time
from tfattn.__main__ import repeat_ignored_interruptions

class Deleted:
    def __del__(self):
        raise {error}("in a callback")

repeat_ignored_interruptions()
Deleted()
try:
    for _ in range({seconds}):
        time.sleep(1)
except KeyboardInterrupt:
    sys.exit("tfattn: interrupted")
"""


def ignored(error, seconds):
    code = IGNORED.format(error=error, seconds=seconds)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_an_interruption_that_python_ignores_comes_again():
    result = ignored("KeyboardInterrupt", seconds=30)
    assert (result.returncode, result.stderr) == (1, "tfattn: interrupted\n")


def test_other_ignored_errors_are_shown():
    result = ignored("ValueError", seconds=1)
    assert result.returncode == 0
    assert "ValueError: in a callback" in result.stderr


def as_a_user(*arguments, **options):
    """Python, with no log level, so that the command takes out all remarks."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, **options
    )


@pytest.mark.slow
def test_first_words_are_ours():
    """The backend is imported, and one line of ours is all that is written."""
    result = as_a_user("-m", "tfattn", "evaluate", "nothing")
    assert result.stdout == "" and result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("tfattn: Expected a finished run")


@pytest.mark.ci
def test_the_library_changes_nothing():
    """Importing it neither sets a variable nor redirects standard error."""
    code = (
        "import os, keras; before = dict(os.environ); import tfattn.layers;"
        "print(os.environ == before); os.write(2, b'I0000 a remark')"
    )
    result = as_a_user("-c", code)
    assert result.stdout.strip() == "True"
    assert result.stderr.endswith("I0000 a remark")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit for files")
def test_no_place_for_temporary_files_is_a_line():
    """Which imports need, before the command has begun."""
    resource = pytest.importorskip("resource")
    result = as_a_user(
        *("-m", "tfattn", "generate", "nowhere"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("tfattn: [Errno 2] No usable temporary directory")
