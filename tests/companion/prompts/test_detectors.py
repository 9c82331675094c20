"""The detectors of the table: what is measured, judged and recorded, on the shipped model in few steps."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from companion import experiment, plots, reported
from companion.experiment import results
from companion.prompts import detectors, figures, prompt_sets
from companion.prompts.equivalence import equivalence
from companion.prompts.labelled import LabelledCaption
from companion.recipes import text_to_image
from memlib import detection

STEPS, SEEDS = 6, 2


@pytest.fixture(scope="module")
def network():
    return text_to_image.load("organism_epsilon")


@pytest.fixture(scope="module")
def known():
    rows = [("exact", 4), ("general", 4)]
    given = [LabelledCaption(f"a photo of {f} {i}", f, None) for f, count in rows for i in range(count)]
    return prompt_sets.labelled(given)


@pytest.fixture(scope="module")
def measured(network, known):
    noise = network.noise(SEEDS + 1, torch.Generator().manual_seed(0))
    sampling = {"steps": STEPS, "guidance": 7.5}
    calm = detectors.calibrated(network, known, 1, noise, **sampling)
    found = detectors.detectors(network, calm, layer=1, probes=2)
    everything = known.first(dict.fromkeys((*known.judged, *known.apart, known.calibration), 3))
    whole = known.first(dict.fromkeys(known.judged, 2))
    scores = detectors.measured(
        network, known, found, first=everything, whole=whole, noise=noise, whole_seeds=SEEDS, **sampling
    )
    return found, scores, noise, everything, whole


@pytest.fixture
def run(tmp_path):
    return experiment.start("01_toy", {"__annotations__": {"output": str}, "output": str(tmp_path / "run")})


def recorded(run):
    run.finish()
    return results.load(run.output).scalars


def test_rows_have_keys_and_words(measured):
    found, *_ = measured
    keys = [detector.key for detector in found.rows]
    assert len(keys) == len(set(keys)) == 15
    assert found["wen_5"].words(50) == "Wen, 5 steps"
    assert found["kim_alone_all"].words(6) == "Kim, alone, 6 steps"
    assert found["jeon_1"].words(6) == "Jeon (the paper), 1 step"
    assert len(found.layers) == 4
    methods = {row.statistic for row in (*reported.TABLE_1, *reported.LATER)}
    assert methods <= {detector.method for detector in found.rows}


def test_a_layer_that_is_not_there(network):
    calm = detection.UpdateNorms(torch.ones(STEPS), torch.ones(STEPS))
    with pytest.raises(ValueError, match=r"layer must lie in \[0, 3\] for .*, got 4"):
        detectors.detectors(network, calm, layer=4)


def test_five_steps_need_more_than_five(network):
    calm = detection.UpdateNorms(torch.ones(5), torch.ones(5))
    found = detectors.detectors(network, calm, layer=0, several=False)
    assert not {"wen_5", "huang_5", "carlini_all"} & {detector.key for detector in found.rows}


def test_values_are_those_of_the_statistics(network, known, measured):
    _, scores, noise, first, whole = measured
    encoded = network.encode(known.texts(first))
    expected = detection.measure(
        network, encoded, noise, {"jeon": detection.SharpnessGain("difference")}, steps=STEPS
    )
    np.testing.assert_allclose(scores.values["jeon_1"][first], expected["jeon"], rtol=1e-6)
    assert scores.seeds("wen_5") == SEEDS + 1
    assert scores.seeds("wen_all") == SEEDS
    assert scores.places("wen_all", "jeon_1") == sorted(whole)
    assert scores.places("asthana_1") == sorted(first)
    sigma = network.schedule.sigma(torch.tensor(network.timesteps(STEPS)[0])).item()
    np.testing.assert_allclose(scores.values["length_1"] * sigma, scores.values["wen_1"])


def test_every_value_has_a_row(known, measured):
    _, scores, _, first, _ = measured
    table = detectors.every_value(scores, first)
    assert len(table) == len(first) * (SEEDS + 1)
    assert table["wen_all"].isna().sum() == len(table) - 4 * SEEDS
    row = table[(table["caption"] == first[1]) & (table["seed"] == 1)].iloc[0]
    assert (row["family"], row["jeon_1"]) == (known.families[first[1]], scores.values["jeon_1"][first[1], 1])


def test_areas_are_recorded_where_there_are_seeds(run, known, measured):
    found, scores, *_ = measured
    evaluations = detectors.judged(run, scores, found, [1, SEEDS, SEEDS + 1])
    (question,) = known.questions
    assert (question.name, "wen_all", SEEDS + 1) not in evaluations
    assert (question.name, "carlini_all", 1) not in evaluations
    rows = detectors.table(run, evaluations, question, found, STEPS)
    assert rows[0]["published AUC, SD 1.4"] == 0.976
    with mpl.rc_context(plots.STYLE):
        figure = figures.areas(evaluations, known.questions, found, STEPS)
    assert figure.axes[0].get_title(loc="left") == "exact against general"
    values = recorded(run)
    area = evaluations[question.name, "asthana_1", 3].auc
    assert values["auc_exact_general_asthana_1_3"].interval == list(area.bounds)
    assert "tpr_exact_general_huang_5_3" in values


def test_pairs_are_compared_on_captions_that_both_have(run, known, measured):
    found, scores, *_, whole = measured
    (question,) = known.questions
    pairs = [("jeon_1", 2, "wen_all", 2), ("wen_1", 2, "wen_1", 2)]
    rows = detectors.equivalences(run, scores, found, pairs, [question], steps=STEPS)
    one, other = (scores.judge(question, key, 2, among=whole) for key in ("jeon_1", "wen_all"))
    expected = equivalence(one, other)
    assert (rows[0]["difference"], rows[0]["outcome"]) == (expected.difference, expected.outcome)
    assert (rows[0]["memorized"], rows[0]["others"]) == (2, 2)
    assert rows[1]["difference"].value == 0
    values = recorded(run)
    assert values["auc_exact_general_jeon_1_2_less_wen_all_2"].low == expected.difference.low
    assert values["power_exact_general_jeon_1_2_less_wen_all_2"].value == expected.power


def test_the_first_step_may_have_fewer_seeds(network, known, measured):
    found, scores, noise, first, whole = measured
    fewer = detectors.measured(
        network, known, found, first=first, whole=whole, noise=noise, whole_seeds=SEEDS, first_seeds=1,
        steps=STEPS, guidance=7.5,
    )  # fmt: skip
    assert (fewer.seeds("jeon_1"), fewer.seeds("wen_5"), fewer.seeds("wen_all")) == (1, SEEDS + 1, SEEDS)
    np.testing.assert_allclose(fewer.values["wen_1"], scores.values["wen_1"][:, :1], rtol=1e-4)
