"""The figure of copied noises has a row for each method and a mark for what there is."""

import matplotlib.pyplot as plt

from companion.comparison import figures
from memlib.intervals import Interval


def test_a_method_that_moved_no_noise_has_two_marks():
    share = Interval(0.5, 0.25, 0.75, 0.95, 9)
    found = [
        {"name": "one", "method": share, "same price": share, "same length": share},
        {"name": "two", "method": share, "same price": share, "same length": None},
    ]
    figure = figures.escapes(found)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two"]
    marks = {line.get_label(): line.get_ydata().tolist() for line in ax.get_lines()}
    assert marks == {
        "the method": [-0.2, 0.8],
        "fresh noise at its price": [0.0, 1.0],
        "a random move": [0.2],
    }
    plt.close(figure)
