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
# # Reading a Hessian one product at a time
#
# :::{admonition} Which products with a Hessian too large to store should one take, how many, and how far can one trust the results?
# :class: answer
#
# Answer
# : Orthogonalise twice, and estimate traces with Hutchinson's random signs. The Hessian at a memorized image has {glue:text}`zero_memorized_true:.0f` non-negative eigenvalues. With one pass of Gram-Schmidt, as in the paper's algorithm,
#   {interval}`zero_memorized_once:.0f n` are counted; with two passes {glue:text}`zero_memorized_twice:.0f` from every start. Above $-1/(2\sigma_t^2)$ there are {glue:text}`ghost_memorized_true:.0f`, and one pass counts
#   {glue:text}`ghost_memorized_once:.0f`. With 60 products the error of Hutchinson's estimator is {interval}`trace_gain_memorized:.2f n` of that of the better of Hutch++ and XTrace at a memorized image, and {interval}`trace_gain_general:.2f n` of it at a general one.
#
# How sure
# : Two Hessians of one network, known whole. Counts at zero are from {glue:text}`zero_starts:.0f` start vectors, those above $-1/(2\sigma_t^2)$ from one; errors of traces are over repetitions, n of them, without an interval of their ratio.
#
# For your model
# : The routines of `memlib.hessian` orthogonalise twice and say whether a count has settled. A few more steps do not help one pass: they add eigenvalues that are not there ({numref}`fig-ghosts`).
#
# This chapter
# : answers Algorithm 1 of the paper {cite}`jeon2024understanding` (its appendix A.2), and measures how asymmetric a learned Jacobian is, trace estimators, spectral densities, local dimension, precision and cost. It took {took}`run`.
# :::
#
# ```{glue:figure} figure_ghosts
# :alt: Three panels, counted eigenvalues against Krylov steps. On the built matrix the one-pass count climbs beyond the true twenty while the two-pass count stays on it; on the two learned Hessians the curves are compared with the true counts.
# :name: fig-ghosts
# Counted eigenvalues above $-1/(2\sigma_t^2)$ against Krylov steps, with the true number dashed. A filled dot means that the two-pass routine itself declares its count settled.
# ```
#
# An image of 28 by 28 pixels has a Hessian of 784 by 784; a Stable Diffusion latent one of 16,384 by 16,384. Such a
# matrix is not formed. Everything the paper measures can be computed from products $Jv$ with a vector, each of which costs about as much as one pass
# through the network.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**32) seed of noises, start vectors and probes
time: int = 20  # [0, 1000) time index at which the Hessians are taken, of 1,000
repeats: int = 20  # [2, 10**4] repetitions of each random estimator
budgets: list[int] = [12, 24, 36, 60, 96, 144]  # ascending of [12, 784] products of the trace estimators
krylov_steps: list[int] = [20, 40, 60, 80, 120, 160, 200]  # ascending of [2, 784] of the ghost experiment
starts: int = 4  # [2, 1000] start vectors of the counts at the paper's threshold
asymmetry_times: list[int] = [1, 20, 100, 300, 600, 999]  # ascending of [0, 1000) of asymmetry
probes: int = 16  # [2, 784] random directions of the asymmetry estimates
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/03_hessian_routines/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from companion import experiment, ghosts, plots, tables
from companion.datasets import mnist
from companion.experiment import benchmarks
from companion.recipes.mnist import COPIED, GENERAL, MNIST_COPIES, MNIST_UNDERTRAINED, copied_image
from memlib import hessian, intervals, sharpness
from memlib.hessian.operator import RepeatedOperator
from memlib.score import score_at

plots.use_style()
run = experiment.start("03_hessian_routines", globals())
generator = torch.Generator().manual_seed(seed)
run.parameter_table()

# %% [markdown]
# ## Two Hessians
#
# The model is that of {doc}`04_mnist`: many threes, one copied nine. We look at one point of each kind, noised to the same
# small time: the nine that was copied, and a three from the test set, which the model has never seen ({numref}`fig-two-spectra`).

# %% tags=["hide-input"]
model = MNIST_COPIES.load(run.device).model
alpha, sigma = model.schedule.alpha(time).item(), model.schedule.sigma(time).item()
clean = torch.stack([copied_image(), mnist.digit(GENERAL, 1, "test")[0]])
labels = torch.tensor([COPIED, GENERAL], device=run.device)
kinds = {"memorized": plots.MEMORIZED, "general": plots.GENERAL}
x = (alpha * clean + sigma * torch.randn(clean.shape, generator=generator)).to(run.device)
score = score_at(model, time, labels)
truth = hessian.dense(hessian.JacobianOperator(score, x), progress=True)
symmetric = truth.symmetric
threshold = -0.5 / sigma**2
true_count = truth.count_above(threshold)
for k, kind in enumerate(kinds):
    about = f"Eigenvalues of the {kind} Hessian above -1/(2 sigma^2), dense"
    run.record(f"count_{kind}", true_count[k].item(), about=about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Histograms of the scaled eigenvalues of both Hessians. Both have a tall peak at minus one; the general one also has a tail that reaches past zero."}, "figure": {"caption": "Both spectra, times sigma squared, with the density estimated by stochastic Lanczos quadrature (line, with a band of two standard errors) on top of the exact histogram. Most directions lead off the data and sit at minus one; what makes a point general is the tail to the right.", "name": "fig-two-spectra"}}
op = hessian.DenseOperator(symmetric)
spectral = hessian.density(op, probes=24, steps=40, generator=generator)
grid, width = torch.linspace(-1.6, 0.6, 221).double(), 0.04
smooth = spectral.smooth(grid / sigma**2, width / sigma**2)
exact_scaled = (truth.eigenvalues * sigma**2).cpu().numpy()
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for k, (ax, (kind, color)) in enumerate(zip(axes, kinds.items(), strict=True)):
    ax.hist(exact_scaled[k], np.linspace(-1.6, 0.6, 56), density=True, color=color, alpha=0.35, label="exact")
    middle, error = (smooth.value[k] / sigma**2).cpu().numpy(), (smooth.stderr[k] / sigma**2).cpu().numpy()
    ax.plot(grid, middle, color=color, label="quadrature")
    ax.fill_between(grid, middle - 2 * error, middle + 2 * error, color=color, alpha=0.3, linewidth=0)
    ax.set(title=kind, xlabel=r"$\lambda\,\sigma_t^2$", yscale="log", ylim=(1e-3, 40))
    ax.legend(loc="upper right")
data = {"exact_scaled": exact_scaled, "grid": grid, "estimate": smooth.value.cpu() / sigma**2}
data |= {"stderr": smooth.stderr.cpu() / sigma**2}
run.figure(figure, "spectra", about="Exact spectra of both Hessians and their quadrature estimate", data=data)

# %% [markdown]
# ## Ghost eigenvalues
#
# The paper counts eigenvalues, and obtains them from Arnoldi's method with one pass of modified Gram-Schmidt. In floating point
# that pass leaves the new direction slightly inside the space already spanned, and wherever an eigenvalue has converged it is
# found again: a *ghost*. Score Hessians are the worst case, hundreds of eigenvalues in a tight cluster and a few outside it,
# because those few converge early. A second pass, "twice is enough", removes the ghosts and costs little beside a
# pass through the network.
#
# Count the eigenvalues above $-1/(2\sigma_t^2)$, the middle between an isolated point and a free direction, on the symmetric
# part of both Hessians and on a matrix built to look like them: 300 eigenvalues, 280 of them near $-100$, 20 in $[-5, 1]$.

# %% tags=["hide-input"]
cluster = -100 + 0.1 * torch.rand(280, generator=generator, dtype=torch.float64)
built = torch.cat([cluster, torch.linspace(-5, 1, 20).double()])
basis = torch.linalg.qr(torch.randn(300, 300, generator=generator, dtype=torch.float64)).Q
cases = {
    "built": (basis @ torch.diag(built) @ basis.T, -50.0),
    "memorized": (symmetric[0].cpu(), threshold),
    "general": (symmetric[1].cpu(), threshold),
}
found = []
for name, (matrix, cut) in cases.items():
    start = torch.randn(1, len(matrix), generator=generator, dtype=torch.float64)
    found.append(ghosts.counted(matrix, start, krylov_steps, cut).assign(Hessian=name))
found = pd.concat(found, ignore_index=True)[["Hessian", "steps", *ghosts.COUNTS, "settled"]]
about = "Eigenvalues counted above the threshold, against the number of Krylov steps"
ghost_table = run.table(found, "ghosts", about=about)
for row in found[found["steps"] == max(krylov_steps)].to_dict("records"):
    for key, words in ghosts.COUNTS.items():
        about = f"Eigenvalues counted on the {row['Hessian']} Hessian after {row['steps']} steps: {words}"
        run.record(f"ghost_{row['Hessian']}_{key}", row[key], about=about)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
lines = {"once32": ("v:", plots.MEMORIZED), "once": ("s--", plots.MEMORIZED), "twice": ("-", plots.GENERAL)}
for ax, (name, part) in zip(axes, ghost_table.groupby("Hessian", sort=False), strict=True):
    for key, (style, color) in lines.items():
        ax.plot(part["steps"], part[key], style, color=color, label=ghosts.COUNTS[key], markersize=4)
    for settled, face in ((True, plots.GENERAL), (False, "white")):
        chosen = part[part["settled"] == settled]
        ax.plot(
            chosen["steps"], chosen["twice"], "o", color=plots.GENERAL, markerfacecolor=face, markersize=5
        )
    ax.axhline(part["true"].iloc[0], color=plots.NEUTRAL, linewidth=0.8, linestyle="--")
    ax.set(title=name, xlabel="Krylov steps")
axes[0].set_ylabel("eigenvalues counted")
axes[0].legend(loc="upper left")
run.figure(figure, "ghosts", about="Counted eigenvalues against Krylov steps, one pass and two", opening=True)

# %% [markdown]
# ### At the paper's own threshold
#
# The paper counts eigenvalues that are not negative, a threshold that lies above the whole memorized spectrum: no second copy of an eigenvalue that exists can be counted there. Declared
# beforehand: threshold 0, the largest number of steps above, both learned Hessians, and {glue:text}`zero_starts:.0f` start vectors, because the count from one start vector is random.

# %% tags=["hide-input"] table={"caption": "Non-negative eigenvalues counted after the largest number of steps, mean over start vectors", "name": "tab-03-zero"}
fresh, shown = torch.Generator().manual_seed(seed), []
run.record("zero_starts", starts, about="Start vectors of the counts at threshold 0")
for name in kinds:
    matrix = cases[name][0]
    begin = torch.randn(starts, len(matrix), generator=fresh, dtype=torch.float64)
    at_zero = ghosts.counted(matrix, begin, [max(krylov_steps)], 0.0)
    about = f"Non-negative eigenvalues counted on the {name} Hessian after {max(krylov_steps)} steps"
    run.table(at_zero, f"zero_{name}", about=f"{about}, a row for each start vector")
    row = {"Hessian": name, "true": int(at_zero["true"].iloc[0]), "twice": int(at_zero["twice"].max())}
    run.record(
        f"zero_{name}_true", row["true"], about=f"Non-negative eigenvalues of the {name} Hessian, dense"
    )
    run.record(f"zero_{name}_twice", row["twice"], about=f"{about}: two passes, the most over start vectors")
    for key in ("once", "once32"):
        row |= {key: intervals.mean(at_zero[key])}
        words = f"{about}: {ghosts.COUNTS[key]}"
        run.record(f"zero_{name}_{key}", row[key], about=f"{words}, mean over start vectors")
        run.record(f"zero_{name}_least_{key}", at_zero[key].min(), about=f"{words}, least over start vectors")
        about_top = f"Largest Ritz value times sigma^2, {name} Hessian: {ghosts.COUNTS[key]}"
        run.record(f"zero_{name}_ritz_{key}", at_zero[f"top {key}"].max() * sigma**2, about=about_top)
    shown.append(row)
about = "Largest eigenvalue of the memorized Hessian times sigma^2, dense"
run.record("zero_largest", exact_scaled[0].max(), about=about)
tables.shown(shown, {"Hessian": "Hessian"} | ghosts.COUNTS, ".1f")

# %% [markdown]
# The memorized Hessian has {glue:text}`zero_memorized_true:.0f` eigenvalues that are not negative ({numref}`tab-03-zero`); its largest is {glue:text}`zero_largest:.2f` in units of $1/\sigma_t^2$. Two passes count
# {glue:text}`zero_memorized_twice:.0f` from every start. One pass counts {interval}`zero_memorized_once:.1f` in float64 and {interval}`zero_memorized_once32:.1f` in float32, never less than
# {glue:text}`zero_memorized_least_once:.0f` and {glue:text}`zero_memorized_least_once32:.0f`. The values counted are not eigenvalues: the largest Ritz value is {glue:text}`zero_memorized_ritz_once:.0e` of $1/\sigma_t^2$ in float64 and
# {glue:text}`zero_memorized_ritz_once32:.0e` in float32. Where the basis vectors are no longer independent the small matrix is close to singular, and its spurious zeros lie exactly on the paper's threshold, above or below it by rounding. On the
# general Hessian, which has {glue:text}`zero_general_true:.0f`, one pass counts {interval}`zero_general_once:.1f`, and two at most {glue:text}`zero_general_twice:.0f`.

# %% [markdown]
# {numref}`fig-ghosts` at the top shows the counts. At the largest number of steps, one pass counts {glue:text}`ghost_built_once:.0f` in float64 and {glue:text}`ghost_built_once32:.0f` in
# float32 on the built matrix, where the truth is {glue:text}`ghost_built_true:.0f`; on the memorized Hessian
# {glue:text}`ghost_memorized_once:.0f` and {glue:text}`ghost_memorized_once32:.0f`, where it is {glue:text}`ghost_memorized_true:.0f`. Two passes
# give {glue:text}`ghost_built_twice:.0f` and {glue:text}`ghost_memorized_twice:.0f`. The ghosts come on the memorized side, where they make a
# sample look *less* memorized than it is. On the general Hessian all three agree and all are too low: it has
# {glue:text}`ghost_general_true:.0f` such eigenvalues, more than these steps can reach, and the two-pass routine says so by not
# declaring its count settled.

# %% [markdown]
# ## How asymmetric is a learned Jacobian?
#
# A Hessian is symmetric; the Jacobian of a network need not be. Then $Jv$ and $J^\top v$ differ, eigenvalues may be complex, and
# "the" statistic depends on which product was taken. The ratio $\lVert J - J^\top \rVert_F / \lVert J \rVert_F$ is 0 for a
# gradient and $\sqrt 2$ for a matrix without any relation to its transpose. It is estimated from random directions, at no more
# than three passes through the network each, for the finished model and for one stopped after a ninth of its training ({numref}`fig-asymmetry`).

# %% tags=["hide-input"]
found = []
for name, recipe in (("finished", MNIST_COPIES), ("undertrained", MNIST_UNDERTRAINED)):
    candidate = recipe.load(run.device).model
    for t in asymmetry_times:
        at = candidate.schedule.alpha(t).item(), candidate.schedule.sigma(t).item()
        points = at[0] * clean + at[1] * torch.randn(clean.shape, generator=generator)
        jacobian = hessian.JacobianOperator(score_at(candidate, t, labels), points.to(run.device))
        estimate = jacobian.asymmetry(probes, generator)
        for k, kind in enumerate(kinds):
            row = {"model": name, "kind": kind, "t": t, "asymmetry": estimate.ratio[k].item()}
            found.append(row | {"standard error": estimate.standard_error[k].item()})
about = "||J - J^T|| / ||J|| over time, two models, two kinds of point"
asymmetry = run.table(tables.frame(found), "asymmetry", about=about)
for (name, kind), part in asymmetry.groupby(["model", "kind"]):
    worst = part.loc[part["asymmetry"].idxmax()]
    value, half = worst["asymmetry"], 1.96 * worst["standard error"]
    about = f"Largest asymmetry over the times, {name} model, {kind} point (at t = {worst['t']})"
    interval = intervals.Interval(value, value - half, value + half, 0.95, probes)
    run.record(f"asymmetry_{name}_{kind}", interval, about=about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Asymmetry against time for the finished and the undertrained model at both points."}, "figure": {"caption": "Asymmetry of the learned Jacobian against time, with two standard errors.", "name": "fig-asymmetry"}}
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, kind), part in asymmetry.groupby(["model", "kind"]):
    style = {"fmt": "o-" if name == "finished" else "s--", "color": kinds[kind], "label": f"{name}, {kind}"}
    ax.errorbar(
        part["t"] + 1, part["asymmetry"], 2 * part["standard error"], **style, markersize=4, capsize=2
    )
ax.set(xlabel="time $t + 1$", ylabel=r"$\|J - J^\top\|_F\,/\,\|J\|_F$", xscale="log")
ax.set_ylim(bottom=0)
ax.legend()
run.figure(figure, "asymmetry", about="Asymmetry of the learned Jacobian over time")

# %% [markdown]
# At its worst the finished model has {interval}`asymmetry_finished_memorized:.3f` at the memorized point and
# {interval}`asymmetry_finished_general:.3f` at the general one; the undertrained model
# {interval}`asymmetry_undertrained_memorized:.3f` and {interval}`asymmetry_undertrained_general:.3f`. Training brings the field nearer to a
# gradient; at small times it is farther from one.
#
# The effect on a statistic at the two points above: $\lVert H s \rVert$ by each product ({numref}`tab-03-products`).

# %% tags=["hide-input"]
rows = []
for product in ("jvp", "vjp", "symmetric", "difference"):
    with hessian.JacobianOperator(score, x, product=product) as jacobian:
        norms = jacobian.matvec(jacobian.value).norm(dim=1) * sigma**3
    rows.append({"product": product} | dict(zip(kinds, norms.tolist(), strict=True)))
run.table(tables.frame(rows), "products", about="||H s|| sigma^3 by each product")
tables.shown(rows, formats=".4f")

# %% [markdown]
# ## Traces
#
# $-\operatorname{tr} H$ is the paper's sharpness. Hutchinson's estimator averages $v^\top H v$ over random signs; Hutch++
# {cite}`meyer2021hutch` and XTrace {cite}`epperly2024xtrace` spend part of the products on the dominant directions and
# estimate only the rest. They profit from low rank. $H$ itself is not of low rank: nearly all its eigenvalues are
# $-1/\sigma_t^2$. But $\sigma_t^2 H + I$ is, and the trace of one gives the other:
#
# ```{math}
# \operatorname{tr} H = \frac{\operatorname{tr}(\sigma_t^2 H + I) - d}{\sigma_t^2} .
# ```
#
# The error in {numref}`fig-traces` is the root mean square over repetitions, of $\operatorname{tr}(\sigma_t^2 H)$, which is $-784$ at an isolated
# point.

# %% tags=["hide-input"]
many = RepeatedOperator(hessian.DenseOperator(truth.matrices), repeats)
true_trace = truth.matrices.diagonal(dim1=1, dim2=2).sum(1) * sigma**2
methods = {
    "Hutchinson": partial(hessian.trace, method="hutchinson"),
    "Hutch++, raw": partial(hessian.trace, method="hutch++"),
    "Hutch++, shifted": partial(sharpness.shifted_trace, sigma=sigma, method="hutch++"),
    "XTrace, raw": partial(hessian.trace, method="xtrace"),
    "XTrace, shifted": partial(sharpness.shifted_trace, sigma=sigma, method="xtrace"),
}
traces = []
for name, estimator in methods.items():
    for budget in budgets:
        estimate = estimator(many, budget, generator=generator)
        value, stderr = ((part * sigma**2).reshape(2, repeats) for part in (estimate.value, estimate.stderr))
        error = value - true_trace[:, None]
        for k, kind in enumerate(kinds):
            row = {"estimator": name, "kind": kind, "products": budget}
            row |= {"rms error": error[k].square().mean().sqrt().item()}
            row |= {"mean standard error": stderr[k].mean().item()}
            traces.append(row | {"z": (error[k] / stderr[k]).square().mean().sqrt().item()})
about = "Error of the trace estimators; z is the root mean square of error over reported standard error"
trace_table = run.table(tables.frame(traces), "traces", about=about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Root mean square error of five trace estimators against the number of products, for both Hessians."}, "figure": {"caption": "Error of the trace estimators against the products they spend.", "name": "fig-traces"}}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
tones = {"Hutchinson": "black", "Hutch++": "tab:orange", "XTrace": "tab:green"}
for (kind, name), part in trace_table.groupby(["kind", "estimator"], sort=False):
    ax, color = (
        axes[list(kinds).index(kind)],
        next(tones[method] for method in tones if name.startswith(method)),
    )
    style = ":o" if name.endswith("raw") else "-o"
    ax.plot(part["products"], part["rms error"], style, color=color, markersize=3, label=name)
for ax, kind in zip(axes, kinds, strict=True):
    ax.set(title=kind, xlabel="products", yscale="log")
    plots.log_axis(ax, budgets)
axes[0].set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
axes[0].set_ylabel(r"rms error of $\mathrm{tr}\,\sigma_t^2 H$")
axes[1].legend(fontsize=8)
run.figure(figure, "traces", about="Root mean square error of the trace estimators against products")

# %% [markdown]
# On these Hessians the order expected in theory is reversed: Hutchinson's plain estimator has the smallest error, for two reasons. The error of a
# random-sign probe comes from the entries *off* the diagonal alone, its variance being
# $2\,(\lVert S \rVert_F^2 - \sum_i S_{ii}^2)$ for a symmetric $S$, and over pixels these Hessians are nearly diagonal. And
# $\sigma_t^2 H + I$ is not as low in rank as for exact scores: a trained network leaves hundreds of eigenvalues
# spread between 0 and 1. Suppose the 30 best directions were known at no cost, and 30 probes were spent on the remainder:

# %% tags=["hide-input"]
at_sixty = trace_table[trace_table["products"] == 60].set_index(["estimator", "kind"])["rms error"]
shifted = sigma**2 * symmetric + torch.eye(784, dtype=symmetric.dtype, device=symmetric.device)
values, vectors = torch.linalg.eigh(shifted)
order = values.abs().argsort(dim=1, descending=True)[:, 30:]  # all but the 30 of largest modulus
kept = torch.zeros_like(values).scatter(1, order, values.gather(1, order))
for k, kind in enumerate(kinds):
    remainder = vectors[k] @ torch.diag(kept[k]) @ vectors[k].T
    spread = [(2 * (m.square().sum() - m.diagonal().square().sum())).sqrt() for m in (shifted[k], remainder)]
    plain = at_sixty["Hutchinson", kind]
    best = min(at_sixty["Hutch++, shifted", kind], at_sixty["XTrace, shifted", kind])
    deflated = (spread[0] / 60**0.5) / (spread[1] / 30**0.5)
    about = f"Hutchinson's error over that of the better of Hutch++ and XTrace (shifted), 60 products, {kind}"
    run.record(f"trace_gain_{kind}", plain / best, n=repeats, about=about)
    about = f"Hutchinson's rms error of tr sigma^2 H at 60 products, {kind} Hessian"
    run.record(f"hutchinson_error_{kind}", plain, n=repeats, about=about)
    about = f"Error of 60 sign probes over that of 30 once the 30 best directions are removed, {kind}"
    run.record(f"deflation_gain_{kind}", deflated, about=about)

# %% [markdown]
# The gain is {glue:text}`deflation_gain_memorized:.2f` on the memorized Hessian and {glue:text}`deflation_gain_general:.2f` on the
# general one, where 1 is no gain and less is a loss: the directions that are removed spread over pixels, so that the remainder
# is less diagonal than the whole was. Hutch++ and XTrace have to find these directions first: Hutchinson's error is
# {glue:text}`trace_gain_memorized:.2f` and {glue:text}`trace_gain_general:.2f` of that of the better of them. For the trace of a learned Hessian over
# pixels, use Hutchinson's estimator: with 60 products its root mean square error is {glue:text}`hutchinson_error_memorized:.2f` and
# {glue:text}`hutchinson_error_general:.2f`. The shifted form is for spectra that really are low in rank, as those of exact
# scores are.

# %% [markdown]
# ## Local dimension
#
# A scaled eigenvalue near 0 is a direction along the data. Counting them with a smooth step gives a local dimension; so does
# FLIPD, $d + \sigma_t^2(\operatorname{tr} H + \lVert s \rVert^2)$ {cite}`kamkari2024geometric`, from a trace and a score norm.
# The filter is evaluated at the noised point, FLIPD where it is defined, at the clean image scaled by $\alpha_t$ ({numref}`tab-03-dimension`).

# %% tags=["hide-input"]
filtered = sharpness.estimated_dimension(hessian.density(op, probes=24, steps=40, generator=generator), sigma)
kappa = 0.1
exact_filtered = (1 / (1 + (torch.tensor(exact_scaled).abs() / kappa) ** 4)).sum(1)
flipd = sharpness.flipd(score, (alpha * clean).to(run.device), probes=60, generator=generator)
rows = []
for k, kind in enumerate(kinds):
    row = {"kind": kind, "exact filter": exact_filtered[k].item()}
    for key, estimate, about in (
        ("filter", filtered, f"Spectral-filter dimension at the {kind} point, interval over its probes"),
        ("flipd", flipd, f"FLIPD at the {kind} image, interval over its sign probes"),
    ):
        ends = [float(end[k]) for end in estimate.interval(0.95)]
        run.record(f"{key}_{kind}", estimate.value[k], interval=ends, level=0.95, about=about)
        row |= {key: float(estimate.value[k]), f"{key}, standard error": float(estimate.stderr[k])}
    rows.append(row)
run.table(tables.frame(rows), "dimension", about="Local dimension of both points by two estimators")
headings = {"kind": "point", "filter": "spectral filter", "filter, standard error": "standard error"}
headings |= {
    "exact filter": "exact filter",
    "flipd": "FLIPD",
    "flipd, standard error": "FLIPD standard error",
}
tables.shown(rows, headings, ".1f")

# %% [markdown]
# The filter finds {glue:text}`filter_memorized:.1f` free directions at the copied nine and {glue:text}`filter_general:.0f` at the unseen
# three. FLIPD agrees on the three ({glue:text}`flipd_general:.0f`) and gives {glue:text}`flipd_memorized:.0f` at the nine, which is impossible
# for a density: around the copied image the learned curvature overshoots $-1/\sigma_t^2$, and a trace sums that over all directions, while
# the filter ignores it.

# %% [markdown]
# ## Curvature per pixel
#
# The diagonal of $\sigma_t^2 H + I$ is a map over pixels: 0 where the density is as sharp as around an isolated point, larger
# where the image is free to change ({numref}`fig-diagonal`).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of images: the noised digit, the exact diagonal of sigma squared H plus I, and its estimate. The memorized map is dark everywhere; the general one lights up along the strokes."}, "figure": {"caption": "Freedom per pixel, exact and from 120 sign probes. Bright pixels are free to change.", "name": "fig-diagonal"}}
freedom = hessian.diagonal(sigma**2 * hessian.DenseOperator(truth.matrices) + 1.0, 120, generator=generator)
exact_diagonal = 1 + sigma**2 * truth.matrices.diagonal(dim1=1, dim2=2)
maps = torch.stack([exact_diagonal, freedom.value], dim=1).reshape(2, 2, 28, 28).cpu().numpy()
figure, axes = plt.subplots(2, 3, figsize=(6.6, 4.2), layout="constrained")
for line, kind, image, pair in zip(axes, kinds, x.cpu(), maps, strict=True):
    line[0].imshow(image[0], cmap="gray", vmin=-1, vmax=1)
    line[0].set_ylabel(kind)
    for ax, values in zip(line[1:], pair, strict=True):
        shown = ax.imshow(values, vmin=0, vmax=float(maps.max()))
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
for ax, title in zip(axes[0], ("$x_t$", "exact", "120 products"), strict=True):
    ax.set_title(title)
figure.colorbar(shown, ax=axes, shrink=0.8, label=r"$1 + \sigma_t^2 H_{ii}$")
data = {"maps": maps, "x": x.cpu()}
run.figure(figure, "diagonal", about="Diagonal of sigma^2 H + I, exact and estimated", data=data)

# %% [markdown]
# ## On a model of your own
#
# Any function that maps a batch of points to scores will do.
#
# ```python
# import torch
# from memlib import hessian, intervals, sharpness
# from memlib.score import Score
#
# def fn(x):                                   # your network, at one fixed time and condition
#     return -my_network(x, t, prompt) / sigma  # an epsilon prediction is a score after division by -sigma
#
# H = hessian.JacobianOperator(Score(fn, alpha=alpha, sigma=sigma), x)     # x: (B, ...), one point per sample
# print(H.asymmetry(8).ratio)                                              # can it be read as a Hessian at all?
# print(hessian.trace(H, 60))                                              # sharpness, with a standard error
# S = hessian.JacobianOperator(Score(fn, alpha=alpha, sigma=sigma), x, product="symmetric")
# print(hessian.count_above(S, 0.0, steps=200))                            # non-negative eigenvalues, with bounds
# ```

# %% [markdown]
# ## Appendix: precision
#
# The network runs in its own dtype; bases, small matrices and sums are float64. Against the same network in float64, one
# product with a random direction is off by what {numref}`tab-03-precision` says.

# %% tags=["hide-input"]
double = MNIST_COPIES.load(run.device).model
double.network.double()
direction = torch.randn(2, 784, generator=generator, dtype=torch.float64).to(run.device)
reference = {
    product: hessian.JacobianOperator(score_at(double, time, labels), x.double(), product=product).matvec(
        direction
    )
    for product in ("jvp", "vjp")
}
reference["difference"] = reference["jvp"]
rows = []
for dtype, word in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
    low = MNIST_COPIES.load(run.device).model
    low.network.to(dtype)
    for product, exact_product in reference.items():
        jacobian = hessian.JacobianOperator(score_at(low, time, labels), x.to(dtype), product=product)
        errors = (jacobian.matvec(direction) - exact_product).norm(dim=1) / exact_product.norm(dim=1)
        rows.append({"network": word, "product": product} | dict(zip(kinds, errors.tolist(), strict=True)))
    largest = max(max(row[kind] for kind in kinds) for row in rows[-3:] if row["product"] != "difference")
    run.record(f"{word}_error", largest, about=f"Largest relative error of an exact {word} product")
run.table(
    tables.frame(rows), "precision", about="Relative error of one product against the network in float64"
)
tables.shown(rows, formats=".1e")

# %% [markdown]
# ## Appendix: what it costs
#
# Measured by `make bench` and kept in `benchmarks/results/`; this notebook times nothing, it only shows {numref}`tab-03-benchmarks`. Each line sets a
# routine of `memlib.hessian` against what one would use instead, in turns within one process; the ratio is the median over the
# turns, with the smallest and the largest. Targets were set before anything was measured.
#
# The targets that are missed have reasons. *Lanczos on the symmetric part* makes two products a step, and differentiating a convolution twice computes a
# weight gradient that is not needed; Arnoldi on transposed products gives the eigenvalues of the Jacobian at one pass a step.
# *Counts after a fixed number of steps* cannot be right where more eigenvalues than that lie above the threshold; `count_above` goes on until they
# are. *Traces*: see above.

# %% tags=["hide-input"]
about = "Recorded benchmarks, with settings, seconds, notes and agreement of both sides"
costs = run.table(benchmarks.recorded("hessian"), "benchmarks", about=about)
benchmarks.summary(costs).style.hide(axis="index")

# %% [markdown]
# ## What the run shows
#
# That one pass counts ghosts and two do not is a claim of {doc}`../book/results`, and checked there.

# %% tags=["hide-input"]
settled = ghost_table[ghost_table["settled"]]
run.check(
    "settled_is_true", (settled["twice"] == settled["true"]).all(), "a settled count must be the true one"
)
worst = asymmetry.groupby("model")["asymmetry"].max()
about = "training must make the field more of a gradient"
run.check("training_symmetrises", worst["finished"] < worst["undertrained"], about)
near = (filtered.value.cpu() - exact_filtered).abs() < 5 * filtered.stderr.cpu() + 1
run.check("filters_agree", near.all(), "the filter must agree with the dense one")
provenance = run.finish()
provenance
