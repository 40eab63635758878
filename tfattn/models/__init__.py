"""Whole systems: models that are trained by `fit`."""

from tfattn.models.pretrained import load_pretrained, pretrained_results
from tfattn.models.vae import AttentionControl, AttentionVAE

__all__ = ["AttentionControl", "AttentionVAE", "load_pretrained", "pretrained_results"]
