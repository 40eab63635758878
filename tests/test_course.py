"""What every notebook does at its start and at its end."""

import json

import pytest
from conftest import run_python


@pytest.mark.slow
def test_a_run_says_where_it_runs_and_leaves_its_results(tmp_path):
    code = f"""
        import os
        os.chdir({str(tmp_path)!r})
        from tfattn import course
        run = course.start("03", seed=5)
        import numpy, tensorflow as tf
        print("draw", numpy.random.randint(10**6))
        print("TF32", tf.config.experimental.tensor_float_32_execution_enabled())
        run.finish({{"accuracy γ": 0.5}}, write=True)
        course.start("03").finish({{"accuracy γ": 0.7}}, write=False)
    """
    result = run_python(code, TF_CPP_MIN_LOG_LEVEL="")
    assert result.returncode == 0, result.stderr
    import numpy as np

    assert f"draw {np.random.RandomState(5).randint(10**6)}" in result.stdout
    assert "TF32 False" in result.stdout
    assert result.stdout.count(" minutes of processor time on ") == 1
    assert result.stdout.count("This run took 0.0 minutes, of processor time ") == 2
    written = json.loads((tmp_path / "results" / "03.json").read_text("utf-8"))
    assert written["accuracy γ"] == 0.5 and written["seconds"] < 60
    assert 0 < written["cpu_seconds"] < 600
    assert "tensorflow" in written["versions"] and written["device"]
    assert result.stderr.strip() == ""
