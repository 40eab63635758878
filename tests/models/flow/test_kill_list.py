"""Published bugs of diffusion and flow models, each with the test that notices it.

A mutant changes one function of the library as the bug did. The test named beside it,
which passes on the library, has to fail on the mutant.
"""

import functools
import math

import keras
import pytest
import test_flow
import test_inpainting
from keras import ops

from tfattn.models import AttentionFlow
from tfattn.models.averaging import Averaging
from tfattn.models.flow import conditioning, densities, inpainting
from tfattn.models.flow.sampling import LEVELS
from tfattn.models.replicas import drawn

pytestmark = [pytest.mark.slow, pytest.mark.ci]


# --- the moving average ---------------------------------------------------------


def decay_without_warm_up(self, step, *, average, network, decay):
    for mean, weight in zip(average.weights, network.weights, strict=True):
        mean.assign(weight + decay * (mean - weight))
    return step


def average_written_into_the_network(self, step, *, average, network, decay):
    decay = ops.minimum(decay, (1 + step) / (10 + step))
    for mean, weight in zip(average.weights, network.weights, strict=True):
        value = weight + decay * (mean - weight)
        mean.assign(value)
        weight.assign(value)
    return step


def average_of_the_first_weight_alone(self, step, *, average, network, decay):
    decay = ops.minimum(decay, (1 + step) / (10 + step))
    mean, weight = average.weights[0], network.weights[0]
    mean.assign(weight + decay * (mean - weight))
    return step


def trained_network_generates(self, x, t, condition=()):
    times = ops.broadcast_to(ops.cast(t, "float32"), (ops.shape(x)[0],))
    return self.trained_network([x, times, *condition])


# --- guidance and labels --------------------------------------------------------


def guided(combine):
    def mutant(self, x, t, condition, guidance):
        with_it = self.velocity(x, t, condition)
        if not guidance:
            return with_it
        weight, first, last = guidance
        weight = ops.where(ops.logical_and(first <= t, t <= last), weight, 1.0)
        return combine(with_it, self.velocity(x, t), weight)

    return mutant


def labels_dropped_for_a_whole_batch(self, labels):
    number = drawn(keras.random.uniform, (1, 1), self.seed_generator)
    return labels * ops.cast(number >= self.label_dropout, labels.dtype)


def labels_never_dropped(self, labels):
    return labels


original_velocity = AttentionFlow.velocity


def condition_ignored(self, x, t, condition=()):
    return original_velocity(self, x, t)


# --- normalization and the path -------------------------------------------------


def modulation_without_the_1(self, x, vector):
    scale, shift = ops.split(self.modulation(vector)[:, None, None], 2, axis=-1)
    return self.normalize(x) * scale + shift


def modulation_before_the_normalization(self, x, vector):
    scale, shift = ops.split(self.modulation(vector)[:, None, None], 2, axis=-1)
    return self.normalize(x * (1 + scale) + shift)


def no_dequantization(self, images, uniform):
    pixels = ((LEVELS - 1) * images + 0.5) / LEVELS
    return (pixels - self.pixel_mean) / self.pixel_deviation


def loss_of_noise_on_the_velocity(call):
    """The weight of one objective on the other."""

    def mutant(self, inputs, training=None):
        outputs = dict(call(self, inputs, training))
        name = self.LOSS_TERMS[0]
        outputs[name] = 0.3 * outputs[name]
        return outputs

    return mutant


# --- inpainting and likelihood --------------------------------------------------


def resampling_outside_the_loop(velocity, images, visible, noise, steps, repeats):
    x = inpainted(velocity, images, visible, noise, steps, 0)
    for _ in range(int(repeats)):
        x = inpainted(velocity, images, visible, noise, steps, 0)
    return x


def visible_pixels_missing_at_the_end(*arguments):
    return inpainted(*arguments) + 1e-3


def noise_not_computed_again(velocity, images, visible, noise, steps, repeats):
    """The visible pixels are put in after the step, the noise stays that before."""
    seen = ops.cast(visible, "float32")
    x = inpainted(velocity, images, ops.zeros_like(visible), noise, steps, repeats)
    return seen * images + (1 - seen) * x


inpainted = inpainting.inpaint


def scale_left_out(function):
    def mutant(self, *arguments):
        size = math.prod(self.image_shape)
        lost = size * math.log(LEVELS * self.pixel_deviation)
        return function(self, *arguments) + lost

    return mutant


def noise_left_out(x, *arguments, **options):
    return 0 * ops.sum(x, axis=-1)


def sum_of_the_jacobian(velocity, x, probe):
    """A probe of ones in the place of one of mean 0."""
    return hutchinson(velocity, x, ops.ones_like(probe))


hutchinson = densities.hutchinson
average_test = functools.partial(
    test_flow.test_the_average_follows_the_network, "float32"
)
bias_test = functools.partial(
    test_inpainting.test_bias_falls_to_0_with_resampling, "upper rows"
)

MUTANTS = {
    "time without its factor": (
        conditioning,
        "TIME_SCALE",
        1.0,
        test_flow.test_time_embedding_by_loops,
    ),
    "decay without warm-up": (Averaging, "call", decay_without_warm_up, average_test),
    "average written into the network": (
        Averaging,
        "call",
        average_written_into_the_network,
        average_test,
    ),
    "weights left out of the average": (
        Averaging,
        "call",
        average_of_the_first_weight_alone,
        average_test,
    ),
    "average never used": (
        AttentionFlow,
        "velocity",
        trained_network_generates,
        average_test,
    ),
    "guidance 1 + w": (
        AttentionFlow,
        "_guided_velocity",
        guided(lambda a, b, w: b + (1 + w) * (a - b)),
        test_flow.test_guidance_by_its_formula,
    ),
    "guidance with the wrong sign": (
        AttentionFlow,
        "_guided_velocity",
        guided(lambda a, b, w: a + w * (b - a)),
        test_flow.test_guidance_by_its_formula,
    ),
    "labels dropped for a whole batch": (
        AttentionFlow,
        "_without_some",
        labels_dropped_for_a_whole_batch,
        test_flow.test_labels_are_dropped_image_by_image,
    ),
    "labels never dropped": (
        AttentionFlow,
        "_without_some",
        labels_never_dropped,
        test_flow.test_labels_are_dropped_image_by_image,
    ),
    "condition ignored": (
        AttentionFlow,
        "velocity",
        condition_ignored,
        test_flow.test_the_condition_changes_the_images,
    ),
    "modulation without the 1": (
        conditioning.ModulatedNormalization,
        "call",
        modulation_without_the_1,
        test_flow.test_modulation_follows_the_normalization,
    ),
    "modulation before the normalization": (
        conditioning.ModulatedNormalization,
        "call",
        modulation_before_the_normalization,
        test_flow.test_modulation_follows_the_normalization,
    ),
    "no dequantization": (
        AttentionFlow,
        "_dequantized",
        no_dequantization,
        test_flow.test_likelihood_of_a_flow_that_stands_still,
    ),
    "another weight of the loss": (
        AttentionFlow,
        "call",
        loss_of_noise_on_the_velocity(AttentionFlow.call),
        test_flow.test_the_loss_is_the_error_of_the_velocity_on_the_path,
    ),
    "resampling outside the loop": (
        test_inpainting,
        "inpaint",
        resampling_outside_the_loop,
        bias_test,
    ),
    "visible pixels missing at the end": (
        test_inpainting,
        "inpaint",
        visible_pixels_missing_at_the_end,
        bias_test,
    ),
    "noise not computed again": (
        test_inpainting,
        "inpaint",
        noise_not_computed_again,
        bias_test,
    ),
    "scale left out": (
        AttentionFlow,
        "_mean_log_density",
        scale_left_out(AttentionFlow._mean_log_density),
        test_flow.test_likelihood_of_a_flow_that_stands_still,
    ),
    "density of the noise left out": (
        densities,
        "standard_normal_log_density",
        noise_left_out,
        test_flow.test_likelihood_of_a_flow_that_stands_still,
    ),
    "probe without signs": (
        densities,
        "hutchinson",
        sum_of_the_jacobian,
        test_flow.test_hutchinson_is_the_exact_divergence_on_average,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_published_bug_is_noticed(name, monkeypatch):
    place, attribute, mutant, check = MUTANTS[name]
    if check is test_flow.test_the_loss_is_the_error_of_the_velocity_on_the_path:
        check = functools.partial(check, monkeypatch)
    monkeypatch.setattr(place, attribute, mutant)
    with pytest.raises(AssertionError):
        check()
