"""What readers scrub through is what the run has recorded."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from companion import handled
from companion.over_time import COLORS

TIMES, SAMPLES, SIZE, SIDE = 3, 2, 6, 4


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A run that has followed two samples of each class at three times."""
    rng = np.random.default_rng(0)
    arrays = {"t": np.array([981, 301, 1]), "sigma": np.array([0.99994, 0.61234, 0.04])}
    for name in COLORS:
        arrays[f"{name}_eigenvalues"] = np.sort(rng.uniform(-1, 0.1, (TIMES, SAMPLES, SIZE)), axis=2)
        arrays[f"{name}_count"] = rng.integers(0, SIZE, (TIMES, SAMPLES))
        for state in ("noised", "denoised"):
            arrays[f"{name}_{state}"] = rng.integers(0, 256, (TIMES, SAMPLES, 3, SIDE, SIDE)).astype(np.uint8)
    (tmp_path / "tables").mkdir()
    np.savez(tmp_path / "tables/over_time.npz", **arrays)
    return tmp_path, arrays


def test_spectra_and_counts_are_those_of_the_run(run: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, arrays = run
    data = handled.spectra_over_time(folder)
    assert (data["times"], data["sigmas"]) == ([981, 301, 1], [0.9999, 0.6123, 0.04])
    for name in COLORS:
        assert data["classes"][name]["counts"] == arrays[f"{name}_count"].tolist()
        np.testing.assert_allclose(
            data["classes"][name]["eigenvalues"], arrays[f"{name}_eigenvalues"], rtol=0, atol=5.1e-4
        )


def test_pictures_have_a_column_for_each_time_and_a_row_for_each_state(
    run: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, arrays = run
    address = handled.spectra_over_time(folder)["pictures"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
    keys = [
        (f"{name}_{state}", i) for name in COLORS for i in range(SAMPLES) for state in ("noised", "denoised")
    ]
    assert sheet.shape == (len(keys) * SIDE, TIMES * SIDE, 3)
    for row, (key, sample) in enumerate(keys):
        for column in range(TIMES):
            part = sheet[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            np.testing.assert_array_equal(part, arrays[key][column, sample].transpose(1, 2, 0))


def test_chapters_that_are_there_get_a_script_with_their_data(
    run: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    handled.write({"07_latent_spectra": run[0]}, tmp_path / "stage")
    (script,) = (tmp_path / "stage" / handled.FOLDER).iterdir()
    name, _, data = script.read_text().removesuffix(";\n").partition(" = ")
    assert (script.name, name) == ("fig-latent-over-time.js", 'figures.data["fig-latent-over-time"]')
    assert json.loads(data)["times"] == [981, 301, 1]
