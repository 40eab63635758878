"""Types that annotations share."""

from typing import Any

# The tensors of the backends, also symbolic ones, have no type in common, and neither
# Keras nor TensorFlow describes its own. Where functions take this, arrays will do.
Tensor = Any
# The sizes of a tensor's axes, `None` for an unknown one. Most code asks for known ones
# and need not prove it, hence not `int | None`.
Shape = tuple[int | Any, ...]
