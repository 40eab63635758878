"""What Keras promises of a model, and which of our models keep it on which backend."""

from collections import defaultdict

from .blocks import results, table


def block() -> list[str]:
    """A row for each promise, a column for each model, and the words of refusals."""
    backends = results("features")["backends"]
    models = list(next(iter(backends.values()))["models"])
    outcomes = defaultdict(dict)
    for backend, found in backends.items():
        for model, of_model in found["models"].items():
            for feature, outcome in of_model.items():
                outcomes[feature, model][backend] = outcome
    features = list(dict.fromkeys(feature for feature, _ in outcomes))
    rows = [
        [feature, *(_cell(outcomes[feature, model]) for model in models)]
        for feature in features
    ]
    refusals = defaultdict(lambda: defaultdict(list))
    for (feature, model), of_backends in outcomes.items():
        for backend, outcome in of_backends.items():
            if outcome not in ("yes", "–"):
                refusals[outcome][f"`{model}` on {backend}"].append(feature)
    return [
        *table(["", *(f"`{model}`" for model in models)], rows),
        "",
        *(
            f"* {'; '.join(f'{who}: {_list(what)}' for who, what in found.items())}. "
            f"{words}"
            for words, found in refusals.items()
        ),
    ]


def _list(features):
    return "all trainings" if len(features) > 4 else ", ".join(features)


def _cell(of_backends):
    """ "yes" if all backends do it, else those that do; "–" if it makes no sense."""
    can = [backend for backend, outcome in of_backends.items() if outcome == "yes"]
    cannot = [b for b, outcome in of_backends.items() if outcome not in ("yes", "–")]
    if not cannot:
        return "yes" if can else "–"
    return ", ".join(can) or "refused"
