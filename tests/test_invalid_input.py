"""Whatever is given works or raises ValueError: thousands of inputs, by machine."""

import contextlib
import functools
import inspect

import hypothesis
import keras
import numpy as np
import pytest
import small
from hypothesis import strategies as st

from tfattn import evaluation, layers
from tfattn.models import (
    AttentionVAE,
    CompletionVAE,
    ImageCaptioner,
    ImageClassifier,
    ImageTransformer,
    SelfAttentionGAN,
)

pytestmark = pytest.mark.ci


def examples(count):
    return hypothesis.settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


# What is given by mistake, and now and then something right.
VALUES = st.sampled_from(
    [
        *(-1, 0, 1, 2, 3, 8, 2.0, 2.5, -0.5, 0.5, float("nan"), float("inf")),
        *(True, False, None, "", "2", "self", "learned", "paper", "class", b"8"),
        *((), (2,), (2, 3), (8, 8, 1), (8, 8), (0, 8, 1), (8, 8.5, 1), (8, "8", 1)),
        *([], [2, 3], ["red"], {}, {"a": 1}, np.int64(2), np.float32(0.5)),
        *(np.array([2, 3]), np.zeros((2, 3)), 1 + 2j, object(), int, ...),
    ]
)
LAYERS = [
    layers.AttentionGate,
    layers.AttentionModule,
    layers.ConditionalBatchNormalization,
    layers.CouplingFlow,
    layers.DepthToSpace,
    layers.MultiHeadAttention,
    layers.PatchEmbedding,
    layers.PositionGate2D,
    layers.PositionalEncoding,
    layers.ResidualBlock2D,
    layers.SelfAttention2D,
    layers.TransformerDecoderLayer,
    layers.TransformerEncoderLayer,
    layers.UniformAttention2D,
]
MODELS = [
    AttentionVAE,
    CompletionVAE,
    ImageCaptioner,
    ImageClassifier,
    ImageTransformer,
    SelfAttentionGAN,
]


def works_or_raises_value_error(function, *args, **kwargs):
    with contextlib.suppress(ValueError):
        function(*args, **kwargs)


def given(made, names):
    """Values of the arguments of these names, of all that have no default at least."""
    needed = inspect.signature(made).parameters
    needed = [n for n in names if needed[n].default is inspect.Parameter.empty]
    others = [n for n in names if n not in needed]
    return st.fixed_dictionaries(
        dict.fromkeys(needed, VALUES), optional=dict.fromkeys(others, VALUES)
    )


def own_arguments(made):
    """The arguments of a constructor, those of Keras left out."""
    found = inspect.signature(made).parameters.values()
    return [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@pytest.mark.parametrize("layer", LAYERS)
def test_arguments_of_layers(layer):
    @examples(300)
    @hypothesis.given(given(layer, own_arguments(layer)))
    def check(arguments):
        works_or_raises_value_error(layer, **arguments)

    check()


SIZES = st.lists(st.sampled_from([None, 0, 1, 2, 3, 5, 8, 16]), max_size=4)


@pytest.mark.parametrize("layer", LAYERS)
def test_shapes_of_inputs(layer):
    right = {"num_heads": 2, "key_dim": 3, "intermediate_dim": 4, "filters": 2}
    right |= {"patch_size": (2, 3), "width": 4, "num_layers": 1, "units": 4}
    arguments = {k: v for k, v in right.items() if k in own_arguments(layer)}

    @examples(60)
    @hypothesis.given(SIZES, SIZES)
    def check(shape, other):
        x, y = keras.Input(shape), keras.Input(other)
        made = layer(**arguments)
        if layer is layers.ConditionalBatchNormalization:
            works_or_raises_value_error(made, [x, y])
        elif layer is layers.MultiHeadAttention:
            works_or_raises_value_error(made, x, y)
        else:
            works_or_raises_value_error(made, x)

    check()


@pytest.mark.parametrize("model", MODELS)
def test_arguments_of_models(model):
    names = own_arguments(model)

    # One at least is wrong: a model takes long to make.
    @examples(250)
    @hypothesis.given(
        st.fixed_dictionaries(
            dict.fromkeys(names[:3], VALUES),
            optional=dict.fromkeys(names[3:], VALUES),
        )
    )
    def check(arguments):
        works_or_raises_value_error(model, **arguments)

    check()


ARRAYS = st.sampled_from(
    [
        small.images(2),
        255 * small.images(2),
        small.images(0),
        small.images(2)[..., 0],
        np.full((2, *small.SHAPE), np.nan),
        np.array([["a"]]),
        [[1.0], [1.0, 2.0]],
        np.array([0, 1]),
        np.array([0.0, 1.0]),
        np.array([0, 7]),
        np.ones((2, 8, 12), bool),
        np.eye(8, 12, dtype=bool),
        np.array(["red", "blue"]),
        ["red", "purple"],
    ]
)


@pytest.mark.parametrize("name", small.MAKERS)
def test_data_of_models(name):
    model = small.compiled(name)

    @examples(520)
    @hypothesis.given(ARRAYS | VALUES, ARRAYS | VALUES, ARRAYS | VALUES | st.none())
    def check(x, y, sample_weight):
        works_or_raises_value_error(model._way_in, x, y, sample_weight)

    check()


CAPTIONER = functools.cache(small.MAKERS["captioner_by_text"])
DRAWS = {
    "n": st.sampled_from([0, 1, 2, -1, 2.5, True, None, "2"]),
    "condition": ARRAYS | VALUES,
    "temperature": VALUES,
    "seed": st.sampled_from([0, 1]),
}


@pytest.mark.parametrize("name", ["vae_by_class", "gan_by_class"])
def test_arguments_of_generate(name):
    model = small.MAKERS[name]()

    @examples(300)
    @hypothesis.given(st.fixed_dictionaries(DRAWS))
    def check(arguments):
        works_or_raises_value_error(model.generate, **arguments)

    check()


@examples(300)
@hypothesis.given(
    ARRAYS | VALUES,
    st.fixed_dictionaries(
        dict.fromkeys(["temperature", "num_samples", "beam_width", "seed"], VALUES)
    ),
)
def test_arguments_of_describe(images, arguments):
    works_or_raises_value_error(CAPTIONER().describe, images, **arguments)


METRICS = [
    evaluation.frechet_distance,
    evaluation.kernel_distance,
    evaluation.precision_recall,
    evaluation.mean_estimate,
]


@pytest.mark.parametrize("metric", METRICS)
def test_arguments_of_metrics(metric):
    parameters = [
        p.name
        for p in inspect.signature(metric).parameters.values()
        if p.default is p.empty
    ]

    @examples(400)
    @hypothesis.given(st.fixed_dictionaries(dict.fromkeys(parameters, ARRAYS | VALUES)))
    def check(arguments):
        works_or_raises_value_error(metric, **arguments)

    check()
