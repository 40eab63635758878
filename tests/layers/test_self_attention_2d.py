import checks
import keras
import numpy as np
import pytest
import reference
from conftest import on_tensorflow
from keras import ops

from tfattn.layers import SelfAttention2D, self_attention_2d

pytestmark = pytest.mark.backend

VARIANTS = ("biggan", "paper", "article")


def test_two_by_two_by_hand():
    """Four pixels 0, 0, 0, ln 3 in one channel; query, key and value all copy it.

    The last pixel's scores are (0, 0, 0, (ln 3)²) and the others' are all 0. So the
    others see the mean, ln 3 / 4, and the last one ln 3 · e^s / (3 + e^s) with
    s = (ln 3)² = 1.2069490: ln 3 · 3.3432686 / 6.3432686 = 0.5790321.
    """
    layer = SelfAttention2D(
        "article", key_ratio=1, use_bias=False, gamma_initializer="ones"
    )
    x = np.array([[[[0.0], [0.0]], [[0.0], [np.log(3)]]]], "float32")
    layer(x)
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
        dense.kernel.assign([[1.0]])
    y = checks.numpy_of(layer(x)).ravel()
    mean = np.log(3) / 4
    np.testing.assert_allclose(y, [mean, mean, mean, np.log(3) + 0.5790321], rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pool_size", [1, 2, 3])
@pytest.mark.parametrize("use_bias", [False, True])
def test_equals_pixel_loop(variant, pool_size, use_bias):
    # 5 and 7 are odd, so that pooling drops a row and a column.
    x = checks.images((2, 5, 7, 16))
    layer = checks.built(
        SelfAttention2D,
        x.shape,
        variant=variant,
        pool_size=pool_size,
        use_bias=use_bias,
        key_ratio=4,
    )
    y, maps = layer(x, return_attention_scores=True, sharpness=0.6, strength=1.7)
    expected_y, expected_maps = reference.self_attention_2d(
        x, reference.layer_weights(layer), pool_size, sharpness=0.6, strength=1.7
    )
    assert maps.shape == (2, 5, 7, 5 // pool_size, 7 // pool_size)
    np.testing.assert_allclose(checks.numpy_of(maps), expected_maps, atol=1e-5)
    np.testing.assert_allclose(checks.numpy_of(y), expected_y, atol=1e-4)


def test_equals_keras_multi_head_attention():
    """Keras divides by √d, tfattn does not, so its query kernel is multiplied by it."""
    x = checks.images((2, 3, 5, 16))
    layer = checks.built(
        SelfAttention2D, x.shape, pool_size=1, spectral_norm=False, key_ratio=8
    )
    oracle = keras.layers.MultiHeadAttention(1, 2, value_dim=8, use_bias=False)
    flat = x.reshape(2, 15, 16)
    oracle.build(flat.shape, flat.shape)
    kernels = [
        ops.convert_to_numpy(dense.kernel)
        for dense in (
            layer.query_dense,
            layer.key_dense,
            layer.value_dense,
            layer.output_dense,
        )
    ]
    oracle.set_weights(
        [
            kernels[0].reshape(16, 1, 2) * np.sqrt(2),
            kernels[1].reshape(16, 1, 2),
            kernels[2].reshape(16, 1, 8),
            kernels[3].reshape(1, 8, 16),
        ]
    )
    expected, maps = oracle(flat, flat, return_attention_scores=True)
    y, own_maps = layer(x, return_attention_scores=True)
    attended = (checks.numpy_of(y) - x).reshape(2, 15, 16) / 0.7
    np.testing.assert_allclose(attended, checks.numpy_of(expected), atol=1e-4)
    np.testing.assert_allclose(
        checks.numpy_of(own_maps).reshape(2, 15, 15),
        checks.numpy_of(maps)[:, 0],
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("variant", "trainable", "state"),
    [
        # C = 64: query 64·8, key 64·8, value 64·32, output 32·64, and γ; u: 8+8+32+64
        ("biggan", 512 + 512 + 2048 + 2048 + 1, 112),
        # query, key, value 64·8, output 8·64, and γ; u: 8+8+8+64
        ("paper", 4 * 512 + 1, 88),
        # query, key 64·8+8, value 64·64+64, and γ
        ("article", 2 * 520 + 4160 + 1, 0),
    ],
)
def test_golden_weight_counts(variant, trainable, state):
    layer = SelfAttention2D(variant)
    layer.build((None, None, None, 64))
    count = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert count == trainable
    state_count = sum(int(np.prod(w.shape)) for w in layer.non_trainable_weights)
    assert state_count == state


def test_article_normalizes_the_value_alone():
    layer = SelfAttention2D("article", spectral_norm=True)
    layer.build((None, 4, 4, 16))
    assert [w.shape for w in layer.non_trainable_weights] == [(16,)]
    assert layer.value_dense.norm.right_singular_vector.shape == (16,)


@pytest.mark.parametrize("variant", VARIANTS)
def test_identity_at_the_start(variant):
    x = checks.images()
    np.testing.assert_array_equal(checks.numpy_of(SelfAttention2D(variant)(x)), x)


@pytest.mark.parametrize("variant", VARIANTS)
def test_channels_first_is_the_transpose(variant):
    x = checks.images((2, 5, 7, 16))
    last = checks.built(SelfAttention2D, x.shape, variant=variant)
    first = SelfAttention2D(variant, data_format="channels_first")
    x_first = x.transpose(0, 3, 1, 2)
    first(x_first)
    first.set_weights(last.get_weights())
    y, maps = last(x, return_attention_scores=True)
    y_first, maps_first = first(x_first, return_attention_scores=True)
    np.testing.assert_allclose(
        checks.numpy_of(y_first).transpose(0, 2, 3, 1), checks.numpy_of(y), atol=1e-6
    )
    np.testing.assert_array_equal(checks.numpy_of(maps_first), checks.numpy_of(maps))
    symbolic = first(keras.Input((16, 5, 7)), return_attention_scores=True)[1]
    assert symbolic.shape == (None, *maps.shape[1:])


@pytest.mark.parametrize("size", [(None, None), (5, None), (5, 7)])
def test_unknown_sizes_in_a_functional_model(size):
    inputs = keras.Input((*size, 16))
    layer = SelfAttention2D(gamma_initializer="ones")
    y, maps = layer(inputs, return_attention_scores=True)
    assert y.shape == (None, *size, 16)
    pooled = tuple(None if s is None else s // 2 for s in size)
    assert maps.shape == (None, *size, *pooled)
    assert layer(inputs).shape == (None, *size, 16)
    model = keras.Model(inputs, [y, maps])
    x = checks.images((3, 5, 7, 16))
    y, maps = model.predict(x, verbose=0)
    assert maps.shape == (3, 5, 7, 2, 3)
    np.testing.assert_allclose(y, checks.numpy_of(layer(x)), atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_attention_map_is_a_row_of_the_whole_map(variant, data_format):
    x = checks.images((2, 5, 7, 16))
    if data_format == "channels_first":
        x = x.transpose(0, 3, 1, 2)
    layer = checks.built(
        SelfAttention2D, x.shape, variant=variant, data_format=data_format
    )
    _, maps = layer(x, return_attention_scores=True)
    for query in ((3, 6), (0, 0), (-1, -2)):
        row = checks.numpy_of(layer.attention_map(x, query=query))
        np.testing.assert_allclose(
            row, checks.numpy_of(maps)[:, query[0], query[1]], atol=1e-6
        )


def test_attention_map_builds_no_square_matrix():
    """256×256 positions: the whole map would take 17 GB, a row takes 256 kB."""
    layer = SelfAttention2D("paper")
    row = layer.attention_map(checks.images((1, 256, 256, 8)), query=(255, 0))
    np.testing.assert_allclose(checks.numpy_of(row).sum(), 1, rtol=1e-4)


def test_sharpness_strength_and_mask():
    x = checks.images((2, 5, 7, 16))
    layer = checks.built(SelfAttention2D, x.shape, variant="paper")
    _, uniform = layer(x, return_attention_scores=True, sharpness=0.0)
    np.testing.assert_allclose(checks.numpy_of(uniform), 1 / 35, rtol=1e-5)
    _, hard = layer(x, return_attention_scores=True, sharpness=1e4)
    assert checks.numpy_of(hard).max(axis=(-2, -1)).min() > 0.99
    np.testing.assert_array_equal(checks.numpy_of(layer(x, strength=0.0)), x)
    masks = np.random.default_rng(0).random((2, 5, 7)) < 0.5
    _, maps = layer(x, return_attention_scores=True, key_mask=masks)
    maps = checks.numpy_of(maps)
    for image in range(2):
        assert np.all(maps[image][..., ~masks[image]] == 0)
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, rtol=1e-5)


def forbid(*arguments, **kwargs):
    raise AssertionError("this form of attention should not have been used")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pool_size", [1, 2])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_chunks_equal_pixel_loop(variant, pool_size, data_format, monkeypatch):
    """35 queries, 4 at a time, of 35 or of 6 keys, some of them masked."""
    monkeypatch.setattr(self_attention_2d, "attention", forbid)
    x = checks.images((2, 5, 7, 16))
    mask = np.random.default_rng(3).random((5 // pool_size, 7 // pool_size)) < 0.6
    layer = checks.built(
        SelfAttention2D,
        x.shape if data_format == "channels_last" else (2, 16, 5, 7),
        variant=variant,
        pool_size=pool_size,
        chunk_size=4,
        data_format=data_format,
    )
    expected, _ = reference.self_attention_2d(
        x,
        reference.layer_weights(layer),
        pool_size,
        sharpness=0.6,
        strength=1.7,
        key_mask=mask,
    )
    inputs = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    y = checks.numpy_of(layer(inputs, sharpness=0.6, strength=1.7, key_mask=mask))
    if data_format == "channels_first":
        y = y.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected, atol=1e-4)


def test_the_map_is_the_same_whatever_the_chunks():
    x = checks.images((2, 5, 7, 16))
    layer = checks.built(SelfAttention2D, x.shape, variant="paper", chunk_size=4)
    y, maps = layer(x, return_attention_scores=True)
    assert maps.shape == (2, 5, 7, 5, 7)
    np.testing.assert_allclose(checks.numpy_of(layer(x)), checks.numpy_of(y), atol=1e-5)


def test_auto_chunks_large_maps_alone(monkeypatch):
    """By the entries of an image's map: 5·7 queries of 2·3 keys are 210."""
    x = checks.images((2, 5, 7, 16))
    layer = checks.built(SelfAttention2D, x.shape, pool_size=2)
    assert layer.chunk_size == "auto"
    monkeypatch.setattr(self_attention_2d, "AUTO_CHUNK_ENTRIES", 6 * 16)
    monkeypatch.setattr(self_attention_2d, "AUTO_CHUNK_ROWS", 2)
    with monkeypatch.context() as patch:
        patch.setattr(self_attention_2d, "AUTO_WHOLE_ENTRIES", 210)
        patch.setattr(self_attention_2d, "chunked_attention", forbid)
        whole = checks.numpy_of(layer(x))
    monkeypatch.setattr(self_attention_2d, "AUTO_WHOLE_ENTRIES", 209)
    monkeypatch.setattr(self_attention_2d, "attention", forbid)
    np.testing.assert_allclose(checks.numpy_of(layer(x)), whole, atol=1e-5)


@on_tensorflow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["eager", "graph", "XLA"])
def test_chunks_have_the_gradients_of_the_plain_form(variant, mode):
    """Every weight and the input, spectral norm and pooling in the way."""
    import tensorflow as tf

    x = tf.constant(checks.images((2, 5, 7, 16)))
    layer = checks.built(SelfAttention2D, x.shape, variant=variant, pool_size=2)
    cotangent = checks.images(x.shape, seed=5)
    variables = [v.value for v in layer.trainable_variables]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) * cotangent)
        return tape.gradient(loss, [x, *variables])

    layer.chunk_size = None
    expected = gradients()
    layer.chunk_size = 4
    if mode != "eager":
        gradients = tf.function(gradients, jit_compile=mode == "XLA")
    names = ["x", *(v.path for v in layer.trainable_variables)]
    scale = None
    for name, actual, wanted in zip(names, gradients(), expected, strict=True):
        # A key's bias shifts all scores of a query alike: its gradient is what is
        # left of terms as large as those of its kernel, which comes before it.
        scale = scale if name.endswith("key/bias") else np.abs(wanted).max()
        np.testing.assert_allclose(actual, wanted, atol=1e-5 * scale, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_chunks_train_with_unknown_sizes(jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("needs KERAS_BACKEND=tensorflow or jax")
    inputs = keras.Input((None, None, 16))
    layer = SelfAttention2D("paper", chunk_size=4, gamma_initializer="ones")
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    # The last batch is smaller, the chunks do not divide 35, nor 4 them.
    x = checks.images((3, 5, 7, 16))
    before = checks.numpy_of(layer.query_dense.kernel)
    model.fit(x, x[::-1], batch_size=2, verbose=0)
    assert np.any(checks.numpy_of(layer.query_dense.kernel) != before)
    y = model.predict(x, batch_size=2, verbose=0)
    layer.chunk_size = None
    np.testing.assert_allclose(y, checks.numpy_of(layer(x)), atol=1e-5)


@pytest.mark.parametrize(
    "dtype_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True
)
def test_chunks_in_half_precision(dtype_policy):
    x = checks.images((2, 5, 7, 16))
    layer = checks.built(SelfAttention2D, x.shape, variant="paper", chunk_size=4)
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == dtype_policy[6:]
    expected, _ = reference.self_attention_2d(x, reference.layer_weights(layer))
    tolerance = 0.1 if dtype_policy == "mixed_float16" else 0.75
    np.testing.assert_allclose(
        checks.numpy_of(ops.cast(y, "float32")), expected, atol=tolerance
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_save_and_load_without_custom_objects(variant, tmp_path):
    inputs = keras.Input((5, 7, 16))
    layer = SelfAttention2D(variant, key_ratio=4, gamma_initializer="ones", name="a")
    model = keras.Model(inputs, layer(inputs))
    layer.gamma.assign(np.full(layer.gamma.shape, -1.3))
    x = checks.images((2, 5, 7, 16))
    model(x, training=True)  # moves the spectral norm's estimate
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("a").get_config() == layer.get_config()
    np.testing.assert_array_equal(checks.numpy_of(loaded(x)), checks.numpy_of(model(x)))


def test_config_holds_every_argument():
    arguments = {
        "variant": "paper",
        "key_ratio": 4,
        "value_ratio": 3,
        "pool_size": 2,
        "use_bias": True,
        "spectral_norm": False,
        "chunk_size": 7,
        "data_format": "channels_first",
    }
    config = SelfAttention2D(**arguments).get_config()
    assert {name: config[name] for name in arguments} == arguments


@pytest.mark.parametrize(
    "dtype_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True
)
def test_half_precision(dtype_policy):
    x = checks.images((2, 5, 7, 16))
    layer = checks.built(SelfAttention2D, x.shape, variant="paper")
    y, maps = layer(x, return_attention_scores=True)
    assert keras.backend.standardize_dtype(y.dtype) == dtype_policy[6:]
    assert keras.backend.standardize_dtype(maps.dtype) == dtype_policy[6:]
    expected_y, expected_maps = reference.self_attention_2d(
        x, reference.layer_weights(layer)
    )
    tolerance = 0.02 if dtype_policy == "mixed_float16" else 0.15
    np.testing.assert_allclose(checks.numpy_of(maps), expected_maps, atol=tolerance)
    np.testing.assert_allclose(checks.numpy_of(y), expected_y, atol=5 * tolerance)


@pytest.mark.parametrize("dtype_policy", ["mixed_float16"], indirect=True)
def test_large_scores_do_not_overflow_half_precision(dtype_policy):
    """300 · 300 exceeds float16's 65 504: the scores must never exist in it."""
    layer = SelfAttention2D(
        "article", key_ratio=1, use_bias=False, gamma_initializer="ones"
    )
    x = np.array([[[[300.0], [0.0]], [[0.0], [1.0]]]], "float32")
    layer(x)
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
        dense.kernel.assign([[1.0]])
    y, maps = layer(x, return_attention_scores=True)
    assert np.all(np.isfinite(checks.numpy_of(y)))
    np.testing.assert_array_equal(
        checks.numpy_of(maps)[0, 0, 0], [[1.0, 0.0], [0.0, 0.0]]
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_compiled_by_xla(variant):
    if keras.backend.backend() == "torch":
        pytest.skip("needs KERAS_BACKEND=tensorflow or jax")
    inputs = keras.Input((5, 7, 16))
    model = keras.Model(
        inputs, SelfAttention2D(variant, gamma_initializer="ones")(inputs)
    )
    model.compile("sgd", "mse", jit_compile=True)
    x = checks.images((4, 5, 7, 16))
    expected = checks.numpy_of(model(x))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    # A key's bias shifts all scores of a query alike, which the softmax ignores.
    learned = [w for w in model.trainable_weights if not w.path.endswith("key/bias")]
    before = [checks.numpy_of(w) for w in learned]
    model.fit(x, x[::-1], verbose=0)
    after = [checks.numpy_of(w) for w in learned]
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))


def test_compiles_once_for_all_sizes():
    inputs = keras.Input((None, None, 16))
    model = keras.Model(inputs, SelfAttention2D()(inputs))
    for h, w in ((4, 6), (5, 3)):
        assert model.predict(checks.images((2, h, w, 16)), verbose=0).shape[1:3] == (
            h,
            w,
        )


@on_tensorflow
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_against_finite_differences(variant):
    """A random cotangent, γ ≠ 0, every weight and the input, in float64."""
    import tensorflow as tf

    keras.config.set_dtype_policy("float64")
    try:
        x = tf.Variable(checks.images((2, 3, 5, 8)).astype("float64"))
        layer = checks.built(
            SelfAttention2D, x.shape, variant=variant, spectral_norm=False
        )
        cotangent = np.random.default_rng(5).normal(size=x.shape)

        def loss():
            return tf.reduce_sum(layer(x) * cotangent)

        variables = [v.value for v in layer.trainable_variables] + [x]
        with tf.GradientTape() as tape:
            value = loss()
        gradients = tape.gradient(value, variables)
        rng = np.random.default_rng(6)
        for variable, gradient in zip(variables, gradients, strict=True):
            direction = rng.normal(size=variable.shape)
            step = 1e-4
            variable.assign_add(step * direction)
            above = float(loss())
            variable.assign_sub(2 * step * direction)
            below = float(loss())
            variable.assign_add(step * direction)
            # The scores and the softmax stay in float32 by design.
            np.testing.assert_allclose(
                np.sum(gradient.numpy() * direction),
                (above - below) / (2 * step),
                rtol=3e-2,
                atol=3e-2,
            )
    finally:
        keras.config.set_dtype_policy("float32")


@on_tensorflow
def test_kernels_learn_only_when_gamma_is_not_zero():
    import tensorflow as tf

    x = checks.images()
    cotangent = np.random.default_rng(5).normal(size=x.shape).astype("float32")
    for gamma, kernels_learn in ((0.0, False), (0.5, True)):
        layer = SelfAttention2D(gamma_initializer=keras.initializers.Constant(gamma))
        layer(x)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) * cotangent)
        gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
        of_gamma, *kernels = (np.abs(g.numpy()).max() for g in gradients)
        assert of_gamma > 0
        assert all((k > 0) == kernels_learn for k in kernels)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variant": "x"}, r"variant in \['biggan', 'paper', 'article'\].*'x'"),
        ({"key_ratio": 0}, "`key_ratio`.*integer >= 1.*key_ratio=0"),
        ({"pool_size": 1.5}, r"`pool_size`.*pool_size=1\.5"),
        ({"pool_size": 0}, r"`pool_size`.*pool_size=0"),
        ({"value_ratio": 0}, r"`value_ratio`.*value_ratio=0"),
        ({"variant": "article", "value_ratio": 2}, "Expected value_ratio=1.*2"),
        ({"chunk_size": 0}, "`chunk_size`.*integer >= 1.*chunk_size=0"),
        ({"chunk_size": "all"}, "`chunk_size`.*chunk_size='all'"),
        ({"data_format": "NHWC"}, "channels_first.*'NHWC'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        SelfAttention2D(**arguments)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 4, 16), r"4-dimensional.*\(2, 4, 16\)"),
        ((2, 4, 4, 7), r"7 channels by key_ratio=8.*at least 8.*\(2, 4, 4, 7\)"),
        ((2, 1, 4, 16), r"at least 2×2.*\(2, 1, 4, 16\)"),
        ((2, 4, 4, None), "must be known"),
    ],
)
def test_bad_input_shapes(shape, words):
    with pytest.raises(ValueError, match=words):
        SelfAttention2D().build(shape)


def test_bad_calls():
    x = checks.images((2, 4, 6, 16))
    layer = SelfAttention2D()
    layer(x)
    with pytest.raises(ValueError, match="16"):
        layer(x[..., :8])
    with pytest.raises(ValueError, match="expected ndim=4"):
        layer(x[0])
    with pytest.raises(ValueError, match=r"key_mask.*\(2, 2, 3\).*\(4, 6\)"):
        layer(x, key_mask=np.ones((4, 6), bool))
    with pytest.raises(ValueError, match=r"inside the 4×6.*\(4, 0\)"):
        layer.attention_map(x, query=(4, 0))


@pytest.mark.parametrize(
    ("chunk_size", "num_queries", "num_keys", "expected"),
    [
        # A map of 2^20 entries is computed whole, a larger one by 2^18 entries, or by
        # 64 rows where they have more.
        *(("auto", 1024, 1024, None), ("auto", 1000, 1000, None)),
        *(
            ("auto", 1025, 1024, 256),
            ("auto", 1024, 1025, 255),
            ("auto", 5000, 4000, 65),
        ),
        *(
            ("auto", 5000, 4096, 64),
            ("auto", 5000, 8192, 64),
            ("auto", 10, 2**20, None),
        ),
        *((7, 8, 3, 7), (7, 7, 3, None), (7, 6, 3, None), (None, 5000, 4096, None)),
    ],
)
def test_rows_at_a_time(chunk_size, num_queries, num_keys, expected):
    layer = SelfAttention2D(chunk_size=chunk_size)
    found = layer._chunk_size(num_queries, ops.zeros((1, num_keys, 1)))
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("pool_size", [1, 2, 3])
def test_symbolic_and_eager_shapes_agree(data_format, pool_size):
    shape = (5, 7, 16) if data_format == "channels_last" else (16, 5, 7)
    layer = SelfAttention2D(pool_size=pool_size, data_format=data_format)
    symbolic = layer(keras.Input(shape), return_attention_scores=True)
    eager = layer(checks.images((2, *shape)), return_attention_scores=True)
    for one, other in zip(symbolic, eager, strict=True):
        assert tuple(one.shape)[1:] == tuple(other.shape)[1:]
    assert layer.compute_output_shape((None, *shape)) == (None, *shape)


def test_the_smallest_sizes():
    """As many channels as a ratio divides by, and one pooling window."""
    layer = SelfAttention2D(key_ratio=8, value_ratio=8, pool_size=3)
    assert tuple(layer(checks.images((2, 3, 3, 8))).shape) == (2, 3, 3, 8)
    assert layer.key_dense.units == layer.value_dense.units == 1
    for shape in ((2, 2, 3, 8), (2, 3, 2, 8)):
        with pytest.raises(ValueError, match="at least 3×3"):
            SelfAttention2D(pool_size=3).build(shape)
    with pytest.raises(ValueError, match="value_ratio=8 leaves none"):
        SelfAttention2D(key_ratio=1, value_ratio=8).build((2, 3, 3, 7))
    one = SelfAttention2D("paper", key_ratio=1, value_ratio=1, pool_size=1)
    assert tuple(one(checks.images((2, 1, 1, 1))).shape) == (2, 1, 1, 1)


@pytest.mark.parametrize(
    "query",
    [(5, 0), (6, 0), (0, 7), (0, 8), (-6, 0), (0, -8), (7, 5), (5, -1), (-1, 7)],
)
def test_positions_outside_of_the_map(query):
    layer, x = SelfAttention2D("paper"), checks.images((2, 5, 7, 16))
    with pytest.raises(ValueError, match="inside the 5×7"):
        layer.attention_map(x, query=query)
    for corner in ((-5, -7), (4, 6), (-5, 6), (4, -7)):
        assert tuple(layer.attention_map(x, query=corner).shape) == (2, 5, 7)


@pytest.mark.parametrize(
    "shape", [(5,), (7, 5), (5, 6), (2, 5, 7), (3, 4, 7), (1, 3, 5, 7)]
)
def test_masks_that_do_not_fit(shape):
    layer, x = SelfAttention2D("paper"), checks.images((3, 5, 7, 16))
    with pytest.raises(ValueError, match=r"Expected `key_mask` of shape"):
        layer(x, key_mask=np.ones(shape, bool))
    for fitting in ((5, 7), (3, 5, 7)):
        assert tuple(layer(x, key_mask=np.ones(fitting, bool)).shape) == x.shape
