"""The command `tfattn`, which is also `python -m tfattn`."""

import os
import sys

from tfattn._remarks import without_remarks


def main() -> None:
    """Reads the arguments, imports the backend in silence, then runs the command."""
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


if __name__ == "__main__":
    main()
