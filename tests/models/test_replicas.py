"""Training on two devices computes what training on one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

BACKEND = keras.backend.backend()
# One model for each way to draw and to take a step.
KINDS = {
    "tensorflow": [
        "vae_by_class",
        "gan_by_class",
        "transformer_by_class",
        "completion_adversarial",
        "classifier",
    ],
    "jax": ["vae"],
}


@pytest.mark.ci
@pytest.mark.backend
@pytest.mark.skipif(BACKEND == "torch", reason="needs KERAS_BACKEND=tensorflow or jax")
def test_two_devices_train_as_one():
    """Every image has draws of its own, and counts as much as any other."""
    program = Path(__file__).with_name("replicas.py")
    path = os.pathsep.join([str(program.parents[2]), str(program.parents[1])])
    out = subprocess.run(
        [sys.executable, program, *KINDS[BACKEND]],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    found = json.loads(out.stdout.splitlines()[-1])
    assert set(found) == set(KINDS[BACKEND])
    assert max(found.values()) < 1e-6, found
