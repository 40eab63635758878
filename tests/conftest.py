"""Settings shared by all tests, the notebooks' kernels included."""

import os

# Read by the kernels that run the notebooks, which see no fixtures.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import pytest


@pytest.fixture(autouse=True)
def seed_everything():
    keras.utils.set_random_seed(7)


@pytest.fixture
def dtype_policy(request):
    """Sets the global dtype policy named by the test's parameter, then resets it."""
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="written for TensorFlow"
)
