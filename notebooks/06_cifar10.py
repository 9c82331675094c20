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
# # CIFAR-10: from copying to generalising
#
# :::{admonition} A network that has seen 64 photographs returns them, one that has seen thousands draws its own. Does the Hessian, without the training set, show the difference, and which sample is a copy?
# :class: answer
#
# Answer
# : It shows the difference between networks, and ranks samples of one network with some error. At the last step samples of the network on 64 images, of which a share of {recorded}`copied_64:.2f n` are copies, have a local dimension of {recorded}`dimension_64_last:.1f n`; those of
#   the network on 4,096, with a share of copies of {recorded}`copied_4096:.2f n`, have {recorded}`dimension_4096_last:.0f n`. Within the network on 128, which draws both, the number of non-negative eigenvalues separates copies from the rest in the middle of the path with an area
#   under the ROC curve (AUC) of {recorded}`auc_within_128_count_middle:.2f n`.
#
# How sure
# : One network for each training set: intervals run over its samples in the recorded run and do not cover another training; a second network on other images is the check on that. The figures show the run of this page, which has fewer samples ({ref}`recorded-runs`).
#
# For your model
# : A local dimension near zero everywhere says that a network has memorized its set. As a test of one sample it is no proof: within the network on 128, local dimension at the last step has an AUC of {recorded}`auc_within_128_local_dimension_last:.2f n`, on the wrong side of one half.
#
# This chapter
# : goes beyond the paper {cite}`jeon2024understanding`, which has no CIFAR-10, to memorization from a small training set, spectra in 3,072 dimensions, and two networks that share no image {cite}`kadkhodaie2024generalization`. It took {took}`run`, the recorded run
#   {took}`recorded`; `train=True` trains larger networks, for a GPU.
# :::
#
# ```{glue:figure} figure_statistics
# :alt: Four panels against time. Lines for all sizes coincide at large times and part towards the end: the trace falls least at 64, non-negative eigenvalues and local dimension rise for 512 and more and stay near zero for 64 and 128, the norm of Hessian times score falls for all.
# :name: fig-cifar10-statistics
# Mean over samples of each network with its interval, along the sampling path, from left to right. The grey line is an isolated point.
# ```
#
# The photographs are the automobiles of CIFAR-10 {cite}`krizhevsky2009learning`, 32 pixels wide: the first $N$ of the 5,000 in the training split, and for a second
# network the last $N$. Nothing is copied and there are no labels. **The networks are small**: 1.15 million parameters, trained on one
# core in bfloat16. Their samples are shown below, before anything is concluded from them.
#
# There is one network for each training set: the 95 % intervals are over its samples and do not cover another training. The second network on the other half of the
# data is the check on that.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**32) seed of the noises and of the random directions
sizes: list[int] = [64, 128, 512, 2048, 4096]  # 2+ ascending of [16, 4096] training images of each network
halves: list[int] = [64, 512, 2048]  # 0+ ascending of [16, 4096] sizes with a second network on other images
samples: int = 20  # [2, 2000] samples of each network, all from the same noises
judged: list[int] = [128, 512]  # 1+ ascending of [16, 4096] sizes whose networks draw twice as many samples
steps: int = 32  # [2, 1000] DDIM steps
positions: list[int] = [0, 12, 21, -1]  # 2+ of [-steps, steps) sampling steps looked at; -1 is the last
unseen: int = 40  # [12, 2000] held-out photographs that say what complexity explains
probes: int = 2  # [2, 1000] random directions behind each trace, count and dimension
krylov: int = 6  # [2, 100] Lanczos steps from each direction
exact: int = 1  # [1, samples] samples of the smallest and largest size with a whole Hessian
train: bool = False  # True trains larger networks in build/checkpoints, or goes on there
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/06_cifar10/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display

from companion import experiment, measures, plots, set_sizes, tables
from companion.datasets import cifar10
from companion.images import radial_power
from companion.recipes.cifar10 import networks, training_images
from memlib import copies, hessian, intervals
from memlib.sampling import ddim, model_score
from memlib.score import score_at

plots.use_style()
run = experiment.start("06_cifar10", globals())
# By the number of images: networks on the first ones, and on the last.
models, others = (
    networks(counts, half, large=train, device=run.device)
    for counts, half in ((sizes, "first"), (halves, "last"))
)
schedule, dimension, ends = models[sizes[0]].schedule, 3 * 32 * 32, [sizes[0], sizes[-1]]
names = {count: f"N = {count:,}" for count in sizes}
colors = dict(zip(names.values(), plt.colormaps["viridis"](np.linspace(0, 0.85, len(sizes))), strict=True))
training = {count: training_images(count) for count in sizes}
held_out, _ = cifar10.load("test")
groups = {count: copies.twins(images) for count, images in training.items()}
run.parameter_table()

# %% [markdown]
# ## Samples
#
# All networks start from the same noises, and take the same deterministic steps. Each sample is compared with all images its network has
# seen ({numref}`fig-cifar10-samples`).

# %% tags=["hide-input"]
drawn = {count: samples * (1 + (count in judged)) for count in sizes}
noise = torch.randn(max(drawn.values()), 3, 32, 32, generator=torch.Generator().manual_seed(seed))
noise, options = noise.to(run.device), {"steps": steps, "progress": True}
paths = {
    count: ddim(model_score(model), schedule, noise[: drawn[count]], keep=positions, **options)
    for count, model in models.items()
}
second = {
    count: ddim(model_score(model), schedule, noise[:samples], **options).samples.cpu()
    for count, model in others.items()
}
generated = {count: path.samples.cpu() for count, path in paths.items()}
states = {count: path.states for count, path in paths.items()}
neighbours = {c: copies.nearest(generated[c], training[c], groups=groups[c]) for c in sizes}
nearest_images = {c: training[c][neighbours[c].index] for c in sizes}
yardstick = {c: copies.nearest(held_out, training[c], groups=groups[c]) for c in sizes}
copied = {count: copies.is_copy(found) for count, found in neighbours.items()}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rows of small photographs, two for each size of the training set: samples, and the training image nearest to each. At 64 the two rows are the same; at 128 some pairs are. At 512 the samples are rough paintings in which a car can be guessed; at 2,048 and 4,096 most are cars, painted roughly. From 512 on the nearest images are other cars."}, "figure": {"caption": "Samples from the same noises, and their nearest training images.", "name": "fig-cifar10-samples"}}
pictures = {}
for count in sizes:
    both = generated[count].numpy(), nearest_images[count].numpy()
    pictures |= dict(zip((names[count], f"nearest of {count:,}"), both, strict=True))
run.figure(
    plots.image_grid(pictures, min(8, samples)),
    "samples",
    about="Samples of each network from the same noises, and their nearest training images",
    data={f"samples_{c}": generated[c].half() for c in sizes}
    | {f"nearest_{c}": nearest_images[c].half() for c in sizes},
)

# %% [markdown]
# A copy is nearer to one training image than to any other: {cite:t}`yoon2023diffusion` call it a copy if the nearest is nearer than a third of the distance
# to the second nearest. A third is a convention. The held-out images of the test split give a second, calibrated threshold: the ratio
# that only 1 % of them undercut. They calibrate the distance itself, too: a generated car may be as far from all training images as a real one is.
#
# **Twins.** CIFAR-10 holds near-duplicates, inside the training split and across the splits {cite}`barz2020train`. A twin in the training set would
# hide a copy, since its second nearest image is as near as the first; images whose pixels correlate above 0.9 therefore count as one. Twins
# of held-out images make the calibrated threshold stricter than it need be. The result is in {numref}`tab-06-copies` and {numref}`fig-cifar10-distances`.

# %% tags=["hide-input"]
rows = [
    {"N": count, "samples": drawn[count]}
    | set_sizes.copy_shares(neighbours[count], yardstick[count])
    | {"twins": int((torch.bincount(groups[count])[groups[count]] > 1).sum())}
    for count in sizes
]
record = {
    name: (f"{name}_{{N}}", f"Share of samples of the network on {{N:,}} images {words}")
    for name, words in {
        "copied": "called copies: nearest over second nearest distance below 1/3",
        "copied_calibrated": "called copies at the ratio that 1 % of the held-out images undercut",
        "too_near": "nearer to a training image than 97.5 % of the held-out images",
        "too_far": "farther from all training images than 97.5 % of the held-out images",
    }.items()
}
record |= {"false": ("false_copies_{N}", "Share of held-out images called copies of {N:,} training images")}
about = "Copies among samples, and the same tests on held-out images"
tables.tabulate(run, "copies", rows, about=about, record=record)
headings = {
    "N": "N",
    "ratio": "calibrated ratio",
    "copied": "copies",
    "copied_calibrated": "copies, calibrated",
}
headings |= {
    "false": "held-out images called copies",
    "too_near": "nearer than 97.5 % of held-out",
    "too_far": "farther than 97.5 % of held-out",
}
tables.shown(rows, headings)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, the share of copies against the number of training images: one at 64, lower at 128, zero from 512 on. Right, boxes of distances: those of the samples at 64 are near zero; at 128 they lie in between, and from 512 on with those of held-out photographs."}, "figure": {"caption": "Copies by two thresholds, with intervals (left), and the distance to the nearest training image: boxes hold half of the images, whiskers 95 %.", "name": "fig-cifar10-distances"}}
called = {
    "below 1/3": [row["copied"] for row in rows],
    "calibrated": [row["copied_calibrated"] for row in rows],
}
figure = set_sizes.figures.copies(called, neighbours, yardstick, dimension)
run.figure(
    figure,
    "copies",
    about="Copied share, and distances to the nearest training image of samples and of held-out images",
    data={f"samples_{c}": neighbours[c].distance for c in sizes}
    | {f"held_out_{c}": yardstick[c].distance for c in sizes},
)

# %% [markdown]
# By the ratio of a third, a share of {interval}`copied_64:.2f` of the samples are copies at
# $N = 64$, {interval}`copied_128:.2f` at 128, {interval}`copied_512:.2f` at 512, {interval}`copied_2048:.2f` at 2,048 and {interval}`copied_4096:.2f` at 4,096. With the calibrated threshold they are {glue:text}`copied_calibrated_64:.2f`,
# {glue:text}`copied_calibrated_128:.2f`, {glue:text}`copied_calibrated_512:.2f`, {glue:text}`copied_calibrated_2048:.2f` and {glue:text}`copied_calibrated_4096:.2f`.
#
# ### Are they cars?
#
# A sample that is not a copy need not be a good one. Two statistics that need no classifier: how much power is left at fine detail, and
# how much the three colours of a pixel differ, both relative to held-out photographs, where they are 1 ({numref}`fig-cifar10-power`).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Power against frequency, both logarithmic: the line of samples at 64 lies on that of held-out photographs, the others a little below it at high frequencies."}, "figure": {"caption": "Mean power of samples and of held-out photographs at each frequency.", "name": "fig-cifar10-power"}}
power, real = {count: radial_power(generated[count]) for count in sizes}, radial_power(held_out)
rows = [{"N": count} | set_sizes.quality(generated[count], held_out, seed=seed) for count in sizes]
about = "{} of samples of the network on {{N:,}} images over that of held-out ones"
record = {
    "detail": ("detail_{N}", about.format("Power at 8 to 16 cycles per image, median")),
    "colour": ("colour_{N}", about.format("Spread of the three colours of a pixel, mean")),
}
tables.tabulate(
    run, "quality", rows, about="Fine detail and colours of samples over held-out images", record=record
)
figure, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
ax.loglog(range(1, 17), real.mean(0), color="black", label="held-out images")
for count, name in names.items():
    ax.loglog(range(1, 17), power[count].mean(0), color=colors[name], label=name)
plots.log_axis(ax, [1, 2, 4, 8, 16])
ax.set(xlabel="cycles per image", ylabel="power")
ax.legend()
data = {"held_out": real.mean(0)} | {f"samples_{c}": power[c].mean(0) for c in sizes}
run.figure(figure, "power", about="Power spectra of samples and held-out images", data=data)

# %% [markdown]
# Fine detail: {interval}`detail_64:.2f` of the real power at $N = 64$,
# {interval}`detail_512:.2f` at 512, {interval}`detail_2048:.2f` at 2,048, {interval}`detail_4096:.2f` at 4,096. Spread of colours:
# {glue:text}`colour_64:.2f`, {glue:text}`colour_512:.2f`, {glue:text}`colour_2048:.2f` and {glue:text}`colour_4096:.2f`. The distances to the training images are those
# of held-out photographs: a share of {glue:text}`too_near_512:.2f` at 512 and {glue:text}`too_near_4096:.2f` at 4,096 is nearer than 97.5 % of these, and
# {glue:text}`too_far_512:.2f` and {glue:text}`too_far_4096:.2f` farther.
#
# Visual inspection is stricter than these numbers. The network on 64 returns photographs. The one on 128 returns some, and draws others that are rough versions of one, or of several.
# At 512 the samples are blotches of light and dark, with the outline of a car in many of them. At 2,048, and more so at 4,096, most are cars with body, windows and ground, in
# one piece; details run, contrasts are strong, and few would pass for a photograph. These two networks were trained the longest, and went through their images equally often.
# The one on 512 was trained for fewer steps but went through its images more often: part of its roughness may be its training, and no network here was trained until it got no better.
#
# ## Spectra along the path
#
# Where each sample's path stands, the Hessian of the log density is the Jacobian of the score. Its trace, the number of eigenvalues that are not
# negative, and the local dimension are estimated from the same few products: two random directions, a few steps of Lanczos from each
# ({doc}`03_hessian_routines`). All are in units of $\sigma_t$, in which an isolated point has $-\operatorname{tr} H = 3072$, and
# nothing else.

# %% tags=["hide-input"]
times = [t for t in schedule.timesteps(steps) if t in states[sizes[0]]]
middle = times[len(times) // 2]
moments = {times[0]: "first", middle: "middle", times[-1]: "last"}
statistics = {}  # (count, t, name) -> one number for each sample
for count, model in models.items():
    for t in times:
        source, x = torch.Generator().manual_seed(seed + t), states[count][t]
        found = measures.unconditional(model, x, t, probes, krylov, source)
        statistics |= {(count, t, name): values for name, values in found.items()}

# %% tags=["hide-input"]
means = {key: intervals.mean(values[:samples]) for key, values in statistics.items()}
short = {"tr_h": "trace", "count": "count", "local_dimension": "dimension", "flipd": "flipd"}
rows = [
    row | {"moment": moments.get(row["t"]), "key": short.get(row["statistic"])}
    for row in tables.rows(means, ["N", "t", "statistic"], "mean")
]
about = "{statistic} (in units of sigma), mean over samples of the network on {N:,} images, t = {t}"
record = {"mean": ("{key}_{N}_{moment}", about)}
tables.tabulate(
    run, "statistics", rows, about="Mean statistics of the samples along their paths", record=record
)
first, last = (statistics[count, times[0], "tr_h"][:samples] for count in ends)
about = "-tr H sigma^2 at the same pure noise, network on the fewest images minus network on the most"
run.record("trace_gap_first", intervals.mean(first - last), about=about)

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.6), layout="constrained", sharex=True)
for ax, name in zip(axes.flat, ("tr_h", "count", "local_dimension", "norm_of_hs"), strict=True):
    series = {names[count]: [means[count, t, name] for t in times] for count in sizes}
    plots.interval_lines(ax, times, series, colors)
    plots.time_axis(ax, times)
    ax.set(title=measures.TITLES[name])
plots.level(axes[0, 0], dimension)  # an isolated point
axes[0, 0].legend()
run.figure(figure, "statistics", about="Statistics of sharpness against time, for each network", opening=True)

# %% [markdown]
# **The end of the path separates copies from the rest** ({numref}`fig-cifar10-statistics`). At the last step a copy of one of 64 photographs has a local dimension of
# {interval}`dimension_64_last:.1f`: it is a point. A sample of the
# network on 4,096 has {interval}`dimension_4096_last:.0f` directions in which it
# could have been another. Non-negative eigenvalues: {glue:text}`count_64_last:.1f` against {interval}`count_4096_last:.0f`. In between: dimensions of
# {glue:text}`dimension_128_last:.0f` at 128, {glue:text}`dimension_512_last:.0f` at 512, {glue:text}`dimension_2048_last:.0f` at 2,048. Copying ends between 64 and 512
# images, for networks of this size and this length of training, and curvature and samples agree on it.
# **The beginning of the path separates networks, not copies.** At the first step all start from the same pure noise. $-\operatorname{tr} H\,\sigma_t^2$ is
# {glue:text}`trace_64_first:.2f`, {glue:text}`trace_128_first:.2f`, {glue:text}`trace_512_first:.2f`, {glue:text}`trace_2048_first:.2f` and {glue:text}`trace_4096_first:.2f` at 64, 128, 512, 2,048 and 4,096. The difference
# between the ends, {interval}`trace_gap_first:.2f`, is far outside its interval over noises.
# But no density has more than 3072: no direction can be sharper than noise around a point. What is measured there is, in part at least, the error
# of each network, and one network for each size cannot say how such errors scatter.
#
# **FLIPD is not a dimension here.** It estimates a dimension from trace and norm at noise-free points. On a noisy path it returns the dimension of
# the image space for copies and all others alike ({glue:text}`flipd_64_last:.0f` and {glue:text}`flipd_4096_last:.0f` at the last step), as
# {doc}`01_identities` shows it must.
#
# ### How good are the estimates?
#
# For one sample of the smallest and of the largest set the whole Hessian is computed from 3,072 products, which gives the exact values for this network. Beside them stand the estimate used above, by reverse products, and a larger one,
# 4 directions of 40 steps each, on the symmetric part ({numref}`tab-06-dense` and {numref}`fig-cifar10-spectra`).

# %% tags=["hide-input"]
whole, quick = {}, {}
for count in ends:
    at, x = score_at(models[count], middle), states[count][middle][:exact]
    with hessian.JacobianOperator(at, x) as op:
        whole[count] = hessian.dense(op, progress=True)
    with hessian.JacobianOperator(at, x, product="symmetric") as op:
        quick[count] = hessian.density(op, probes=4, steps=40)

# %% tags=["hide-input"]
sigma, checked = schedule.sigma(middle).item(), []
for count in ends:
    for row in set_sizes.beside_whole_spectra(whole[count], quick[count], sigma):
        name, k = row["name"], row["sample"]
        checked.append(
            {"N": count, "statistic": measures.WORDS[name], "whole Hessian": row["whole"]}
            | {f"estimate, {probes} x {krylov} products": statistics[count, middle, name][k].item()}
            | {"estimate, 4 x 40": row["estimate"], "asymmetry": whole[count].asymmetry[k].item()}
        )
run.table(tables.frame(checked), "dense", about="Statistics from whole Hessians beside their estimates")
tables.shown(checked, formats=dict.fromkeys(checked[0], ".1f") | {"asymmetry": ".3f"})

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sorted eigenvalues of one sample of the network on 64 and one of the network on 4,096: nearly all at minus one. The upper end bends gradually up to zero at 4,096 and abruptly at 64, where a single value reaches nearly plus one and the lowest lie near minus one and a half."}, "figure": {"caption": "The whole spectrum of one sample at each end, in the middle of the path.", "name": "fig-cifar10-spectra"}}
figure, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
for count in ends:
    plots.spectra(ax, whole[count].eigenvalues.cpu().numpy() * sigma**2, colors[names[count]], names[count])
plots.level(ax)
ax.set(ylabel=r"$\lambda\,\sigma_t^2$")
ax.legend()
data = {f"eigenvalues_{c}": whole[c].eigenvalues for c in ends} | {"t": [middle]}
run.figure(figure, "spectra", about="Whole spectra", data=data)

# %% [markdown]
# The trace agrees to a few parts in a thousand, and the dimension to a few directions. The count is the weakest: eigenvalues just above and just below
# zero are many, and a few steps of Lanczos do not resolve them. With more steps it comes nearer to the truth. As it is, it ranks samples but is no reliable
# count.
#
# ## Two networks that share no image
#
# Two networks that have seen different photographs cannot have memorized what they have in common. {cite:t}`kadkhodaie2024generalization` found that
# they draw the same images from the same noises once each has seen enough. So it is here ({numref}`fig-cifar10-halves` and {numref}`tab-06-agreement`).

# %% tags=["hide-input"]
pairs = {
    "same_noise": "samples of both networks from the same noise",
    "other_noise": "samples of both networks from different noises",
    "nearest_image": "samples of the first network and their nearest training image",
    "nearest_image_of_the_other_half": "samples of the first network and the nearest image that only the other network saw",
}
agreement = {}
for count in halves:
    known = training_images(count, "last")
    found = set_sizes.correlations(
        generated[count][:samples], second[count], nearest_images[count][:samples], known
    )
    agreement |= {(pair, count): found[pair] for pair in pairs}
rows = [row | {"words": pairs[row["pair"]]} for row in tables.rows(agreement, ["pair", "N"], "mean")]
record = {"mean": ("{pair}_{N}", "Mean correlation of {words}, N = {N:,}")}
tables.tabulate(
    run, "agreement", rows, about="Correlations of samples of two networks on disjoint halves", record=record
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Pairs of rows of samples of two networks that share no image. At 64 the two rows show different photographs; at 512 and 2,048 the two rows show nearly the same pictures, those at 2,048 with more of a car in them."}, "figure": {"caption": "Samples of two networks on disjoint halves, from the same noises.", "name": "fig-cifar10-halves"}}
pictures = {}
for count in halves:
    pictures |= {
        f"{count:,}, first half": generated[count].numpy(),
        f"{count:,}, last half": second[count].numpy(),
    }
run.figure(
    plots.image_grid(pictures, min(8, samples)),
    "halves",
    about="Samples from the same noises of two networks that share no training image",
    data={f"last_{c}": second[c].half() for c in halves},
)

# %% [markdown]
# Two networks on 64 images each draw different photographs from the same noise: a correlation of {interval}`same_noise_64:.2f`, against {glue:text}`nearest_image_64:.2f` with the nearest training image. At 512 it is
# {interval}`same_noise_512:.2f`, against
# {glue:text}`nearest_image_512:.2f` with the nearest training image; at 2,048 {interval}`same_noise_2048:.2f` against {glue:text}`nearest_image_2048:.2f`. Where the networks copy, a sample is nearest to a
# photograph; where they do not, it is nearest to the sample of a network that has seen none of the same photographs. With different noises the
# correlation is {glue:text}`other_noise_2048:.2f`.
#
#
# Samples go through many steps. The scores themselves can be compared at common points, held-out photographs with noise on them: how much of the squared
# error of the denoised images do the two networks *not* share? Their *disagreement* is $\lVert \hat x_0 - \hat x_0' \rVert^2$ over the sum of both squared errors: 0 for one and
# the same denoiser, 1 for errors that have nothing in common. Beside it, the error on held-out over that on training images, where 1 means that
# nothing was memorized ({numref}`tab-06-denoising` and {numref}`fig-cifar10-agreement`).

# %% tags=["hide-input"]
reference, seen = held_out[:samples].to(run.device), training[sizes[0]][:samples].to(run.device)
noised = torch.randn(samples, 3, 32, 32, generator=torch.Generator().manual_seed(seed + 1)).to(run.device)
rows = []
for t in times:
    for count in sizes:
        found = set_sizes.denoising(models[count], others.get(count), t, reference, seen, noised, seed=seed)
        rows.append({"N": count, "t": t, "moment": moments.get(t)} | found)
record = {
    "gap": (
        "gap_{N}_{moment}",
        "Denoising error on held-out over seen images, network on {N:,} images, t = {t}",
    ),
    "disagreement": (
        "disagreement_{N}_{moment}",
        "Disagreement of two networks on {N:,} images each, t = {t}",
    ),
}
about = "Denoising of held-out images: error, and disagreement of two networks on disjoint halves"
tables.tabulate(run, "denoising", rows, about=about, record=record)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels. Left, the correlation of two networks' samples rises with the number of images and crosses the falling correlation with the nearest training image. Middle, disagreement is large at 64 and small at 2,048. Right, the error on held-out over seen images is far above one at 64 and near one at 2,048 and 4,096."}, "figure": {"caption": "Left, correlations of samples with those of the other network and with training images. Middle and right, at common points: the part of the error that the two networks do not share, and the error on held-out over that on training images.", "name": "fig-cifar10-agreement"}}
disagreement, gap = (
    {names[count]: [row[quantity] for row in rows if row["N"] == count] for count in counts}
    for quantity, counts in (("disagreement", halves), ("gap", sizes))
)
figure = set_sizes.figures.agreement(agreement, disagreement, gap, times, colors)
run.figure(figure, "agreement", about="Agreement of two networks on disjoint halves, and denoising errors")

# %% [markdown]
# In the middle of the path ($t$ as in the figure) the disagreement is {glue:text}`disagreement_64_middle:.2f` at 64, {glue:text}`disagreement_512_middle:.3f` at 512 and
# {interval}`disagreement_2048_middle:.3f` at 2,048. The network on 64 makes
# {glue:text}`gap_64_middle:.0f` times the error on held-out photographs that it makes on its own; the one on 4,096 {interval}`gap_4096_middle:.2f` times.
# ## Does sharpness separate copies from other samples?
# Every statistic is now used as a detector, in the direction in which the theory points: a copy should have the larger norms, the larger $-\operatorname{tr} H$, the
# fewer non-negative eigenvalues, the lower dimension. The area under the ROC curve (AUC) is the probability that a copy gets the higher
# number than another sample. An AUC below 0.5 means that the theory points the wrong way; it is shown as it is ({numref}`fig-cifar10-auc`).
#
# Three questions are asked. *Pooled* ({numref}`tab-06-auc-all`): copies against other samples, those of all networks together. That is in part another question, since it can be answered by recognising which network a sample comes from. *Within the network on 128* ({numref}`tab-06-auc-within`), which draws both copies and others: what a detector would have to do for the owner of
# one model. *Within the network on 512* ({numref}`tab-06-auc-half`), which draws no copies: the half of its samples with the lower distance ratio against the other half. The last panel of the figure is the ratio test itself, which uses the training set, applied to the clean image that the network predicts at that time.

# %% tags=["hide-input"] table=[{"caption": "AUC of each statistic: copies against all other samples, all networks", "name": "tab-06-auc-all"}, {"caption": "AUC of each statistic: copies against the other samples of one network", "name": "tab-06-auc-within"}, {"caption": "AUC of each statistic: samples nearer to a training image against the others, where nothing is copied", "name": "tab-06-auc-half"}]
judging = {}  # (count, t, name) -> numbers that should be higher for a copy
for count, model in models.items():
    for t in times:
        with torch.no_grad():
            guess = score_at(model, t).denoised(states[count][t]).cpu()
        with_the_data = copies.nearest(guess, training[count], groups=groups[count]).ratio
        judging |= {
            (count, t, name): sign * statistics[count, t, name] for name, sign in measures.SIGNS.items()
        }
        judging[count, t, "training_set"] = -with_the_data
# Each question: for some networks, which of how many of their samples are the positives.
questions = {"pooled": {count: copied[count][:samples] for count in sizes}}
asked = {"pooled": "copies, all networks"}
for count in judged:
    both = min(copied[count].sum(), (~copied[count]).sum()) >= 8
    asked[f"within_{count}"] = f"{'copies' if both else 'nearer half'}, {names[count]}"
    nearer = neighbours[count].ratio < neighbours[count].ratio.median()
    questions[f"within_{count}"] = {count: copied[count] if both else nearer}
areas = set_sizes.areas(judging, questions, times)
rows = [
    row | {"moment": moments.get(row["t"])}
    for row in tables.rows(areas, ["question", "t", "statistic"], "AUC")
]
record = {
    "AUC": ("auc_{question}_{statistic}_{moment}", "AUC of {statistic} at t = {t}, question {question}")
}
tables.tabulate(
    run, "auc", rows, about="How well each statistic separates copies from other samples", record=record
)
for question, text in asked.items():
    shown = [
        {"statistic": measures.WORDS[name]} | {f"t = {t}": areas[question, t, name].value for t in times}
        for name in measures.TITLES
    ]
    display(tables.shown(shown).set_caption(text))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seven panels of AUC against time. For copies within the network on 128 the number of non-negative eigenvalues and the local dimension rise well above one half in the middle of the path, and both norms lie below it. The ratio test with the training set is near one from the middle on."}, "figure": {"caption": "AUC of each statistic, with intervals, along the path. Sampling runs from left to right.", "name": "fig-cifar10-auc"}}
tones = [plots.NEUTRAL, *(colors[names[count]] for count in judged)]
figure = set_sizes.figures.areas(areas, asked, tones)
run.figure(figure, "auc", about="AUC of each statistic against time, for each of the questions")

# %% [markdown]
# **Pooled**, in the middle of the path $-\operatorname{tr} H$ has an AUC of {interval}`auc_pooled_tr_h_middle:.2f`, the local dimension {interval}`auc_pooled_local_dimension_middle:.2f`, the count
# {glue:text}`auc_pooled_count_middle:.2f`. The trace has {glue:text}`auc_pooled_tr_h_first:.2f` at the first step already, where it identifies the network and not the sample. At the last step $\lVert s \rVert$ has {interval}`auc_pooled_score_norm_last:.2f`.
#
# **Within the network on 128** the statistics disagree. In the middle of the path the number of non-negative eigenvalues, the paper's own measure, separates copies with an AUC of
# {interval}`auc_within_128_count_middle:.2f`, and the local dimension with
# {interval}`auc_within_128_local_dimension_middle:.2f`; $-\operatorname{tr} H$ has
# {interval}`auc_within_128_tr_h_middle:.2f`. The norms lie below one half, which means that they point the wrong way, the more so towards the end: $\lVert s \rVert$ has
# {interval}`auc_within_128_score_norm_middle:.2f` and $\lVert Hs \rVert$
# {interval}`auc_within_128_norm_of_hs_middle:.2f`; at the last step $\lVert s \rVert$ has
# {interval}`auc_within_128_score_norm_last:.2f`. A path that does not end at a photograph ends in a rough
# sample, and the score points towards a smoother image: its norm is large where the sample is poor. The trace, over all 3,072
# directions, is affected by this too; at the last step it has {interval}`auc_within_128_tr_h_last:.2f`, and the count
# {interval}`auc_within_128_count_last:.2f`. The upper end of the spectrum is where copies differ.
#
# ### Is it the roughness?
#
# If a norm is large because an image is rough, what its complexity explains can be taken off, as the audit does for images without prompts ({doc}`../book/guide/audit`). At the last step a line in the logarithm of the bits a pixel (as PNG) is fitted to every statistic of held-out photographs, noised to the same level; the rest of each sample is
# its statistic less that line at its own complexity. Declared beforehand: the network on the second smallest set, the last step, the four statistics that point the wrong way there ({numref}`tab-06-complexity`).

# %% tags=["hide-input"] table={"caption": "AUC of copies against the other samples of one network at the last step, as they are and after what complexity explains is taken off", "name": "tab-06-complexity"}
photographs, last = held_out[:unseen], times[-1]
x = measures.noised(photographs.to(run.device), models[judged[0]], last, seed + 2)
source = torch.Generator().manual_seed(seed + last)
of_photographs = measures.unconditional(models[judged[0]], x, last, probes, krylov, source)
values = {name: statistics[judged[0], last, name] for name in measures.SIGNS}
label = questions[f"within_{judged[0]}"][judged[0]]
rows = set_sizes.calibrated(values, generated[judged[0]], label, of_photographs, photographs)
record = {"calibrated": ("auc_calibrated_{key}_last", "AUC of {statistic} at the last step, calibrated")}
tables.tabulate(run, "complexity", rows, about="AUC less what complexity explains", record=record)
tables.shown(rows, ["statistic", "AUC", "calibrated"])

# %% [markdown]
# The complexity alone, the simpler image taken for the copy, has {interval}`auc_calibrated_complexity_last:.2f`. Less what it explains, $\lVert s \rVert$ has {interval}`auc_calibrated_score_norm_last:.2f` where it had {interval}`auc_within_128_score_norm_last:.2f`, $\lVert Hs \rVert$ {interval}`auc_calibrated_norm_of_hs_last:.2f` where it had
# {interval}`auc_within_128_norm_of_hs_last:.2f`, $-\operatorname{tr} H$ {interval}`auc_calibrated_tr_h_last:.2f` and the local dimension {interval}`auc_calibrated_local_dimension_last:.2f`.
#
# At the first step no statistic separates them: {interval}`auc_within_128_tr_h_first:.2f` for
# $-\operatorname{tr} H$. With the training set at hand the ratio test on the network's predicted clean image has
# {interval}`auc_within_128_training_set_middle:.2f` in the middle of the path, and
# {interval}`auc_within_128_training_set_first:.2f` at the first step.
#
# **Within the network on 512** no statistic separates the two halves, as it should be where nothing is copied: {interval}`auc_within_512_local_dimension_middle:.2f` for the local dimension in the middle, against
# {glue:text}`auc_within_512_training_set_middle:.2f` with the training set.
#
# ## Against the paper
#
# The paper has no experiment of this kind, and each of its measures was made for a model that memorizes one thing among many. Of its statements,
# these can be compared with the results above:
#
# - **Memorized means sharp.** This holds at the end of the path, without overlap, in 3,072 dimensions as in the plane.
# - **From the first step on.** At the first step the networks differ by the third digit of the trace, in a range that no density reaches. Without a second class in the same network to
#   compare with, as in the paper's conditional models, this cannot be distinguished from errors of learning.
# - **Fewer non-negative eigenvalues, stronger memorization** (Figure 3). In the middle of the path this holds within one network, without a condition and without
#   the training set. It is the best of the statistics here, although only estimated.
# - **Norms for traces.** The norms are cheap, and within one network they are misled by the quality of the samples. The paper's detectors are norms of *differences* between two scores at
#   one point, in which much of that would cancel; an unconditional model has no second score.
# - **A local dimension** needs a time at which the noise is smaller than the spread of what is not memorized. Here that begins in the middle of the path.

# %% [markdown]
# ## What the run shows

# %% tags=["hide-input"]
shares = [copied[count].double().mean() for count in ends]
run.check("fewest_copies", shares[0] > 0.9, "the network on the fewest images must return them")
run.check("most_does_not", shares[1] < 0.1, "the network on the most images must not")
fewest, most = (statistics[count, times[-1], "local_dimension"][:samples] for count in ends)
about = (
    "at the last step every sample of the network on the fewest images must have the lower local dimension"
)
run.check("dimensions_apart", fewest.max() < most.min(), about)
about = "at the last step the local dimension must tell the copies of all networks from other samples"
run.check("dimension_tells", areas["pooled", times[-1], "local_dimension"].low > 0.7, about)
provenance = run.finish()
provenance
