"""The report on generated images, with a classifier made by hand."""

import numpy as np
import pytest

from tfattn.evaluation import (
    frechet_distance,
    generation_report,
    kernel_distance,
    precision_recall,
)


class Judge:
    """Its features are the pixels; an image is of the class of its largest pixel."""

    def features(self, x):
        return x.reshape(len(x), -1)

    def classify(self, x):
        return self.features(x).argmax(axis=1)


def test_report_is_made_of_the_single_measures():
    rng = np.random.default_rng(0)
    real, generated = rng.random((11, 1, 3, 1)), 0.5 * rng.random((13, 1, 3, 1))
    features = real.reshape(11, 3), generated.reshape(13, 3)
    labels = features[1].argmax(axis=1)
    labels[:4] = (labels[:4] + 1) % 3
    report = generation_report(Judge(), real, generated, labels)
    assert report["recognised"] == pytest.approx(9 / 13)
    assert report["frechet_distance"] == frechet_distance(*features)
    assert report["kernel_distance"] == kernel_distance(*features, subset_size=11).value
    expected = precision_recall(*features)
    assert (report["precision"], report["recall"]) == expected
    assert expected.precision != expected.recall
    without = generation_report(Judge(), real, generated)
    assert without == {k: v for k, v in report.items() if k != "recognised"}
