"""The memory-linear form against the plain form: values, gradients, memory."""

import sys

import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow, run_python
from keras import ops

from tfattn import ops as attention_ops
from tfattn.ops import attention, chunked_attention, masked_softmax

pytestmark = pytest.mark.backend

N, M = 35, 12
# Chunks of 1 row; of 4 and of 12, with one row of the last to fill up; a single one.
CHUNK_SIZES = (1, 4, 16, 100)


def tensors(n=N, m=M, batch=2):
    """Query, key, value, and a cotangent of the output."""
    shapes = ((batch, n, 3), (batch, m, 3), (batch, m, 5), (batch, n, 5))
    return [
        ops.convert_to_tensor(checks.images(shape, seed))
        for seed, shape in enumerate(shapes)
    ]


def key_mask():
    """Some keys of the first image, none of the second."""
    mask = np.random.default_rng(4).random((2, 1, M)) < 0.6
    mask[1] = False
    return mask


def plain(query, key, value, mask=None):
    return attention(query, key, value, mask=mask, sharpness=0.6)[0]


def chunked(chunk_size):
    def function(query, key, value, mask=None):
        return chunked_attention(
            query, key, value, chunk_size, mask=mask, sharpness=0.6
        )

    return function


def gradients(function, query, key, value, cotangent, mask=None):
    return checks.gradients_of(
        lambda *inputs: ops.sum(function(*inputs, mask=mask) * cotangent)
    )(query, key, value)


def assert_close(actual, expected):
    """To 1e-5 of the largest entry."""
    actual, expected = checks.numpy_of(actual), checks.numpy_of(expected)
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("mask", [None, key_mask()], ids=["all keys", "masked"])
def test_values_and_gradients_equal_the_plain_form(chunk_size, mask):
    query, key, value, cotangent = tensors()
    function = chunked(chunk_size)
    assert_close(function(query, key, value, mask), plain(query, key, value, mask))
    for actual, expected in zip(
        gradients(function, query, key, value, cotangent, mask),
        gradients(plain, query, key, value, cotangent, mask),
        strict=True,
    ):
        assert_close(actual, expected)


def whole_gradients(*, correction=True, masked=True, first_row=0):
    """The gradients in one piece; each argument but its default is a mutant."""

    def gradients(query, key, value, d_output, chunk_size, mask):
        def swapped(x):
            return ops.transpose(x, (0, 2, 1))

        scores = ops.matmul(query, swapped(key))
        a = masked_softmax(scores, mask=mask if masked else None)
        d_a = ops.matmul(d_output, swapped(value))
        mean = ops.sum(a * d_a, axis=-1, keepdims=True) if correction else 0.0
        d_scores = a * (d_a - mean)
        rows = slice(first_row, None)  # the sums over the last rows alone
        return (
            ops.matmul(d_scores, key),
            ops.matmul(swapped(d_scores[:, rows]), query[:, rows]),
            ops.matmul(swapped(a[:, rows]), d_output[:, rows]),
        )

    return gradients


@pytest.mark.parametrize(
    ("mutation", "killed"),
    [
        ({}, False),
        ({"correction": False}, True),
        ({"masked": False}, True),
        ({"first_row": 24}, True),
    ],
    ids=str,
)
def test_wrong_gradients_are_killed(mutation, killed, monkeypatch):
    monkeypatch.setattr(
        attention_ops, "_chunked_gradients", whole_gradients(**mutation)
    )
    if killed:
        with pytest.raises(AssertionError):
            test_values_and_gradients_equal_the_plain_form(16, key_mask())
    else:
        test_values_and_gradients_equal_the_plain_form(16, key_mask())


@pytest.mark.parametrize("n", [1, 7, 8, 9, 35])
@pytest.mark.parametrize("chunk_size", [1, 3, 4, 12, 100])
def test_chunks_are_few_and_even(n, chunk_size):
    """As few as the largest size allows; of the last, less is filled up than of any."""
    x = checks.images((2, n, 3))
    chunks = checks.numpy_of(attention_ops._split(ops.convert_to_tensor(x), chunk_size))
    num_chunks, batch, rows, width = chunks.shape
    assert (batch, width) == (2, 3) and rows <= chunk_size
    assert (num_chunks - 1) * chunk_size < n <= num_chunks * rows < n + num_chunks
    joined = chunks.transpose(1, 0, 2, 3).reshape(2, -1, 3)
    np.testing.assert_array_equal(joined[:, :n], x)
    assert np.all(joined[:, n:] == 0)


def test_sharpness_has_its_gradient():
    query, key, value, cotangent = tensors()
    sharpness = ops.convert_to_tensor(np.float32(0.6))
    actual, expected = (
        checks.gradients_of(function)(sharpness)[0]
        for function in (
            lambda s: ops.sum(
                chunked_attention(query, key, value, 4, sharpness=s) * cotangent
            ),
            lambda s: ops.sum(attention(query, key, value, sharpness=s)[0] * cotangent),
        )
    )
    actual, expected = checks.numpy_of(actual), checks.numpy_of(expected)
    assert abs(actual) > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_second_derivatives_equal_the_plain_form():
    """What a gradient penalty needs."""
    query, key, value, cotangent = tensors()

    def penalty(function):
        return checks.gradients_of(
            lambda *inputs: sum(
                ops.sum(ops.square(g)) for g in gradients(function, *inputs, cotangent)
            )
        )

    for actual, expected in zip(
        penalty(chunked(4))(query, key, value),
        penalty(plain)(query, key, value),
        strict=True,
    ):
        assert_close(actual, expected)


@on_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_compiled_once_for_unknown_sizes(jit_compile):
    import tensorflow as tf

    @tf.function(
        jit_compile=jit_compile,
        input_signature=[tf.TensorSpec((None, None, c)) for c in (3, 3, 5, 5)],
    )
    def compiled(query, key, value, cotangent):
        return gradients(chunked(4), query, key, value, cotangent)

    for sizes in ((N, M, 2), (6, 9, 1)):
        inputs = tensors(*sizes)
        for actual, expected in zip(
            compiled(*inputs), gradients(plain, *inputs), strict=True
        ):
            assert_close(actual, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    """Rounded once, at the end: as near to float32 as the type allows."""
    half = [ops.cast(t, dtype) for t in tensors()[:3]]
    exact = plain(*(ops.cast(t, "float32") for t in half))
    output = chunked(4)(*half)
    assert keras.backend.standardize_dtype(output.dtype) == dtype
    np.testing.assert_allclose(
        checks.numpy_of(ops.cast(output, "float32")),
        checks.numpy_of(exact),
        atol={"float16": 2e-3, "bfloat16": 1.6e-2}[dtype],
    )


MEMORY = """
import tensorflow as tf
from tfattn.ops import chunked_attention

def step(*inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = chunked_attention(*inputs, chunk_size=64)
    return tape.gradient(output, inputs, output_gradients=tf.ones_like(output))

def peak():  # getrusage's would be that of this test's process, where it is larger
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

for n in (100, 8192):
    before = peak()
    for jit_compile in (False, True):
        compiled = tf.function(step, jit_compile=jit_compile)
        compiled(*(tf.random.normal((1, n, c)) for c in (8, 8, 32)))
print(peak() - before)
"""


@pytest.mark.slow
@on_tensorflow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_memory_stays_far_below_the_map():
    """8192² entries are 256 MiB, of which the plain form keeps several copies."""
    result = run_python(MEMORY)
    assert result.returncode == 0, result.stderr
    assert 0 < float(result.stdout) < 128  # MiB


def largest_tensor_of_a_jax_program():
    """The largest number of entries in any tensor of the layer's gradients."""
    import jax
    from jax.extend.core import jaxprs_in_params

    inputs = tensors(n=512, m=512, batch=1)
    program = jax.make_jaxpr(lambda *t: gradients(chunked(16), *t))(*inputs)

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            for variable in equation.outvars:
                yield int(np.prod(variable.aval.shape))
            for inner in jaxprs_in_params(equation.params):
                yield from sizes(inner)

    return max(sizes(program.jaxpr))


if keras.backend.backend() == "jax":  # whose own IR it reads

    def test_no_tensor_of_the_maps_size_exists():
        assert largest_tensor_of_a_jax_program() <= 16 * 512
