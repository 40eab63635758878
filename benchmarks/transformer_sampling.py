"""How fast the image Transformer draws: with its cache, without, and in other ways.

All draw 64 images of 196 tokens from the same network of four layers:

* with the cache of keys and values, one loop compiled by XLA
* without it: the whole sequence is computed again for each token, one such loop
* keras-hub's `TransformerDecoder` with its own cache, one such loop
* one `predict` for each token, the way of the PixelCNN example of keras.io

    pip install keras-hub
    python benchmarks/transformer_sampling.py

writes benchmarks/results/transformer_sampling.json.
"""

import json
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tfattn.models import ImageTransformer
from tfattn.models.transformer.sampling import draw_tokens

NUM_IMAGES, ROUNDS = 64, 5


def of_keras_hub(model):
    """Draws tokens by decoders of keras-hub, as large as those of the model."""
    import keras_hub

    length, width, heads = model.tokens.num_tokens, model.width, model.num_heads
    decoders = [
        keras_hub.layers.TransformerDecoder(
            4 * width,
            heads,
            activation=lambda x: ops.square(ops.relu(x)),
            normalize_first=True,
        )
        for _ in range(model.num_layers)
    ]
    for decoder in decoders:
        decoder.build((None, length, width))
    embedding = layers.Embedding(model.tokens.num_values + 1, width)
    positions = ops.convert_to_tensor(np.zeros((length, width)), "float32")
    norm, head = layers.LayerNormalization(), layers.Dense(model.tokens.num_values)

    @tf.function(jit_compile=True)
    def draw(uniform):
        shape = (NUM_IMAGES, 2, length, heads, width // heads)

        def next_logits(step, sequence, caches):
            x = embedding(ops.slice(sequence, (0, step), (NUM_IMAGES, 1)))
            x = x + ops.take(positions, step, axis=0)
            new_caches = []
            for decoder, cache in zip(decoders, caches, strict=True):
                x, cache = decoder(
                    x,
                    self_attention_cache=cache,
                    self_attention_cache_update_index=step,
                )
                new_caches.append(cache)
            return head(norm(x))[:, 0], new_caches

        return draw_tokens(
            next_logits,
            [ops.zeros(shape) for _ in decoders],
            uniform,
            1.0,
            start=model.tokens.num_values,
            given=None,
            pixels=model.tokens.pixels,
        )

    def sample(seed):
        uniform = keras.random.uniform((NUM_IMAGES, length), seed=seed)
        return ops.convert_to_numpy(model.tokens.to_levels(draw(uniform)))

    return sample


def one_predict_per_token(model):
    """Draws tokens by `predict` of a network from tokens to logits."""
    length = model.tokens.num_tokens
    tokens = keras.Input((length,), dtype="int32")
    network = keras.Model(tokens, model.network(tokens))

    def sample(seed):
        rng = np.random.default_rng(seed)
        drawn = np.zeros((NUM_IMAGES, length), "int32")
        for step in range(length):
            logits = network.predict(drawn, batch_size=NUM_IMAGES, verbose=0)[:, step]
            noise = rng.gumbel(size=logits.shape)
            drawn[:, step] = np.argmax(logits + noise, axis=1)
        return drawn

    return sample


def main():
    keras.utils.set_random_seed(0)
    model = ImageTransformer()
    draw, compilations = model.network.draw, []

    def counted(*arguments):
        """Python runs it only while it is compiled."""
        compilations.append(1)
        return draw(*arguments)

    model.network.draw = counted

    def with_cache(seed):
        return model.generate(NUM_IMAGES, seed=seed)

    def without_cache(seed):
        return model.generate(NUM_IMAGES, seed=seed, use_cache=False)

    ways = {
        "with cache": with_cache,
        "without cache": without_cache,
        "keras-hub, with cache": of_keras_hub(model),
        "one predict per token": one_predict_per_token(model),
    }
    seconds = {name: [] for name in ways}
    for round_ in range(-1, ROUNDS):
        for name, sample in ways.items():
            started = time.perf_counter()
            sample(seed=1 + round_)
            if round_ >= 0:  # the first round compiles
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {
        name: statistics.median(
            value / cached
            for value, cached in zip(values, seconds["with cache"], strict=True)
        )
        for name, values in seconds.items()
    }
    equal = np.mean(
        model.generate(NUM_IMAGES, seed=7)
        == model.generate(NUM_IMAGES, seed=7, use_cache=False)
    )
    result = {
        "protocol": (
            f"{NUM_IMAGES} binary images of 28×28 (196 tokens, {model.num_layers} "
            f"layers, width {model.width}), float32, loops compiled by XLA; {ROUNDS} "
            "rounds of each way in turn, medians; without the cache the whole sequence "
            "of 196 tokens is computed for each token, its causal mask hiding what is "
            "not drawn yet"
        ),
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {
            name: version(name) for name in ("tensorflow", "keras", "keras-hub")
        },
        "seconds": medians,
        "images_per_second": {n: NUM_IMAGES / s for n, s in medians.items()},
        "times_the_cached": ratios,
        "equal_pixels_with_and_without_cache": float(equal),
        "compilations_with_cache": len(compilations),
    }
    path = Path(__file__).parent / "results" / "transformer_sampling.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
