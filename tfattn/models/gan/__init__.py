"""The self-attention GAN: model and networks."""
