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
# # MNIST: many threes, one nine
#
# A class-conditional diffusion model has seen three thousand different threes, and under the label "9" one image, a hundred
# times over. It memorizes the nine. Its Hessian says so.
#
# :::{admonition} This chapter
# :class: note
#
# - **Answers** Figure 2 of the paper {cite}`jeon2024understanding`: all 784 eigenvalues of the Hessian of the conditional log density at the
#   first and at the last sampling step, for the memorized and for the general class.
# - **Adds** the times in between, the same noises for both classes, several samples with their spread, the asymmetry of the
#   learned Jacobian, and intervals.
# - **Takes** a little over two minutes on one core with the shipped checkpoint; not timed on a GPU yet. Retraining (`train=True`) takes about an hour on one
#   core and resumes after an interruption.
# :::
#
# The setting is the paper's (its appendix C) as far as it is given: 3,000 threes; one nine copied 100 times; with probability
# 0.2 the label is left out and the image comes from 3,000 threes and 3,000 nines; classifier-free guidance of 5; 500 DDIM
# steps. Not given, and chosen here: the network (a small U-Net), the schedule (linear, 1,000 steps), pixels in $[-1, 1]$, plain
# score matching without the second-order term, and that labelled images are drawn evenly from the 3,100, copies counted.

# %% [markdown]
# ## Parameters

# %% tags=["parameters", "hide-input"]
seed: int = 0  # seed of the noises
samples: int = 5  # samples per class; both classes start from the same noises
guidance: float = 5.0  # scale of classifier-free guidance while sampling
steps: int = 500  # DDIM steps
positions: list[int] = [0, 150, 350, 450, 490, -1]  # sampling steps whose spectra are taken; -1 is the last
train: bool = False  # True trains the network anew instead of reading the shipped checkpoint
training_steps: int = 9000  # used when train is True
device: str = "auto"  # "auto", "cpu" or "cuda"
output: str = ""  # folder for results; empty: build/runs/04_mnist/interactive

# %%
import matplotlib.pyplot as plt
import torch

from memlib import experiment, intervals, plots, sharpness
from memlib.hessian import JacobianOperator, dense
from memlib.recipes.mnist import CONFIG, COPIED, GENERAL, MNIST_COPIES, copied_image, training_images
from memlib.sampling import ddim, model_score
from memlib.score import score_at

plots.use_style()
run = experiment.start("04_mnist", globals())
run.parameter_table()

# %% [markdown]
# ## Samples
#
# Every noise is carried to a sample under both labels.

# %%
recipe = MNIST_COPIES.with_training(steps=training_steps)
checkpoint = (
    recipe.train(run.output / "checkpoint", device=run.device) if train else MNIST_COPIES.load(run.device)
)
model = checkpoint.model
schedule = model.schedule

noise = torch.randn(samples, *CONFIG.sample_shape, generator=torch.Generator().manual_seed(seed))
labels = torch.tensor([GENERAL] * samples + [COPIED] * samples, device=run.device)
trajectory = ddim(
    model_score(model, labels, guidance),
    schedule,
    noise.repeat(2, 1, 1, 1).to(run.device),
    steps=steps,
    keep=positions,
)
generated = {GENERAL: trajectory.samples[:samples].cpu(), COPIED: trajectory.samples[samples:].cpu()}

# %% [markdown]
# Are the nines copies, and the threes not? For each sample, the nearest image among those its class was trained on, and the
# distance to it relative to the distance between that image and its own nearest neighbour among the threes.

# %%
general_images = training_images()[GENERAL]


def nearest(points: torch.Tensor, among: torch.Tensor, skip: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance to, and index of, the nearest (after `skip` nearer ones)."""
    found = torch.cdist(points.flatten(1), among.flatten(1)).topk(skip + 1, largest=False)
    return found.values[:, skip], found.indices[:, skip]


typical = nearest(general_images[:300], general_images, skip=1)[0].median()
distance_general, neighbour = nearest(generated[GENERAL], general_images)
distance_copied, _ = nearest(generated[COPIED], copied_image()[None])
for key, distances, about in (
    (
        "copied_distance",
        distance_copied,
        "Distance of samples under 9 to the copied image, in units of the typical distance between neighbouring threes",
    ),
    (
        "general_distance",
        distance_general,
        "Distance of samples under 3 to the nearest training three, in the same units",
    ),
):
    estimate = intervals.mean((distances / typical).numpy())
    run.record(key, estimate, about=about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four rows of digits: samples under the label 3, different from one another; the nearest training threes; samples under the label 9, all the same; the copied nine."}, "figure": {"caption": "Samples from the same noises under both labels, and the training images nearest to them.", "name": "fig-mnist-samples"}}
shown = min(8, samples)
figure = plots.image_grid(
    {
        "samples, label 3": generated[GENERAL].numpy(),
        "nearest training 3": general_images[neighbour].numpy(),
        "samples, label 9": generated[COPIED].numpy(),
        "the copied 9": copied_image()[None].expand(shown, -1, -1, -1).numpy(),
    },
    shown,
)
run.figure(
    figure,
    "samples",
    about="Samples of both classes and their nearest training images",
    data={"general": generated[GENERAL], "copied": generated[COPIED], "nearest": general_images[neighbour]},
)

# %% [markdown]
# ## Spectra
#
# At each chosen step the Hessian of the conditional log density, $H_\theta(x_t, c)$, is computed whole, by 784 products per
# sample, at the point where that sample's path stands. It is the Jacobian of the conditional score, without guidance. The
# eigenvalues are those of its symmetric part.

# %%
times = [t for t in schedule.timesteps(steps) if t in trajectory.states]
spectra, scores = {}, {}
for t in times:
    with JacobianOperator(score_at(model, t, labels), trajectory.states[t]) as jacobian:
        scores[t], spectra[t] = jacobian.value, dense(jacobian, progress=True)
eigenvalues = {t: s.eigenvalues.cpu() for t, s in spectra.items()}
groups = {"general": (slice(0, samples), plots.GENERAL), "memorized": (slice(samples, None), plots.MEMORIZED)}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sorted eigenvalues of both classes at the first and at the last sampling step. At the first they lie close together; at the last those of the memorized class are all far below zero while the upper end of the general class is above it."}, "figure": {"caption": "All 784 eigenvalues, times sigma squared, at the first and the last step (the paper's Figure 2; mind the two scales). Thin lines are single samples, thick lines their mean.", "name": "fig-mnist-spectra"}}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax, t in zip(axes, (times[0], times[-1]), strict=True):
    for name, (rows, color) in groups.items():
        plots.spectra(
            ax, sharpness.scaled(eigenvalues[t][rows], schedule.sigma(t).item()).numpy(), color, name
        )
    ax.set(title=rf"$t={t}$, $\sigma={schedule.sigma(t):.3f}$", xlabel="index of the eigenvalue")
axes[1].axhline(0, color=plots.NEUTRAL, linewidth=0.6)
axes[0].set_ylabel(r"$\lambda\,\sigma_t^2$")
axes[0].legend(loc="upper left")
run.figure(
    figure,
    "spectra",
    about="Spectra of both classes at the first and last step; all times are in the data",
    data={"t": times}
    | {f"{name}_t{t}": eigenvalues[t][rows] for t in times for name, (rows, _) in groups.items()},
)

# %% [markdown]
# The number of eigenvalues that are not negative is the paper's measure: directions in which the density does not fall off, of
# which a copied image leaves none.

# %% tags=["hide-input"]
rows_of_table = []
for t in times:
    counts = sharpness.nonnegative_count(eigenvalues[t])
    gap = intervals.mean(
        (counts[:samples] - counts[samples:]).double()
    )  # paired: same noise under both labels
    level_gap = intervals.mean(
        (sharpness.trace(eigenvalues[t][:samples]) - sharpness.trace(eigenvalues[t][samples:]))
        * schedule.sigma(t).item() ** 2
        / 784
    )
    asymmetry = spectra[t].asymmetry.cpu()
    rows_of_table.append(
        {
            "t": t,
            "sigma": schedule.sigma(t).item(),
            "general, lowest": int(counts[:samples].min()),
            "general, highest": int(counts[:samples].max()),
            "memorized, lowest": int(counts[samples:].min()),
            "memorized, highest": int(counts[samples:].max()),
            "mean gap": gap.value,
            "gap low": gap.low,
            "gap high": gap.high,
            "gap of mean scaled eigenvalue": level_gap.value,
            "gap of mean low": level_gap.low,
            "gap of mean high": level_gap.high,
            "asymmetry, general": asymmetry[:samples].mean().item(),
            "asymmetry, memorized": asymmetry[samples:].mean().item(),
        }
    )
    position = "first" if t == times[0] else "last" if t == times[-1] else f"t{t}"
    run.record(
        f"count_gap_{position}",
        gap,
        about=f"Non-negative eigenvalues, general minus memorized, same noise, t = {t}",
    )
    run.record(
        f"mean_gap_{position}",
        level_gap,
        about=f"Mean eigenvalue times sigma^2, general minus memorized, same noise, t = {t}",
    )
table = run.table(
    {key: [row[key] for row in rows_of_table] for key in rows_of_table[0]},
    "counts",
    about="Non-negative eigenvalues of both classes over time",
)
table[
    [
        "t",
        "sigma",
        "general, lowest",
        "general, highest",
        "memorized, lowest",
        "memorized, highest",
        "asymmetry, general",
        "asymmetry, memorized",
    ]
].style.format("{:.3f}", subset=["sigma", "asymmetry, general", "asymmetry, memorized"]).hide(axis="index")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Number of non-negative eigenvalues of each sample against time: the general samples rise towards small times, the memorized ones stay near zero."}, "figure": {"caption": "Non-negative eigenvalues of every sample along its path; sampling runs from left to right.", "name": "fig-mnist-counts"}}
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
counts = torch.stack([sharpness.nonnegative_count(eigenvalues[t]) for t in times], dim=1).numpy()
for name, (rows, color) in groups.items():
    ax.plot(times, counts[rows].T, "o-", color=color, linewidth=0.8, markersize=3)
    ax.plot([], [], color=color, label=name)
ax.set(xlabel="time $t$", ylabel="eigenvalues $\\geq 0$", xlim=(times[0] + 15, -15))
ax.set_yscale("symlog", linthresh=1)
ax.set_ylim(bottom=-0.1)
ax.legend(loc="upper left")
run.figure(
    figure,
    "counts_over_time",
    about="Non-negative eigenvalues of every sample against time",
    data={"t": times} | {name: counts[rows] for name, (rows, _) in groups.items()},
)

# %% [markdown]
# ## Norms in place of traces
#
# A trace costs hundreds of products, a norm one. For a Gaussian $-\operatorname{tr} H = \mathbb{E}\lVert s \rVert^2$ and
# $-\operatorname{tr} H^3 = \mathbb{E}\lVert H s \rVert^2$ ({doc}`01_identities`). Do they agree on single images, for a learned score,
# along a guided path? All four are had from the Jacobians above. Multiplied by $\sigma_t^2$ and $\sigma_t^6$ they are 784 at an
# isolated point.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels against time. The squared score norm follows the negative trace, and the squared norm of Hessian times score follows the negative trace of the cube, for both classes, apart from the smallest times."}, "figure": {"caption": "The paper's Figure 4 on MNIST: traces (lines) and norms (crosses), mean over samples with their range.", "name": "fig-mnist-norms"}}
pairs = {"t": [], "class": [], "-tr H": [], "norm of s": [], "-tr H^3": [], "norm of Hs": []}
for t in times:
    scale = schedule.sigma(t).item()
    product = torch.einsum("bij,bj->bi", spectra[t].symmetric, scores[t])
    for name, (rows, _) in groups.items():
        for values in zip(
            -sharpness.trace(eigenvalues[t][rows]) * scale**2,
            scores[t][rows].square().sum(1).cpu() * scale**2,
            -sharpness.trace(eigenvalues[t][rows], power=3) * scale**6,
            product[rows].square().sum(1).cpu() * scale**6,
            strict=True,
        ):
            for column, value in zip(pairs.values(), (t, name, *map(float, values)), strict=True):
                column.append(value)
norms = run.table(pairs, "norms", about="Traces and norms of every sample over time, in units of sigma")
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax, (line, cross) in zip(axes, (("-tr H", "norm of s"), ("-tr H^3", "norm of Hs")), strict=True):
    for name, (_, color) in groups.items():
        part = norms[norms["class"] == name].groupby("t")[[line, cross]].agg(["mean", "min", "max"])
        ax.plot(part.index, part[line, "mean"], color=color, label=name)
        ax.fill_between(
            part.index, part[line, "min"], part[line, "max"], color=color, alpha=0.15, linewidth=0
        )
        middle = part[cross, "mean"]
        ax.errorbar(
            part.index,
            middle,
            [middle - part[cross, "min"], part[cross, "max"] - middle],
            fmt="x",
            color=color,
        )
    ax.set(xlabel="time $t$", xlim=(times[0] + 15, -15))
    ax.set_ylim(bottom=0)
axes[0].set_title(r"$-\mathrm{tr}\,H\,\sigma_t^2$ and $\|s\|^2 \sigma_t^2$ (crosses)")
axes[1].set_title(r"$-\mathrm{tr}\,H^3 \sigma_t^6$ and $\|Hs\|^2 \sigma_t^6$ (crosses)")
axes[0].legend(loc="lower left")
run.figure(figure, "norms_over_time", about="Traces and norms over time")
for position, t in (("first", times[0]), ("last", times[-1])):
    for name in groups:
        part = norms[(norms["t"] == t) & (norms["class"] == name)]
        for key, line, cross in (("norm", "-tr H", "norm of s"), ("cube", "-tr H^3", "norm of Hs")):
            run.record(
                f"{key}_ratio_{position}_{name}",
                intervals.mean(part[cross] / part[line]),
                about=f"{cross} (squared) over {line}, {name} samples, t = {t}",
            )

# %% [markdown]
# The first pair agrees where the noise is large: the mean ratio of norm to trace is {glue:text}`norm_ratio_first_memorized:.2f` for
# memorized and {glue:text}`norm_ratio_first_general:.2f` for general samples at the first step, and stays near 1 until the last steps.
# The second pair does not, not even at the first step ({glue:text}`cube_ratio_first_memorized:.2f` and
# {glue:text}`cube_ratio_first_general:.2f`), where every eigenvalue is near $-1$ and nothing seems to be able to go wrong. The score itself
# shows what does: how much of it lies along the eigenvector of the largest eigenvalue?

# %%
x_first, first = trajectory.states[times[0]], spectra[times[0]]
values, vectors = torch.linalg.eigh(first.symmetric)
share = torch.einsum("bi,bi->b", vectors[:, :, -1], scores[times[0]]).square() / scores[
    times[0]
].square().sum(1)
radial = torch.nn.functional.normalize(x_first.flatten(1).double(), dim=1)
curvature = torch.einsum("bi,bij,bj->b", radial, first.symmetric, radial)
run.record(
    "score_share_of_top",
    intervals.mean(share.cpu()),
    about="Share of ||s||^2 along the eigenvector of the largest eigenvalue, first step, all samples",
)
run.record(
    "radial_curvature",
    intervals.mean(curvature.cpu() * schedule.sigma(times[0]).item() ** 2),
    about="Second derivative of the log density along x_t, times sigma^2, first step; -1 is right",
)

# %% [markdown]
# Most of it: a share of {glue:text}`score_share_of_top:.2f`. At the first step $s \approx -x_t$, so that direction is the radial one,
# towards and away from the origin. In 784 dimensions noise has a length of $\sqrt{784} = 28$ and hardly any other, so the network
# was never shown what happens when the length changes, and its normalisation layers make it indifferent to it: the curvature along
# the radius is {glue:text}`radial_curvature:.3f` instead of $-1$. A trace averages over 784 directions and does not mind one.
# $\lVert Hs \rVert$ looks along this very one.

# %% [markdown]
# ## Against the paper
#
# - **First step.** No eigenvalue is non-negative in either class, so the count says nothing yet (gap
#   {glue:text}`count_gap_first:.0f`). The mean eigenvalue does: at the same noise the general class is flatter by
#   {glue:text}`mean_gap_first:.4f` of $1/\sigma_t^2$, with a 95 % interval of {glue:text}`mean_gap_first_lo:.4f` to
#   {glue:text}`mean_gap_first_hi:.4f` over the noises. That is the paper's "small but clear difference", with its size.
# - **Last step.** The memorized class keeps {glue:text}`memorized_count_last:.1f` non-negative eigenvalues on average, the
#   general one {glue:text}`general_count_last:.1f`; every memorized sample has fewer than every general one. The paper reports
#   the same order.
# - **What differs.** In the paper's figure the memorized spectrum is large and negative throughout. Here its upper third rises
#   towards zero at the last step, as the general one does: at the smallest noise this network no longer resolves the needle, and
#   the *mean* eigenvalue of the two classes is not told apart there (gap {glue:text}`mean_gap_last:.3f`, interval
#   {glue:text}`mean_gap_last_lo:.3f` to {glue:text}`mean_gap_last_hi:.3f`). The count is the better statistic at small times, the
#   trace at large ones. The paper trained with the second-order loss, which is left out here.
# - **Norms for traces** (Figure 4). $\lVert s \rVert^2$ follows $-\operatorname{tr} H$ as in the paper, but for the last steps.
#   $\lVert H s \rVert^2$ does not follow $-\operatorname{tr} H^3$ here, for a reason that has to do with networks and not with
#   densities; the paper shows the two on top of each other.
# - **Asymmetry.** The learned Jacobian is not a Hessian to the last digit (table above); eigenvalues are those of its symmetric
#   part, the paper's those of the Jacobian itself.

# %% [markdown]
# ## What the run shows

# %%
last = sharpness.nonnegative_count(eigenvalues[times[-1]])
for word, rows in (("memorized", slice(samples, None)), ("general", slice(0, samples))):
    run.record(
        f"{word}_count_last",
        intervals.mean(last[rows]),
        about=f"Non-negative eigenvalues of {word} samples at the last step, mean",
    )
assert last[samples:].max() < last[:samples].min(), (
    "every memorized sample must have fewer non-negative eigenvalues than every general one"
)
assert distance_copied.max() < distance_general.min(), (
    "the copied class must be nearer to its image than any three to a training three"
)
provenance = run.finish()
provenance
