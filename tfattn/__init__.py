"""tfattn: attention for image generation in Keras 3."""

from tfattn import data, layers, metrics, models

__version__ = "0.1.0"
__all__ = ["data", "layers", "metrics", "models"]
