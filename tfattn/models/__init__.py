"""Whole systems: models that are trained by `fit`."""

from tfattn.models.adversarial import TwoTimeScaleOptimizer
from tfattn.models.captioner.model import ImageCaptioner
from tfattn.models.classifier import ImageClassifier
from tfattn.models.completion.model import CompletionVAE
from tfattn.models.flow.model import AttentionFlow
from tfattn.models.flow.reflow import Reflow
from tfattn.models.gan.model import SelfAttentionGAN
from tfattn.models.pretrained import load_pretrained, pretrained_results
from tfattn.models.transformer.model import ImageTransformer
from tfattn.models.vae.control import AttentionControl
from tfattn.models.vae.model import AttentionVAE

__all__ = [
    "AttentionControl",
    "AttentionFlow",
    "AttentionVAE",
    "CompletionVAE",
    "ImageCaptioner",
    "ImageClassifier",
    "ImageTransformer",
    "Reflow",
    "SelfAttentionGAN",
    "TwoTimeScaleOptimizer",
    "load_pretrained",
    "pretrained_results",
]
