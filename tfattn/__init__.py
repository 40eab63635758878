"""tfattn: attention for image generation in Keras 3."""

from tfattn import (
    completion_baselines,
    completion_quality,
    data,
    layers,
    masks,
    metrics,
    models,
)

__version__ = "0.1.0"
__all__ = [
    "completion_baselines",
    "completion_quality",
    "data",
    "layers",
    "masks",
    "metrics",
    "models",
]
