import numpy as np
import pytest
from mutants import assert_slips_are_noticed, mutants


def softmax(scores):
    """The docstring is not mutated: 1 + 1."""
    weights = np.exp(-1 * scores.T[0])
    return weights / weights.sum() if len(scores) > 2 else -weights


def test_each_slip_is_made_once():
    found = [description for description, _ in mutants(softmax)]
    assert sorted(found) == sorted(
        [
            "-1 * scores.T[0] -> -1 / scores.T[0]",
            "-1 -> 1",
            "1 -> 2",
            "scores.T -> scores",
            "0 -> 1",
            "weights / weights.sum() -> weights * weights.sum()",
            "weights.sum -> weights.mean",
            "len(scores) > 2 -> len(scores) >= 2",
            "2 -> 3",
            "-weights -> weights",
        ]
    )


def test_mutants_differ_from_the_function():
    scores = np.arange(6.0).reshape(3, 2)
    by_description = dict(mutants(softmax))
    mean = by_description["weights.sum -> weights.mean"]
    np.testing.assert_allclose(mean(scores), 3 * softmax(scores))


def double(x):
    return 2 * x


def check(function):
    answers = function(3.0), function(0.0)
    return "Right." if answers == (6.0, 0.0) else f"Wrong: {answers}"


def test_a_good_check_passes():
    assert_slips_are_noticed(check, double)


def test_a_check_that_accepts_a_slip_is_named():
    def weak(function):
        return "Right." if function(1.0) == 2.0 else "Wrong."

    with pytest.raises(AssertionError, match=r"accepts \['2 \* x -> 2 / x'\]"):
        assert_slips_are_noticed(weak, double)
    assert_slips_are_noticed(weak, double, harmless=["2 * x -> 2 / x"])


def test_a_slip_that_is_called_harmless_must_be():
    with pytest.raises(AssertionError, match="but noticed: \\['2 -> 3'\\]"):
        assert_slips_are_noticed(check, double, harmless=["2 -> 3"])


def test_a_solution_must_be_right():
    with pytest.raises(AssertionError, match="Wrong"):
        assert_slips_are_noticed(check, lambda x: 3 * x)
