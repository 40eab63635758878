"""What every notebook of the course does at its start and at its end."""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfattn._remarks import without_remarks


def start(number: str, seed: int = 0) -> "NotebookRun":
    """Imports Keras without the backend's remarks, seeds it and prints the device.

    On a GPU, TensorFlow may round the inputs of matrix products to 10 bits (TF32). The
    notebooks compare numbers to 1e-5, so this is switched off.

    Args:
        number: Number of the notebook, such as `"01"`.
        seed: For NumPy's global generator, Python's and Keras's.

    Returns:
        The run, whose `finish` prints how long it took and writes the results.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel("ERROR")  # tensorflow-datasets explains itself
    with without_remarks():
        import keras

        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            tf.config.experimental.enable_tensor_float_32_execution(False)
            tf.get_logger().setLevel("ERROR")  # many small models trace many functions
            gpus = tf.config.list_physical_devices("GPU")
        else:
            gpus = [name for name in keras.distribution.list_devices() if "gpu" in name]
    keras.utils.set_random_seed(seed)
    device = f"{len(gpus)} GPU" if gpus else f"{os.cpu_count()} CPU cores"
    run = NotebookRun(number, device, f"Keras {keras.__version__}, {backend}")
    print(f"{run.versions}; this run uses {device}.")
    if run.file.exists():
        last = json.loads(run.file.read_text(encoding="utf-8"))
        print(
            f"The last full run took {last['cpu_seconds'] / 60:.1f} minutes of "
            f"processor time on {last['device']}."
        )
    return run


class NotebookRun:
    """One run of a notebook.

    Attributes:
        device: The device in words.
        versions: The versions of Keras and its backend in words.
        file: Where the results of the full run are kept.
    """

    def __init__(self, number: str, device: str, versions: str) -> None:
        self.device, self.versions = device, versions
        self.file = Path("results") / f"{number}.json"
        self._started = time.monotonic()

    def finish(self, results: Mapping[str, Any], write: bool) -> None:
        """Prints how long the run took; writes its results.

        Args:
            results: Everything that the notebook measured, with its protocol.
            write: Whether to write the file, which only a full run should do.
        """
        seconds = round(time.monotonic() - self._started)
        # Unlike the seconds, it hardly depends on what else the machine does.
        cpu_seconds = round(time.process_time())
        print(
            f"This run took {seconds / 60:.1f} minutes, of processor time "
            f"{cpu_seconds / 60:.1f}, on {self.device}."
        )
        if write:
            content = {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "device": self.device,
                "versions": self.versions,
                **results,
            }
            self.file.parent.mkdir(exist_ok=True)
            text = json.dumps(content, indent=1, ensure_ascii=False)
            self.file.write_text(text + "\n", encoding="utf-8")
