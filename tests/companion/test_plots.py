"""Figures show the numbers they are given."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from companion import plots
from memlib.intervals import Interval


@pytest.fixture(autouse=True)
def _clean():
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.figure().subplots()


def test_bars_end_at_the_intervals(ax):
    estimates = [Interval(2.0, 1.5, 4.0, 0.95, 4), Interval(5.0, 5.0, 9.0, 0.95, 4)]
    plots.interval_bars(ax, [1, 10], estimates, plots.GENERAL, "kind", "s")
    (line, _, (bars,)) = ax.containers[0].lines
    assert line.get_xydata().tolist() == [[1, 2], [10, 5]]
    assert line.get_marker() == "s"
    assert [segment.tolist() for segment in bars.get_segments()] == [[[1, 1.5], [1, 4]], [[10, 5], [10, 9]]]
    assert ax.get_legend_handles_labels()[1] == ["kind"]


def test_crossed_bars_end_at_both_intervals(ax):
    x = [Interval(0.5, 0.25, 0.75, 0.95, 4), Interval(1.0, 0.5, 1.0, 0.95, 4)]
    y = [Interval(0.0, -1.0, 1.0, 0.95, 4), Interval(2.0, 1.5, 3.0, 0.95, 4)]
    plots.crossed_intervals(ax, x, y, plots.GENERAL, "method", marker="s")
    line, _, (across, upright) = ax.containers[0].lines
    assert line.get_xydata().tolist() == [[0.5, 0], [1, 2]]
    assert [segment.tolist() for segment in across.get_segments()] == [
        [[0.25, 0], [0.75, 0]],
        [[0.5, 2], [1, 2]],
    ]
    assert [segment.tolist() for segment in upright.get_segments()] == [
        [[0.5, -1], [0.5, 1]],
        [[1, 1.5], [1, 3]],
    ]
    assert ax.get_legend_handles_labels()[1] == ["method"]


def test_style_sets_what_it_lists():
    plots.use_style()
    assert all(mpl.rcParams[key] == value for key, value in plots.STYLE.items())


@pytest.mark.parametrize("color", [plots.MEMORIZED, plots.GENERAL, plots.NEUTRAL])
def test_colours_are_readable_on_white(color):
    """WCAG AA asks for a contrast of 4.5 for small text."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5


def test_planes_run_along_x_first():
    grid = plots.plane(2.0, 3)
    assert grid[:4].tolist() == [[-2, -2], [0, -2], [2, -2], [-2, 0]]
    assert grid[-1].tolist() == [2, 2]


def test_density_is_cut_below_its_top_and_upright(ax):
    grid = plots.plane(1.0, 5)
    plots.density(ax, 100 * grid[:, 1], 1.0, depth=14.0)
    image = ax.images[0]
    shown = np.asarray(image.get_array())
    assert shown.max() == 0
    assert shown.min() == -14
    assert (shown[-1] == 0).all()  # y = 1 is the last row, drawn at the top
    assert image.origin == "lower"
    assert list(image.get_extent()) == [-1, 1, -1, 1]


def test_arrows_keep_directions_and_compress_lengths(ax):
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [-300.0, 0.0]])
    plots.arrows(ax, np.zeros((3, 2)), vectors)
    shown = np.stack([ax.collections[0].U, ax.collections[0].V], axis=1)
    assert np.allclose(shown[0], np.array([0.6, 0.8]) * np.log1p(5))
    assert (shown[1] == 0).all()
    assert np.allclose(shown[2], [-np.log1p(300), 0])


def test_panels_have_titles_above_and_names_at_the_left():
    grid = plots.plane(1.0, 4)
    panel = (grid[:, 0], grid)
    figure = plots.density_panels({"exact": [panel] * 3, "learned": [panel] * 3}, ["a", "b", "c"], grid, 1.0)
    axes = np.array(figure.axes).reshape(2, 3)
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes[0]] == ["a", "b", "c"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["exact", "learned"]
    with pytest.raises(ValueError, match="argument"):
        plots.density_panels({"exact": [panel]}, ["a", "b"], grid, 1.0)


def test_bands_hold_the_median_and_the_coverage(ax):
    values = np.arange(101.0)[:, None] * np.ones(3)
    plots.band(ax, np.arange(3), values, "k", "label", coverage=0.8)
    assert ax.lines[0].get_ydata().tolist() == [50.0] * 3
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((10.0, 90.0))


def test_interval_lines(ax):
    estimates = [Interval(5.0, 4.0, 7.0, 0.95, 4), Interval(6.0, 5.0, 8.0, 0.95, 4)]
    plots.interval_line(ax, [1, 2], estimates, "k", "label", "^--")
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[1, 5], [2, 6]]
    assert (line.get_marker(), line.get_linestyle(), line.get_label()) == ("^", "--", "label")
    corners = {tuple(corner) for corner in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert corners == {(1, 4), (1, 7), (2, 5), (2, 8)}


def test_doses_from_none_on_have_a_tick_each_and_a_place_apart(ax):
    doses = [0, 1, 10, 1000]
    plots.dose_axis(ax, doses)
    assert ax.get_xticks().tolist() == doses
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "10", "1,000"]
    low, high = ax.get_xlim()
    assert low < 0
    assert high > 1000
    places = ax.transData.transform([(dose, 0) for dose in doses])[:, 0]
    assert np.diff(places).min() > 0.1 * np.ptp(places)
    assert places[3] - places[2] == pytest.approx(2 * (places[2] - places[1]))  # decades above 1


def test_spectra_show_every_sample_and_their_mean(ax):
    values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    plots.spectra(ax, values, "k", "label")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1, 2, 3], [3, 4, 5], [2, 3, 4]]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert [line.get_label() for line in ax.lines][-1] == "label"


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grids(channels):
    images = np.linspace(-2, 2, 2 * channels * 16).reshape(2, channels, 4, 4)
    figure = plots.image_grid({"first": images, "second": images[:1]}, columns=3)
    (ax,) = figure.axes
    corners = [(round(left), round(top)) for left, _, _, top in (im.get_extent() for im in ax.images)]
    assert corners == [(0, 0), (1, 0), (0, 1)]
    shown = [im.get_array() for im in ax.images]
    assert shown[0].shape == ((4, 4) if channels == 1 else (4, 4, 3))
    assert shown[0].min() == 0
    assert shown[1].max() == 1
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert ax.get_xlim() == (0, 2.93), "room for as many columns as were asked for"
    assert ax.get_ylim() == (1.93, 0), "the first row is on top"


def test_a_line_for_each_series_in_its_color(ax):
    series = {"a": [Interval(1.0, 0.5, 1.5, 0.95, 4)] * 2, "b": [Interval(2.0, 1.5, 2.5, 0.95, 4)] * 2}
    plots.interval_lines(ax, [0, 1], series, {"a": "red", "b": "blue"})
    assert [(line.get_label(), line.get_color()) for line in ax.lines] == [("a", "red"), ("b", "blue")]
    assert [line.get_ydata()[0] for line in ax.lines] == [1.0, 2.0]


def test_levels_cross_every_axes():
    axes = plt.figure().subplots(1, 2)
    plots.level(axes, 0.5)
    plots.level(axes[0])
    assert [[line.get_ydata()[0] for line in ax.lines] for ax in axes] == [[0.5, 0.0], [0.5]]


def test_sampling_runs_from_left_to_right(ax):
    plots.time_axis(ax, [0, 500, 1000])
    assert ax.get_xlim() == (1020, -20)


def test_a_logarithmic_axis_has_the_ticks_it_is_given(ax):
    plots.log_axis(ax, [64, 2048])
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["64", "2,048"]
    assert len(ax.xaxis.get_minorticklocs()) == 0


def test_the_upper_end_of_a_spectrum_keeps_its_place(ax):
    plots.spectra(ax, np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 5.0]]), "red", "name", largest=2)
    *_, middle = ax.lines
    assert middle.get_xydata().tolist() == [[2, 3], [3, 4]]
    assert len(ax.lines) == 3


def test_panels_of_spectra_mark_zero_where_it_is_reached():
    low, high = np.array([[-3.0, -2.0]]), np.array([[-1.0, 1.0]])
    figure = plots.spectra_panels(
        {"far": {"a": low}, "near": {"a": low, "b": high}}, {"a": "red", "b": "blue"}
    )
    far, near = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["far", "near"]
    assert [len(ax.lines) for ax in figure.axes] == [2, 5]
    assert list(near.lines[-1].get_ydata()) == [0, 0]
    assert [text.get_text() for text in far.get_legend().get_texts()] == ["a"]


def test_dots_with_their_intervals(ax):
    plots.interval_dots(ax, [1, 2], [Interval(2.0, 1.0, 4.0, 0.95, 4)] * 2, "red", "name")
    (dots,) = ax.lines
    assert dots.get_xydata().tolist() == [[1, 2], [2, 2]]
    assert ax.collections[0].get_segments()[1].tolist() == [[2, 1], [2, 4]]


def test_ranges_of_two_columns_over_time(ax):
    table = pd.DataFrame({"t": [5, 5, 9], "trace": [1.0, 3.0, 7.0], "norm": [2.0, 6.0, 8.0]})
    plots.ranges(ax, table, "trace", "norm", "red", "name")
    assert ax.lines[0].get_xydata().tolist() == [[5, 2], [9, 7]]
    (_, _, (bars,)) = ax.containers[0].lines
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[2, 6], [8, 8]]


def test_boxes_stand_side_by_side(ax):
    samples = [np.arange(5.0), 100 + np.arange(5.0)]
    plots.boxes(ax, {"a": samples, "b": samples}, {"a": "red", "b": "blue"})
    medians = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == 2.0]
    assert sorted({round(float(np.mean(line.get_xdata())), 2) for line in medians}) == [-0.16, 0.16]
    assert ax.get_legend_handles_labels()[1] == ["a", "b"]
