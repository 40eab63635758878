"""The training of `CompletionVAE`, with a discriminator or without."""

import keras
from keras import ops

from tfattn.models.adversarial import AdversarialModel, TwoTimeScaleOptimizer


class CompletionTraining(AdversarialModel):
    """Keras's own training step; with `adversarial`, one of two networks in turn.

    The model has the networks `posterior`, `prior`, `decoder` and, if `adversarial`,
    `discriminator`.
    """

    def compile(self, optimizer="rmsprop", **kwargs):
        """`keras.Model.compile`; with `adversarial`, of a `TwoTimeScaleOptimizer`."""
        if not self.adversarial:
            super().compile(optimizer, **kwargs)
            self.optimizer.build(self.trainable_variables)
            return
        if not isinstance(optimizer, TwoTimeScaleOptimizer):
            raise ValueError(
                "Adversarial training has two optimisers. Expected optimizer to be a "
                f"TwoTimeScaleOptimizer. Received: optimizer={optimizer!r}"
            )
        super().compile(optimizer, auto_scale_loss=False, **kwargs)
        optimizer.build_both(
            self._generator_variables(), self.discriminator.trainable_variables
        )

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        self.compile(config["optimizer"], jit_compile=config["jit_compile"])

    def train_step(self, *arguments):
        if self.adversarial:
            return super().train_step(*arguments)
        # Past AdversarialModel, to the training step of Keras.
        return super(AdversarialModel, self).train_step(*arguments)

    def adversarial_step(self, data):
        """One step of the discriminator, then one of the other networks."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        x, visible = self._drawn(inputs, training=True)
        shape = (ops.shape(x)[0], self.latent_dim)
        of_posterior, of_prior = (
            keras.random.normal(shape, seed=self.seed_generator) for _ in range(2)
        )
        self._discriminator_step(x, self._completed(x, visible, of_prior))
        variables = self._generator_variables()

        def loss():
            prior = self.prior([x * visible, visible], training=True)
            terms = self._terms(x, visible, of_posterior, prior, training=True)
            bound_loss = self.compute_loss(y_pred=terms)
            means = self._decoded_prior(of_prior, prior, training=True)
            # Without training=True the discriminator's estimates stay where they are.
            scores = self.discriminator([_composite(x, visible, means)])
            self.trackers["generator_loss"].update_state(-ops.mean(scores))
            return bound_loss - self.adversarial_weight * ops.mean(scores)

        _, gradients = self.pullback(loss, variables)
        found, _ = gradients(ops.ones(()))
        self.apply_gradients(self.optimizer.generator, found, variables)

    def _discriminator_step(self, x, completed):
        variables = self.discriminator.trainable_variables

        def loss():
            # In one pass, real and drawn images meet the same weights.
            images = ops.concatenate([x, completed])
            real, drawn = ops.split(self.discriminator([images], training=True), 2)
            return ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + drawn))

        value, gradients = self.pullback(loss, variables)
        found, _ = gradients(ops.ones(()))
        self.apply_gradients(self.optimizer.discriminator, found, variables)
        self.trackers["discriminator_loss"].update_state(value)

    def _completed(self, x, visible, noise):
        prior = self.prior([x * visible, visible])
        means = self._decoded_prior(noise, prior)
        return ops.stop_gradient(_composite(x, visible, means))

    def _decoded_prior(self, noise, of_prior, training=False):
        """Pixels at the z of the prior that `noise` stands for."""
        mean, log_variance, *features = of_prior
        z = mean + ops.exp(0.5 * log_variance) * noise
        return self._expected(self._pixels(z, features, training))

    def _generator_variables(self):
        return [
            variable
            for network in (self.posterior, self.prior, self.decoder)
            for variable in network.trainable_variables
        ]


def _composite(x, visible, means):
    return visible * x + (1 - visible) * means
