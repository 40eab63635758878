"""The attention VAE: model, networks, and the control of its attention."""
