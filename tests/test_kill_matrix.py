"""Bugs that were published, each as a mutant, and the checks that kill it.

A mutant is the library with one line changed. For every mutant the exact set of checks
that kill it is stated; a mutant that survives them all fails the suite.
"""

import checks
import numpy as np
import pytest
from keras import ops

from tfattn.layers import SelfAttention2D, self_attention_2d
from tfattn.ops import masked_softmax

# --- mutants of the attention function ---------------------------------------


def _scores(query, key, sharpness=1.0):
    return sharpness * ops.matmul(query, ops.transpose(key, (0, 2, 1)))


def softmax_over_queries(query, key, value, mask=None, sharpness=1.0):
    weights = ops.softmax(_scores(query, key), axis=1)
    return ops.matmul(weights, value), weights


def map_applied_transposed(query, key, value, mask=None, sharpness=1.0):
    weights = ops.softmax(_scores(query, key), axis=-1)
    if weights.shape[1] != weights.shape[2]:  # pooled keys: cannot be transposed
        return ops.matmul(weights, value), weights
    return ops.matmul(ops.transpose(weights, (0, 2, 1)), value), weights


def extra_scale(query, key, value, mask=None, sharpness=1.0):
    weights = ops.softmax(_scores(query, key) / query.shape[-1] ** 0.5, axis=-1)
    return ops.matmul(weights, value), weights


def mask_inverted(query, key, value, mask=None, sharpness=1.0):
    mask = None if mask is None else ops.logical_not(mask)
    weights = masked_softmax(_scores(query, key), mask=mask)
    return ops.matmul(weights, value), weights


def mask_dropped(query, key, value, mask=None, sharpness=1.0):
    weights = ops.softmax(_scores(query, key), axis=-1)
    return ops.matmul(weights, value), weights


def fully_masked_row_is_nan(query, key, value, mask=None, sharpness=1.0):
    scores = _scores(query, key)
    if mask is not None:
        scores = ops.where(mask, scores, -float("inf"))
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value), weights


def fully_masked_row_is_uniform(query, key, value, mask=None, sharpness=1.0):
    scores = _scores(query, key)
    if mask is not None:
        scores = ops.where(mask, scores, -1e9)
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value), weights


# --- mutants of the layer -----------------------------------------------------


def reshape_without_transpose(x):
    b, h, w, c = ops.shape(x)
    return ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (b, h * w, c))


class AlongWidthOnly(SelfAttention2D):
    def call(self, x, return_attention_scores=False, training=None):
        b, h, w, c = x.shape
        rows = ops.reshape(x, (b * h, 1, w, c))
        y, maps = super().call(rows, return_attention_scores=True)
        key_w = maps.shape[-1]
        maps = ops.reshape(maps, (b, h, w, 1, key_w))
        y = ops.reshape(y, (b, h, w, c))
        return (y, maps) if return_attention_scores else y


class GammaStuckAtZero(SelfAttention2D):
    def call(self, x, return_attention_scores=False, training=None):
        return super().call(x, return_attention_scores, strength=0.0)


class ResidualDropped(SelfAttention2D):
    def call(self, x, return_attention_scores=False, training=None):
        y, maps = super().call(x, return_attention_scores=True)
        return (y - x, maps) if return_attention_scores else y - x


class PoolBeforeProjection(SelfAttention2D):
    def _pooled(self, projection, x, training):
        if self.pool_size > 1:
            size = self.pool_size
            x = ops.max_pool(x, size, strides=size, data_format="channels_last")
        return projection(x, training=training)


# Which checks kill which mutant. A superset of the matrix that was published: the
# name of the mutant, what it replaces, and the checks that must fail.
ROWS, CONSTANT, PERMUTED, FAR, LOOP = checks.ATTENTION_CHECKS
MUTANT_FUNCTIONS = {
    softmax_over_queries: {ROWS, CONSTANT, LOOP},
    map_applied_transposed: {CONSTANT, LOOP},
    extra_scale: {LOOP},
}
MUTANT_LAYERS = {
    AlongWidthOnly: {PERMUTED, FAR, LOOP},
    GammaStuckAtZero: {CONSTANT, FAR, LOOP},
    ResidualDropped: {CONSTANT, LOOP},
    PoolBeforeProjection: {LOOP},
}
MASK_MUTANTS = (
    mask_inverted,
    mask_dropped,
    fully_masked_row_is_nan,
    fully_masked_row_is_uniform,
)


def failing(make, suite):
    """The checks of `suite` that kill what `make` makes."""
    killers = set()
    for check in suite:
        try:
            check(make)
        except AssertionError:
            killers.add(check)
    return killers


@pytest.mark.parametrize("check", checks.ATTENTION_CHECKS + checks.MASK_CHECKS)
def test_layer_passes(check):
    assert not failing(SelfAttention2D, (check,))


@pytest.mark.parametrize("mutant", MUTANT_FUNCTIONS, ids=lambda m: m.__name__)
def test_mutant_function_is_killed(mutant, monkeypatch):
    monkeypatch.setattr(self_attention_2d, "attention", mutant)
    assert failing(SelfAttention2D, checks.ATTENTION_CHECKS) == MUTANT_FUNCTIONS[mutant]


@pytest.mark.parametrize("mutant", MUTANT_LAYERS, ids=lambda m: m.__name__)
def test_mutant_layer_is_killed(mutant):
    assert failing(mutant, checks.ATTENTION_CHECKS) == MUTANT_LAYERS[mutant]


def test_reshape_without_transpose_is_killed(monkeypatch):
    monkeypatch.setattr(
        self_attention_2d, "_flatten_positions", reshape_without_transpose
    )
    killers = failing(SelfAttention2D, checks.ATTENTION_CHECKS)
    assert killers == {CONSTANT, PERMUTED, LOOP}


@pytest.mark.parametrize("mutant", MASK_MUTANTS, ids=lambda m: m.__name__)
def test_mask_mutant_is_killed(mutant, monkeypatch):
    monkeypatch.setattr(self_attention_2d, "attention", mutant)
    assert failing(SelfAttention2D, checks.MASK_CHECKS)
    # Without a mask they are the correct layer: only a test of masks finds them.
    assert not failing(SelfAttention2D, checks.ATTENTION_CHECKS)


def test_square_maps_and_equal_sizes_would_miss_a_mutant():
    """Why the checks use all-different sizes: one row hides attention along W."""
    x = checks.images((2, 1, 5, 16))
    right = checks.built(SelfAttention2D, (2, 1, 5, 16), variant="article")
    wrong = checks.built(AlongWidthOnly, (2, 1, 5, 16), variant="article")
    np.testing.assert_allclose(
        checks.numpy_of(wrong(x)), checks.numpy_of(right(x)), atol=1e-6
    )
