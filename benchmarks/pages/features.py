"""What Keras promises of a model, and which of our models keep it on which backend."""

from collections import defaultdict

from .blocks import results, table

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
# So many features refused in the same words are all that need a training.
MANY = 5


def block() -> list[str]:
    """A row for each feature, a column for each model, and the words of refusals."""
    backends = results("features")["backends"]
    models = list(next(iter(backends.values()))["models"])
    outcomes, refusals = defaultdict(dict), defaultdict(list)
    for backend, found in backends.items():
        for model, of_model in found["models"].items():
            for feature, outcome in of_model.items():
                outcomes[feature, model][BACKENDS[backend]] = outcome
                if outcome not in ("yes", "–"):
                    refusals[outcome, BACKENDS[backend], model].append(feature)
    rows = [
        [feature, *(_cell(outcomes[feature, model]) for model in models)]
        for feature in dict.fromkeys(feature for feature, _ in outcomes)
    ]
    models_of, backends_of = defaultdict(list), defaultdict(list)
    for (words, backend, model), features in refusals.items():
        what = "training" if len(features) >= MANY else ", ".join(features)
        models_of[words, backend, what].append(f"`{model}`")
    for (words, backend, what), of in models_of.items():
        backends_of[words, what, ", ".join(of)].append(backend)
    return [
        *table(["", *(f"`{model}`" for model in models)], rows),
        "",
        *(
            f"* {what} of {of} on {', '.join(where)}: “{words}”"
            for (words, what, of), where in sorted(backends_of.items())
        ),
    ]


def _cell(of_backends):
    """Yes if all backends do it, else those that do; – if it does not apply."""
    can = [backend for backend, outcome in of_backends.items() if outcome == "yes"]
    cannot = [b for b, outcome in of_backends.items() if outcome not in ("yes", "–")]
    if not cannot:
        return "yes" if can else "–"
    return ", ".join(can) or "refused"
