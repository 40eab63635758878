"""The defaults of layers, mathematics and measures: users and papers rely on them."""

import inspect

import pytest

from tfattn import densities, layers, ops
from tfattn.evaluation import metrics

DEFAULTS = {
    ops.attention: {"mask": None, "sharpness": 1.0},
    ops.attention_weights: {"mask": None, "sharpness": 1.0},
    ops.chunked_attention: {"mask": None, "sharpness": 1.0},
    ops.masked_softmax: {"axis": -1, "mask": None},
    densities.discretized_logistic_log_density: {"levels": 256},
    densities.discretized_logistic_mixture_log_density: {"levels": 256},
    # Burda et al., arXiv:1509.00519.
    metrics.active_units: {"threshold": 0.01},
    metrics.bootstrap_estimate: {"groups": None, "num_resamples": 10_000, "seed": 0},
    # Bińkowski et al., arXiv:1801.01401.
    metrics.kernel_distance: {"num_subsets": 100, "subset_size": 1000, "seed": 0},
    # Kynkäänniemi et al., arXiv:1904.06991.
    metrics.precision_recall: {"num_neighbors": 3},
    layers.AttentionGate: {"filters": None, "kernel_size": 7},
    layers.AttentionGate.call: {"return_attention_scores": False},
    layers.AttentionModule: {"axis": -1, "weight_initializer": "ones"},
    layers.AttentionModule.call: {"mask": None, "sharpness": 1.0},
    # Keras's own.
    layers.ConditionalBatchNormalization: {
        "shift_initializer": "zeros",
        "epsilon": 1e-3,
        "momentum": 0.99,
        "synchronized": False,
    },
    layers.ConditionalBatchNormalization.call: {"training": None},
    layers.CouplingFlow: {"units": 128},
    layers.CouplingFlow.call: {"condition": None},
    layers.MultiHeadAttention: {"value_dim": None, "dropout": 0.0, "use_bias": True},
    layers.MultiHeadAttention.call: {
        "key": None,
        "query_mask": None,
        "value_mask": None,
        "key_mask": None,
        "attention_mask": None,
        "return_attention_scores": False,
        "training": None,
        "use_causal_mask": False,
        "cache": None,
        "cache_index": None,
    },
    layers.PositionGate2D.call: {
        "return_attention_scores": False,
        "sharpness": 1.0,
        "strength": 1.0,
        "key_mask": None,
    },
    layers.PositionalEncoding: {"kind": "learned"},
    layers.PositionalEncoding.call: {"start": None},
    layers.ResidualBlock2D: {"spectral_norm": False},
    # The key's 8 is of Zhang et al., arXiv:1805.08318.
    layers.SelfAttention2D: {
        "variant": "biggan",
        "key_ratio": 8,
        "value_ratio": None,
        "pool_size": None,
        "use_bias": None,
        "spectral_norm": None,
        "gamma_initializer": "zeros",
        "chunk_size": "auto",
        "data_format": None,
    },
    layers.SelfAttention2D.call: {
        "return_attention_scores": False,
        "training": None,
        "sharpness": 1.0,
        "strength": 1.0,
        "key_mask": None,
    },
    layers.TransformerDecoderLayer: {"dropout": 0.0},
    layers.TransformerDecoderLayer.call: {
        "context": None,
        "context_mask": None,
        "cache": None,
        "cache_index": None,
        "return_attention_scores": False,
        "training": None,
        "mask": None,
    },
    layers.TransformerEncoderLayer: {"dropout": 0.0},
    layers.TransformerEncoderLayer.call: {"mask": None, "training": None},
    layers.UniformAttention2D: {"spectral_norm": False},
}


@pytest.mark.parametrize("public", DEFAULTS, ids=lambda public: public.__qualname__)
def test_defaults(public):
    function = public.__init__ if isinstance(public, type) else public
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    assert found == DEFAULTS[public]
    assert list(map(type, found.values())) == list(map(type, DEFAULTS[public].values()))
