# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Dose and response
#
# :::{admonition} How many copies of one image make a diffusion model return it, and does the Hessian show it before the samples do?
# :class: answer
#
# Answer
# : A hundred copies under guidance, a thousand without, and the Hessian shows it one dose level earlier than samples without guidance do. At 100 copies a share of {recorded}`rate_guided_calibrated_100:.2f n` of the guided samples are copies of the image, without guidance
#   {recorded}`rate_calibrated_100:.2f n`; at 1,000 it is {recorded}`rate_calibrated_1000:.2f n` without. At 100 copies the paper's statistic at $t = 100$ separates the image from others of its class with an area under the ROC curve (AUC) of
#   {recorded}`gain_100_dose_100:.2f n`, at 30 with {recorded}`gain_100_dose_30:.2f n`.
#
# How sure
# : Networks are the unit, and n counts them: four trainings that differ in everything random, in the recorded run; the figures show the run of this page, which has fewer networks and samples ({ref}`recorded-runs`). A dose is one of this small network, not a law.
#
# For your model
# : Sample with guidance first: it returns at 100 copies what unguided sampling hides until 1,000. Below some 30 copies nothing here, statistic or sample, shows the image reliably.
#
# This chapter
# : asks what no figure of the paper {cite}`jeon2024understanding` does, whose classes have one image or many, and tests its reading of Figure 3, that fewer non-negative eigenvalues mean stronger memorization. It took {took}`run`, the recorded run
#   {took}`recorded`; `train=True` trains the networks anew and resumes after an interruption.
# :::
#
# ```{glue:figure} figure_rates
# :alt: Share of copies against the dose: near zero up to 30 copies in all cases. With guidance it jumps to more than one half at 100 copies and, by the calibrated threshold, on to one, by the ratio of one third it falls again; without guidance it stays below the dashed curve of a perfect model at 100 and 300 and meets it at 1,000.
# :name: fig-dose-rates
# How often the copied image is returned. Error bars are intervals over networks; the grey line is a perfect model of what was drawn in training.
# ```
#
# The *dose* is the number of copies, and rises in eight steps from none to a thousand ({numref}`fig-dose-rates`).
#
# One network has eight classes. All eight are threes: disjoint sets of 700 different images, and in each class one more image, copied
# as often as the dose of that class says. What differs between two classes is the dose alone. Labelled images
# are drawn evenly from all of a class, copies counted, so that a perfect model of what was drawn would return the copied image with probability
# $k / (700 + k)$ at dose $k$. With probability 0.2 the label is left out and the image is one of the 5,600 that are not
# copied. Several networks differ in everything random: which images are copied, which are in which class, the initial weights, the batches.
#
# **Intervals run over networks.** Observations from one network share its images and weights, so that each network counts
# as one observation, however many samples and noises it gives. They are Student's 95 % intervals, unless stated otherwise.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**32) seed of every random draw
networks: list[int] = [0, 1]  # 2+ of {0, 1, 2, 3} seeds of the trained networks
samples: int = 12  # [2, 2000] samples per class without guidance
guided_samples: int = 6  # [2, 2000] samples per class with guidance
guidance: float = 5.0  # [0, 100] scale of classifier-free guidance, the paper's
steps: int = 20  # [2, 1000] sampling steps
times: list[int] = [20, 100, 300, 600]  # 2+ ascending of [0, 1000) time indices of the images
repeats: int = 4  # [2, 500] noises added to the copied image of each class
others: int = 6  # [2, 64] other training images of each class, one noise each
probes: int = 2  # [2, 784] random directions of the trace estimate
sample_times: list[int] = [100, 300, 600]  # ascending of [0, 1000) time indices on the sampling paths
spectra: int = 1  # [1, 64] whole spectra of the copied image, and of other images, per class
train: bool = False  # True trains the networks anew instead of reading the shipped checkpoints
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/05_dose_response/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from companion import doses, experiment, measures, plots, tables
from companion.datasets import mnist
from companion.recipes import dose as recipe
from companion.recipes.dose import DOSES
from memlib import intervals
from memlib.sampling import ancestral, model_score

plots.use_style()
run = experiment.start("05_dose_response", globals())
models = recipe.networks(networks, train_in=run.output if train else None, device=run.device)
schedule, shape = models[0].schedule, recipe.CONFIG.sample_shape
images = [recipe.images_of(number) for number in networks]  # (real, copied) of each network
classes = torch.arange(len(DOSES), device=run.device)
spectrum_time, sample_doses = 20, [100, 300, 1000]  # of whole spectra; doses looked at along paths
# A source of noise for each purpose and network.
purposes = ("plain", "guided", "points", "spectra", "paths", "lengths")
sources = {
    (purpose, i): torch.Generator().manual_seed(1000 * (seed + 1) + 10 * i + number)
    for number, purpose in enumerate(purposes)
    for i in range(len(models))
}
run.parameter_table()

# %% [markdown]
# ## Samples
#
# Samples are drawn with fresh noise in every step (ancestral sampling, {cite}`ho2020denoising`). The deterministic steps of
# {doc}`04_mnist` are of no use with networks as small as these, which hardly react to the length of a noisy image ({ref}`fails-radius`):
# a path that starts a little too long grows longer and ends in speckles. Fresh noise removes this error. The lengths in the middle of the path show it, below; samples are in {numref}`fig-dose-samples`, and under guidance in {numref}`fig-dose-guided`.


# %% tags=["hide-input"]
sampled = schedule.timesteps(steps)
keep = sorted({min(range(steps), key=lambda i: abs(sampled[i] - t)) for t in sample_times})
trajectories = {"plain": [], "guided": []}  # of each network, class by class
for way, count, scale, kept in (("plain", samples, 1.0, keep), ("guided", guided_samples, guidance, [])):
    labels = classes.repeat_interleave(count)
    for i, model in enumerate(models):
        source = sources[way, i]
        noise = torch.randn(len(labels), *shape, generator=source).to(run.device)
        score = model_score(model, labels, scale)
        trajectories[way].append(ancestral(score, schedule, noise, source, steps=steps, keep=kept))

# %% tags=["hide-input"]
halfway = min(trajectories["plain"][0].states, key=lambda t: abs(t - 300))
spreads = [
    doses.length_spreads(model, real, drawn.states, halfway, steps, sources["lengths", i], run.device)
    for i, (model, (real, _), drawn) in enumerate(zip(models, images, trajectories["plain"], strict=True))
]
for name in ("ancestral", "ddim", "training"):
    about = f"Standard deviation of the length of x_t, t near 300: {name}"
    run.record(f"length_spread_{name}", intervals.mean([spread[name] for spread in spreads]), about=about)

# %% [markdown]
# At $t \approx 300$ the lengths of noised training images vary by {glue:text}`length_spread_training:.1f` (standard deviation), those
# of ancestral paths by {glue:text}`length_spread_ancestral:.1f`, those of deterministic ones by {glue:text}`length_spread_ddim:.1f`.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight rows of threes, one for each dose; at the left of each row the copied image. Down to the dose of 100 the samples vary; at 300 a few are near the image at the left, at 1,000 most equal it."}, "figure": {"caption": "The copied image (left) and samples without guidance, first network. Rows are doses.", "name": "fig-dose-samples"}}
shown = 9
pictures = {
    way: {
        f"{dose:,}": torch.cat([copied[None], drawn[:shown]]).numpy()
        for dose, copied, drawn in zip(
            DOSES, images[0][1], of_networks[0].samples.cpu().chunk(len(DOSES)), strict=True
        )
    }
    for way, of_networks in trajectories.items()
}
run.figure(
    plots.image_grid(pictures["plain"], shown + 1),
    "samples",
    about="The copied image and samples of every class without guidance, first network",
    data=pictures["plain"],
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same with guidance: at doses of 300 and 1,000 all samples shown equal the copied image, with specks and harder contrast, at 100 several do."}, "figure": {"caption": "The same under guidance.", "name": "fig-dose-guided"}}
run.figure(
    plots.image_grid(pictures["guided"], shown + 1),
    "samples_guided",
    about="The copied image and samples of every class under guidance, first network",
    data=pictures["guided"],
)

# %% [markdown]
# A sample counts as a copy if the copied image is nearest to it among the 701 different images of its class, and nearer than a
# third of the distance to the second nearest ({cite}`yoon2023diffusion`). A third is a convention, made for other images. The
# second, calibrated threshold is the one under which one in a hundred real threes from the test split would pass
# for a copy of *some* image of a class.

# %% tags=["hide-input"]
held_out = mnist.digit(recipe.DIGIT, 300, "test")
parts = []
for number, (real, copied), plain, guided in zip(networks, images, *trajectories.values(), strict=True):
    drawn = [(1.0, plain.samples.cpu()), (guidance, guided.samples.cpu())]
    parts.append(doses.judged_samples(real, copied, drawn, held_out).assign(network=number))
verdicts = pd.concat(parts, ignore_index=True)
run.table(verdicts, "verdicts", about="Every sample, and whether it is a copy")
shares = verdicts.groupby(["guidance", "dose", "network"])[["copy", "calibrated", "other"]].mean()
looks = {  # guidance, judgement, words, color, marker and shift in the figure
    "plain": (1.0, "copy", "no guidance, ratio 1/3", plots.GENERAL, "o", 0.94),
    "calibrated": (1.0, "calibrated", "no guidance, calibrated", plots.GENERAL, "^", 1.06),
    "guided": (guidance, "copy", f"guidance {guidance:g}, ratio 1/3", plots.MEMORIZED, "o", 0.98),
    "guided_calibrated": (
        guidance,
        "calibrated",
        f"guidance {guidance:g}, calibrated",
        plots.MEMORIZED,
        "^",
        1.02,
    ),
}
rows = [
    {"way": way, "samples": words} | row
    for way, (scale, kind, words, *_) in looks.items()
    for row in doses.rates(verdicts, scale, kind, of_excess=DOSES[-4:])
]
record = {
    "rate": ("rate_{way}_{dose}", "Share of copies at dose {dose}, {samples}"),
    "excess": ("excess_{way}_{dose}", "Share of copies less k / (700 + k), dose {dose}, {samples}"),
}
tables.tabulate(run, "excess", rows, about="Share of copies, and less that of a perfect model", record=record)
about = "Ratio of distances under which one in a hundred real threes would pass for a copy"
run.record("ratio_threshold", intervals.mean(verdicts.groupby("network")["threshold"].first()), about=about)

# %% tags=["hide-input"]
rates = {way: [row["rate"] for row in rows if row["way"] == way] for way in looks}
perfect = [row["perfect"] for row in rows[: len(DOSES)]]
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.plot(DOSES, perfect, color=plots.NEUTRAL, linestyle="--", label="$k / (700 + k)$")
for way, (_, _, words, color, marker, shift) in looks.items():
    plots.interval_bars(ax, np.array(DOSES) * shift, rates[way], color, words, marker)
plots.dose_axis(ax, DOSES)
ax.set(ylabel="share of copies", ylim=(-0.02, 1.02))
ax.legend(loc="upper left", fontsize=9)
data = tables.frame({"dose": DOSES, "perfect": perfect} | rates)
run.figure(figure, "rates", about="Share of copies against the dose", data=data, opening=True)

# %% [markdown]
# How often the image is returned is in {numref}`fig-dose-rates`. Would a perfect model return it more often, or less? {numref}`tab-05-excess` has the difference of the two shares, at the four largest doses.

# %% tags=["hide-input"] table={"caption": "Share of copies, and how far it is from that of a perfect model", "name": "tab-05-excess"}
tables.shown(
    sorted((row for row in rows if row["excess"]), key=lambda row: row["dose"]),
    {"dose": "dose", "samples": "samples", "perfect": "k / (700 + k)", "excess": "share − k / (700 + k)"},
)

# %% [markdown]
# ## Statistics at the copied image
#
# An auditor who suspects an image need not wait for samples. Here the copied image $x_0$ is noised, $x_t = \alpha_t x_0 + \sigma_t \varepsilon$, and the statistics at
# $x_t$ under the label of its class are compared with those at other training images of the class, noised alike:
#
# - sharpness, $-\sigma_t^2 \operatorname{tr} H / d$ with $d = 784$, by Hutchinson's estimator with reverse products. Up to its sign and a
#   constant this is also the effective dimension $\operatorname{tr}(I + \sigma_t^2 H)$;
# - $\sigma_t \lVert s_\Delta \rVert$, the norm of the score difference between label and no label {cite}`wen2024detecting`;
# - $\sigma_t^3 \lVert H_\Delta s_\Delta \rVert$, the paper's statistic, by a forward difference along $s_\Delta$ (a product from the right, $J_\Delta s_\Delta$);
# - local dimension by FLIPD {cite}`kamkari2024geometric`, at $\alpha_t x_0$ without noise, where it is defined.
# How well a statistic separates the image from the others is measured by the area under the ROC curve, where one half is
# chance. Two doses are controls. At dose 1 the image is one of 701 that occur once each, except that it is left out of the unlabelled draws; at
# dose 0 the network has never seen it.

# %% tags=["hide-input"]
options = {"repeats": repeats, "others": others, "probes": probes, "device": run.device}
parts = [
    doses.at_images(models[i], *images[i], times, source=sources["points", i], **options).assign(
        network=number
    )
    for i, number in enumerate(networks)
]
points = run.table(pd.concat(parts, ignore_index=True), "points", about="Every statistic at every image")

# %% [markdown]
# The whole spectrum costs 784 products a point, and is taken at one time, $t = 20$, for the copied image and another of its class
# under the same noise. For the comparison the other images of all classes of a network are averaged, so that one unusual image weighs less. The spectrum gives the count of non-negative eigenvalues, the paper's measure, and a local dimension that holds at noisy points: the number of
# eigenvalues that are small against $1/\sigma_t^2$ (the spectral filter of {cite:t}`osada2026spectral`).

# %% tags=["hide-input"]
parts = [
    doses.spectra_at_images(
        models[i], *images[i], spectrum_time, repeats=spectra, source=sources["spectra", i], device=run.device
    ).assign(network=number)
    for i, number in enumerate(networks)
]
about = "Counts and dimensions from whole spectra"
whole = run.table(pd.concat(parts, ignore_index=True), "whole", about=about)
about = "Relative asymmetry of the Jacobian, all images, the small time"
run.record("asymmetry", intervals.mean(whole.groupby("network")["asymmetry"].mean()), about=about)

# %% [markdown]
# ### Each statistic against the dose
#
# {numref}`fig-dose-values` has the values, {numref}`fig-dose-auc` and {numref}`tab-05-responses` how well they separate, {numref}`fig-dose-spectra` what the whole spectra give.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four statistics in rows, four times in columns, against the dose. The two norms at the copied image rise by an order of magnitude from 30 or 100 copies on, sharpness rises and FLIPD falls by less; at the largest time there is little difference."}, "figure": {"caption": "Mean statistics (norms: geometric mean) at the copied image (red) and at other images of its class (blue), with intervals over networks. Columns are times.", "name": "fig-dose-values"}}
titles = {
    "sharpness": r"$-\sigma^2\,\mathrm{tr}\,H/d$",
    "difference": r"$\sigma\,\|s_\Delta\|$",
    "gain": r"$\sigma^3\,\|H_\Delta s_\Delta\|$",
    "flipd": "FLIPD, no noise",
    "count": "eigenvalues $\\geq 0$",
    "dimension": "local dimension",
}
in_words = titles | {
    "sharpness": "−σ² tr H / d",
    "difference": "σ ‖s_Δ‖",
    "gain": "σ³ ‖H_Δ s_Δ‖",
    "count": "eigenvalues ≥ 0",
}
means = points.groupby(["statistic", "t", "copied", "dose", "network"])["value"].mean()
norms = ("difference", "gain")  # over orders of magnitude: geometric means
at_point = ("sharpness", "difference", "gain", "flipd")
figure = doses.figures.values(means, {name: titles[name] for name in at_point}, geometric=norms)
run.figure(figure, "values", about="Statistics at the copied image and at others against the dose")

# %% tags=["hide-input"]
signs = {"sharpness": 1, "difference": 1, "gain": 1, "flipd": -1}  # so that above one half means "memorized"
signed = points.assign(value=points["value"] * points["statistic"].map(signs))
areas = measures.roc_areas(signed, ["statistic", "t", "dose", "network"])
series = doses.responses(areas, at_point, whole, spectrum_time)
simultaneous = 1 - 0.05 / len(series)
judged = {
    (name, t, level): [
        intervals.mean(values, level=level).clipped(*((0.0, 1.0) if null else (-np.inf, np.inf)))
        for values in of_dose
    ]
    for (name, t), (of_dose, null) in series.items()
    for level in (0.95, simultaneous)
}
run.record("series", len(series), about="Pairs of a statistic and a time that are followed over the doses")
rows = [
    {"statistic": name, "t": t, "dose": dose, "value": estimate}
    for name, t in series
    for dose, estimate in zip(DOSES, judged[name, t, 0.95], strict=True)
]
about = "{statistic} at the copied image, t = {t}, dose {dose}: AUC, or other images' mean less its own for counts"
record = {"value": ("{statistic}_{t}_dose_{dose}", about)}
tables.tabulate(run, "responses", rows, about="Response of each statistic to the dose", record=record)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Area under the ROC curve against the dose in four panels, one line for each time. All scatter around one half up to 10 copies; all rise from 30 copies on and are near one at 100, at the largest time later or never."}, "figure": {"caption": "How well each statistic separates the noised copied image from other noised images of its class. One half is chance; bars are intervals over networks.", "name": "fig-dose-auc"}}
at_95 = {(name, t): estimates for (name, t, level), estimates in judged.items() if level == 0.95}
figure = doses.figures.areas(at_95, {name: titles[name] for name in at_point})
data = tables.frame([row for row in rows if row["statistic"] in at_point])
run.figure(figure, "auc", about="Area under the ROC curve of each statistic against the dose", data=data)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Non-negative eigenvalues and local dimension against the dose: at the copied image both fall from about 100 copies on and are near zero from 300 on; at other images they stay level."}, "figure": {"caption": "From whole spectra at one small time: the paper's count, and the local dimension, at the copied image (red) and at another image of its class (blue).", "name": "fig-dose-spectra"}}
at_small_noise = {name: f"{titles[name]}, $t={spectrum_time}$" for name in ("count", "dimension")}
figure = doses.figures.whole(whole, at_small_noise)
run.figure(figure, "whole", about="Counts and local dimension against the dose")

# %% [markdown]
# ## Which shows the image first, a statistic or a sample?
# {numref}`tab-05-first-doses` has, for each statistic and time, the smallest dose from which on it separates the image from others: going down from the largest dose,
# as long as the interval over networks lies above chance ({cite}`maurer1995multiple`). Tested in this order, the doses need no correction for their number.
# Many statistics at many times are tested together, which does need one: the column *simultaneous* has intervals of {glue:text}`simultaneous_level:.2%`, which hold for all series at once
# (Bonferroni). For samples it has the dose of the first copy at all, and the smallest
# at which the interval of the share of copies lies above that of dose 0. A statistic is early if it separates the image at a smaller dose than that of the first copy.

# %% tags=["hide-input"]
run.record("simultaneous_level", simultaneous, about="Level of intervals that hold for all series together")
samples_rows = []
for way, (scale, kind, words, *_) in looks.items():
    share = shares.loc[scale][kind].unstack("dose")
    increase = [intervals.mean(share[dose] - share[0]) for dose in DOSES[1:]]
    first_copy = float(min((dose for dose in DOSES if share[dose].max() > 0), default=np.inf))
    row = {"way": way, "series": f"copies, {words}", "first copy": first_copy}
    samples_rows.append(row | {"detected from": doses.smallest_sure(increase, 0.0), "simultaneous": None})
answers = [
    {"series": f"{in_words[name]}, t = {t}", "first copy": None}
    | {
        column: doses.smallest_sure(judged[name, t, level][1:], null)
        for column, level in (("detected from", 0.95), ("simultaneous", simultaneous))
    }
    for (name, t), (_, null) in series.items()
]
first_doses = samples_rows + sorted(answers, key=lambda row: (row["detected from"], row["simultaneous"]))
about = "Smallest dose at which copies appear and at which each statistic detects the image"
run.table(tables.frame(first_doses).drop(columns="way"), "first_doses", about=about)
shown = tables.shown(first_doses, ["series", "first copy", "detected from", "simultaneous"], ",.0f")
shown.format(lambda text: {"inf": "none"}.get(text, text))

# %% tags=["hide-input"]
of_way = {row["way"]: row for row in samples_rows}
before = {
    "copy": min(of_way["plain"]["first copy"], of_way["calibrated"]["first copy"]),
    "onset": of_way["plain"]["detected from"],
}
for key, dose in before.items():
    for suffix, column in (("", "detected from"), ("_of_all", "simultaneous")):
        seen = sum(row[column] < dose for row in answers)
        about = "Series that detect the image at a smaller dose than samples show copies"
        run.record(f"seen_before_{key}{suffix}", seen, about=about)
for way, row in of_way.items():
    for key, column in (("first_copy", "first copy"), ("onset", "detected from")):
        if np.isfinite(row[column]):
            about = f"Smallest dose with a copy (first), or significantly many (onset): {way}"
            run.record(f"{key}_{way}", row[column], about=about)

# %% [markdown]
# Does the paper's statistic detect the image better than the norm of the score difference, on which it is built? {numref}`tab-05-gain-less-difference` has the difference of their areas under the ROC
# curve, averaged over the doses 10, 30 and 100, where the question is open:

# %% tags=["hide-input"]
rows = []
for t in times:
    lead = sum(areas["gain", t, dose] - areas["difference", t, dose] for dose in (10, 30, 100)) / 3
    ordinary = means["flipd", t, False].groupby("network").mean()
    rows.append({"t": t, "lead": intervals.mean(lead.to_numpy()), "flipd": intervals.mean(ordinary)})
record = {
    "lead": (
        "gain_less_difference_{t}",
        "AUC of the paper's statistic less that of the score difference, t = {t}",
    ),
    "flipd": ("flipd_value_{t}", "FLIPD at ordinary training images, t = {t}, all doses"),
}
about = "The paper's statistic against the score difference, and FLIPD of ordinary images"
tables.tabulate(run, "gain_less_difference", rows, about=about, record=record)
tables.shown(rows, {"t": "t", "lead": "difference of AUC"})

# %% [markdown]
# ## Along the sampling path
#
# Without the suspected image there are only samples. Do the statistics predict during sampling which of them will be copies? They are computed at the states of the samples
# without guidance; copies (calibrated) are compared with the rest of the same class, in networks that have both ({numref}`tab-05-path-auc`).

# %% tags=["hide-input"]
parts = []
for i, (number, trajectory) in enumerate(zip(networks, trajectories["plain"], strict=True)):
    of_network = verdicts[(verdicts["network"] == number) & (verdicts["guidance"] == 1)]
    is_copy = {
        dose: of_network.loc[of_network["dose"] == dose, "calibrated"][:samples] for dose in sample_doses
    }
    is_copy = {dose: some.to_numpy() for dose, some in is_copy.items()}
    found = doses.on_paths(models[i], trajectory, is_copy, probes, sources["paths", i])
    parts += [some.assign(network=number) for some in found]
paths = run.table(pd.concat(parts, ignore_index=True), "paths", about="Statistics along sampling paths")
along = measures.roc_areas(paths, ["statistic", "t", "dose", "network"]).groupby(["statistic", "t", "dose"])
several = {key: of_networks for key, of_networks in along if len(of_networks) > 1}
estimates = {key: intervals.mean(of_networks).clipped(0.0, 1.0) for key, of_networks in several.items()}
rows = [
    row | {"words": in_words[row["statistic"]], "networks": row["AUC"].n}
    for row in tables.rows(estimates, ["statistic", "t", "dose"], "AUC")
]
about = "AUC of {statistic}, samples that become copies against the rest, t = {t}, dose {dose}"
record = {"AUC": ("path_{statistic}_{t}_dose_{dose}", about)}
tables.tabulate(run, "path_auc", rows, about="How well statistics on the path predict a copy", record=record)
tables.shown(rows, {"words": "statistic", "t": "t", "dose": "dose", "AUC": "AUC", "networks": "networks"})

# %% [markdown]
# ## What came out
#
# - **When copying starts.** Without guidance the first copy among all samples appears at a dose of {recorded}`first_copy_plain:,.0f`, and copies are significantly more
#   frequent than at dose 0 from {recorded}`onset_plain:,.0f` on. Under guidance, by the calibrated threshold, the first appears at {recorded}`first_copy_guided_calibrated:,.0f`
#   and the share there is {recorded}`rate_guided_calibrated_100:.2f`.
# - **Below or above a perfect model.** Without guidance below it in between: at doses of 100 and 300 the share of copies (calibrated) differs from $k / (700 + k)$ by
#   {recorded}`excess_calibrated_100:+.2f` and
#   {recorded}`excess_calibrated_300:+.2f`. At 1,000 it is
#   {recorded}`excess_calibrated_1000:+.2f`. Guidance goes beyond: at 100 by
#   {recorded}`excess_guided_calibrated_100:+.2f`.
#   A network this small smooths the peak of the image away unless it has much mass. Guidance turns an image seen too often into one that is returned too often.
# - **The ratio test under guidance.** At the largest dose it calls {recorded}`rate_guided_1000:.2f` of the guided samples copies, the calibrated threshold
#   {recorded}`rate_guided_calibrated_1000:.2f`. The guided samples ({numref}`fig-dose-guided`) show which is right: guidance increases the contrast, and the distance to the copied image
#   becomes larger than a third of that to the next.
# - **Does a statistic show it before a sample does?** Of {recorded}`series:.0f` statistics and times, {recorded}`seen_before_copy:.0f` separate the image from others at a smaller dose than that of the
#   first unguided copy. With intervals that hold for all series at once it is {recorded}`seen_before_copy_of_all:.0f`: the paper's statistic at $t = 20$, with an AUC of {recorded}`gain_20_dose_30:.2f` at 30 copies. Compared with the dose at which copies become significantly frequent without guidance, the
#   numbers are {recorded}`seen_before_onset:.0f` and {recorded}`seen_before_onset_of_all:.0f`: at 100 copies, where a sampler without guidance hardly ever returns the image, score difference and paper's
#   statistic separate it at $t = 100$ with AUCs of {recorded}`difference_100_dose_100:.2f` and {recorded}`gain_100_dose_100:.2f`, sharpness with
#   {recorded}`sharpness_100_dose_100:.2f`.
#   So the answer is yes, by about one dose level, against an unguided sampler; a guided one shows copies at that dose too.
# - **The largest time is the least informative.** At $t = 600$ the AUC of sharpness at 1,000 copies is {recorded}`sharpness_600_dose_1000:.2f`, that of the score difference {recorded}`difference_600_dose_1000:.2f`.
# - **The paper's statistic and the score difference** cannot be ranked here: the difference of their AUCs at $t = 300$ is {recorded}`gain_less_difference_300:+.2f`.
# - **Controls.** At dose 1, where no effect is expected, the score difference at $t = 100$ has an AUC of {recorded}`difference_100_dose_1:.2f`. With so few networks an interval that covers one half is
#   weak evidence; one at a large dose that excludes it is strong.
# - **Local dimension.** FLIPD of ordinary images at $t = 100$ is {recorded}`flipd_value_100:.0f`, which is not a dimension. It still falls with the dose. The local dimension
#   from the whole spectrum falls by {recorded}`dimension_20_dose_1000:.0f` at 1,000 copies.
#
# ## Against the paper
#
# - The paper compares one class of copies only with one of many images. Here both live in one class, as they do in a real data set, and the dose decides.
# - The count of non-negative eigenvalues at $t = 20$ is lower at the copied image by {recorded}`count_20_dose_100:.1f` at 100 copies and by {recorded}`count_20_dose_1000:.1f` at 1,000, where hardly any is left. Fewer non-negative eigenvalues do mean stronger memorization, from the dose on at which guidance returns
#   the image; below that the count is not informative.
# - What differs: the network is small, so that doses are those of this network, data and length of training, and not a law; samples are drawn with
#   ancestral steps; the copied image is left out of the unlabelled draws. The Jacobian's relative asymmetry at $t = 20$ is
#   {recorded}`asymmetry:.2f`.

# %% [markdown]
# ## What the run shows

# %% tags=["hide-input"]
none, most = shares.loc[1.0, 0]["copy"].max(), rates["guided_calibrated"][-1].value
run.check("nothing_copied_at_dose_0", none == 0, "no sample may be a copy of an image that was never shown")
run.check(
    "guidance_exceeds",
    most > perfect[-1],
    "under guidance the image copied a thousand times must be returned more often than it was drawn",
)
at_most = whole[whole["copied"] & (whole["dose"] == 1000)]["count"].max()
run.check(
    "count_vanishes",
    at_most < whole[~whole["copied"]]["count"].mean() / 10,
    "next to no non-negative eigenvalue may be left at the image copied a thousand times",
)
for name in ("difference", "sharpness"):
    about = f"{name} at t = 100 must point to the image copied a thousand times"
    run.check(f"{name}_points_to_it", areas[name, 100, 1000].min() > 0.5, about)
provenance = run.finish()
provenance
