"""tfattn: attention for image generation in Keras 3.

The modules below are imported when they are first used, so that reading data or
printing the command's help does not wait for Keras and its backend.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfattn import (
        course,
        data,
        densities,
        evaluation,
        layers,
        models,
        ops,
        plots,
        training,
    )

__version__ = "0.1.0"
__all__ = [
    "course",
    "data",
    "densities",
    "evaluation",
    "layers",
    "models",
    "ops",
    "plots",
    "training",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
