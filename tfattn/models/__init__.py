"""Whole systems: models that are trained by `fit`."""

from tfattn.models.attention_control import AttentionControl
from tfattn.models.pretrained import load_pretrained, pretrained_results
from tfattn.models.vae import AttentionVAE

__all__ = ["AttentionControl", "AttentionVAE", "load_pretrained", "pretrained_results"]
