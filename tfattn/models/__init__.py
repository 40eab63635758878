"""Whole systems: models that are trained by `fit`."""

from tfattn.models.adversarial_training import TwoTimeScaleOptimizer
from tfattn.models.attention_control import AttentionControl
from tfattn.models.classifier import ImageClassifier, classifier_optimizer
from tfattn.models.completion import CompletionVAE
from tfattn.models.gan import SelfAttentionGAN
from tfattn.models.image_transformer import ImageTransformer
from tfattn.models.pretrained import load_pretrained, pretrained_results
from tfattn.models.vae import AttentionVAE

__all__ = [
    "AttentionControl",
    "AttentionVAE",
    "CompletionVAE",
    "ImageClassifier",
    "ImageTransformer",
    "SelfAttentionGAN",
    "TwoTimeScaleOptimizer",
    "classifier_optimizer",
    "load_pretrained",
    "pretrained_results",
]
