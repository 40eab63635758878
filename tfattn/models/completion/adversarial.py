"""The training of `CompletionVAE` against a discriminator."""

from typing import Any

import keras
from keras import ops

from tfattn._typing import Tensor
from tfattn.models.adversarial import AdversarialModel
from tfattn.models.replicas import drawn


class AdversarialCompletion(AdversarialModel):
    """One step of the discriminator, then one of the other networks.

    The model has the networks `posterior`, `prior`, `decoder` and, if `adversarial`,
    `discriminator`.
    """

    def generator_variables(self) -> list[keras.Variable]:
        """The trainable variables of all networks but the discriminator."""
        return [
            variable
            for network in (self.posterior, self.prior, self.decoder)
            for variable in network.trainable_variables
        ]

    def adversarial_step(self, data: Any) -> None:
        """One step of the discriminator, then one of the other networks."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        x, visible = self._drawn(inputs, training=True)
        shape = (ops.shape(x)[0], self.latent_dim)
        of_posterior, of_prior = (
            drawn(keras.random.normal, shape, self.seed_generator) for _ in range(2)
        )
        discriminator_tracker, generator_tracker = self.trackers[2:]
        completed = self._completed(x, visible, of_prior)
        discriminator_tracker.update_state(self.discriminator_step(x, completed))

        def loss():
            prior = self.prior([x * visible, visible], training=True)
            terms = self._terms(x, visible, of_posterior, prior, training=True)
            self.compute_metrics(inputs, None, terms)
            means = self._decoded_prior(of_prior, prior, training=True)
            # Without training=True the discriminator's estimates stay where they are.
            scores = self.discriminator([composite(x, visible, means)])
            generator_loss = self.generator_loss(scores)
            generator_tracker.update_state(generator_loss)
            bound_loss = self._mean_loss(None, terms)
            return bound_loss + self.adversarial_weight * generator_loss

        self.descend(
            self.optimizer.generator, loss, self.generator_variables(), shape[0]
        )


def composite(x: Tensor, visible: Tensor, means: Tensor) -> Tensor:
    """Images where they are visible, and means where they are not."""
    return visible * x + (1 - visible) * means
