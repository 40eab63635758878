"""Commands that are interrupted, or whose disk or files fail: nothing is lost.

Takes an hour; only runs when it is selected: `pytest -m kill tests/cli/test_kills.py`.
"""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tfattn import data

# Unix alone has it.
resource = pytest.importorskip("resource")
pytestmark = [
    pytest.mark.kill,
    pytest.mark.skipif(sys.platform != "linux", reason="needs signals and namespaces"),
]
# As a user: no log level, so that all remarks are taken out.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
NAMESPACE = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


class Command:
    """A command, its arguments, and what it leaves.

    Args:
        name: train, evaluate, generate, each or complete.
        place: A folder with a finished run `whole`, a copy `run` of it and a picture.
    """

    def __init__(self, name, place):
        self.name, self.place = name, place
        self.run, self.out = place / "run", place / "out"
        if name == "train":
            self.run = place / "new"
        few = ["--num-samples", "2"]
        subset = ["--subset-size", "9", "--subset-num-samples", "2"]
        out = ["--out", str(self.out)]
        self.arguments = {
            "train": [
                *("train", "vae", "--data", "digits", "--epochs", "3"),
                *("--out", str(self.run)),
            ],
            "evaluate": ["evaluate", str(self.run), *few, *subset],
            "generate": ["generate", str(self.run), "--out", f"{self.out}.png"],
            "each": ["generate", str(self.run), "--each", "--num-images", "2", *out],
            "complete": ["complete", str(place / "face.png"), *few, *out],
        }[name]

    def start(self, *more, **options):
        # A shell may have started these tests in the background, where Ctrl-C is
        # ignored, and processes inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "tfattn", *self.arguments, *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=ENVIRONMENT,
                **options,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def finish(self):
        """Runs it to its end, or again: its seconds and what it said."""
        resume = ["--resume"] * (
            self.name == "train" and (self.run / "config.json").exists()
        )
        started = time.monotonic()
        process = self.start(*resume)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0 and err == "", err
        return time.monotonic() - started, out

    def result(self):
        """What it has made, comparable."""
        if self.name == "train":
            metrics = json.loads((self.run / "metrics.json").read_text())
            losses = [float(row["loss"]) for row in rows(self.run)]
            return [*losses, metrics["negative_elbo"]["value"]]
        if self.name == "evaluate":
            metrics = json.loads((self.run / "metrics.json").read_text())
            return [metrics[f"negative_log_likelihood_{2}"]["value"]]
        if self.name == "generate":
            return np.asarray(Image.open(f"{self.out}.png")).ravel() / 255.0
        images = [np.asarray(Image.open(p)) for p in sorted(self.out.iterdir())]
        return np.concatenate([image.ravel() / 255.0 for image in images])


def rows(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def check_whole(place):
    """Every file under its name can be read to its end."""
    for path in place.rglob("[!.]*"):
        if any(part.startswith(".") for part in path.relative_to(place).parts):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".keras":
            subprocess.run([sys.executable, "-m", "zipfile", "-t", path], check=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The commands without an interruption: seconds and results, and their files."""
    place = tmp_path_factory.mktemp("whole")
    levels = np.kron(data.load("faces").x_test[0, ..., 0], np.ones((8, 6)))
    Image.fromarray((255 * levels).astype("uint8")).save(place / "face.png")
    command = Command("train", place)
    found = {"train": (command.finish()[0], command.result())}
    (place / "new").rename(place / "run")
    shutil.copytree(place / "run", place / "before")
    for name in ("evaluate", "generate", "each", "complete"):
        command = Command(name, place)
        found[name] = (command.finish()[0], command.result())
        shutil.rmtree(place / "out", ignore_errors=True)
        (place / "out.png").unlink(missing_ok=True)
    return place, found


@pytest.fixture
def command(request, whole, tmp_path):
    place, _ = whole
    shutil.copy(place / "face.png", tmp_path)
    shutil.copytree(place / "before", tmp_path / "run")
    return Command(request.param, tmp_path)


COMMANDS = ("train", "evaluate", "generate", "each", "complete")
each_command = pytest.mark.parametrize("command", COMMANDS, indirect=True)


def check_it_can_be_repeated(command, whole):
    """Whole files, at most an epoch lost, and then the result of no interruption."""
    check_whole(command.place)
    before = len(rows(command.run)) if (command.run / "history.csv").exists() else 0
    if not command.out.exists():
        _, out = command.finish()
        if command.name == "train" and before > 1 and "going on" in out:
            assert int(out.partition("going on after epoch ")[2][0]) >= before - 1
        if command.name == "train" and before > 1:
            assert "going on" in out or "training had finished" in out
    expected = whole[1][command.name][1]
    np.testing.assert_allclose(command.result(), expected, rtol=1e-4, atol=2 / 255)
    left = [path.name for path in command.run.glob(".*")]
    assert command.name != "train" or left == []


def interrupted(command, share, name, whole):
    """Sends a signal at a share of the time that the command takes: what it said."""
    seconds = whole[1]
    for _ in range(20):
        process = command.start()
        started = time.monotonic()
        try:
            # Python itself has to have started.
            process.wait(1 + share * (seconds[command.name][0] - 1))
        except subprocess.TimeoutExpired:
            process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=300)
        if process.returncode != 0:
            return process.returncode, err
        # It had ended: the machine is faster now.
        taken = 0.95 * (time.monotonic() - started)
        seconds[command.name] = taken, seconds[command.name][1]
        shutil.rmtree(command.out, ignore_errors=True)
        if command.name == "train":
            shutil.rmtree(command.run)
    raise AssertionError(f"{name} does not end the command")


@each_command
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", range(2))
def test_asked_to_stop(command, name, moment, whole):
    """Ctrl-C, or the end of a job's time: no traceback."""
    share = (moment + np.random.default_rng(moment).random()) / 2
    code, err = interrupted(command, share, name, whole)
    assert "Traceback" not in err
    if name == "SIGTERM":
        assert code == -signal.SIGTERM
    else:
        words = err.strip() or "tfattn: interrupted"
        if not err:  # Python itself was ending, after the command
            assert code == -signal.SIGINT
        assert words.splitlines()[-1].startswith("tfattn: interrupted")
        assert ("--resume" in err) == (
            command.name == "train"
            and (command.run / "config.json").exists()
            and bool(err)
        )
    check_it_can_be_repeated(command, whole)


def check_refused_in_a_line(process):
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    (line,) = err.strip().splitlines()
    assert line.startswith("tfattn: ")
    return line


@each_command
@pytest.mark.parametrize("kilobytes", [0, 8, 512, 4096])
def test_no_file_may_grow(command, kilobytes, whole):
    """As with a quota: writing is an error after so many bytes."""
    limit = (1024 * kilobytes,) * 2
    process = command.start(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1 or kilobytes > 0
    if process.returncode:
        (line,) = err.strip().splitlines()
        assert line.startswith("tfattn: ")
    check_it_can_be_repeated(command, whole)


@pytest.fixture(scope="module")
def namespaces():
    """Skips where users may not mount file systems of their own."""
    try:
        subprocess.run(
            [*NAMESPACE, "mount -t tmpfs t /mnt"], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a system where users may mount file systems: {error}")


def mounted(command, prepare, end="true"):
    """The command in a namespace of its own, with what to do before it and after."""
    shell = f'{prepare} && "$0" -m tfattn "$@"; code=$?; {end}; exit $code'
    return subprocess.Popen(
        [*NAMESPACE, shell, sys.executable, *command.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


@each_command
@pytest.mark.parametrize("kilobytes", [4, 100, 1000, 3000])
def test_full_disk(command, kilobytes, namespaces, whole, tmp_path_factory):
    """So much is left of it, for a training only after the training has begun."""
    place = command.place
    before, after = (tmp_path_factory.mktemp(name) for name in ("before", "after"))
    taken = sum(p.stat().st_size // 4096 + 1 for p in place.rglob("*")) * 4
    room = 100_000 if command.name == "train" else kilobytes
    prepare = (
        f"cp -r {place}/. {before} && mount -t tmpfs -o size={taken + room}k t {place} "
        f"&& cp -r {before}/. {place}"
    )
    if command.name == "train":
        fill = f"head -c {(room - kilobytes) * 1024} /dev/zero > {place}/filler"
        begun = f"{command.run}/trained_on.json"
        prepare += f" && ((while [ ! -e {begun} ]; do sleep 0.02; done; {fill}) &)"
    process = mounted(
        command, prepare, f"rm -f {place}/filler; cp -r {place}/. {after}"
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode in (0, 1)
    if process.returncode:
        (line,) = err.strip().splitlines()
        assert line.startswith("tfattn: ")
    shutil.rmtree(place)
    after.rename(place)
    check_it_can_be_repeated(command, whole)


@each_command
def test_read_only(command, namespaces):
    place = command.place
    prepare = f"mount --bind {place} {place} && mount -o remount,ro,bind {place}"
    line = check_refused_in_a_line(mounted(command, prepare))
    assert "Read-only" in line


def test_two_trainings_in_one_folder(whole, tmp_path):
    command = Command("train", tmp_path)
    first = command.start()
    while not (command.run / "trained_on.json").exists():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # or it would have finished by then
    try:
        line = check_refused_in_a_line(command.start("--resume"))
        assert "no other process to train" in line
    finally:
        first.send_signal(signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0
    np.testing.assert_allclose(command.result(), whole[1]["train"][1], rtol=1e-4)


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "changed": lambda content: bytes(255 - byte for byte in content),
    "object": lambda content: b"[1]",
    "bit": lambda content: (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 4])
        + content[len(content) // 2 + 1 :]
    ),
}
DAMAGED = (
    *(("train", name) for name in ("config.json", "trained_on.json", "history.csv")),
    *(("train", name) for name in ("model.keras", "checkpoint.keras")),
    *(("evaluate", name) for name in ("model.keras", "metrics.json")),
    *(("generate", name) for name in ("model.keras", "metrics.json")),
    ("complete", "face.png"),
)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("command", "name"), DAMAGED, indirect=["command"])
def test_damaged(command, name, damage):
    """One line, and the file stays for whoever can mend it."""
    if damage == "bit" and not name.endswith(".keras"):
        pytest.skip("text or a picture, in which a bit can be another in earnest")
    more = []
    if command.name == "train":
        (command.place / "run").rename(command.run)
        more = ["--resume", "--epochs", "4"]
    path = command.run / name if name != "face.png" else command.place / name
    if name == "checkpoint.keras":
        (command.run / "model.keras").rename(path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    before = {p: digest(p) for p in command.place.rglob("*") if p.is_file()}
    line = check_refused_in_a_line(command.start(*more))
    assert name in line
    assert before == {p: digest(p) for p in command.place.rglob("*") if p.is_file()}


@each_command
@pytest.mark.parametrize("moment", range(20))
def test_killed(command, moment, whole):
    """At random moments, half of them near the end, where files are written."""
    share = np.random.default_rng(moment).random()
    if moment % 2:
        share = 0.8 + 0.2 * share
    code, _ = interrupted(command, share, "SIGKILL", whole)
    assert code == -signal.SIGKILL
    check_it_can_be_repeated(command, whole)
