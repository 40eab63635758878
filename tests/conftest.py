"""Settings shared by all tests, the notebooks' kernels included."""

import gc
import importlib.metadata
import os
import subprocess
import sys
import textwrap

import pytest

# Markers of tests that only run when they are selected.
ON_REQUEST = ("network", "peer", "ci", "kill")

# Read by the kernels that run the notebooks, which see no fixtures.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")
# XLA's programs run once or twice here: optimizing them takes longer than they do.
flags = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_multi_thread_eigen=false",
]
# JAX compiles each operation by itself. An XLA without the flag would not start.
if os.environ.get("KERAS_BACKEND") == "jax" and (
    tuple(map(int, importlib.metadata.version("jax").split(".")[:2])) < (0, 11)
):
    flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(flags))
# The tensors are small, and each processor has its tests: threads would only wait.
for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
# Notebooks would download data sets otherwise.
os.environ.setdefault("TFATTN_OFFLINE", "1")
# Keras is imported late: the process that hands out the tests starts without it.


def pytest_collection_modifyitems(config, items):
    """Leaves out what was not asked for."""
    chosen = config.option.markexpr

    def is_asked_for(item):
        markers = [m for m in ON_REQUEST if item.get_closest_marker(m)]
        # What is to run on each backend runs there without being asked for.
        if "backend" in chosen and item.get_closest_marker("backend"):
            markers = [m for m in markers if m != "ci"]
        return all(marker in chosen for marker in markers)

    items[:] = [item for item in items if is_asked_for(item)]


def pytest_collection_finish():
    """Keras collects garbage for each quantized layer: leaves the modules out."""
    gc.freeze()


@pytest.fixture(autouse=True)
def seed_everything():
    import keras

    keras.utils.set_random_seed(7)


@pytest.fixture
def dtype_policy(request):
    """Sets the global dtype policy named by the test's parameter, then resets it."""
    import keras

    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def eagerly():
    """On TensorFlow, where a graph is built for long, a few steps without one."""
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# Read when the test is to run, and Keras is there.
on_tensorflow = pytest.mark.skipif(
    "sys.modules['keras'].backend.backend() != 'tensorflow'",
    reason="needs KERAS_BACKEND=tensorflow",
)


def real(name):
    """Loads a data set; skips the test if it is not on this machine."""
    from tfattn import data

    try:
        return data.load(name)
    except data.DataUnavailableError:
        pytest.skip(
            f"needs the data set {name!r}; download it once with: "
            "python .ci/load_data.py"
        )


def run_python(code, **environment):
    """What a program does in a process of its own, with more variables if given."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
