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
# # Keeping copies from coming out
#
# The paper changes the initial noise of a text-to-image model until its sharpness statistic is small, and calls that SAIL. Does it keep copies away, at what price,
# and is it the descent that does it?
#
# :::{admonition} This chapter
# :class: note
#
# - **Asks** what Figure 6 of the paper {cite}`jeon2025understanding` shows: how near mitigated images are to the training image, against how well they agree with the prompt,
#   for five settings of every method.
# - **Runs** SAIL as the paper prints it, as its authors released it and as this project would write it, beside five other methods and none, on a model whose copies are
#   known; and beside all of them the only certain cure, a model trained anew without the copies.
# - **Takes** about 3 minutes on two cores with the shipped models; not timed on a GPU yet.
# :::
#
# On Stable Diffusion, similarity and agreement are judged by other networks. Here both can be had more directly. The copied image of a caption is known, so similarity is the
# cosine to it, in pixels, in latents and in the features of a classifier, each after the mean of ordinary training images is taken off. The prompt names a digit, and a classifier that
# never saw these images says whether it is there.

# %% [markdown]
# ## Parameters

# %% tags=["parameters", "hide-input"]
seed: int = 0  # [0, 2**32) seed of every random draw
doses: list[int] = [30, 100, 1000]  # ascending of {1, 3, 10, 30, 100, 300, 1000} copies of a caption
per_dose: int = 2  # [1, 4] captions of each dose
templates: int = 1  # [1, 8] captions of which a part of the image was copied 1,000 times
general: int = 12  # [2, 1000] held-out captions: they say what is ordinary
seeds: int = 5  # [2, 1000] initial noises, the same for all captions and methods
multiples: list[float] = [1.5, 2.0, 2.5, 3.0, 4.0]  # ascending of (0, 100] thresholds, in ordinary levels
additions: list[int] = [1, 2, 4, 6, 8]  # ascending of [1, 76] random tokens or numbers added
factors: list[float] = [1.1, 1.2, 1.25, 1.3, 1.5]  # ascending of [1, 100] of the begin mark's logit
penalty: float = 6.0  # [0, inf) alpha sqrt(d) of SAIL in ordinary levels; about that in the paper
weights: list[float] = [0.0, 30.0]  # 0+ of [0, inf) other values of it, to be compared
descent_steps: int = 6  # [0, 1000] gradient steps at most
learning_rate: float = 0.1  # (0, 100] of all descents
candidates: int = 2  # [1, 1000] starting noises per image of the corrected SAIL
pool: int = 5  # [1, 1000] candidates of the released SAIL
rounds: int = 2  # [1, 1000] of the released SAIL, at most
noises: int = 16  # [2, 1000] initial noises for the question whether they tell what comes out
noise_doses: list[int] = [30, 100]  # ascending of {1, 3, 10, 30, 100, 300, 1000} copies of the captions asked
steps: int = 15  # [2, 1000] sampling steps
guidance: float = 7.5  # [0, 100] scale of classifier-free guidance
references: int = 2000  # [2, 10**5] training images that copies are told from
compared: int = 40  # [2, 10**4] general captions for the statistics of the retrained model
model: str = "organism_epsilon"  # shipped model, folder or hub id
retrained: str = "organism_without_copies"  # trained without half of the copies; empty: none
prompts: str = (
    "organism"  # whose captions: "organism", published "sd1" or "sd2", or a CSV file of text and family
)
listing: str = ""  # for other captions than the organism's: file that names their training images
memorized: int = 50  # [2, 10**4] captions with training images, at most
clip: str = ""  # folder or hub id of the network that judges agreement; empty: the paper's
dino: str = ""  # of the one that judges similarity; empty: facebook/dinov2-base
precision: str = "float32"  # {float32, float16, bfloat16} of the networks
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/09_latent_mitigation/interactive

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from companion import experiment, plots
from companion.comparison import (
    Judge,
    RealJudge,
    Settings,
    Trials,
    best_settings,
    dominated,
    joined,
    lead,
    objectives,
    over_captions,
    training_images,
)
from companion.comparison.encoders import Clip, Dino
from companion.organism import captions
from companion.organism.training_set import removed
from companion.prompts.labelled import COPIED, labelled
from companion.prompts.published import published
from companion.recipes import text_to_image
from memlib import detection, intervals
from memlib.mitigation import NEVER, NoMitigation

plots.use_style()
run = experiment.start("09_latent_mitigation", globals())


run.parameter_table()

# %% tags=["hide-input"]
if min(per_dose * len(doses), templates + 1, seeds, general, noises) < 2:
    raise ValueError("intervals need two captions, seeds and noises at least, and there must be a template")
network = text_to_image.load(model, device=run.device, dtype=precision)
noise = network.noise(seeds, torch.Generator().manual_seed(seed))
dimension = noise[0].numel()
known = prompts == "organism"
if known:
    chosen = [c for dose in doses for c in [c for c in removed() if c.dose == dose][:per_dose]]
    chosen += [c for c in captions("template") if c.dose == 1000][:templates]
    judge = Judge(network, chosen, references=references, seed=seed)
    judged_captions = [c.text for c in chosen]
    harmless = [c.text for c in captions("general", held_out=True)[:general]]
else:
    if prompts in ("sd1", "sd2"):
        copied = {p.text: p.memorized for p in published(prompts)}
    else:
        copied = {c.text: c.family in COPIED for c in labelled(Path(prompts))}
    pictures = training_images([text for text in copied if copied[text]][:memorized], Path(listing))
    readers = {"device": run.device}
    judge = RealJudge(
        network, pictures, clip=Clip.load(clip or None, **readers), dino=Dino.load(dino or None, **readers)
    )
    judged_captions = list(pictures.captions)
    harmless = [text for text in copied if not copied[text]][:general]
captions_judged, ordinary = network.encode(judged_captions), network.encode(harmless)
trials = Trials(network, judge, captions_judged, noise, steps, guidance, seed)
main = judge.spaces[0]
whole = [p for p in range(len(judged_captions)) if not (known and chosen[p].family == "template")]
false = judge.false_copies()
run.record(
    "false_copies",
    intervals.bounded_mean([false[p].double().mean().item() for p in whole], 0.0, 1.0),
    about="Share of images of others that would be called copies, interval over captions",
)
if known:
    run.record(
        "false_parts",
        intervals.proportion(torch.cat(false[len(whole) :]).numpy()),
        about="Share of held-out images of the digit that would be said to have the part of a template",
    )

# %% [markdown]
# A copy is an image that lies nearer to the copied image than all but one in a hundred of {glue:text}`references:,.0f` other training images, of all captions; of a template the part that was copied is compared. By that rule
# {glue:text}`false_copies:.3f` ({glue:text}`false_copies_lo:.3f` to {glue:text}`false_copies_hi:.3f`) of held-out images of the same digit are called copies,
# which is the rate at which the rule errs, and for the part of a template {glue:text}`false_parts:.3f`.
#
# ## What is ordinary
#
# A threshold means something only in units of something. Here the unit is the median, over held-out captions, of what each method minimises, at the same noises. A quantity of second
# order goes with the square of a multiple. The penalty $\alpha \lVert x_T \rVert$ of SAIL is set so that it bears the same proportion to the ordinary level as in the paper, where it is about six times as large.

# %% tags=["hide-input"]
at_ordinary = objectives(network, ordinary, noise, steps=steps)
at_copied = objectives(network, captions_judged[whole], noise, steps=steps)
ordinary_levels = {name: float(values.median()) for name, values in at_ordinary.items()}
levels = []
for name, unit in ordinary_levels.items():
    run.record(
        f"level_{name}".replace(" ", "_").lower(),
        above := intervals.mean((at_copied[name] / unit).mean(1).numpy()),
        about=f"What {name} is at captions with copies, in its ordinary level, interval over captions",
    )
    levels.append(
        {"minimised": name, "ordinary": unit, "copied": above.value, "low": above.low, "high": above.high}
    )
run.record("references", references, about="Training images that copies are told from")
run.table(
    pd.DataFrame(levels),
    "levels",
    about="Ordinary level of what each method minimises, and captions with copies in multiples of it",
).style.format("{:.3g}", subset=["ordinary", "copied", "low", "high"]).hide(axis="index")

# %% [markdown]
# ## All methods, all settings
#
# The same {glue:text}`seeds:.0f` noises for every caption, method and setting.

# %%
settings = Settings(
    ordinary=ordinary_levels,
    dimension=dimension,
    multiples=multiples,
    additions=additions,
    factors=factors,
    penalty=penalty,
    steps=descent_steps,
    learning_rate=learning_rate,
    candidates=candidates,
    pool=pool,
    rounds=rounds,
)
methods = settings.methods()
judged = trials.all(methods)
middle = multiples[len(multiples) // 2 - 1]
label = f"{middle:g}"
judged |= trials.all(
    {
        "trial": {
            "difference": settings.with_difference(middle),
            "selection": settings.corrected(middle, steps=0, candidates=8),
            "descent": settings.corrected(middle, candidates=1),
            **{f"weight {w:g}": settings.printed(middle, penalty=w) for w in weights},
        }
    }
)
if retrained:
    cured = text_to_image.load(retrained, device=run.device, dtype=precision)
    judged["retrained", ""] = trials.one(NoMitigation(), model=cured)
images = run.table(joined(judged), "images", about="Every image and what was done for it")
exact = images[images["family"] != "template"]
run.record("seeds", seeds, about="Noises per caption")
run.record(
    "cut_random_numbers",
    exact.loc[exact["method"] == "random numbers", "cut"].mean(),
    about="Share of images whose caption lost its end to random numbers, all settings",
)
run.record("exact_captions", len(whole), about="Captions whose image was copied")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Agreement with the prompt runs from 0 to 1, similarity from minus one half to 1. No mitigation and the methods that change the noise lie together at the upper right: full agreement, high similarity. Prompt embedding and random additions run from there down to the left: less similar and less agreeing. The retrained model lies at full agreement."}, "figure": {"caption": "Similarity to the copied image, in pixels, against agreement with the prompt; the settings of a method are joined by a line, bars are 95 % intervals over captions. Lower right is better. The diamond is the model that was trained without the copies.", "name": "fig-mitigation-tradeoff"}}
shown_methods = [*methods, *(["retrained"] if retrained else [])]
colors = dict(zip(shown_methods, ["#000000", *plt.get_cmap("tab10").colors], strict=False))
markers = {"none": "*", "retrained": "D"}


tradeoffs = {
    space: {
        name: [
            [over_captions(exact, name, s, what) for s in methods.get(name, [""])]
            for what in ("agree", space)
        ]
        for name in shown_methods
    }
    for space in judge.spaces
}
figure, ax = plt.subplots(figsize=(6.5, 5.5), layout="constrained")
for name, (x, y) in tradeoffs[main].items():
    plots.crossed_intervals(ax, x, y, colors[name], name, marker=markers.get(name, "o"))
ax.set(xlabel="agreement with the prompt", ylabel=f"similarity, {main}")
figure.legend(loc="outside lower center", ncols=3, fontsize=9)
run.figure(
    figure,
    "tradeoff",
    about="Similarity against agreement",
    data=pd.DataFrame(
        [
            {"method": name, "setting": s, "what": what, "value": e.value, "low": e.low, "high": e.high}
            for name in shown_methods
            for s in methods.get(name, [""])
            for what in ("agree", *judge.spaces)
            for e in [over_captions(exact, name, s, what)]
        ]
    ),
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two plots as before, one for latents, one for features. In both the methods that change the noise stay with no mitigation at the upper right; the others fall to the left along one line."}, "figure": {"caption": "The same with similarity in latents and in the classifier's features, which see strokes and no colours.", "name": "fig-mitigation-spaces"}}
further = judge.spaces[1:]
figure, axes = plt.subplots(
    len(further), 1, figsize=(6.5, 4 * len(further)), layout="constrained", sharex=True, squeeze=False
)
for ax, space in zip(axes.flat, further, strict=True):
    for name, (x, y) in tradeoffs[space].items():
        plots.crossed_intervals(ax, x, y, colors[name], name, marker=markers.get(name, "o"))
    ax.set(xlabel="agreement with the prompt", ylabel=f"similarity, {space}")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
run.figure(figure, "spaces", about="Similarity in latents and features against agreement")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rows of small coloured digits. In the first row the copied image. Without mitigation and under all methods that change the noise, five nearly equal copies; under prompt embedding and random additions digits in other colours and handwriting, some of them another digit."}, "figure": {"caption": "The copied image of one caption, and below it the caption's images under every method at its best setting, from the same noises.", "name": "fig-mitigation-images"}}
best = best_settings(exact[exact["method"].isin(shown_methods)])
last = whole[-1]
rows = {"copied image": judge.targets[last].numpy()} if known else {}
rows |= {name: judged[name, setting].images[last].numpy() for name, setting in best.items()}
figure = plots.image_grid(rows, seeds)
run.figure(
    figure,
    "images",
    about="Images of one caption under every method at its best setting",
    data={name.replace(" ", "_"): some for name, some in rows.items()},
)

# %% [markdown]
# A mitigation succeeds if the digit is there and the image is no copy. Each method at the setting of most successes, chosen on the same images, which flatters all of them alike:

# %% tags=["hide-input"]
summary = []
for name, setting in best.items():
    row = {"method": name, "setting": setting}
    for what in ("success", "copy", "agree", main, "diversity", "loss", "norm_after"):
        estimate = over_captions(exact, name, setting, what)
        run.record(
            f"{what}_{name}".replace(" ", "_").lower(),
            estimate,
            about=f"{what}: {name}, its best setting, interval over captions",
        )
        row[what] = f"{estimate:.2f}"
    if name != "none":
        run.record(
            f"fewer_{name}".replace(" ", "_").lower(),
            fewer := lead(exact, ("none", ""), (name, setting), "copy"),
            about=f"Share of copies without mitigation less that of {name}, over captions",
        )
    row["copies avoided"] = f"{fewer:+.2f}" if name != "none" else "0"
    summary.append(row)
best_table = run.table(
    pd.DataFrame(summary), "best", about="Every method at its best setting, captions whose image was copied"
).rename(columns={main: "similarity", "loss": "round trip", "norm_after": "length of the noise"})
best_table.style.hide(axis="index")

# %% [markdown]
# *Diversity* is the distance between two images of a caption, root mean square over pixels. *Round trip* is the distance between the latents and those of the decoded image: it grows where
# latents lie off what the autoencoder knows. It stays as it was under every method: no image looks off for what was done to its noise, though the lengths of the noises differ.
#
# What only changes the noise avoids no copy, or hardly one: SAIL as printed {glue:text}`fewer_sail_printed:.2f` ({glue:text}`fewer_sail_printed_lo:.2f` to {glue:text}`fewer_sail_printed_hi:.2f`) of the images, as released
# {glue:text}`fewer_sail_released:.2f` ({glue:text}`fewer_sail_released_lo:.2f` to {glue:text}`fewer_sail_released_hi:.2f`), corrected
# {glue:text}`fewer_sail_corrected:.2f` ({glue:text}`fewer_sail_corrected_lo:.2f` to {glue:text}`fewer_sail_corrected_hi:.2f`); where all {glue:text}`exact_captions:.0f` captions agree, their number alone decides how wide the interval is. What changes the prompt avoids copies, and pays for it with the digit: agreement falls from
# {glue:text}`agree_none:.2f` to {glue:text}`agree_prompt_embedding:.2f` ({glue:text}`agree_prompt_embedding_lo:.2f` to {glue:text}`agree_prompt_embedding_hi:.2f`) under Wen's method and to
# {glue:text}`agree_random_numbers:.2f` ({glue:text}`agree_random_numbers_lo:.2f` to {glue:text}`agree_random_numbers_hi:.2f`) with random numbers. The tokenizer's limit of 16 has a part in that: added words push the last ones out, in
# {glue:text}`cut_random_numbers:.2f` of the images with random numbers, all settings together.
#
# An image that was copied often comes out from every noise; there no choice of noise can help. The share of copies by the number of copies in training, each method at its best setting:

# %% tags=["hide-input"]
by_dose = []
for name, setting in best.items() if known else ():
    row = {"method": name}
    for dose in doses:
        some = exact[(exact["method"] == name) & (exact["setting"] == setting) & (exact["dose"] == dose)]
        run.record(
            f"copy_{name}_{dose}".replace(" ", "_").lower(),
            estimate := intervals.proportion(some["copy"].to_numpy(dtype=float)),
            about=f"Share of copies at dose {dose}, interval over images: {name}",
        )
        row[f"{dose:,} copies"] = f"{estimate:.2f}"
        row[f"agreement at {dose:,}"] = f"{some['agree'].mean():.2f}"
    by_dose.append(row)
if known:
    display(run.table(pd.DataFrame(by_dose), "by_dose", about="Copies by dose").style.hide(axis="index"))
else:
    print("Nobody has counted the copies of these images.")

# %% [markdown]
# ## Does SAIL dominate?
#
# Dominated means: some setting of SAIL gives images less similar to the copied one *and* agrees at least as well. The first columns count, for each method, its settings that one of SAIL's
# dominates, by the means over images, where a hundredth of similarity decides; the last gives the successes of SAIL as printed less those of the method, both at their best settings, caption by caption.

# %% tags=["hide-input"]
sails = ("SAIL printed", "SAIL released", "SAIL corrected")
rivals = [name for name in methods if name not in (*sails, "none")]
duels = []
for name in methods:
    row = {"method": name, "settings": len(methods[name])}
    row |= {
        f"by {sail}": "itself" if sail == name else f"{dominated(exact, name, sail, main)}" for sail in sails
    }
    if name != "SAIL printed":
        run.record(
            f"lead_over_{name}".replace(" ", "_").lower(),
            ahead := lead(exact, ("SAIL printed", best["SAIL printed"]), (name, best[name]), "success"),
            about=f"Successes of SAIL as printed less those of {name}, best settings, over captions",
        )
        row["lead of SAIL printed"] = f"{ahead:+.2f}"
    duels.append(row)
beaten = {sail: sum(dominated(exact, name, sail, main) for name in rivals) for sail in sails}
of_rivals = sum(len(methods[name]) for name in rivals)
for sail, count in beaten.items():
    run.record(
        f"dominated_by_{sail}".replace(" ", "_").lower(),
        intervals.proportion([k < count for k in range(of_rivals)]),
        about=f"Share of the settings of the other methods that some setting of {sail} dominates, interval over settings",
    )
run.record("rival_settings", of_rivals, about="Settings of the methods that are no SAIL")
run.table(pd.DataFrame(duels), "duels", about="Which settings SAIL dominates").style.format(
    na_rep="itself"
).hide(axis="index")

# %% tags=["hide-input"]
at_rest = exact.merge(exact.loc[(exact["method"] == "none") & exact["copy"], ["caption", "seed"]])
for name in (*sails, "noise adjustment"):
    met = at_rest[(at_rest["method"] == name) & (at_rest["step"] != NEVER) & ~at_rest["drawn"]]
    if len(met):
        run.record(
            f"still_{name}".replace(" ", "_").lower(),
            intervals.proportion(met["copy"].to_numpy(dtype=float)),
            about=f"{name}: copies where the same noise gave one and was moved under the threshold, all settings",
        )

# %% [markdown]
# Do the descents fail to get there? No: where a noise gave a copy, and SAIL as printed moved it until its objective was under the threshold, of whatever setting, a copy came out all the same in
# {glue:text}`still_sail_printed:.2f` ({glue:text}`still_sail_printed_lo:.2f` to {glue:text}`still_sail_printed_hi:.2f`) of the images; as released in
# {glue:text}`still_sail_released:.2f` ({glue:text}`still_sail_released_lo:.2f` to {glue:text}`still_sail_released_hi:.2f`), corrected in
# {glue:text}`still_sail_corrected:.2f` ({glue:text}`still_sail_corrected_lo:.2f` to {glue:text}`still_sail_corrected_hi:.2f`), and under Han's noise adjustment in
# {glue:text}`still_noise_adjustment:.2f` ({glue:text}`still_noise_adjustment_lo:.2f` to {glue:text}`still_noise_adjustment_hi:.2f`).
# The statistic can be made ordinary at the first step by a small change of the noise, and the steps after it lead to the copy nevertheless: on this model it is a sign of memorization, and no lever.
#
# ## Does the score difference fail to converge?
#
# The paper remarks that $\lVert s_\Delta \rVert^2$ in place of SAIL's first term fails to converge. Both are minimised here from the same noises, with the same optimiser and number of steps, down to the same
# multiple of their own ordinary level.

# %% tags=["hide-input"]
converging = []
for name, where, kind, method in (
    ("gain", ("SAIL printed", label), "SAIL printed", settings.printed(middle)),
    ("difference", ("trial", "difference"), "SAIL with the difference", settings.with_difference(middle)),
):
    some = exact[(exact["method"] == where[0]) & (exact["setting"] == where[1])].copy()
    some["left"] = (some["objective"] - method.alpha * some["norm_after"]) / ordinary_levels[kind]
    some["reached"] = some["step"] != NEVER
    means = some.groupby("caption")[["reached", "left"]].mean()
    before = intervals.mean((at_copied[kind] / ordinary_levels[kind]).mean(1).numpy())
    run.record(
        f"left_{name}",
        left := intervals.mean(means["left"].to_numpy()),
        about=f"First term at the end, in ordinary levels, over captions: {name}",
    )
    run.record(
        f"reached_{name}",
        reached := intervals.proportion(some["reached"].to_numpy(dtype=float)),
        about=f"Share of images whose threshold was reached, interval over images: {name}",
    )
    converging.append(
        {
            "first term": name,
            **{
                word: f"{e:.2f}"
                for word, e in (("before", before), ("after", left), ("threshold reached", reached))
            },
        }
    )
run.table(
    pd.DataFrame(converging), "converging", about="Two first terms of SAIL, in ordinary levels"
).style.hide(axis="index")

# %% [markdown]
# ## Does the weight of the norm matter?
#
# SAIL as printed under other values of $\alpha$; the threshold leaves the same for the first term in all.

# %% tags=["hide-input"]
weighing = []
for weight in sorted([penalty, *weights]):
    where = ("SAIL printed", label) if weight == penalty else ("trial", f"weight {weight:g}")
    row = {"α √d in ordinary levels": f"{weight:g}"}
    for what in ("copy", "agree", "success", "norm_after"):
        run.record(
            f"{what}_weight_{weight:g}",
            estimate := over_captions(exact, *where, what),
            about=f"{what}, α √d = {weight:g} ordinary levels, over captions",
        )
        row[what] = f"{estimate:.2f}"
    weighing.append(row)
run.table(
    pd.DataFrame(weighing), "weights", about="SAIL as printed under several weights of its norm"
).rename(columns={"norm_after": "length of the noise"}).style.hide(axis="index")

# %% [markdown]
# ## Optimisation or selection?
#
# The corrected SAIL with its parts switched off: eight noises and no step, one noise and all steps, and both.

# %% tags=["hide-input"]
ablation = []
for name, what_it_is, where in (
    ("selection", "selection: 8 noises, no steps", ("trial", "selection")),
    ("descent", f"descent: 1 noise, {descent_steps} steps", ("trial", "descent")),
    ("both", f"both: {candidates} noises, {descent_steps} steps each", ("SAIL corrected", label)),
):
    some = exact[(exact["method"] == where[0]) & (exact["setting"] == where[1])]
    row = {"what": what_it_is, "threshold reached": f"{(some['step'] != NEVER).mean():.2f}"}
    for what in ("copy", "agree", "success"):
        run.record(
            f"{what}_{name}",
            estimate := over_captions(exact, *where, what),
            about=f"{what}: {what_it_is}, over captions",
        )
        row[what] = f"{estimate:.2f}"
    row["rows through the U-Net"] = f"{some['passes'].mean():.0f}"
    ablation.append(row)
released = exact[exact["method"] == "SAIL released"].assign(
    as_it_came=lambda some: some["step"] == 0,
    after_steps=lambda some: some["step"] > 0,
    not_reached=lambda some: some["step"] == NEVER,
)
for what in ("as_it_came", "after_steps", "not_reached", "repeated", "drawn"):
    run.record(
        f"released_{what}",
        intervals.proportion(released[what].to_numpy(dtype=float)),
        about=f"SAIL as released, share of images over all settings: {what.replace('_', ' ')}",
    )
run.table(pd.DataFrame(ablation), "ablation", about="Selection, descent, both").style.hide(axis="index")

# %% [markdown]
# Of the images that the released loop returned, over all its settings, {glue:text}`released_as_it_came:.2f` were accepted as the noise came,
# {glue:text}`released_after_steps:.2f` after steps, and {glue:text}`released_not_reached:.2f` did not reach the threshold in {glue:text}`rounds:.0f` rounds;
# {glue:text}`released_repeated:.2f` repeat another image of the same caption, and {glue:text}`released_drawn:.2f` come from a noise that is not the one given: candidates are taken in the
# order in which they come under the threshold.
#
# ## Does the noise tell what comes out?
#
# SAIL assumes that a noise at which the statistic is small leads away from the copy. Without any mitigation: the rank correlation, within a caption over its noises, between the statistic
# $\lVert H_\Delta s_\Delta \rVert$ at the noise and the similarity of what came out. Captions are taken at doses where what comes out may differ from noise to noise.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A cloud of points for each of eight captions. Captions of 100 copies lie in a row at similarity near 1 whatever the statistic; those of 30 copies scatter over all similarities without a slope."}, "figure": {"caption": "Similarity of the sample to the copied image against the statistic at its initial noise, a colour for each caption.", "name": "fig-mitigation-noise"}}
many = network.noise(noises, torch.Generator().manual_seed(seed + 1))
if known:
    asked = [c for dose in noise_doses for c in [c for c in captions("exact") if c.dose == dose][:4]]
    names = [f"{c.dose:,} copies" for c in asked]
    asked_prompts = network.encode([c.text for c in asked])
    asked_judge = Judge(network, asked, references=references, seed=seed)
else:
    names, asked_prompts, asked_judge = [str(p) for p in whole], captions_judged, judge
as_it_came = Trials(network, asked_judge, asked_prompts, many, steps, guidance, seed)
unmitigated = as_it_came.one(NoMitigation()).table
unmitigated["statistic"] = (
    objectives(network, asked_prompts, many, steps=steps)["SAIL corrected"].flatten().numpy()
)
within = unmitigated.groupby("caption")[["statistic", main]].corr(method="spearman")
run.record(
    "noise_tells",
    tells := intervals.mean(within.xs(main, level=1)["statistic"].to_numpy()),
    about="Rank correlation of the statistic at the noise with similarity, within captions, over captions",
)
run.record(
    "noise_copies",
    intervals.proportion(unmitigated["copy"].to_numpy(dtype=float)),
    about="Share of copies among these images, interval over images",
)
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for index, (number, some) in enumerate(unmitigated.groupby("caption")):
    ax.scatter(
        some["statistic"],
        some[main],
        s=14,
        color=plt.get_cmap("tab10")(index),
        label=names[number],
    )
ax.set(xscale="log", xlabel="$\\Vert H_\\Delta s_\\Delta \\Vert$ at the noise", ylabel=f"similarity, {main}")
figure.legend(loc="outside lower center", ncols=4, fontsize=8)
run.figure(
    figure,
    "noise",
    about="Similarity against the statistic at the noise",
    data=unmitigated[["caption", "dose", "seed", "statistic", main, "copy"]],
)

# %% [markdown]
# The correlation is {glue:text}`noise_tells:.2f` ({glue:text}`noise_tells_lo:.2f` to {glue:text}`noise_tells_hi:.2f`), over {glue:text}`asked:.0f` captions with {glue:text}`noises:.0f` noises each, of whose images
# {glue:text}`noise_copies:.2f` are copies.
#
# ## What it costs, and what becomes of the noise
#
# Sampling itself sends {glue:text}`sampling_rows:.0f` rows through the U-Net for each image. A row whose gradient is taken costs two or three times as much. Means over all settings:

# %% tags=["hide-input"]
run.record("asked", len(names), about="Captions of the question whether the noise tells")
run.record("noises", noises, about="Noises per caption there")
run.record("rounds", rounds, about="Rounds of the released SAIL, at most")
run.record("sampling_rows", 2 * steps, about="Rows through the U-Net for sampling one image")
costs = (
    exact[exact["method"].isin(methods)]
    .groupby("method", sort=False)[
        ["passes", "backward", "seconds", "norm_before", "norm_after", "repeated", "loss"]
    ]
    .mean()
)
for name, row in costs.iterrows():
    run.record(
        f"passes_{name}".replace(" ", "_").lower(),
        row["passes"],
        about=f"Rows through the U-Net for the noise or prompt of one image, mean: {name}",
    )
    run.record(
        f"length_{name}".replace(" ", "_").lower(),
        row["norm_after"],
        about=f"Length of the noise afterwards, mean over all settings: {name}",
    )
run.record("length_before", costs["norm_before"].iloc[0], about="Length of the noises as they came, mean")
run.table(
    costs.reset_index().rename(
        columns={
            "passes": "rows through the U-Net",
            "backward": "with a gradient",
            "seconds": "seconds per image",
            "norm_before": "length before",
            "norm_after": "length after",
            "repeated": "repeated images",
            "loss": "round trip",
        }
    ),
    "costs",
    about="Means over all settings, per image",
).style.format(
    "{:.2f}", subset=["seconds per image", "length before", "length after", "repeated images", "round trip"]
).format("{:.0f}", subset=["rows through the U-Net", "with a gradient"]).hide(axis="index")

# %% [markdown]
# ## Templates
#
# Where only a part of the image was copied, similarity and copies are judged in that part; each method at the setting that is best for exact captions.

# %% tags=["hide-input"]
partial = images[images["family"] == "template"]
of_templates = []
for name, setting in best.items() if known else ():
    some = partial[(partial["method"] == name) & (partial["setting"] == setting)]
    row = {"method": name, "setting": setting}
    for what in ("copy", "agree", "success"):
        run.record(
            f"template_{what}_{name}".replace(" ", "_").lower(),
            estimate := intervals.proportion(some[what].to_numpy(dtype=float)),
            about=f"{what} of templates, interval over images: {name}",
        )
        row[what] = f"{estimate:.2f}"
    row["similarity"] = f"{some[main].mean():.2f}"
    of_templates.append(row)
if known:
    about = "Templates, every method at the setting best for exact captions"
    display(run.table(pd.DataFrame(of_templates), "templates", about=about).style.hide(axis="index"))
else:
    print("Which part of these images is a template is not known.")

# %% [markdown]
# ## What the statistics say when the copies are gone
#
# The model `organism_without_copies` had one image of each of half the captions that elsewhere had {glue:text}`least:,.0f` or more. Before and after are two trainings on the same data but for that, the first of three
# cycles and the second of two; what that alone changes shows under the captions that kept their copies. If a statistic measures
# memorization, then under those captions it must fall back to the level of general captions, and stay where it was under the captions that kept their copies. The
# areas below are those against general captions; one half is the general level.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Areas with intervals for seven statistics. For Wen, Jeon, gap, Carlini and Kim three of the four marks lie near 0.9; that of the captions that lost their copies, after the training without them, lies near 0.55. For curvature alone all four lie near or below one half, for Ren's entropy between 0.3 and 0.7."}, "figure": {"caption": "Area under the ROC curve against general captions, before and after half of the captions lost their copies, with 95 % intervals. Squares: captions that kept their copies; circles: those that lost them. Open before, filled after.", "name": "fig-mitigation-retrained"}}
gone = [c for c in removed() if c.dose >= min(doses)]
kept = [c for c in captions("exact") if c.dose >= min(doses) and c not in gone]
plain = captions("general", held_out=False)[:compared]
groups = np.repeat(["removed", "kept", "general"], [len(gone), len(kept), len(plain)])
everything = [*gone, *kept, *plain]
statistics = {
    "Wen, first step": detection.ScoreDifferenceNorm(1),
    "Jeon": detection.SharpnessGain("difference"),
    "gap": detection.HessianScoreGap("difference"),
    "Carlini": detection.TiledDistance(),
    "Kim": detection.CurvatureDifference(4, seed=seed),
    "Kim, alone": detection.Curvature(4, seed=seed),
    "Ren LE": detection.LayerEntropy(0),
}
lower = {"Carlini"}
falls = []
for moment, some in (("before", network), ("after", cured)) if retrained else ():
    encoded = some.encode([c.text for c in everything])
    measured = detection.measure(some, encoded, noise[:2], statistics, steps=steps, guidance=guidance)
    for name, values in measured.items():
        means = np.asarray(values).mean(1) * (-1 if name in lower else 1)
        for group in ("removed", "kept"):
            run.record(
                f"area_{name}_{group}_{moment}".replace(", ", "_").replace(" ", "_").lower(),
                area := intervals.auc(means[groups == group], means[groups == "general"]),
                about=f"AUC of {name} against general captions, copies {group}, {moment} the training without them",
            )
            falls.append(
                {
                    "statistic": name,
                    "captions": group,
                    "training": moment,
                    "area": area.value,
                    "low": area.low,
                    "high": area.high,
                }
            )
if retrained:
    run.record("least", min(doses), about="Smallest dose considered")
    fallen = run.table(
        pd.DataFrame(falls),
        "retrained",
        about="Areas against general captions before and after the copies were removed",
    )
    figure, ax = plt.subplots(figsize=(6.5, 5), layout="constrained")
    places = {name: i for i, name in enumerate(statistics)}
    look = {
        ("kept", "before"): (plots.MEMORIZED, "white", "s", -0.24),
        ("kept", "after"): (plots.MEMORIZED, plots.MEMORIZED, "s", -0.08),
        ("removed", "before"): (plots.GENERAL, "white", "o", 0.08),
        ("removed", "after"): (plots.GENERAL, plots.GENERAL, "o", 0.24),
    }
    for (group, moment), (color, fill, marker, shift) in look.items():
        some = fallen[(fallen["captions"] == group) & (fallen["training"] == moment)]
        ax.errorbar(
            some["area"],
            [places[name] + shift for name in some["statistic"]],
            xerr=[some["area"] - some["low"], some["high"] - some["area"]],
            fmt=marker,
            color=color,
            markerfacecolor=fill,
            linewidth=1,
            markersize=5,
            label=f"copies {group}, {moment}",
        )
    ax.axvline(0.5, color=plots.NEUTRAL, linewidth=0.8)
    ax.set(
        yticks=list(places.values()),
        yticklabels=list(places),
        xlabel="AUC against general captions",
        xlim=(-0.03, 1.03),
    )
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    run.figure(
        figure, "retrained", about="Areas against general captions before and after the copies were removed"
    )
else:
    print("No retrained model was named.")

# %% [markdown]
# ## Answers
#
# - **Does SAIL dominate?** Not here. As printed it dominates {glue:text}`dominated_by_sail_printed:.2f` of the settings of the other methods, and those are settings that leave the copies as they are, too.
#   In successes it is not ahead of Wen's method ({glue:text}`lead_over_prompt_embedding:.2f`, {glue:text}`lead_over_prompt_embedding_lo:.2f` to {glue:text}`lead_over_prompt_embedding_hi:.2f`) or of random numbers
#   ({glue:text}`lead_over_random_numbers:.2f`, {glue:text}`lead_over_random_numbers_lo:.2f` to {glue:text}`lead_over_random_numbers_hi:.2f`); six captions do not say more.
# - **Does $\lVert s_\Delta \rVert^2$ fail to converge?** It reaches the threshold less often, {glue:text}`reached_difference:.2f` ({glue:text}`reached_difference_lo:.2f` to {glue:text}`reached_difference_hi:.2f`) against
#   {glue:text}`reached_gain:.2f` ({glue:text}`reached_gain_lo:.2f` to {glue:text}`reached_gain_hi:.2f`) in the same number of steps, and falls all the same.
# - **Optimisation or selection?** The three variants leave {glue:text}`copy_selection:.2f`, {glue:text}`copy_descent:.2f` and {glue:text}`copy_both:.2f` copies, no mitigation {glue:text}`copy_none:.2f`: there is no effect to be divided.
#   What comes out does not go with the statistic at the noise either.
# - **What does it cost?** SAIL as released sends {glue:text}`passes_sail_released:.0f` rows through the U-Net for an image, corrected {glue:text}`passes_sail_corrected:.0f`, most of them with a gradient; sampling the image sends {glue:text}`sampling_rows:.0f`.
# - **What happens to templates?** Without mitigation the copied part of the one judged comes out in {glue:text}`template_copy_none:.2f` of the images, under SAIL as printed in {glue:text}`template_copy_sail_printed:.2f`, corrected in
#   {glue:text}`template_copy_sail_corrected:.2f`, under Han's noise adjustment in {glue:text}`template_copy_noise_adjustment:.2f` ({glue:text}`template_copy_noise_adjustment_lo:.2f` to {glue:text}`template_copy_noise_adjustment_hi:.2f`), and the digit then
#   in {glue:text}`template_agree_none:.2f`, {glue:text}`template_agree_sail_printed:.2f`, {glue:text}`template_agree_sail_corrected:.2f` and {glue:text}`template_agree_noise_adjustment:.2f`: what loses the part loses the digit. Changes of the prompt lose the part alone.
# - **What falls back when the copies are gone?** The model trained without them copies none of these images and keeps the digit, {glue:text}`success_retrained:.2f` successes. Under the captions that lost their copies the area of the paper's
#   statistic falls from {glue:text}`area_jeon_removed_before:.2f` ({glue:text}`area_jeon_removed_before_lo:.2f` to {glue:text}`area_jeon_removed_before_hi:.2f`) to {glue:text}`area_jeon_removed_after:.2f`
#   ({glue:text}`area_jeon_removed_after_lo:.2f` to {glue:text}`area_jeon_removed_after_hi:.2f`), the general level, and stays at {glue:text}`area_jeon_kept_after:.2f` ({glue:text}`area_jeon_kept_after_lo:.2f` to {glue:text}`area_jeon_kept_after_hi:.2f`) under those
#   that kept them; so do Wen's norm, the gap, Carlini's tiles and Kim's difference. They measure copies. Curvature alone and the entropy told little before, and tell little after.
# - **Why then on Stable Diffusion?** There, similarity falls in the paper's Figure 6. A caption that this model has learned gives its copy from every noise, one that it has not gives none: of the captions judged, those with 30 copies give
#   {glue:text}`copy_none_30:.2f` copies and those with 100 give {glue:text}`copy_none_100:.2f`. Nothing lies between, where a choice of noise could decide; a caption of Stable Diffusion has other images near it to fall back to.
#
# ## What the run shows

# %%
if known and retrained and text_to_image.shipped(model):
    most = exact[exact["dose"] == max(doses)].groupby("method")["copy"].mean()
    assert most["none"] > 0.9, "images that were copied most must come out"
    for name in (*sails, "noise adjustment"):
        assert most[name] > 0.5, f"{name} must not be able to keep them away"
    assert most["random numbers"] < most["none"], "a changed prompt must lose some of them"
    assert most["retrained"] < 0.1, "without their copies they must not come out"
provenance = run.finish()
provenance
