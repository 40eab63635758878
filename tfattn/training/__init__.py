"""How the models are trained, by the command and from Python."""

from tfattn.training.batches import ShuffledBatches
from tfattn.training.recipes import Recipe, recipe
from tfattn.training.runs import RunFolder
from tfattn.training.schedules import warmup_cosine

__all__ = [
    "Recipe",
    "RunFolder",
    "ShuffledBatches",
    "recipe",
    "warmup_cosine",
]
