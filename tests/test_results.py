"""Published numbers against the files and the weights that they come from."""

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import real

from tfattn import data
from tfattn.cli.systems import completion, flow, gan, transformer
from tfattn.data import avatars, masks, number_words
from tfattn.evaluation import (
    avatar_report,
    baselines,
    completion_quality,
    metrics,
)
from tfattn.models import load_pretrained, pretrained, pretrained_results

ROOT = Path(__file__).parent.parent


def benchmark(name):
    """A script of benchmarks/ as a module."""
    path = ROOT / "benchmarks" / f"{name}.py"
    sys.path.insert(0, str(path.parent))  # scripts there import each other
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = [
    "README.md",
    *(str(p.relative_to(ROOT)) for p in (ROOT / "docs" / "results").glob("*.md")),
    "docs/command.md",
    "docs/own_pictures.md",
    "docs/python.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_pages_say_what_the_results_say(page):
    """A program would write them as they are, and it wrote something."""
    write_docs = benchmark("write_docs")
    text = (ROOT / page).read_text(encoding="utf-8")
    assert write_docs.written(page) == text
    for name in write_docs.PAGES[page]:
        (block,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.S)
        assert len(block) > 100, name


def test_readme_is_read_in_two_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", [*PAGES, *map(str, (ROOT / "docs").glob("*.md"))])
def test_links_and_pictures_are_there(page):
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)\)", text):
        if not link.startswith(("http://", "https://")):
            assert (path.parent / link).exists(), link


def test_shipped_vae_reaches_its_published_bound():
    """On a seeded subset, within the subset's own error of the published mean."""
    published = pretrained_results("vae_mnist")
    x = data.binarize(real("mnist").x_test, seed=0)
    subset = np.random.default_rng(1).permutation(len(x))[:2000]
    bounds = -load_pretrained("vae_mnist").elbo(x[subset], seed=1)
    margin = 2.6 * bounds.std() / np.sqrt(len(bounds))
    assert abs(bounds.mean() - published["negative_elbo"]["value"]) < margin
    assert published["negative_elbo"]["num_images"] == 10_000
    assert published["negative_elbo"]["value"] <= 88.5
    assert published["negative_log_likelihood_5000"]["value"] <= 84.8


def test_shipped_vae_of_classes_reaches_its_published_numbers():
    """The bound on a seeded subset, and the first of the classes' images again."""
    published, mnist = pretrained_results("vae_mnist_by_class"), real("mnist")
    model = load_pretrained("vae_mnist_by_class")
    x = data.binarize(mnist.x_test, seed=0)
    subset = np.random.default_rng(1).permutation(len(x))[:2000]
    nats = -model.elbo(x[subset], mnist.y_test[subset])
    margin = 2.6 * nats.std() / np.sqrt(len(nats))
    assert abs(nats.mean() - published["negative_elbo"]["value"]) < margin
    without = pretrained_results("vae_mnist")
    assert published["epochs"] == without["epochs"]
    better = without["negative_elbo"]["value"] - published["negative_elbo"]["value"]
    assert better >= 1
    asked = np.arange(2000) % 10
    images = model.generate(2000, asked, seed=1)
    right = load_pretrained("classifier_mnist").classify(images) == asked
    share = published["recognized"]["value"]
    margin = 2.6 * np.sqrt(share * (1 - share) / 2000)
    assert abs(right.mean() - share) < margin
    assert published["recognized"]["num_images"] == 10_000


@pytest.mark.ci
def test_shipped_captioner_is_right_as_often_as_published():
    mnist, model = real("mnist"), load_pretrained("captioner_mnist")
    x, pairs = number_words.held_out_images(mnist.x_test, mnist.y_test)
    texts = number_words.names_of(pairs)
    right = np.mean(model.describe(x)[:, 0] == texts)
    published = pretrained_results("captioner_mnist")
    assert abs(right - published["exact_match"]["value"]) <= 2 / len(x)
    assert published["exact_match"]["num_images"] == len(x) == 2000
    path = ROOT / "benchmarks" / "results" / "captioner.json"
    measured = json.loads(path.read_text(encoding="utf-8"))["digits"]
    assert abs(right - measured["right"]["value"]) <= 2 / len(x)


def test_shipped_vae_of_avatars_reaches_its_published_bound():
    published = pretrained_results("vae_avatars")
    model, x = load_pretrained("vae_avatars"), data.load("avatars").x_test
    subset = np.random.default_rng(1).permutation(len(x))[:500]
    bounds = -model.elbo(x[subset], seed=1)
    margin = 2.6 * bounds.std() / np.sqrt(len(bounds))
    assert abs(bounds.mean() - published["negative_elbo"]["value"]) < margin
    assert published["bits_per_dimension"] == metrics.bits_per_dimension(
        published["negative_elbo"]["value"], model.image_shape
    )
    assert (
        avatars.entropy()
        < published["negative_elbo"]["value"]
        < published["nats_of_independent_pixels"]
    )


def test_generated_avatars_are_as_good_as_published():
    """Other draws than the published ones, within the error of so few images."""
    published = pretrained_results("vae_avatars")["avatars"]
    report = avatar_report(load_pretrained("vae_avatars").generate(500, seed=7))
    for measure in ("valid", "all_rules"):
        share = published[measure]
        margin = 3.3 * np.sqrt((share * (1 - share) + 0.002) / 500)
        assert abs(report[measure] - share) < margin, measure


@pytest.mark.ci
def test_avatars_from_sentences_are_as_good_as_published():
    """Sentences of other avatars, with the steps of the published numbers."""
    published = pretrained_results("flow_avatars")["avatars"]
    asked = avatars.draw_attributes(200, seed=7)
    images = load_pretrained("flow_avatars").generate(
        200, avatars.sentences(asked), num_steps=flow.NUM_STEPS, seed=7
    )
    report = avatar_report(images, asked=asked)
    for found, share in (
        (report["valid"], published["valid"]),
        (report["all_rules"], published["all_rules"]),
        (report["as_asked"]["all"], published["as_asked"]["all"]),
    ):
        margin = 3.3 * np.sqrt((share * (1 - share) + 0.002) / 200)
        assert abs(found - share) < margin


@pytest.mark.slow
@pytest.mark.real_data
def test_shipped_completion_reaches_its_published_numbers():
    """On all test faces, and ahead of every baseline where it is said to be."""
    published = pretrained_results("completion_olivetti")
    faces = real("olivetti")
    model = load_pretrained("completion_olivetti")
    visible = masks.draw("lower_half", 1, (64, 64))[0]
    drawn = model.complete(
        faces.x_test, visible, num_samples=completion.NUM_SAMPLES, seed=0
    )
    found = completion_quality(faces.x_test, visible, drawn)
    for measure in ("psnr", "ssim", "best_psnr"):
        expected = published["completion"]["lower_half"][measure]["value"]
        np.testing.assert_allclose(found[measure].mean(), expected, rtol=0.01)
    table = json.loads((ROOT / "benchmarks/results/completion.json").read_text())
    rows = table["masks"]["lower_half"]
    for name in baselines.BASELINES:
        assert found["ssim"].mean() > rows[name]["ssim"]["value"]
        assert found["best_psnr"].mean() > rows[name]["psnr"]["value"]
    ridge = baselines.ridge_regression(
        baselines.with_mirror_images(faces.x_train), faces.x_test, visible
    )
    again = completion_quality(faces.x_test, visible, ridge)["ssim"].mean()
    assert again == pytest.approx(rows["ridge regression"]["ssim"]["value"], abs=1e-3)
    assert published["training_seconds"] <= 40 * 60
    assert published["completion"]["lower_half"]["psnr"]["num_images"] == 100
    assert table["seconds_of_16_completions_of_a_face"]["first"] < 1


@pytest.mark.ci
@pytest.mark.parametrize(
    "name", ["transformer_mnist", "transformer_mnist_coarse_to_fine"]
)
def test_shipped_transformer_reaches_its_published_likelihood(name):
    """On a seeded subset, within the subset's own error of the published mean."""
    published = pretrained_results(name)
    x = data.binarize(real("mnist").x_test, seed=0)
    subset = np.random.default_rng(1).permutation(len(x))[:2000]
    nats = -load_pretrained(name).log_likelihood(x[subset])
    margin = 2.6 * nats.std() / np.sqrt(len(nats))
    assert abs(nats.mean() - published["negative_log_likelihood"]["value"]) < margin
    assert published["negative_log_likelihood"]["num_images"] == 10_000
    if name == "transformer_mnist":
        assert published["negative_log_likelihood"]["value"] <= 79.17
    assert published["training_seconds"] <= 2 * 60 * 60


@pytest.mark.ci
@pytest.mark.parametrize("factor", [4, 2])
def test_shipped_transformer_enlarges_digits_as_published(factor):
    """Fewer test images and other samples; ahead of every baseline."""
    results = json.loads(
        (ROOT / "benchmarks/results/super_resolution.json").read_text()
    )
    published = results["factors"][str(factor)]
    model = load_pretrained("transformer_mnist_coarse_to_fine")
    mnist, n = real("mnist"), 200
    chosen = np.random.default_rng(1).permutation(len(mnist.x_test))[:n]
    x = data.binarize(mnist.x_test, seed=0)[chosen]
    visible = np.zeros(x.shape[1:3], bool)
    visible[::factor, ::factor] = True
    nats = -model.log_likelihood(x, visible=visible)
    margin = 3.3 * nats.std() / np.sqrt(n)
    assert abs(nats.mean() - published["nats_of_hidden"]["value"]) < margin
    images = model.complete(x, visible, seed=3)[:, 0]
    judge = load_pretrained("classifier_binarized_mnist")
    right = np.mean(judge.classify(images) == mnist.y_test[chosen])
    ways = published["ways"]
    ours = ways.pop("`transformer_mnist_coarse_to_fine`")
    assert len(ways) == 5
    share = ours["recognized"]["value"]
    assert abs(right - share) < 3.3 * np.sqrt(share * (1 - share) / n) + 0.01
    for baseline in ways.values():
        assert ours["ssim"]["value"] > baseline["ssim"]["value"]
        share = max(baseline[m]["value"] for m in ("recognized", "recognized_by_most"))
        assert ours["recognized_by_most"]["value"] > share


@pytest.mark.ci
def test_shipped_transformer_writes_the_digits_of_held_out_texts():
    model, classifier = (
        load_pretrained(name)
        for name in ("transformer_words", "classifier_binarized_mnist")
    )
    pairs = np.repeat(number_words.HELD_OUT_PAIRS, 5, axis=0)
    images = model.generate(len(pairs), number_words.names_of(pairs), seed=3)
    right = number_words.recognized(classifier, images, pairs)
    results = pretrained_results("transformer_words")
    published = results["recognized_generated_by_classifier_binarized_mnist"]
    assert published["value"] >= 0.95
    margin = 2.6 * np.sqrt(published["value"] * (1 - published["value"]) / len(pairs))
    assert np.mean(right) >= published["value"] - margin


@pytest.mark.ci
def test_written_digits_are_judged(monkeypatch):
    """Real pairs of digits are recognized, those of an untrained model are not."""
    dataset = real("mnist")
    monkeypatch.setattr(number_words, "NUM_TEST_PAIRS", 100)
    system = transformer.TransformerSystem()
    model = system.build(
        dataset, seed=0, condition="text", order="raster", mixed_precision=False
    )
    found = system.evaluate(model, dataset)
    for judge in transformer.JUDGES:
        assert found[f"recognized_real_by_{judge}"]["value"] > 0.9
        assert found[f"recognized_generated_by_{judge}"]["value"] < 0.1


def check_accuracy(classifier, name, x, labels, least):
    published = pretrained_results(name)["accuracy"]
    accuracy = np.mean(classifier.classify(x) == labels)
    assert abs(accuracy - published) < 5e-4 and published >= least


def test_shipped_binary_classifier_reaches_its_published_accuracy():
    name, mnist = "classifier_binarized_mnist", real("mnist")
    x = data.binarize(mnist.x_test, seed=0)
    check_accuracy(load_pretrained(name), name, x, mnist.y_test, least=0.99)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("mnist", 0.993),
        pytest.param("fashion_mnist", 0.92, marks=pytest.mark.real_data),
    ],
)
def test_shipped_gan_and_its_judge_reach_their_published_numbers(name, accuracy):
    """The accuracy of the classifier, then the first of the GAN's draws again."""
    dataset, model = real(name), load_pretrained(f"gan_{name}")
    judge = f"classifier_{name}"
    classifier = load_pretrained(judge)
    check_accuracy(classifier, judge, dataset.x_test, dataset.y_test, accuracy)
    published = pretrained_results(f"gan_{name}")
    labels = np.random.default_rng(0).choice(dataset.y_train, 10_000)
    images = model.generate(10_000, labels, temperature=gan.TEMPERATURE, seed=0)
    distance = metrics.frechet_distance(
        classifier.features(dataset.x_test), classifier.features(images)
    )
    recognized = np.mean(classifier.classify(images) == labels)
    # Other processors round otherwise.
    for measure, found, margin in (
        ("frechet_distance", distance, 0.02),
        ("recognized", recognized, 0.0005),
    ):
        draws = published[measure]
        assert draws["lowest"] - margin < found < draws["highest"] + margin


@pytest.mark.ci
def test_shipped_flow_is_recognized_as_published():
    mnist, model = real("mnist"), load_pretrained("flow_mnist")
    labels = np.random.default_rng(0).choice(mnist.y_train, 500)
    images = model.generate(500, labels, num_steps=flow.NUM_STEPS, seed=0)
    recognized = load_pretrained("classifier_mnist").classify(images) == labels
    published = pretrained_results("flow_mnist")["recognized"]["mean"]
    deviation = np.sqrt(published * (1 - published) / len(labels))
    assert abs(recognized.mean() - published) < 4 * deviation + 0.002


def test_mnist_gan_is_as_good_as_promised():
    published = pretrained_results("gan_mnist")
    path = ROOT / "benchmarks" / "results" / "generation_quality.json"
    floor = json.loads(path.read_text())["rows"]["mnist"]["real training images"]
    assert (
        published["frechet_distance"]["mean"] <= 2 * floor["frechet_distance"]["mean"]
    )
    assert published["recognized"]["lowest"] >= 0.995
    assert published["recall"]["lowest"] >= 0.8
    assert published["training_seconds"] <= 45 * 60


@pytest.mark.parametrize("family", ["noise", "blur", "rotation", "occlusion"])
def test_distance_rises_with_the_damage(family):
    """Of real images from the same images, spoiled more and more."""
    quality = benchmark("generation_quality")
    x = real("mnist").x_test[::20]
    classifier = load_pretrained("classifier_mnist")
    features = classifier.features(x)
    distances = [
        metrics.frechet_distance(
            features, classifier.features(quality.corrupt(x, family, level))
        )
        for level in quality.LEVELS[family]
    ]
    assert distances[0] > 0 and np.all(np.diff(distances) > 0)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    for path in pretrained.WEIGHTS.glob("vae_mnist.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    assert load_pretrained("vae_mnist").image_shape == (28, 28, 1)
    weights = tmp_path / "vae_mnist.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\. Expected sha256"):
        load_pretrained("vae_mnist")


def test_unknown_names():
    with pytest.raises(ValueError, match=r"one of \[.*'vae_mnist'.*\].*'vae'"):
        load_pretrained("vae")


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("**/results/*.json")), ids=lambda p: p.name
)
def test_results_state_their_protocol(path):
    assert "protocol" in json.dumps(json.loads(path.read_text()))


def test_mutants_that_live_have_a_reason():
    path = Path(__file__).parent.parent / "benchmarks/results/mutation.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    survivors = found["survivors"].values()
    assert all(survivor["reason"] for survivor in survivors)
    assert len(survivors) <= 0.05 * sum(found["files"].values())
