"""How the models are trained, by the command and from Python."""
