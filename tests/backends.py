"""The same layers and numbers on JAX and torch.

The layers' own tests compare with NumPy; they run again in a process of each backend.
`test_jax.py` and `test_torch.py` are two files, so that they run side by side.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LANE = [
    "layers",
    "test_ops.py",
    "test_chunked_attention.py",
    "test_masks.py",
    "models/test_augmentation.py",
    "models/test_completion.py::test_log_weights_equal_loops[self]",
    "models/test_completion.py::test_same_seed_same_completions[None]",
    "models/test_completion.py::test_an_adversarial_step_moves_every_weight",
    "models/test_vae.py::test_log_weights_equal_loops[self]",
    "models/test_vae.py::test_fit_with_classes",
    "models/test_vae.py::test_attention_control",
    "models/test_gan.py::test_fit_is_a_loop_of_steps",
    # Each condition and each order once.
    "models/test_image_transformer.py::test_same_images_with_and_without_cache"
    "[none-coarse_to_fine]",
    "models/test_image_transformer.py::test_same_images_with_and_without_cache"
    "[text-raster]",
    "models/test_image_transformer.py::test_completions_of_several_images[class]",
    "models/test_image_transformer.py::test_compiled_functions_read_the_weights_anew",
    "models/test_image_transformer.py::test_fit_learns[text]",
]


def run_lane(backend):
    """Runs the tests of `LANE` in a process of a backend; skips where it is missing."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs the package {backend}: pip install {backend}")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:nbmake", "-o", "addopts="]
        + [str(TESTS / name) for name in LANE],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_PLATFORMS": "cpu",
            # The tensors are small: torch's threads would wait for each other.
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert " passed" in result.stdout
