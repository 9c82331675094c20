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
# # A mixture in the plane
#
# :::{admonition} Does the Hessian show which sampling paths will end as copies, and from when on?
# :class: answer
#
# Answer
# : Yes, as early as the score is good enough. Under the *exact* score the smallest eigenvalue separates the paths that will end as copies from the first step on, with an area under the ROC curve (AUC) of {interval}`first_step_auc_exact:.2f n`. Under the
#   *learned* score it does not at first: the AUC is {interval}`first_step_auc_learned:.2f n` at the first step, falls to {interval}`least_auc_learned:.2f` at $t =$ {glue:text}`least_auc_time_learned:.0f` of 1,000, and is above 0.9 with its whole
#   interval from $t =$ {glue:text}`separation_time_learned:.0f` on. At the last step the eigenvalue is {interval}`last_step_memorized_learned:.3f n` in units of $1/\sigma_t^2$ on these paths and {interval}`last_step_general_learned:.4f n` on the others (medians).
#
# How sure
# : One mixture and one network: intervals run over sampling paths, and do not cover another training. The curve against time is in {numref}`fig-foretell`.
#
# For your model
# : The error of a network can hide, and even reverse, a difference that is there. That a statistic shows nothing at the first step does not mean that there is nothing to show; measure at several times.
#
# This chapter
# : answers Figure 1 of the paper {cite}`jeon2024understanding`, with the exact score and Hessian beside the learned ones and many paths instead of two, and asks what the second-order loss of its appendix A.1 does to the Hessian. It took {took}`run`;
#   `train=True` trains the network anew.
# :::
#
# ```{glue:figure} figure_paths
# :alt: Two panels, learned and exact. The scaled smallest eigenvalue of paths into the tiny mode falls to minus one, that of paths into the broad mode returns to zero; the bands part in the second half of sampling.
# :name: fig-paths
# The paper's Figure 1b over many paths: the smallest eigenvalue times sigma squared, median and the band of 90 % of the paths. Sampling runs from left to right.
# ```
#
# Two dimensions, two modes, and every quantity known exactly.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**32) seed of the noise from which sampling starts
starts: int = 1500  # [300, 10**6] starting noises, each sampled to the end
paths: int = 60  # [2, starts] sampling paths per mode whose eigenvalues are followed
steps: int = 500  # [20, 1000] DDIM steps, as in the paper
weights: list[float] = [0.5]  # [0.01, 100] weights of the second-order loss; the first is the paper's
trainings: int = 2  # [2, 100] trainings with each variant of that loss
ablation_steps: int = 60  # [10, 10**6] steps of each of these trainings
train: bool = False  # True trains the network anew instead of reading the shipped checkpoint
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/02_gaussian_mixture/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch

from companion import effects, experiment, plots, second_order, tables
from companion.recipes.mixture import BROAD, COPY_RADIUS, POSITIONS, TINY, TWO_MODES, two_modes
from memlib import intervals, sharpness
from memlib.hessian import JacobianOperator, dense
from memlib.sampling import ddim, exact_score, model_score

plots.use_style()
run = experiment.start("02_gaussian_mixture", globals())
NEAR_ZERO = 0.05  # scaled eigenvalues nearer to zero are those of a flat density
mixture = two_modes()
checkpoint = TWO_MODES.train(run.output / "checkpoint") if train else TWO_MODES.load()
model, schedule = checkpoint.model, checkpoint.model.schedule
learned, exact = model_score(model), exact_score(mixture, schedule)
run.parameter_table()

# %% [markdown]
# ## The exact landscape and the learned one
#
# One mode holds 5 % of the mass on a spot of standard deviation 0.001: to a network it looks like one training point repeated,
# which is what memorization is. The other mode is broad. Under $x_t = \alpha_t x_0 + \sigma_t \epsilon$ a mixture of Gaussians
# stays one, so the density $p_t$, its score $s = \nabla \log p_t$ and its Hessian $H = \nabla^2 \log p_t$ have closed forms at
# every $t$ (see {doc}`../book/notation`). Near an isolated point
#
# ```{math}
# :label: isolated-point
# H \approx -\frac{1}{\sigma_t^2} I ,
# ```
#
# so that the scaled eigenvalue $\lambda \sigma_t^2$ is $-1$ there at every $t$, while a broad mode of variance $\tau^2$ has
# $\lambda \sigma_t^2 = -\sigma_t^2 / (\alpha_t^2 \tau^2 + \sigma_t^2)$, which goes to 0 as the noise does.
#
# The network is a perceptron trained on 3,000 draws with the paper's first- and second-order score matching
# ($L_{DSM} + 0.5\, L^{(2)}_{DSM}$, its appendix A.1). It never sees the density itself. {numref}`fig-landscape` has both.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Log density of the mixture at four times with score arrows, exact above, learned below. At the largest time both modes are one smooth hill; at the smallest the left mode is a point that all arrows nearby run into."}, "figure": {"caption": "The landscape sharpens as the noise falls: log density (colour) with score vectors, exact above and learned below. Arrow lengths are compressed logarithmically.", "name": "fig-landscape"}}
extent, shown_times = 2.2, [800, 400, 150, 20]
fine, coarse = torch.tensor(plots.plane(extent, 120)), torch.tensor(plots.plane(0.9 * extent, 13))
densities, exact_arrows, learned_arrows = [], [], []
for t in shown_times:
    diffused = mixture.diffused(schedule.alpha(t), schedule.sigma(t))
    densities.append(diffused.log_prob(fine).numpy())
    exact_arrows.append(diffused.score(coarse).numpy())
    with torch.no_grad():
        learned_arrows.append(learned(t)(coarse.float()).double().numpy())
panels = {
    "exact": list(zip(densities, exact_arrows, strict=True)),
    "learned": list(zip(densities, learned_arrows, strict=True)),
}
titles = [rf"$t={t}$, $\sigma={schedule.sigma(t):.2f}$" for t in shown_times]
figure = plots.density_panels(panels, titles, coarse.numpy(), extent)
run.figure(
    figure,
    "landscapes",
    about="Log density with exact and learned score vectors at four times",
    data={
        "times": shown_times,
        "points": coarse,
        "exact_score": exact_arrows,
        "learned_score": learned_arrows,
    },
)

# %% tags=["hide-input", "remove-output"] mystnb={"code_prompt_show": "Show the code of the picture below"}
figure = plots.density_panels({"exact": panels["exact"][1::2]}, titles[1::2], coarse.numpy(), extent)
run.figure(figure, "landscape", about="Exact log density and score at two times")

# %% [markdown]
# In {numref}`fig-plane` the exact landscape is yours to change, by mouse, finger or keyboard. On the tiny mode both eigenvalues are near $-1$ however little noise is left; on the broad mode they rise to 0 as the noise goes.
# What makes a mode count as memorized is its width: widen it, and its eigenvalues rise as those of the broad one do, whatever its weight. Between the modes the larger eigenvalue is above 0: a valley.
#
# ```{figure} ../assets/runs/02_gaussian_mixture/figures/landscape.png
# :alt: Log density of the mixture with arrows along the score at two times. At the larger one hill; at the smaller a broad hill and, to its left, a narrow peak.
# :figclass: plane
# :name: fig-plane
# The exact density (colour), its score (arrows) and the eigenvalues of its Hessian at a point. The lines through the point are the eigenvectors, one local standard deviation long; they are dashed where the eigenvalue is not negative.
# ```

# %% [markdown]
# How good is the learned score where it is used, at points of $p_t$ itself? And how close to a gradient is it: is its
# Jacobian symmetric, as a Hessian must be ({numref}`tab-02-quality`)?

# %% tags=["hide-input"]
generator = torch.Generator().manual_seed(seed)
quality = []
for t in [999, 800, 600, 400, 200, 100, 50, 20, 5]:
    diffused = mixture.diffused(schedule.alpha(t), schedule.sigma(t))
    x = diffused.sample(1000, generator)
    spectrum, true_score, true_hessian = (
        dense(JacobianOperator(learned(t), x.float())),
        diffused.score(x),
        diffused.hessian(x),
    )
    with torch.no_grad():
        difference = learned(t)(x.float()).double() - true_score
    quality.append(
        {
            "t": t,
            "score error": (difference.norm() / true_score.norm()).item(),
            "Hessian error": ((spectrum.matrices - true_hessian).norm() / true_hessian.norm()).item(),
            "asymmetry": spectrum.asymmetry.mean().item(),
        }
    )
run.table(
    tables.frame(quality),
    "quality",
    about="Relative errors of the learned score and Hessian over 1,000 points of p_t, and ||J - J^T|| / ||J||",
)
tables.shown(quality, formats=".3f")

# %% [markdown]
# ## Eigenvalues along the sampling path
# Starting noises become samples by 500 DDIM steps with the learned score, and again with the exact one. A path is memorized if
# it ends within 0.05 of the spot; all others are general. We follow the eigenvalues of the Hessian along paths of both kinds: those of the learned score along its
# own paths, those of the exact one along its own ({numref}`fig-paths`).

# %% tags=["hide-input"]
noise = torch.randn(starts, 2, generator=generator)
kept = sorted({round(k) for k in np.linspace(0, steps - 1, 40)})
times = np.array([schedule.timesteps(steps)[k] for k in kept])
trajectories = {
    "learned": ddim(learned, schedule, noise, steps=steps, keep=kept),
    "exact": ddim(exact, schedule, noise.double(), steps=steps, keep=kept),
}
spot = torch.tensor(POSITIONS[TINY]).double()
modes = {
    name: torch.where((trajectory.samples.double() - spot).norm(dim=1) < COPY_RADIUS, TINY, BROAD)
    for name, trajectory in trajectories.items()
}
for name, mode in modes.items():
    if not 6 <= (mode == TINY).sum() <= starts - 6:  # 6 draws bound a median at 95 %
        raise ValueError(f"{name}: too few copies or too few others; raise starts or train longer")
followed = {}  # scaled eigenvalues, (paths, times, 2)
for name, mode in product(trajectories, (TINY, BROAD)):
    chosen, values = (modes[name] == mode).nonzero().flatten()[:paths], []
    for t in times.tolist():
        x, sigma = trajectories[name].states[t][chosen], schedule.sigma(t).item()
        if name == "exact":
            found = torch.linalg.eigvalsh(mixture.diffused(schedule.alpha(t), sigma).hessian(x))
        else:
            found = dense(JacobianOperator(learned(t), x)).eigenvalues
        values.append(sharpness.scaled(found, sigma))
    followed[name, mode] = torch.stack(values, dim=1).numpy()
end, alpha, sigma = times[-1].item(), schedule.alpha(times[-1]).item(), schedule.sigma(times[-1]).item()
ends = {name: trajectory.states[end] for name, trajectory in trajectories.items()}
last = {  # the same at the last step, of all paths
    "learned": dense(JacobianOperator(learned(end), ends["learned"])).eigenvalues[:, 0],
    "exact": torch.linalg.eigvalsh(mixture.diffused(alpha, sigma).hessian(ends["exact"]))[:, 0],
}
last = {name: (values.double() * sigma**2).numpy() for name, values in last.items()}

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, name in zip(axes, trajectories, strict=True):
    for mode, color, label in ((TINY, plots.MEMORIZED, "memorized"), (BROAD, plots.GENERAL, "general")):
        plots.band(ax, times, followed[name, mode][:, :, 0], color, label)
    plots.time_axis(ax, times)
    ax.set(title=f"{name} score")
plots.level(axes)
axes[0].set_ylabel(r"smallest $\lambda\,\sigma_t^2$")
axes[0].legend(loc="lower left")
run.figure(
    figure,
    "paths",
    about="Smallest eigenvalue times sigma^2 along sampling paths, by mode",
    data={"t": times}
    | {f"{name}_{'tiny' if mode == TINY else 'broad'}": v for (name, mode), v in followed.items()},
    opening=True,
)

# %% [markdown]
# ## When do the two kinds separate?
#
# The paper reads from its Figure 1b that the memorized sample turns strongly negative "from the middle" of denoising. With many
# paths this becomes a question with an answer: how well does the smallest eigenvalue at time $t$ predict in which mode a path will
# end? The area under the ROC curve (AUC) is 0.5 for chance and 1 for prediction without error. Two times, declared beforehand, are quoted:
# the first, and the one from which on the interval lies above 0.9; {numref}`fig-foretell` holds all of them, {numref}`tab-02-separation` the two and the last step.
# Starting noises are drawn at random, and about one path in a hundred ends next to the spot without being a copy; its eigenvalue there is a hundred times that of the other general
# paths. A *mean* depends on whether a few such paths were drawn, and Student's interval around it does not allow for those that were not. So the last step is described by the *median* over all paths of a kind, with an
# interval between two order statistics, which holds for any distribution, by the share of general paths within {glue:text}`near_zero:.2f` of zero, and by the general path farthest from zero.

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUC of the smallest eigenvalue against time, for the learned and the exact score, with 95 percent bands."}, "figure": {"caption": "How well the smallest eigenvalue at time t predicts where the path ends, with 95 % bands. A value below one half means that the sign is reversed: there the paths that will be memorized are the flatter ones.", "name": "fig-foretell"}}
foretelling = {
    name: [
        intervals.auc(-followed[name, TINY][:, k, 0], -followed[name, BROAD][:, k, 0])
        for k in range(len(times))
    ]
    for name in trajectories
}
colors = {"learned": plots.MEMORIZED, "exact": plots.NEUTRAL}
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
plots.interval_lines(ax, times, foretelling, colors)
plots.level(ax, 0.5)
plots.time_axis(ax, times)
ax.set(ylabel="AUC", ylim=(-0.03, 1.03))
ax.legend(loc="lower right", title="score")
run.figure(
    figure,
    "foretelling",
    about="AUC of the smallest eigenvalue for the final mode, against time",
    data=tables.frame({"t": times} | foretelling),
)

# %% tags=["hide-input"]
rows = []
for name, found in foretelling.items():
    ended = {mode: last[name][(modes[name] == mode).numpy()] for mode in (TINY, BROAD)}
    # The first time from which on the interval stays above 0.9, so that a lucky dip does not count.
    separated = effects.first_sure(found, 0.9, above=True)
    rows.append(
        {
            "score": name,
            "share": intervals.proportion((modes[name] == TINY).numpy()),
            "first": found[0],
            "least": min(found, key=lambda area: area.value),
            "least_time": times[min(range(len(found)), key=lambda k: found[k].value)].item(),
            "separation": 0 if separated is None else times[separated].item(),
            "memorized": intervals.quantile(ended[TINY]),
            "general": intervals.quantile(ended[BROAD]),
            "flat": intervals.proportion(ended[BROAD] > -NEAR_ZERO),
            "sharpest": ended[BROAD].min(),
        }
    )
run.record("near_zero", NEAR_ZERO, about="Scaled eigenvalues nearer to zero than this are called flat")
last_step = f"smallest eigenvalue times sigma^2 at t = {times[-1]}, {{{{score}}}} score, {{}} paths"
tables.tabulate(
    run,
    "separation",
    rows,
    about="Samples in the tiny mode, and how well the smallest eigenvalue predicts that a path will end there",
    record={
        "share": (
            "tiny_share_{score}",
            "Share of {score} samples that end in the tiny mode; the data has 0.05",
        ),
        "first": (
            "first_step_auc_{score}",
            f"AUC of the smallest {{score}} eigenvalue at the first step, t = {times[0]}",
        ),
        "least": ("least_auc_{score}", "Least AUC of the smallest {score} eigenvalue over all times"),
        "least_time": ("least_auc_time_{score}", "Time of the least AUC, {score} score"),
        "separation": (
            "separation_time_{score}",
            "Largest t from which on the {score} smallest eigenvalue separates the modes (interval of the AUC above 0.9); 0 if never",
        ),
        "memorized": ("last_step_memorized_{score}", "Median " + last_step.format("all memorized")),
        "general": ("last_step_general_{score}", "Median " + last_step.format("all general")),
        "flat": (
            "last_step_flat_{score}",
            f"Share of all general paths within {NEAR_ZERO} of zero: " + last_step.format("general"),
        ),
        "sharpest": ("last_step_sharpest_{score}", "Least " + last_step.format("all general")),
    },
)
headings = {"score": "score", "share": "share of samples on the spot", "first": "AUC at the first step"}
headings |= {
    "separation": "separated from t =",
    "memorized": "last step, memorized",
    "general": "last step, general",
    "flat": "share near zero, general",
    "sharpest": "least, general",
}
tables.shown(rows, headings, dict.fromkeys(headings, ".3f") | {"general": ".5f"})

# %% [markdown]
# (plane-second-order)=
# ## The second-order loss against the exact Hessian
#
# The paper trains its small models with the second-order term so that the Hessian of the model is more accurate. On MNIST ({doc}`04_mnist`) a network of equal length that was trained with it was worse even by that loss itself; that was one pair,
# one weight and one random direction. In the plane the exact Hessian decides, and everything can be varied. Declared before the result:
#
# - **Outcome**: the relative error of the Hessian over points of $p_t$, as in the table above, its logarithm averaged over $t =$ 800, 400, 200, 100 and 50. Beside it the error of the score and the asymmetry.
# - **Variants**: the plain loss; the paper's weight 0.5 with the whole Jacobian and with one random direction; other weights in the recorded preset; and the plain loss for five times the steps, as a step with the whole
#   Jacobian costs about as much as five without.
# - **Trainings**: {glue:text}`second_trainings:.0f` of each here, of {glue:text}`second_steps:,.0f` steps, which is short; variants share initial weights and draws, and intervals run over trainings. The recorded preset has more of both.
# - **Verdict**: the term makes the Hessian more accurate if the error with the paper's weight and the whole Jacobian is lower than that of the plain loss, at equal steps and at equal cost.

# %% tags=["hide-input"]
second_times = [800, 400, 200, 100, 50]
ways = second_order.variants(weights, longer=5)
tried = second_order.ablation(ways, trainings, ablation_steps, second_times, run.output / "second-order")
about = "Errors of every network of the ablation at every time"
run.table(tried.drop(columns="key"), "second_order_each", about=about)
run.record("second_trainings", trainings, about="Trainings of each variant of the loss")
run.record("second_steps", ablation_steps, about="Steps of each training of the ablation")
whole = [row for row in second_order.ratios(tried, "longer") if row["key"] not in ("plain", "direction")]
compared = second_order.ratios(tried, "plain") + whole
about = "over that of the plain loss ({base}) in the same training, {variant}"
tables.tabulate(
    run,
    "second_order",
    compared,
    about="Errors over those of the plain loss, for the same steps (plain) or five times as many (longer)",
    record={
        name: (f"second_{key}_{{key}}_over_{{base}}", f"{name.capitalize()} {about}")
        for name, key in second_order.ERRORS.items()
    },
)
tables.shown(compared, {"variant": "loss", "base": "against"} | {name: name for name in second_order.ERRORS})

# %% [markdown]
# A ratio below 1 in {numref}`tab-02-second-order` means that the variant is the better one. With the paper's weight and the whole Jacobian the error of the Hessian is {interval}`second_hessian_whole_over_plain:.2f` of that of the plain loss after the same
# steps, and {interval}`second_hessian_whole_over_longer:.2f` of that of the plain loss after five times as many. With one random direction it is {interval}`second_hessian_direction_over_plain:.2f`, and five times
# the steps alone give {interval}`second_hessian_longer_over_plain:.2f`. The error of the score is {interval}`second_score_whole_over_plain:.2f` of the plain one's.
# {doc}`../book/results` says what follows from it and on which run that rests.

# %% [markdown]
# ## Against the paper
#
# - **The end** is as in the paper. At the last step memorized paths have a smallest scaled eigenvalue of
#   {glue:text}`last_step_memorized_learned:.3f` under the learned score, general ones {glue:text}`last_step_general_learned:.4f` (medians). A share of
#   {interval}`last_step_flat_learned:.3f` of the general ones lies within {glue:text}`near_zero:.2f` of zero; the sharpest of them has {glue:text}`last_step_sharpest_learned:.2f`.
#   The exact value is {glue:text}`last_step_memorized_exact:.3f`: at the smallest noises the network smooths the narrow peak, and the learned
#   curve rises again.
# - **The middle** is where the learned score begins to separate them: from $t =$ {glue:text}`separation_time_learned:.0f` on, the smallest eigenvalue
#   predicts the mode with an AUC whose interval lies above 0.9.
# - **The beginning** is a surprise. Under the exact score the eigenvalue predicts the mode from the first step on (AUC
#   {interval}`first_step_auc_exact:.3f`): in a deterministic sampler the noise fixes
#   the end, and the Hessian at the noise already differs. The difference is smaller than the error of the network,
#   which hides it (AUC {interval}`first_step_auc_learned:.2f`; in between it falls to {interval}`least_auc_learned:.2f`, at $t =$ {glue:text}`least_auc_time_learned:.0f`: there
#   the paths that will be copies are the flatter ones). "From the middle of denoising" is a statement about learned scores.
# - **What differs.** Positions and covariances of the modes, the network and its training are ours; the paper gives none of
#   them.

# %% [markdown]
# ## What the run shows
#
# The page is not built if one of the checks below fails. That memorized paths end sharper is a claim of {doc}`../book/results`, and checked there.

# %% tags=["hide-input"]
at_spot = abs(followed["exact", TINY][:, -1, 0] + 1).max()
run.check("isolated_point", at_spot < 0.02, "an isolated point has scaled eigenvalues of -1")
about = "the learned score must be right at large noise"
run.check("score_at_large_noise", quality[0]["score error"] < 0.1, about)
provenance = run.finish()
provenance
