"""Flow matching: model, networks, solvers, divergence."""
