"""The command `tfattn`, which is also `python -m tfattn`."""

import _thread
import os
import sys
import threading
from typing import Any

from tfattn._remarks import without_remarks


def repeat_ignored_interruptions() -> None:
    """Lets Ctrl-C through where Python would ignore it.

    An exception in a callback of the garbage collector, or while an object is deleted,
    goes no further than `sys.unraisablehook`. Libraries have such callbacks, and a
    Ctrl-C that falls into one would be lost.
    """

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # After the callback; in this function it would be ignored again.
            timer = threading.Timer(0.1, _thread.interrupt_main)
            timer.daemon = True  # a process that ends does not wait for it
            timer.start()
        else:
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = hook


def main() -> None:
    """Reads the arguments, imports the backend in silence, then runs the command."""
    repeat_ignored_interruptions()
    try:
        from tfattn.cli.main import parse, run

        arguments = parse()
        # Whoever sets a log level wants to see the remarks.
        if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"  # warnings and errors
            with without_remarks():
                import keras

                if keras.backend.backend() == "tensorflow":
                    import tensorflow as tf

                    tf.config.list_physical_devices()  # which it has remarks on, too
        run(arguments)
    except KeyboardInterrupt:
        sys.exit("\ntfattn: interrupted")
    except OSError as error:  # an import finds no place for temporary files
        sys.exit(f"tfattn: {error}")


if __name__ == "__main__":
    main()
