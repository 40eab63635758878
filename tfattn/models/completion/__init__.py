"""The completion VAE: model, networks, adversarial training, augmentation."""
