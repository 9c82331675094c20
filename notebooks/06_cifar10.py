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
# A diffusion model that has seen 64 photographs of cars returns them. One that has seen thousands draws cars of its own, as well as it can. In
# between, copying ends. Does the Hessian, which knows nothing of the training set, see the difference? And could it have said which sample is a copy?
#
# :::{admonition} This chapter
# :class: note
#
# - **Answers** no figure of the paper {cite}`jeon2024understanding`, which has no CIFAR-10. It asks what the paper's measures say where nothing
#   is copied into the data, and memorization comes from having too few of them.
# - **Shows** copies against the size of the training set; spectra of the Hessian in 3,072 dimensions; two networks that share no image, and
#   where they begin to agree {cite}`kadkhodaie2024generalization`; and how well sharpness alone tells copies.
# - **Takes** under two minutes on two cores with the shipped checkpoints. Training them took ten minutes to half an hour each on one
#   core, and resumes after an interruption. `train=True` trains larger networks, for a GPU; not timed yet.
# :::
#
# The photographs are the automobiles of CIFAR-10 {cite}`krizhevsky2009learning`, 32 pixels wide: the first $N$ of the 5,000 in the training split, and for a second
# network the last $N$. Nothing is copied and there are no labels. **The networks are small**: 1.15 million parameters, trained on one
# core in bfloat16. What they draw is looked at below, before anything is concluded from it.
#
# Each network is one network: intervals run over its samples and are 95 % intervals, and say nothing about another training. The second network on the other half of the
# data is the check on that.

# %% [markdown]
# ## Parameters

# %% tags=["parameters", "hide-input"]
seed: int = 0  # [0, 2**32) seed of the noises and of the random directions
sizes: list[int] = [64, 128, 512, 2048, 4096]  # 2+ ascending of [16, 4096] training images of each network
halves: list[int] = [64, 512, 2048]  # 0+ ascending of [16, 4096] sizes with a second network on other images
samples: int = 64  # [2, 2000] samples of each network, all from the same noises
judged: list[int] = [128, 512]  # 0+ ascending of [16, 4096] sizes whose networks draw twice as many
steps: int = 32  # [2, 1000] DDIM steps
positions: list[int] = [0, 12, 21, 26, -1]  # 2+ of [-steps, steps) sampling steps looked at; -1 is the last
probes: int = 2  # [2, 1000] random directions behind each trace, count and dimension
krylov: int = 6  # [2, 100] Lanczos steps from each of them
exact: int = 1  # [1, samples] samples at both ends whose Hessian is computed whole
train: bool = False  # True trains larger networks in build/checkpoints, or goes on there
training_steps: int = 40000  # [1, 10**6] used when train is True
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/06_cifar10/interactive

# %%
from dataclasses import asdict
from itertools import chain

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from torch.nn.functional import mse_loss

from companion import experiment, plots
from companion.datasets import cifar10
from companion.experiment.runs import build_folder
from companion.images import correlation, radial_power
from companion.recipes.cifar10 import LARGE, automobiles, training_images
from memlib import copies, hessian, intervals, sharpness
from memlib.sampling import ddim, model_score
from memlib.score import score_at

plots.use_style()
run = experiment.start("06_cifar10", globals())
run.parameter_table()

# %%
models, others = {}, {}  # by the number of images: of the first ones, and of the last
for half, counts, found in (("first", sizes, models), ("last", halves, others)):
    for count in counts:
        if train:
            recipe = automobiles(count, half, network=LARGE, steps=training_steps)
            folder = build_folder() / "checkpoints" / f"large_{recipe.name}"
            finished = (folder / "card.json").is_file()
            checkpoint = (
                recipe.read(folder, run.device) if finished else recipe.train(folder, device=run.device)
            )
        else:
            checkpoint = automobiles(count, half).load(run.device)
        found[count] = checkpoint.model
schedule = models[sizes[0]].schedule
dimension = 3 * 32 * 32
colors = dict(zip(sizes, plt.colormaps["viridis"](np.linspace(0, 0.85, len(sizes))), strict=True))

training = {count: training_images(count) for count in sizes}
held_out, _ = cifar10.load("test")
groups = {count: copies.twins(images) for count, images in training.items()}

# %% [markdown]
# ## Samples
#
# All networks start from the same noises, and take the same deterministic steps. Each sample is compared with all images its network has
# seen.

# %%
drawn = {count: samples * (1 + (count in judged)) for count in sizes}
noise = torch.randn(max(drawn.values()), 3, 32, 32, generator=torch.Generator().manual_seed(seed)).to(
    run.device
)
paths = {
    count: ddim(
        model_score(model), schedule, noise[: drawn[count]], steps=steps, keep=positions, progress=True
    )
    for count, model in models.items()
}
second = {
    count: ddim(model_score(model), schedule, noise[:samples], steps=steps, progress=True).samples.cpu()
    for count, model in others.items()
}
generated = {count: path.samples.cpu() for count, path in paths.items()}
states = {count: path.states for count, path in paths.items()}
neighbours = {c: copies.nearest(generated[c], training[c], groups=groups[c]) for c in sizes}
yardstick = {c: copies.nearest(held_out, training[c], groups=groups[c]) for c in sizes}
copied = {count: copies.is_copy(found) for count, found in neighbours.items()}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rows of small photographs, two for each size of the training set: samples, and the training image nearest to each. At 64 the two rows are the same; at 128 some pairs are. At 512 the samples are rough paintings in which a car can be guessed; at 2,048 and 4,096 most are cars, painted roughly. From 512 on the nearest images are other cars."}, "figure": {"caption": "Samples from the same noises, and their nearest training images.", "name": "fig-cifar10-samples"}}
figure = plots.image_grid(
    {
        name: images
        for count in sizes
        for name, images in (
            (f"N = {count:,}", generated[count].numpy()),
            (f"nearest of {count:,}", training[count][neighbours[count].index].numpy()),
        )
    },
    min(8, samples),
)
run.figure(
    figure,
    "samples",
    about="Samples of each network from the same noises, and their nearest training images",
    data={f"samples_{count}": generated[count] for count in sizes}
    | {f"nearest_{count}": training[count][neighbours[count].index] for count in sizes},
)

# %% [markdown]
# A copy is nearer to one training image than to any other: {cite:t}`yoon2023diffusion` call it a copy if the nearest is nearer than a third of the distance
# to the second nearest. A third is a convention. The held-out images of the test split give a threshold of our own: the ratio
# that only 1 % of them undercut. They are a yardstick for the distance itself, too. A generated car may be as far from all training images as a real one is.
#
# **Twins.** CIFAR-10 holds near-duplicates, inside the training split and across the splits {cite}`barz2020train`. A twin in the training set would
# hide a copy, since its second nearest image is as near as the first; images whose pixels correlate above 0.9 therefore count as one. Twins
# of held-out images make the calibrated threshold stricter than it need be.

# %% tags=["hide-input"]
rows, called = [], {}
for count in sizes:
    found, real = neighbours[count], yardstick[count]
    threshold = copies.allowed_ratio(real)
    lowest, highest = torch.quantile(real.distance, torch.tensor([0.025, 0.975]).double()).tolist()
    shares = {
        "copied": (copied[count], "called copies: nearest over second nearest distance below 1/3"),
        "copied_calibrated": (
            copies.is_copy(found, ratio=threshold),
            "called copies at the ratio that 1 % of the held-out images undercut",
        ),
        "too_near": (
            found.distance < lowest,
            "nearer to a training image than 97.5 % of the held-out images",
        ),
        "too_far": (
            found.distance > highest,
            "farther from all training images than 97.5 % of the held-out images",
        ),
    }
    row = {"N": count, "samples": drawn[count], "calibrated ratio": threshold}
    for key, (judgement, about) in shares.items():
        share = called[key, count] = intervals.proportion(judgement)
        run.record(
            f"{key}_{count}", share, about=f"Share of samples of the network on {count:,} images {about}"
        )
        row |= {key: share.value, f"{key}, low": share.low, f"{key}, high": share.high}
    false_alarms = intervals.proportion(copies.is_copy(real))
    run.record(
        f"false_copies_{count}",
        false_alarms,
        about=f"Share of held-out images called copies of {count:,} training images",
    )
    row |= {
        "held-out called copies": false_alarms.value,
        "median distance": found.distance.median().item(),
        "median distance, held-out": real.distance.median().item(),
        "training images with a twin": int((torch.bincount(groups[count])[groups[count]] > 1).sum()),
    }
    rows.append(row)
counted = run.table(
    pd.DataFrame(rows),
    "copies",
    about="Copies among the samples of each network, and the same tests on held-out images",
)
headings = {
    "N": "N",
    "calibrated ratio": "calibrated ratio",
    "copied": "copies",
    "copied_calibrated": "copies, calibrated",
    "held-out called copies": "held-out called copies",
    "too_near": "nearer than held-out",
    "too_far": "farther than held-out",
}
counted[list(headings)].rename(columns=headings).style.format(precision=2).hide(axis="index")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, the share of copies against the number of training images: one at 64, lower at 128, zero from 512 on. Right, boxes of distances: those of the samples at 64 are near zero; at 128 they lie in between, and from 512 on with those of held-out photographs."}, "figure": {"caption": "Copies by two thresholds, with intervals (left), and the distance to the nearest training image: boxes hold half of the images, whiskers 95 %.", "name": "fig-cifar10-distances"}}
figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.3), layout="constrained")
for key, color, label in (
    ("copied", plots.MEMORIZED, "below 1/3"),
    ("copied_calibrated", plots.NEUTRAL, "calibrated"),
):
    plots.interval_line(axes[0], sizes, [called[key, count] for count in sizes], color, label)
for index, count in enumerate(sizes):
    for shift, found, color in (
        (-0.16, yardstick[count], plots.NEUTRAL),
        (0.16, neighbours[count], plots.MEMORIZED),
    ):
        parts = axes[1].boxplot(
            found.distance.numpy() / dimension**0.5,
            positions=[index + shift],
            widths=0.26,
            whis=(2.5, 97.5),
            showfliers=False,
        )
        for line in chain(*parts.values()):
            line.set_color(color)
axes[0].set(
    xscale="log", xlabel="training images $N$", ylabel="share of samples called copies", ylim=(-0.03, 1.03)
)
axes[0].set_xticks(sizes, [f"{count:,}" for count in sizes])
axes[0].minorticks_off()
axes[0].legend()
axes[1].set_xticks(range(len(sizes)), [f"{count:,}" for count in sizes])
axes[1].set(xlabel="training images $N$", ylabel="distance to the nearest (r.m.s.)", ylim=(0, None))
for color, label in ((plots.NEUTRAL, "held-out images"), (plots.MEMORIZED, "samples")):
    axes[1].plot([], [], color=color, label=label)
axes[1].legend()
run.figure(
    figure,
    "copies",
    about="Copied share, and distances to the nearest training image of samples and of held-out images",
    data={f"samples_{c}": neighbours[c].distance for c in sizes}
    | {f"held_out_{c}": yardstick[c].distance for c in sizes},
)

# %% [markdown]
# By the ratio of a third, a share of {glue:text}`copied_64:.2f` ({glue:text}`copied_64_lo:.2f` to {glue:text}`copied_64_hi:.2f`) of the samples are copies at
# $N = 64$, {glue:text}`copied_128:.2f` ({glue:text}`copied_128_lo:.2f` to {glue:text}`copied_128_hi:.2f`) at 128, {glue:text}`copied_512:.2f` (at most
# {glue:text}`copied_512_hi:.2f`) at 512, {glue:text}`copied_2048:.2f` (at most {glue:text}`copied_2048_hi:.2f`) at 2,048 and {glue:text}`copied_4096:.2f` (at most
# {glue:text}`copied_4096_hi:.2f`) at 4,096. With the calibrated threshold they are {glue:text}`copied_calibrated_64:.2f`,
# {glue:text}`copied_calibrated_128:.2f`, {glue:text}`copied_calibrated_512:.2f`, {glue:text}`copied_calibrated_2048:.2f` and {glue:text}`copied_calibrated_4096:.2f`.
#
# ### Are they cars?
#
# A sample that is no copy need not be a good one. Two statistics that need no classifier: how much power is left at fine detail, and
# how much the three colours of a pixel differ, both relative to held-out photographs, where they are 1.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Power against frequency, both logarithmic: the line of samples at 64 lies on that of held-out photographs, the others a little below it at high frequencies."}, "figure": {"caption": "Mean power of samples and of held-out photographs at each frequency.", "name": "fig-cifar10-power"}}
power, real = {count: radial_power(generated[count]) for count in sizes}, radial_power(held_out)
figure, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
ax.loglog(range(1, 17), real.mean(0), color="black", label="held-out images")
for count in sizes:
    ax.loglog(range(1, 17), power[count].mean(0), color=colors[count], label=f"N = {count:,}")
    run.record(
        f"detail_{count}",
        intervals.ratio(power[count][:, 7:].mean(1), real[:, 7:].mean(1), np.median, seed=seed),
        about=f"Power at 8 to 16 cycles per image, median of samples of the network on {count:,} images over that of held-out ones",
    )
    run.record(
        f"colour_{count}",
        intervals.ratio(
            generated[count].std(1).mean((1, 2)), held_out.std(1).mean((1, 2)), np.mean, seed=seed
        ),
        about=f"Spread of the three colours of a pixel, mean of samples of the network on {count:,} images over that of held-out ones",
    )
ax.set(xlabel="cycles per image", ylabel="power")
ax.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
ax.minorticks_off()
ax.legend()
run.figure(
    figure,
    "power",
    about="Power spectra of samples and held-out images",
    data={"held_out": real.mean(0)} | {f"samples_{c}": power[c].mean(0) for c in sizes},
)

# %% [markdown]
# Fine detail: {glue:text}`detail_64:.2f` of the real power at $N = 64$ ({glue:text}`detail_64_lo:.2f` to {glue:text}`detail_64_hi:.2f`),
# {glue:text}`detail_512:.2f` at 512 ({glue:text}`detail_512_lo:.2f` to {glue:text}`detail_512_hi:.2f`), {glue:text}`detail_2048:.2f` at 2,048 ({glue:text}`detail_2048_lo:.2f` to
# {glue:text}`detail_2048_hi:.2f`), {glue:text}`detail_4096:.2f` at 4,096 ({glue:text}`detail_4096_lo:.2f` to {glue:text}`detail_4096_hi:.2f`). Spread of colours:
# {glue:text}`colour_64:.2f`, {glue:text}`colour_512:.2f`, {glue:text}`colour_2048:.2f` and {glue:text}`colour_4096:.2f`. The distances to the training images are those
# of held-out photographs: a share of {glue:text}`too_near_512:.2f` at 512 and {glue:text}`too_near_4096:.2f` at 4,096 is nearer than 97.5 % of these, and
# {glue:text}`too_far_512:.2f` and {glue:text}`too_far_4096:.2f` farther.
#
# The eye is stricter than these numbers. The network on 64 returns photographs. The one on 128 returns some, and draws others that are rough versions of one, or of several.
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

# %%
times = [t for t in schedule.timesteps(steps) if t in states[sizes[0]]]
WORDS = {
    "score_norm": "score norm",
    "sharpness": "-tr H",
    "nonnegative_count": "count",
    "local_dimension": "local dimension",
    "flipd": "FLIPD",
    "hessian_score_norm": "norm of Hs",
}
statistics = {count: {} for count in sizes}  # count -> time -> name -> one number for each sample
for count, model in models.items():
    for t in times:
        found = sharpness.estimates(
            score_at(model, t),
            states[count][t],
            probes=probes,
            steps=krylov,
            generator=torch.Generator().manual_seed(seed + t),
        )
        statistics[count][t] = {WORDS[field]: values.cpu() for field, values in asdict(found).items()}

# %% tags=["hide-input"]
NAMES = {
    "score norm": r"$\|s\|\,\sigma$",
    "-tr H": r"$-\mathrm{tr}\,H\,\sigma^2$",
    "count": "eigenvalues $\\geq 0$",
    "local dimension": "local dimension",
    "FLIPD": "FLIPD",
    "norm of Hs": r"$\|Hs\|\,\sigma^3$",
}
means = {
    (count, t, name): intervals.mean(values[:samples])
    for count in sizes
    for t in times
    for name, values in statistics[count][t].items()
}
run.table(
    pd.DataFrame(
        [
            {
                "N": count,
                "t": t,
                "sigma": schedule.sigma(t).item(),
                "statistic": name,
                "mean": found.value,
                "low": found.low,
                "high": found.high,
            }
            for (count, t, name), found in means.items()
        ]
    ),
    "statistics",
    about="Mean statistics of the samples of each network along their paths",
)

moments = {times[0]: "first", times[len(times) // 2]: "middle", times[-1]: "last"}
for count in sizes:
    for t, moment in moments.items():
        for name, key in (
            ("-tr H", "trace"),
            ("count", "count"),
            ("local dimension", "dimension"),
            ("FLIPD", "flipd"),
        ):
            about = (
                f"{name} (in units of sigma), mean over samples of the network on {count:,} images, t = {t}"
            )
            run.record(f"{key}_{count}_{moment}", means[count, t, name], about=about)
ends = [sizes[0], sizes[-1]]
sharper = [statistics[count][times[0]]["-tr H"][:samples] for count in ends]
run.record(
    "trace_gap_first",
    intervals.mean(sharper[0] - sharper[1]),
    about="-tr H sigma^2 at the same pure noise, network on the fewest images minus network on the most",
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four panels against time. Lines for all sizes coincide at large times and part towards the end: the trace falls least at 64, non-negative eigenvalues and local dimension rise for 512 and more and stay near zero for 64 and 128, the norm of Hessian times score falls for all."}, "figure": {"caption": "Mean over samples of each network with its interval, along the sampling path, from left to right. The grey line is an isolated point.", "name": "fig-cifar10-statistics"}}
figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.6), layout="constrained", sharex=True)
for ax, name in zip(axes.flat, ("-tr H", "count", "local dimension", "norm of Hs"), strict=True):
    for count in sizes:
        estimates = [means[count, t, name] for t in times]
        plots.interval_line(ax, times, estimates, colors[count], f"N = {count:,}")
    ax.set(title=NAMES[name], xlim=(times[0] + 20, -20))
axes[0, 0].axhline(dimension, color=plots.NEUTRAL, linewidth=0.6)  # an isolated point
for ax in axes[1]:
    ax.set_xlabel("time $t$")
axes[0, 0].legend()
run.figure(
    figure, "statistics", about="Statistics of sharpness against time, for each number of training images"
)

# %% [markdown]
# **The end of the path tells copies from the rest.** At the last step a copy of one of 64 photographs has a local dimension of
# {glue:text}`dimension_64_last:.1f` ({glue:text}`dimension_64_last_lo:.1f` to {glue:text}`dimension_64_last_hi:.1f`): it is a point. A sample of the
# network on 4,096 has {glue:text}`dimension_4096_last:.0f` ({glue:text}`dimension_4096_last_lo:.0f` to {glue:text}`dimension_4096_last_hi:.0f`) directions in which it
# could have been another. Non-negative eigenvalues: {glue:text}`count_64_last:.1f` against {glue:text}`count_4096_last:.0f`
# ({glue:text}`count_4096_last_lo:.0f` to {glue:text}`count_4096_last_hi:.0f`). In between: dimensions of
# {glue:text}`dimension_128_last:.0f` at 128, {glue:text}`dimension_512_last:.0f` at 512, {glue:text}`dimension_2048_last:.0f` at 2,048. The passage from copying lies between 64 and 512
# images, for networks of this size and this length of training, and the curvature says so where the samples do.
#
# **The beginning of the path tells networks apart, not copies.** At the first step all stand at the same pure noise. $-\operatorname{tr} H\,\sigma_t^2$ is
# {glue:text}`trace_64_first:.2f`, {glue:text}`trace_128_first:.2f`, {glue:text}`trace_512_first:.2f`, {glue:text}`trace_2048_first:.2f` and {glue:text}`trace_4096_first:.2f` at 64, 128, 512, 2,048 and 4,096. The difference
# between the ends, {glue:text}`trace_gap_first:.2f` ({glue:text}`trace_gap_first_lo:.2f` to {glue:text}`trace_gap_first_hi:.2f`), is far outside its interval over noises.
# But no density has more than 3072: no direction can be sharper than noise around a point. What is measured there is, in part at least, the error
# of each network, and one network for each size cannot say how such errors scatter.
#
# **FLIPD is off the data here.** It reads a dimension from trace and norm at noise-free points. On a noisy path it returns the dimension of
# the image space for copies and all others alike ({glue:text}`flipd_64_last:.0f` and {glue:text}`flipd_4096_last:.0f` at the last step), as
# {doc}`01_identities` shows it must.
#
# ### How good are the estimates?
#
# For one sample of the smallest and of the largest set the whole Hessian is computed, 3,072 products, and with it the truth about this network.

# %%
middle = times[len(times) // 2]
whole, quick = {}, {}
for count in ends:
    at = score_at(models[count], middle)
    with hessian.JacobianOperator(at, states[count][middle][:exact]) as op:
        whole[count] = hessian.dense(op, progress=True)
    with hessian.JacobianOperator(at, states[count][middle][:exact], product="symmetric") as op:
        quick[count] = hessian.density(op, probes=4, steps=40)
# %% tags=["hide-input"]
variance = schedule.sigma(middle).item() ** 2
checked = []
for count in ends:
    eigenvalues = whole[count].eigenvalues.cpu()
    exactly = {
        "-tr H": -variance * sharpness.trace(eigenvalues),
        "count": sharpness.nonnegative_count(eigenvalues).double(),
        "local dimension": sharpness.local_dimension(eigenvalues, variance**0.5),
    }
    slow = {
        "-tr H": quick[count].trace_of(lambda v: -variance * v),
        "count": quick[count].count_above(0.0),
        "local dimension": sharpness.estimated_dimension(quick[count], variance**0.5),
    }
    for name, truth in exactly.items():
        for k in range(exact):
            low, high = slow[name].interval()
            checked.append(
                {
                    "N": count,
                    "sample": k,
                    "statistic": name,
                    "dense": truth[k].item(),
                    f"{probes} x {krylov} products": statistics[count][middle][name][k].item(),
                    "4 x 40 symmetric": slow[name].value[k].item(),
                    "low": low[k].item(),
                    "high": high[k].item(),
                    "asymmetry": whole[count].asymmetry[k].item(),
                }
            )
truths = run.table(
    pd.DataFrame(checked), "dense", about="Statistics from whole Hessians beside their estimates"
)
truths.style.format(precision=1).hide(axis="index")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sorted eigenvalues of one sample of the network on 64 and one of the network on 4,096: nearly all at minus one. The upper end bends gradually up to zero at 4,096 and abruptly at 64, where a single value reaches nearly plus one and the lowest lie near minus one and a half."}, "figure": {"caption": "The whole spectrum of one sample at each end, in the middle of the path.", "name": "fig-cifar10-spectra"}}
figure, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
for count in ends:
    plots.spectra(ax, whole[count].eigenvalues.cpu().numpy() * variance, colors[count], f"N = {count:,}")
ax.axhline(0, color=plots.NEUTRAL, linewidth=0.6)
ax.set(xlabel="index of the eigenvalue", ylabel=r"$\lambda\,\sigma_t^2$")
ax.legend()
run.figure(
    figure,
    "spectra",
    about="Whole spectra",
    data={f"eigenvalues_{c}": whole[c].eigenvalues for c in ends} | {"t": [middle]},
)

# %% [markdown]
# The trace agrees to a few parts in a thousand, and the dimension to a few directions. The count is the weakest: eigenvalues just above and just below
# zero are many, and a few steps of Lanczos do not resolve them. With more steps it comes nearer to the truth. As it is, it ranks samples and does not
# count.
#
# ## Two networks that share no image
#
# What two networks have in common that have seen different photographs, they cannot have by heart. {cite:t}`kadkhodaie2024generalization` found that
# they draw the same images from the same noises once each has seen enough.

# %%
PAIRS = {
    "same noise": "samples of both networks from the same noise",
    "other noise": "samples of both networks from different noises",
    "nearest image": "samples of the first network and their nearest training image",
    "nearest image of the other half": "samples of the first network and the nearest image that only the other network saw",
}
agreement = {}
for count in halves:
    ours, theirs, known = generated[count][:samples], second[count], training_images(count, "last")
    partners = {
        "same noise": theirs,
        "other noise": theirs.roll(1, 0),
        "nearest image": training[count][neighbours[count].index[:samples]],
        "nearest image of the other half": known[copies.nearest(ours, known).index],
    }
    for kind, images in partners.items():
        agreement[kind, count] = intervals.mean(correlation(ours, images))
run.table(
    pd.DataFrame(
        [
            {"N": count, "pair": kind, "mean": found.value, "low": found.low, "high": found.high}
            for (kind, count), found in agreement.items()
        ]
    ),
    "agreement",
    about="Correlations of the samples of two networks on disjoint halves",
)
for (kind, count), found in agreement.items():
    run.record(
        f"{kind.replace(' ', '_')}_{count}", found, about=f"Mean correlation of {PAIRS[kind]}, N = {count:,}"
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Pairs of rows of samples of two networks that share no image. At 64 the two rows show different photographs; at 512 and 2,048 the two rows show nearly the same pictures, those at 2,048 with more of a car in them."}, "figure": {"caption": "Samples of two networks on disjoint halves, from the same noises.", "name": "fig-cifar10-halves"}}
figure = plots.image_grid(
    {
        name: images.numpy()
        for count in halves
        for name, images in (
            (f"{count:,}, first half", generated[count]),
            (f"{count:,}, last half", second[count]),
        )
    },
    min(8, samples),
)
run.figure(
    figure,
    "halves",
    about="Samples from the same noises of two networks that share no training image",
    data={f"last_{c}": second[c] for c in halves},
)

# %% [markdown]
# Two networks on 64 images each draw different photographs from the same noise: a correlation of {glue:text}`same_noise_64:.2f`
# ({glue:text}`same_noise_64_lo:.2f` to {glue:text}`same_noise_64_hi:.2f`), against {glue:text}`nearest_image_64:.2f` with the nearest training image. At 512 it is
# {glue:text}`same_noise_512:.2f` ({glue:text}`same_noise_512_lo:.2f` to {glue:text}`same_noise_512_hi:.2f`), against
# {glue:text}`nearest_image_512:.2f` with the nearest training image; at 2,048 {glue:text}`same_noise_2048:.2f` ({glue:text}`same_noise_2048_lo:.2f` to
# {glue:text}`same_noise_2048_hi:.2f`) against {glue:text}`nearest_image_2048:.2f`. Where the networks copy, a sample is nearest to a
# photograph; where they do not, it is nearest to the sample of a network that has seen none of the same photographs. With different noises the
# correlation is {glue:text}`other_noise_2048:.2f`.
#
#
# Samples go through many steps. The scores themselves can be compared at common points, held-out photographs with noise on them: how much of the squared
# error of the denoised images do the two networks *not* share? Their *disagreement* is $\lVert \hat x_0 - \hat x_0' \rVert^2$ over the sum of both squared errors: 0 for one and
# the same denoiser, 1 for errors that have nothing in common. Beside it, the error on held-out over that on training images, where 1 means that
# nothing was memorized.

# %%
reference = held_out[:samples].to(run.device)
seen = training[sizes[0]][:samples].to(run.device)
noised = torch.randn(samples, 3, 32, 32, generator=torch.Generator().manual_seed(seed + 1)).to(run.device)
comparisons, gaps, disagreements = [], {}, {}
for t in times:
    for count in sizes:
        at = score_at(models[count], t)
        with torch.no_grad():
            ours, of_seen = (
                at.denoised(at.alpha * x0 + at.sigma * noised[: len(x0)]) for x0 in (reference, seen)
            )
        pairs = {"held-out": (ours, reference), "seen": (of_seen, seen)}
        if count in others:
            with torch.no_grad():
                theirs = score_at(others[count], t).denoised(at.alpha * reference + at.sigma * noised)
            pairs |= {"apart": (ours, theirs), "theirs": (theirs, reference)}
        squared = {
            name: mse_loss(*pair, reduction="none").mean((1, 2, 3)).double().cpu()
            for name, pair in pairs.items()
        }
        gap = gaps[count, t] = intervals.ratio(squared["held-out"], squared["seen"], seed=seed)
        row = {"N": count, "t": t, "held-out error": squared["held-out"].mean().item()}
        row |= {"gap": gap.value, "gap low": gap.low, "gap high": gap.high}
        if count in others:
            shared = intervals.mean(squared["apart"] / (squared["held-out"] + squared["theirs"]))
            disagreements[count, t] = shared
            row |= {"disagreement": shared.value, "low": shared.low, "high": shared.high}
        comparisons.append(row)
run.table(
    pd.DataFrame(comparisons),
    "denoising",
    about="Denoising of held-out images: error, and disagreement of two networks on disjoint halves",
)
for t, moment in moments.items():
    for count in sizes:
        about = f"Denoising error on held-out over seen images, network on {count:,} images, t = {t}"
        run.record(f"gap_{count}_{moment}", gaps[count, t], about=about)
        if count in others:
            about = f"Disagreement of two networks on {count:,} images each, t = {t}"
            run.record(f"disagreement_{count}_{moment}", disagreements[count, t], about=about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels. Left, the correlation of two networks' samples rises with the number of images and crosses the falling correlation with the nearest training image. Middle, disagreement is large at 64 and small at 2,048. Right, the error on held-out over seen images is far above one at 64 and near one at 2,048 and 4,096."}, "figure": {"caption": "Left, correlations of samples with those of the other network and with training images. Middle and right, at common points: the part of the error that the two networks do not share, and the error on held-out over that on training images.", "name": "fig-cifar10-agreement"}}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), layout="constrained")
for kind, color, style in (
    ("same noise", plots.GENERAL, "o-"),
    ("nearest image", plots.MEMORIZED, "s-"),
    ("nearest image of the other half", plots.NEUTRAL, "^--"),
):
    estimates = [agreement[kind, count] for count in halves]
    plots.interval_line(axes[0], halves, estimates, color, kind, style)
axes[0].set(xscale="log", xlabel="training images $N$", ylabel="correlation", ylim=(0, 1.02))
axes[0].set_xticks(halves, [f"{count:,}" for count in halves])
axes[0].minorticks_off()
axes[0].legend()
for ax, found, counts in ((axes[1], disagreements, halves), (axes[2], gaps, sizes)):
    for count in counts:
        estimates = [found[count, t] for t in times]
        plots.interval_line(ax, times, estimates, colors[count], f"N = {count:,}")
axes[1].set(xlabel="time $t$", ylabel="disagreement", xlim=(times[0] + 20, -20), ylim=(0, None))
axes[2].set(xlabel="time $t$", ylabel="error on held-out over seen", xlim=(times[0] + 20, -20), yscale="log")
axes[2].legend()
run.figure(
    figure,
    "agreement",
    about="Agreement of two networks on disjoint halves, and denoising error on held-out over training images",
)

# %% [markdown]
# In the middle of the path ($t$ as in the figure) the disagreement is {glue:text}`disagreement_64_middle:.2f` at 64, {glue:text}`disagreement_512_middle:.3f` at 512 and
# {glue:text}`disagreement_2048_middle:.3f` ({glue:text}`disagreement_2048_middle_lo:.3f` to {glue:text}`disagreement_2048_middle_hi:.3f`) at 2,048. The network on 64 makes
# {glue:text}`gap_64_middle:.0f` times the error on held-out photographs that it makes on its own; the one on 4,096 {glue:text}`gap_4096_middle:.2f` times
# ({glue:text}`gap_4096_middle_lo:.2f` to {glue:text}`gap_4096_middle_hi:.2f`).
#
# ## Does sharpness know a copy?
#
# Every statistic is now read as a detector, in the direction in which the theory points: a copy should have the larger norms, the larger $-\operatorname{tr} H$, the
# fewer non-negative eigenvalues, the lower dimension. The area under the ROC curve (AUC) is the probability that a copy gets the higher
# number than a sample that is none. Below 0.5 the theory points the wrong way, and it is shown like that.
#
# Three questions are asked. *Pooled*: copies against other samples, those of all networks together. That is in part another question, since it can be answered by telling which
# network a sample comes from. *Within the network on 128*, which draws both copies and others: what a detector would have to do for the owner of
# one model. *Within the network on 512*, which draws no copies: the half of its samples with the lower distance ratio against the other half. The last panel is the ratio
# test itself, applied to what the network takes the sample for at that time: it has the training set.

# %%
SHARPER = {"score norm": 1, "-tr H": 1, "count": -1, "local dimension": -1, "FLIPD": -1, "norm of Hs": 1}
judging = {count: {} for count in sizes}  # numbers that should be higher for a copy, by statistic
for count, model in models.items():
    for t in times:
        with torch.no_grad():
            guess = score_at(model, t).denoised(states[count][t]).cpu()
        with_the_data = copies.nearest(guess, training[count], groups=groups[count]).ratio
        blind = {name: sign * statistics[count][t][name] for name, sign in SHARPER.items()}
        judging[count][t] = blind | {"training set": -with_the_data}
# Each question: for some networks, which of how many of their samples are the positives.
questions = {"pooled": {count: copied[count][:samples] for count in sizes}}
mixed = {}
for count in judged:
    both = min(copied[count].sum(), (~copied[count]).sum()) >= 8
    mixed[count] = "copies" if both else "nearer half"
    nearer = neighbours[count].ratio < neighbours[count].ratio.median()
    questions[f"within_{count}"] = {count: copied[count] if both else nearer}

areas = {}
for question, asked in questions.items():
    label = torch.cat(list(asked.values()))
    for t in times:
        for name in (*SHARPER, "training set"):
            values = torch.cat([judging[count][t][name][: len(marked)] for count, marked in asked.items()])
            found = areas[question, t, name] = intervals.auc(values[label], values[~label])
            if t in moments:
                key = name.strip("-").replace(" ", "_").lower()
                about = f"AUC of {name} at t = {t}, question {question}, {int(label.sum())} of {len(label)} positive"
                run.record(f"auc_{question}_{key}_{moments[t]}", found, about=about)
aucs = run.table(
    pd.DataFrame(
        [
            {"question": question, "t": t, "statistic": name}
            | {"AUC": found.value, "low": found.low, "high": found.high}
            for (question, t, name), found in areas.items()
        ]
    ),
    "auc",
    about="How well each statistic tells copies from other samples",
)
for question, part in aucs.groupby("question", sort=False):
    display(
        part.pivot(index="statistic", columns="t", values="AUC")[times]
        .rename(columns=lambda t: f"t = {t}")
        .rename_axis(columns=None)
        .reset_index()
        .style.format(precision=2)
        .hide(axis="index")
        .set_caption(question)
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seven panels of AUC against time. For copies within the network on 128 the number of non-negative eigenvalues and the local dimension rise well above one half in the middle of the path, and both norms lie below it. The ratio test with the training set is near one from the middle on."}, "figure": {"caption": "AUC of each statistic, with intervals, along the path. Sampling runs from left to right.", "name": "fig-cifar10-auc"}}
figure, axes = plt.subplots(4, 2, figsize=(7.2, 8.4), layout="constrained", sharex=True, sharey=True)
shown = {"pooled": (plots.NEUTRAL, "copies, all networks")}
for count in judged:
    shown[f"within_{count}"] = (colors[count], f"{mixed[count]}, N = {count:,}")
for ax, name in zip(axes.flat, (*SHARPER, "training set"), strict=False):
    for question, (color, text) in shown.items():
        plots.interval_line(ax, times, [areas[question, t, name] for t in times], color, text)
    ax.axhline(0.5, color="black", linewidth=0.6)
    ax.set(
        title=NAMES.get(name, "ratio test, with the training set"), xlim=(times[0] + 20, -20), ylim=(0, 1.02)
    )
for ax in axes[:, 0]:
    ax.set_ylabel("AUC")
for ax in (axes[-1, 0], axes[-2, 1]):
    ax.set_xlabel("time $t$")
    ax.tick_params(labelbottom=True)
axes[-1, 1].axis("off")
axes[-1, 1].legend(*axes[0, 0].get_legend_handles_labels(), loc="center left")
run.figure(
    figure,
    "auc",
    about="AUC of each statistic against time, for copies of all networks and for the nearer half of the samples of one",
)

# %% [markdown]
# **Pooled**, in the middle of the path $-\operatorname{tr} H$ has an AUC of {glue:text}`auc_pooled_tr_h_middle:.2f`
# ({glue:text}`auc_pooled_tr_h_middle_lo:.2f` to {glue:text}`auc_pooled_tr_h_middle_hi:.2f`), the local dimension {glue:text}`auc_pooled_local_dimension_middle:.2f`
# ({glue:text}`auc_pooled_local_dimension_middle_lo:.2f` to {glue:text}`auc_pooled_local_dimension_middle_hi:.2f`), the count
# {glue:text}`auc_pooled_count_middle:.2f`. The trace has {glue:text}`auc_pooled_tr_h_first:.2f` at the first step already, where it knows the network and nothing of the sample. At the last step $\lVert s \rVert$ has {glue:text}`auc_pooled_score_norm_last:.2f`
# ({glue:text}`auc_pooled_score_norm_last_lo:.2f` to {glue:text}`auc_pooled_score_norm_last_hi:.2f`).
#
# **Within the network on 128** the statistics part company. In the middle of the path the number of non-negative eigenvalues, the paper's own measure, knows copies with an AUC of
# {glue:text}`auc_within_128_count_middle:.2f` ({glue:text}`auc_within_128_count_middle_lo:.2f` to
# {glue:text}`auc_within_128_count_middle_hi:.2f`), and the local dimension with
# {glue:text}`auc_within_128_local_dimension_middle:.2f` ({glue:text}`auc_within_128_local_dimension_middle_lo:.2f` to
# {glue:text}`auc_within_128_local_dimension_middle_hi:.2f`); $-\operatorname{tr} H$ has
# {glue:text}`auc_within_128_tr_h_middle:.2f` ({glue:text}`auc_within_128_tr_h_middle_lo:.2f` to
# {glue:text}`auc_within_128_tr_h_middle_hi:.2f`). The norms lie below one half, which means that they point the wrong way, the more so towards the end: $\lVert s \rVert$ has
# {glue:text}`auc_within_128_score_norm_middle:.2f` ({glue:text}`auc_within_128_score_norm_middle_lo:.2f` to
# {glue:text}`auc_within_128_score_norm_middle_hi:.2f`) and $\lVert Hs \rVert$
# {glue:text}`auc_within_128_norm_of_hs_middle:.2f` ({glue:text}`auc_within_128_norm_of_hs_middle_lo:.2f` to
# {glue:text}`auc_within_128_norm_of_hs_middle_hi:.2f`); at the last step $\lVert s \rVert$ has
# {glue:text}`auc_within_128_score_norm_last:.2f` ({glue:text}`auc_within_128_score_norm_last_lo:.2f` to
# {glue:text}`auc_within_128_score_norm_last_hi:.2f`). A path that does not end at a photograph ends in a rough
# sample, and the score still has roughness to take away there: its norm is large for lack of quality. The trace, over all 3,072
# directions, is disturbed by this too; at the last step it has {glue:text}`auc_within_128_tr_h_last:.2f` ({glue:text}`auc_within_128_tr_h_last_lo:.2f` to
# {glue:text}`auc_within_128_tr_h_last_hi:.2f`), and the count
# {glue:text}`auc_within_128_count_last:.2f` ({glue:text}`auc_within_128_count_last_lo:.2f` to
# {glue:text}`auc_within_128_count_last_hi:.2f`). The upper end of the spectrum is where copies differ.
#
# At the first step nothing is known: {glue:text}`auc_within_128_tr_h_first:.2f` ({glue:text}`auc_within_128_tr_h_first_lo:.2f` to
# {glue:text}`auc_within_128_tr_h_first_hi:.2f`) for
# $-\operatorname{tr} H$. With the training set at hand the ratio test on the network's guess has
# {glue:text}`auc_within_128_training_set_middle:.2f` ({glue:text}`auc_within_128_training_set_middle_lo:.2f` to
# {glue:text}`auc_within_128_training_set_middle_hi:.2f`) in the middle of the path, and
# {glue:text}`auc_within_128_training_set_first:.2f` ({glue:text}`auc_within_128_training_set_first_lo:.2f` to
# {glue:text}`auc_within_128_training_set_first_hi:.2f`) at the first step.
#
# **Within the network on 512** nothing is to be found, as it should be where nothing is copied: {glue:text}`auc_within_512_local_dimension_middle:.2f`
# ({glue:text}`auc_within_512_local_dimension_middle_lo:.2f` to {glue:text}`auc_within_512_local_dimension_middle_hi:.2f`) for the local dimension in the middle, against
# {glue:text}`auc_within_512_training_set_middle:.2f` with the training set.
#
# ## Against the paper
#
# The paper has no experiment of this kind, and each of its measures was made for a model that memorizes one thing among many. Of its statements,
# these can be held against the above:
#
# - **Memorized means sharp.** So it is, at the end of the path and without overlap, in 3,072 dimensions as in the plane.
# - **From the first step on.** At the first step the networks differ by the third digit of the trace, in a range that no density reaches. Without a second class in the same network to
#   compare with, as in the paper's conditional models, this cannot be told from errors of learning.
# - **Fewer non-negative eigenvalues, stronger memorization** (Figure 3). In the middle of the path this holds within one network, without a condition and without
#   the training set. It is the best of the statistics here, although only estimated.
# - **Norms for traces.** The norms are cheap, and within one network they are misled by the quality of the samples. The paper's detectors are norms of *differences* between two scores at
#   one point, in which much of that would cancel; an unconditional model has no second score.
# - **A local dimension** needs a time at which the noise is smaller than the spread of what is not memorized. Here that begins in the middle of the path.

# %% [markdown]
# ## What the run shows

# %%
few, many = sizes[0], sizes[-1]
assert copied[few].double().mean() > 0.9, "the network on the fewest images must return them"
assert copied[many].double().mean() < 0.1, "the network on the most images must not"
dimensions = [statistics[count][times[-1]]["local dimension"][:samples] for count in (few, many)]
assert dimensions[0].max() < dimensions[1].min(), (
    "at the last step every sample of the network on the fewest images must have a lower local dimension than "
    "every sample of the network on the most"
)
for t in times[len(times) // 2 :]:
    traces = [statistics[count][t]["-tr H"][:samples] for count in (few, many)]
    assert intervals.mean(traces[0] - traces[1]).low > 0, (
        f"from the middle of the path on, here at t = {t}, the network on the fewest images must be the sharper one"
    )
pooled = intervals.auc(
    *(
        torch.cat(
            [judging[c][times[-1]]["local dimension"][:samples][copied[c][:samples] == which] for c in sizes]
        )
        for which in (True, False)
    )
)
assert pooled.low > 0.7, (
    "at the last step the local dimension must tell the copies of all networks from other samples"
)
provenance = run.finish()
provenance
