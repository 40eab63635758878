"""The same words for the same things in all models."""

import inspect

import pytest

from tfattn import models

OF_IMAGES, OF_PARTS = ("x", "condition"), ("images", "visible")
# What each model's method takes by position; everything else has to be named.
METHODS = {
    models.AttentionVAE: {
        "generate": ("n", "condition"),
        "log_likelihood_bound": OF_IMAGES,
        "elbo": OF_IMAGES,
        "attention_maps": OF_IMAGES,
        "encode": OF_IMAGES,
        "reconstruct": OF_IMAGES,
        "decode": ("z", "condition"),
        "sample_latents": ("n", "condition"),
        "interpolate": ("x_from", "x_to", "condition"),
    },
    models.SelfAttentionGAN: {
        "generate": ("n", "condition"),
        "attention_maps": ("latents", "condition"),
        "discriminator_attention_maps": OF_IMAGES,
        "generate_from": ("latents", "condition"),
        "sample_latents": ("n",),
    },
    models.ImageTransformer: {
        "generate": ("n", "condition"),
        "complete": OF_PARTS,
        "log_likelihood": OF_IMAGES,
        "attention_maps": OF_IMAGES,
    },
    models.CompletionVAE: {
        "complete": OF_PARTS,
        "log_likelihood_bound": OF_PARTS,
        "elbo": OF_PARTS,
        "attention_maps": OF_PARTS,
        "encode": OF_PARTS,
        "encode_visible": OF_PARTS,
        "complete_from": ("z", *OF_PARTS),
    },
    models.ImageCaptioner: {
        "describe": ("images",),
        "log_likelihood": ("images", "texts"),
        "attention_maps": ("images", "texts"),
    },
    models.AttentionFlow: {
        "generate": ("n", "condition"),
        "generate_from": ("noise", "condition"),
        "sample_noise": ("n",),
        "trajectory": ("noise", "condition"),
        "invert": OF_IMAGES,
        "interpolate": ("x_from", "x_to", "condition"),
        "complete": OF_PARTS,
        "log_likelihood": OF_IMAGES,
        "log_likelihood_bound": OF_IMAGES,
        "attention_maps": ("x", "t", "condition"),
    },
}


@pytest.mark.parametrize("model", METHODS, ids=lambda model: model.__name__)
def test_what_follows_the_condition_is_named(model):
    for name, expected in METHODS[model].items():
        parameters = inspect.signature(getattr(model, name)).parameters.values()
        by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert by_position == ["self", *expected], name


@pytest.mark.parametrize("model", METHODS, ids=lambda model: model.__name__)
def test_the_same_defaults(model):
    """What several methods take has one name and, but for sizes, one default."""
    for name in METHODS[model]:
        parameters = inspect.signature(getattr(model, name)).parameters
        # A description is the likeliest text, unless asked otherwise.
        temperature = 0.0 if name == "describe" else 1.0
        for argument, default in (("temperature", temperature), ("condition", None)):
            if argument in parameters:
                assert parameters[argument].default == default, name
        assert not {"labels", "n_samples", "num_images"} & set(parameters), name
