"""Measures of models and images; none knows a model, they take features or images."""

from tfattn.evaluation.avatars import avatar_report
from tfattn.evaluation.completion import completion_quality
from tfattn.evaluation.features import feature_function
from tfattn.evaluation.generation import FewImagesWarning, generation_report
from tfattn.evaluation.metrics import (
    Estimate,
    KernelDistance,
    PrecisionRecall,
    active_units,
    bits_per_dimension,
    bootstrap_estimate,
    frechet_distance,
    kernel_distance,
    mean_estimate,
    precision_recall,
    spread,
)

__all__ = [
    "Estimate",
    "FewImagesWarning",
    "KernelDistance",
    "PrecisionRecall",
    "active_units",
    "avatar_report",
    "bits_per_dimension",
    "bootstrap_estimate",
    "completion_quality",
    "feature_function",
    "frechet_distance",
    "generation_report",
    "kernel_distance",
    "mean_estimate",
    "precision_recall",
    "spread",
]
