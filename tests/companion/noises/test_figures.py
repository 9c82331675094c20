"""The figure of areas shows what it is given, a panel for each guidance."""

import matplotlib.pyplot as plt
import pytest

from companion.noises import areas_figure
from memlib.intervals import Interval


def row(statistic, guidance, value):
    area = Interval(value, value - 0.1, value + 0.1, 0.95, 9)
    return {"statistic": statistic, "guidance": guidance, "AUC": area}


def test_a_panel_for_each_guidance_and_marks_for_each_source():
    model = [row("difference", 1.0, 0.7), row("gain", 1.0, 0.6), row("gain", 7.5, 0.8)]
    exact = [row("gain", 1.0, 0.85), row("oracle", 7.5, 0.9)]
    figure = areas_figure({"model": model, "exact mixture": exact}, [1.0, 7.5])
    low, high = figure.axes
    assert [text.get_text() for text in low.get_yticklabels()] == ["difference", "gain", "oracle"]
    marks = {line.get_label(): line for line in low.get_lines() if line.get_marker() == "o"}
    assert marks["model"].get_xdata().tolist() == [0.7, 0.6]
    assert marks["model"].get_ydata().tolist() == [0, 1]
    assert marks["exact mixture"].get_ydata().tolist() == pytest.approx([1.24])
    others = {line.get_label(): line for line in high.get_lines() if line.get_marker() == "o"}
    assert others["model"].get_xdata().tolist() == [0.8]
    bounds = [end for path in low.collections[0].get_segments() for end in path[:, 0]]
    assert bounds == pytest.approx([0.6, 0.8, 0.5, 0.7])
    plt.close(figure)
