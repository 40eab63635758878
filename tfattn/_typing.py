"""Types that annotations share."""

from typing import Any

# The tensors of the backends, also symbolic ones, have no type in common, and neither
# Keras nor TensorFlow describes its own. Where functions take this, arrays will do.
Tensor = Any
