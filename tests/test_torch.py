"""Tests of the layers and models again, on torch."""

import keras
import pytest
from backends import run_lane


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="needs KERAS_BACKEND=tensorflow"
)
def test_lane():
    run_lane("torch")
