"""Whole systems: models that are trained by `fit`."""

from tfattn.models.vae import AttentionControl, AttentionVAE

__all__ = ["AttentionControl", "AttentionVAE"]
