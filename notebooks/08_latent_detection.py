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
# # Which captions are memorized?
#
# Ten statistics from seven papers, on the same captions, noises and samples of one text-to-image model: which of them find the captions whose
# image was copied, after how many steps, and what do they take for a copy that is none?
#
# :::{admonition} This chapter
# :class: note
#
# - **Answers** Table 1 of the paper {cite}`jeon2025understanding`: detection of memorized prompts, by methods before it, by its own, and by later ones.
# - **On** the model organism, a Stable Diffusion in miniature of which it is known what was copied and how often. The real models run by the same code with
#   other parameters: `model="CompVis/stable-diffusion-v1-4", prompts="sd1"`; the published prompts are fetched then, and only then. Captions of one's own, in a CSV file with
#   the columns `text`, `family` and, where it is known, `dose`, are judged in the same way.
# - **Takes** about two and a half minutes of processor time; not timed on a GPU yet.
# :::
#
# **What counts as memorized** is decided by the training set, not by samples. *Exact*: a caption with one image, copied `memorized_dose` times or more. *Template*: a
# caption of which a part of the image is the same each time, as often. The others are *general*, captions in training with 85 different images
# each; apart from them stand the *stated* ones, general in every respect but that their text says the colours of the image. Every other
# caption leaves them open.
#
# **The unit is the caption.** All captions start from the same noises, the seeds; a score is a mean over $n$ of them. An area under the ROC
# curve (AUC) is the probability that a memorized caption scores above another; its interval is Newcombe's. TPR is the share of memorized captions above the threshold that
# lets through the largest share of the others not above 1 % (with $N$ others, a multiple of $1/N$), with a bootstrap
# interval over captions. Two statistics are compared on the same captions, by a paired bootstrap. Every statistic points the way its
# paper says. An AUC below one half is left as it is.

# %% [markdown]
# ## Parameters

# %% tags=["parameters", "hide-input"]
seed: int = 0  # [0, 2**32) seed of every random draw
model: str = "organism_epsilon"  # name of a shipped model, a pipeline folder or a hub id
prompts: str = "organism"  # captions: "organism", the published "sd1" or "sd2", or a CSV file
other_model: str = "organism_v"  # a second model for the first step; empty: none
memorized_dose: int = 100  # {1, 3, 10, 30, 100, 300, 1000} copies that make a caption memorized
captions: int = 100  # [2, 10**4] captions of each family at the first step, at most
stated: int = 32  # [2, 10**4] of these, captions that state colours
whole_captions: int = 24  # [2, captions] captions of each family followed further, at most
whole_stated: int = 12  # [2, stated] of these, captions that state colours
held_out: int = 12  # [2, 10**4] harmless captions for calibration
held_out_seeds: int = 2  # [1, seeds] noises of each of them
compared: int = 40  # [2, 10**4] captions for the comparison of products
seeds: int = 16  # [1, 1000] noises of the statistics of the first five steps
whole_seeds: int = 4  # [1, seeds] noises of the statistics of all steps and of the second model
steps: int = 50  # [5, 1000] sampling steps
guidance: float = 7.5  # [0, 100] scale of classifier-free guidance
layer: int = 1  # [0, 100] cross-attention layer whose entropy is taken; 3 for Stable Diffusion 1.4
tiles: int = 4  # [1, 64] tiles to a side of an image
probes: int = 4  # [1, 1000] random directions of the curvature maps; 16 as published
rows: int = 128  # [1, 10**5] captions times seeds in one pass
precision: str = "float32"  # {float32, float16, bfloat16} of the networks
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/08_latent_detection/interactive

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from matplotlib import ticker

from companion import experiment, plots
from companion import reported as published
from companion.experiment import benchmarks
from companion.organism.captions import captions as all_captions
from companion.organism.images import image
from companion.prompts import prompt_sets, questions
from companion.prompts.labelled import labelled
from companion.recipes import text_to_image
from memlib import detection, intervals
from memlib.text_to_image import generate

plots.use_style()
run = experiment.start("08_latent_detection", globals())
run.parameter_table()

# %% tags=["hide-input"]
network = text_to_image.load(model, device=run.device, dtype=precision)
if prompts == "organism":
    known = prompt_sets.organism(memorized_dose)
elif prompts in ("sd1", "sd2"):
    known = prompt_sets.published(prompts)
else:
    known = prompt_sets.labelled(labelled(Path(prompts)), memorized_dose)
families, doses = np.array(known.families), np.array(known.doses)
all_families = list(dict.fromkeys(known.families))
says_colours = {f for f in all_families if f.startswith("stated")}
few_copies = {f for f in all_families if f.endswith("few copies")}
judged = {f for q in known.questions for f in (*q.memorized, *q.others)}
memorized_families = {f for q in known.questions for f in q.memorized} - says_colours
fitted_on = {f for q in known.questions for side in q.fit for f in side} - judged - {known.calibration}
colors = (
    dict.fromkeys(all_families, plots.GENERAL)
    | dict.fromkeys(memorized_families, plots.MEMORIZED)
    | dict.fromkeys(few_copies, plots.NEUTRAL)
    | dict.fromkeys(says_colours, "#8c510a")
)
noise = network.noise(seeds, torch.Generator().manual_seed(seed))
first = known.first(
    {f: stated if f in says_colours else captions for f in all_families if f in judged}
    | {f: captions for f in all_families if f in few_copies | fitted_on}
    | {known.calibration: held_out}
)
whole = known.first(
    {f: whole_stated if f in says_colours else whole_captions for f in all_families if f in judged}
)
shown_families = list(dict.fromkeys(families[first]))
counts = run.table(
    pd.DataFrame(
        {
            "family": shown_families,
            "captions, first step": [int((families[first] == f).sum()) for f in shown_families],
            "captions, further steps": [int((families[whole] == f).sum()) for f in shown_families],
        }
    ),
    "families",
    about="Captions of each family that were measured",
)
counts.style.hide(axis="index")

# %% [markdown]
# ## What the model draws
#
# A sample of the image that training showed, and samples with guidance, before any statistic.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight rows of small coloured digits. In the two rows of exact captions the samples equal the training image at the left; in the template rows a part of the image is the same in all; in the general rows digits, inks and grounds all differ; in the stated rows they differ in handwriting and share two colours."}, "figure": {"caption": "At the left an image of the training set under the caption, then samples. Of the two captions of a family the last and the first are shown.", "name": "fig-detection-samples"}}
if prompts == "organism":
    table = all_captions()
    shown = {}
    for family in ("exact", "template", "general", "stated"):
        of_family = np.flatnonzero(families == family)
        for place in (of_family[-1], of_family[0]):
            shown[f"{family}, k = {doses[place]:,}" if doses[place] else f"{family} {place}"] = place
    drawn = generate(
        network,
        network.encode(known.texts(list(shown.values()))),
        noise[:whole_seeds],
        steps=steps,
        guidance=guidance,
    ).samples
    pictures = network.decode(drawn.flatten(0, 1)).cpu().unflatten(0, drawn.shape[:2]) * 2 - 1
    trained = [
        image(table[place], torch.Generator().manual_seed(seed + int(place))) for place in shown.values()
    ]
    rows_of_images = {
        (name if "k =" in name else name.split()[0]) + " " * i: torch.cat([one[None], many]).numpy()
        for i, (name, one, many) in enumerate(zip(shown, trained, pictures, strict=True))
    }
    figure = plots.image_grid(rows_of_images, 1 + whole_seeds)
    run.figure(
        figure,
        "samples",
        about="Training images and samples of captions of every family",
        data={name.replace(",", "").replace(" ", "_"): images for name, images in rows_of_images.items()},
    )
else:
    display(Markdown("The training images of these captions are not at hand: nothing is drawn."))

# %% [markdown]
# ## The statistics
#
# | name | statistic | steps | from |
# |---|---|---|---|
# | Wen | $\lVert \epsilon_\Delta \rVert$, the norm of the difference between noise predictions with and without caption | 1, 5, 50 | {cite}`wen2024detecting` |
# | Jeon | $\lVert H_\Delta s_\Delta \rVert^2$, the paper's | 1 | {cite}`jeon2025understanding` |
# | gap | $\lVert H_c s_c - H_\varnothing s_\varnothing \rVert^2$, products first, then the difference | 1 | unpublished, 2026 |
# | Asthana | $\gamma_1 \cos(s_\Delta, s_\varnothing)$ at the last time plus $\gamma_2 \lVert s_\Delta \rVert$ at the first, both at pure noise | 1 | {cite}`asthana2026detecting` |
# | Ren LE | entropy of the cross-attention over tokens, one layer | 1 | {cite}`ren2024unveiling` |
# | Ren AE | the same, all layers, last fifth of the steps, and how far that of the tokens after the text has moved | 50 | {cite}`ren2024unveiling` |
# | Chen | $\lVert \epsilon_\Delta \circ m \rVert / \bar m$, with $m$ the attention paid to the end mark at the last step | 50 | {cite}`chen2025exploring` |
# | Carlini | the largest distance between corresponding tiles of two samples, small for copies | 50 | {cite}`carlini2023extracting` |
# | Kim | mean of the positive part of $\operatorname{diag}(-H_c) - \operatorname{diag}(-H_\varnothing)$ at the last step | 50 | {cite}`kim2026localizing` |
# | Kim, alone | the same without $H_\varnothing$: sharpness, compared with nothing | 50 | {cite}`kim2026localizing` |
# | Kim, proxy | mean of $s_\Delta^2$ at the last step | 50 | {cite}`kim2026localizing` |
# | Huang | z-scores of the lengths of sampling steps, against harmless captions | 5, 50 | {cite}`huang2026broken` |
#
# Products with $H$ are forward differences unless said otherwise. The weights $\gamma$ come from a logistic regression on captions
# that are in no comparison with those judged: on templates and held-out general captions where exact ones are judged, and on exact ones where templates are. Huang's
# lengths are calibrated on held-out general captions.

# %%
layers = sum(name.endswith("attn2.processor") for name in network.unet.attn_processors)
if not 0 <= layer < layers:
    raise ValueError(f"layer must lie in [0, {layers - 1}] for {model}, got {layer}")
product = "difference" if precision == "float32" else "vjp"
first_step = {
    "wen_1": detection.ScoreDifferenceNorm(1),
    "jeon_1": detection.SharpnessGain(product),
    "gap_1": detection.HessianScoreGap(product),
    "cosine_1": detection.Anisotropy(1.0, 0.0),
}
entropies = {f"entropy_{i}": detection.LayerEntropy(i) for i in range(layers)}
sampling = {"steps": steps, "guidance": guidance, "rows": rows}

calibrating = generate(
    network,
    network.encode(known.texts(known.first({known.calibration: held_out}))),
    noise[:held_out_seeds],
    steps=steps,
    guidance=guidance,
)
harmless = detection.UpdateNorms.calibrate(calibrating)
five_steps = {
    "wen_5": detection.ScoreDifferenceNorm(5),
    "huang_5": detection.UpdateNorms(harmless.mean[:5], harmless.deviation[:5]),
}
all_steps = {
    "wen_all": detection.ScoreDifferenceNorm(steps),
    "ren_attention_all": detection.AttentionEntropy(),
    "chen_all": detection.BrightEnding(),
    "kim_all": detection.CurvatureDifference(probes, seed=seed),
    "kim_alone_all": detection.Curvature(probes, seed=seed),
    "kim_proxy_all": detection.LateScoreDifference(),
    "huang_all": harmless,
}
if whole_seeds > 1:
    all_steps["carlini_all"] = detection.TiledDistance(tiles)

at_first, followed = (network.encode(known.texts(places)) for places in (first, whole))
found = detection.measure(network, at_first, noise, first_step | entropies, **sampling)
values = {name: known.placed(first, numbers) for name, numbers in found.items()}
# The first seeds are followed to the end, the others for five steps.
found = detection.measure(network, followed, noise[:whole_seeds], all_steps | five_steps, **sampling)
if seeds > whole_seeds:
    more = detection.measure(network, followed, noise[whole_seeds:], five_steps, **sampling)
    found |= {name: torch.cat([found[name], more[name]], dim=1) for name in five_steps}
values |= {name: known.placed(whole, numbers) for name, numbers in found.items()}
values["ren_layer_1"] = values[f"entropy_{layer}"]
sigma = network.schedule.sigma(torch.tensor(network.timesteps(steps)[0])).item()
values["length_1"] = values["wen_1"] / sigma
statistics = first_step | entropies | five_steps | all_steps
scores = questions.Scores(
    known,
    values,
    {name: statistics[name].larger for name in found | first_step | entropies}
    | dict.fromkeys(("ren_layer_1", "asthana_1"), True),
    {"asthana_1": ("cosine_1", "length_1")},  # weighted for each question apart from it
)
parts_of = {*entropies, "cosine_1", "length_1"}
reported = [*(name for name in values if name not in parts_of), "asthana_1"]

# %% tags=["hide-input"]
parts = []
for place in first:
    per_seed = {
        name: np.pad(numbers[place], (0, seeds - numbers.shape[1]), constant_values=np.nan)
        for name, numbers in values.items()
    }
    parts.append(
        pd.DataFrame(per_seed).assign(
            caption=place, family=families[place], dose=doses[place], seed=np.arange(seeds)
        )
    )
per_seed = run.table(
    pd.concat(parts, ignore_index=True), "values", about="Every statistic of every caption and seed"
)
captions_measured = run.table(
    pd.DataFrame({"caption": first, "text": known.texts(first)}),
    "captions",
    about="The captions behind the numbers in the table of values",
)

# %%
averaged = sorted({1, 4, 16, whole_seeds, seeds})  # numbers of seeds
evaluations = {}
for question in known.questions:
    for name in reported:
        most_seeds = whole_seeds if name.endswith("_all") else seeds
        for count in averaged:
            if count <= most_seeds and (count > 1 or name != "carlini_all"):
                evaluations[question.name, name, count] = scores.judge(question, name, count, seed=seed)

for (asked, name, count), found in evaluations.items():
    about = f"{name.replace('_', ' ')}, {asked.replace('_', ' against ')}, n = {count}"
    run.record(f"auc_{asked}_{name}_{count}", found.auc, about=f"AUC of {about}")
    run.record(f"tpr_{asked}_{name}_{count}", found.tpr, about=f"TPR at {found.fpr:.3f} FPR of {about}")

# %% [markdown]
# ## Table 1, and beside it what was published
#
# Rows are statistics with the number of steps they need and the number of seeds averaged. The columns marked *published* are printed for other models, on other
# captions, and are no target: they say how hard the task was there.

# %% tags=["hide-input"]
WORDS = {
    "wen": "Wen",
    "jeon": "Jeon (the paper)",
    "gap": "gap",
    "asthana": "Asthana",
    "ren_layer": "Ren LE",
    "ren_attention": "Ren AE",
    "chen": "Chen",
    "carlini": "Carlini",
    "kim": "Kim",
    "kim_alone": "Kim, alone",
    "kim_proxy": "Kim, proxy",
    "huang": "Huang",
}
ORDER = [name for stem in WORDS for end in ("1", "5", "all") if (name := f"{stem}_{end}") in reported]
ENDS = {"1": "1 step", "5": "5 steps", "all": f"{steps} steps"}
words = {name: f"{WORDS[name.rpartition('_')[0]]}, {ENDS[name.rpartition('_')[2]]}" for name in reported}
AT = {"1": 1, "5": 5, "all": 50}
main = known.questions[0].name
results = {
    question.name: run.table(
        pd.DataFrame(
            [
                {"statistic": words[name], "n": count}
                | evaluations[question.name, name, count].columns()
                | published.columns(name.rpartition("_")[0], AT[name.rpartition("_")[2]], count)
                for name in ORDER
                for count in averaged
                if (question.name, name, count) in evaluations
            ]
        ),
        f"table_{question.name}",
        about=f"AUC and TPR of every statistic, {question.name.replace('_', ' against ')}",
    )
    for question in known.questions
}
results[main].style.format(precision=3, na_rep="–").hide(axis="index").set_caption(
    main.replace("_", " against ")
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five panels of dots with intervals. In the first two, the first-step statistics of Wen, Jeon, gap and Asthana lie near one, Ren's entropies about one half; Carlini and Kim are near one for exact captions and low for templates. Against stated captions Wen, Jeon, gap and Asthana fall below one half, while Carlini and the Kim proxy stay high for exact ones. In the last panel most statistics lie near one."}, "figure": {"caption": "AUC with intervals. Panels are questions, rows statistics with their steps; lighter to darker are one, four and sixteen seeds. Left of the line a statistic points the wrong way. In the last panel one half is right: stated captions are not memorized.", "name": "fig-detection-auc"}}
averaged = sorted({count for _, _, count in evaluations})
shades = dict(zip(averaged, plt.get_cmap("Blues")(np.linspace(0.4, 1.0, len(averaged))), strict=True))
figure, axes = plt.subplots(
    -(-len(known.questions) // 2),
    2,
    figsize=(5.4, (0.24 * len(ORDER) + 0.8) * -(-len(known.questions) // 2)),
    sharey=True,
    squeeze=False,
    layout="constrained",
)
for ax in axes.flat[len(known.questions) :]:
    ax.axis("off")
for ax, question in zip(axes.flat, known.questions, strict=False):
    for line, name in enumerate(ORDER):
        for offset, (count, shade) in zip(np.linspace(-0.22, 0.22, len(shades)), shades.items(), strict=True):
            if (question.name, name, count) in evaluations:
                auc = evaluations[question.name, name, count].auc
                ax.plot([auc.low, auc.high], [line + offset] * 2, color=shade, linewidth=1.4)
                ax.plot(auc.value, line + offset, "o", color=shade, markersize=3)
    ax.axvline(0.5, color="black", linewidth=0.7)
    ax.set(title=question.name.replace("_", " against "), xlim=(-0.03, 1.03))
    ax.grid(axis="y", linewidth=0.3)
axes[0, 0].set_yticks(range(len(ORDER)), [words[name] for name in ORDER])
axes[0, 0].invert_yaxis()
figure.supxlabel("AUC", fontsize=10)
handles = [
    plt.Line2D([], [], color=shade, marker="o", markersize=4, label=f"n = {count}")
    for count, shade in shades.items()
]
if len(known.questions) % 2:
    axes[-1, -1].legend(handles=handles, loc="center")
else:
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
run.figure(figure, "auc", about="AUC of every statistic for every question, by number of seeds")

# %% [markdown]
# **Against general captions** the first step is enough. With four seeds, exact captions have an AUC of {glue:text}`auc_exact_general_wen_1_4:.2f` ({glue:text}`auc_exact_general_wen_1_4_lo:.2f` to {glue:text}`auc_exact_general_wen_1_4_hi:.2f`) by Wen's norm,
# {glue:text}`auc_exact_general_jeon_1_4:.2f` ({glue:text}`auc_exact_general_jeon_1_4_lo:.2f` to {glue:text}`auc_exact_general_jeon_1_4_hi:.2f`) by the paper's statistic, {glue:text}`auc_exact_general_gap_1_4:.2f` ({glue:text}`auc_exact_general_gap_1_4_lo:.2f` to {glue:text}`auc_exact_general_gap_1_4_hi:.2f`) by the gap and {glue:text}`auc_exact_general_asthana_1_4:.2f` ({glue:text}`auc_exact_general_asthana_1_4_lo:.2f` to {glue:text}`auc_exact_general_asthana_1_4_hi:.2f`) by Asthana's; templates
# {glue:text}`auc_template_general_jeon_1_4:.2f` ({glue:text}`auc_template_general_jeon_1_4_lo:.2f` to {glue:text}`auc_template_general_jeon_1_4_hi:.2f`) by the paper's. The intervals are wide: {glue:text}`auc_exact_general_jeon_1_4:.3f` and {glue:text}`auc_exact_general_wen_1_4:.3f` from
# two dozen memorized captions cannot be told apart. By dose (below), what is hard begins under a hundred copies.
#
# **Fifty steps.** Averaged along the whole guided path Wen's norm has {glue:text}`auc_exact_general_wen_all_4:.2f` ({glue:text}`auc_exact_general_wen_all_4_lo:.2f` to {glue:text}`auc_exact_general_wen_all_4_hi:.2f`): late steps, at which guidance has already decided,
# count as much as the first. Carlini's distance needs finished images, and has {glue:text}`auc_exact_general_carlini_all_4:.2f` ({glue:text}`auc_exact_general_carlini_all_4_lo:.2f` to {glue:text}`auc_exact_general_carlini_all_4_hi:.2f`) on exact captions and
# {glue:text}`auc_template_general_carlini_all_4:.2f` ({glue:text}`auc_template_general_carlini_all_4_lo:.2f` to {glue:text}`auc_template_general_carlini_all_4_hi:.2f`) on templates, where the largest tile distance is that of a part left free, which differs on purpose. Kim's
# curvature difference at the last step has {glue:text}`auc_exact_general_kim_all_4:.2f` ({glue:text}`auc_exact_general_kim_all_4_lo:.2f` to {glue:text}`auc_exact_general_kim_all_4_hi:.2f`) for exact ones, against {glue:text}`auc_exact_general_kim_alone_all_4:.2f` ({glue:text}`auc_exact_general_kim_alone_all_4_lo:.2f` to {glue:text}`auc_exact_general_kim_alone_all_4_hi:.2f`) for sharpness compared with
# nothing; on templates it has {glue:text}`auc_template_general_kim_all_4:.2f` ({glue:text}`auc_template_general_kim_all_4_lo:.2f` to {glue:text}`auc_template_general_kim_all_4_hi:.2f`), where less than one half points the wrong way, and its proxy {glue:text}`auc_template_general_kim_proxy_all_4:.2f` ({glue:text}`auc_template_general_kim_proxy_all_4_lo:.2f` to {glue:text}`auc_template_general_kim_proxy_all_4_hi:.2f`). Where
# such maps are bright is looked at in {doc}`07_latent_spectra`.
#
# **Entropies of attention** have {glue:text}`auc_exact_general_ren_layer_1_4:.2f` ({glue:text}`auc_exact_general_ren_layer_1_4_lo:.2f` to {glue:text}`auc_exact_general_ren_layer_1_4_hi:.2f`) at the layer chosen and {glue:text}`auc_exact_general_ren_attention_all_4:.2f` ({glue:text}`auc_exact_general_ren_attention_all_4_lo:.2f` to {glue:text}`auc_exact_general_ren_attention_all_4_hi:.2f`) over all layers.
# Their authors found them higher for memorized captions, which gives an AUC above one half; below it they are lower, and the sign was not turned.
#
# **Stated captions mislead.** A caption that says two colours moves the mean of the image a long way and copies nothing. Against general captions all four statistics of the first step call it memorized:
# {glue:text}`auc_stated_general_jeon_1_4:.2f` ({glue:text}`auc_stated_general_jeon_1_4_lo:.2f` to {glue:text}`auc_stated_general_jeon_1_4_hi:.2f`) for the paper's, where one half would be right. Of exact captions against stated ones the AUC is {glue:text}`auc_exact_stated_wen_1_4:.2f` ({glue:text}`auc_exact_stated_wen_1_4_lo:.2f` to {glue:text}`auc_exact_stated_wen_1_4_hi:.2f`) for Wen's norm and
# {glue:text}`auc_exact_stated_jeon_1_4:.2f` ({glue:text}`auc_exact_stated_jeon_1_4_lo:.2f` to {glue:text}`auc_exact_stated_jeon_1_4_hi:.2f`) for the paper's. Lemma 4.2 says why: the score difference adds a gap between the means to the gap between curvatures. What a copy has and a stated caption has not
# is that all samples agree. Carlini's distance asks exactly that, and has {glue:text}`auc_exact_stated_carlini_all_4:.2f` ({glue:text}`auc_exact_stated_carlini_all_4_lo:.2f` to {glue:text}`auc_exact_stated_carlini_all_4_hi:.2f`); Kim's proxy at the last step, where the mean is settled, has {glue:text}`auc_exact_stated_kim_proxy_all_4:.2f` ({glue:text}`auc_exact_stated_kim_proxy_all_4_lo:.2f` to {glue:text}`auc_exact_stated_kim_proxy_all_4_hi:.2f`)
# on exact and {glue:text}`auc_template_stated_kim_proxy_all_4:.2f` ({glue:text}`auc_template_stated_kim_proxy_all_4_lo:.2f` to {glue:text}`auc_template_stated_kim_proxy_all_4_hi:.2f`) on template captions.
#
# ### Which differences are real?

# %%
four, most = min(4, whole_seeds), seeds
pairs = [
    ("jeon_1", 1, "wen_1", 1, first),
    ("jeon_1", four, "wen_1", four, first),
    ("jeon_1", most, "wen_1", most, first),
    ("jeon_1", four, "wen_5", most, whole),
    ("jeon_1", four, "gap_1", four, first),
    ("jeon_1", four, "asthana_1", four, first),
    ("wen_all", four, "wen_1", four, whole),
    ("chen_all", four, "wen_all", four, whole),
    ("kim_all", four, "kim_alone_all", four, whole),
    ("kim_all", four, "kim_proxy_all", four, whole),
]
differences = []
for question in known.questions[:3]:
    for one, n_one, other, n_other, among in pairs:
        found = detection.compare(
            scores.judge(question, one, n_one, among=among, seed=seed),
            scores.judge(question, other, n_other, among=among, seed=seed),
            seed=seed,
        )
        key = f"{question.name}_{one}_{n_one}_less_{other}_{n_other}"
        about = f"{words[one]}, n = {n_one}, less {words[other]}, n = {n_other}; {question.name.replace('_', ' against ')}"
        run.record(f"auc_{key}", found.auc, about=f"AUC of {about}")
        run.record(f"tpr_{key}", found.tpr, about=f"TPR of {about}")
        differences.append(
            {
                "question": question.name.replace("_", " against "),
                "first": f"{words[one]}, n = {n_one}",
                "second": f"{words[other]}, n = {n_other}",
                "AUC, difference": found.auc.value,
                "AUC low": found.auc.low,
                "AUC high": found.auc.high,
                "real": "yes" if found.auc_differs else "no",
                "TPR, difference": found.tpr.value,
                "TPR low": found.tpr.low,
                "TPR high": found.tpr.high,
                "real TPR": "yes" if found.tpr_differs else "no",
            }
        )
compared_pairs = run.table(
    pd.DataFrame(differences),
    "differences",
    about="Paired differences of AUC and TPR, by bootstrap over captions",
)
compared_pairs[compared_pairs["question"] == main.replace("_", " against ")].drop(
    columns="question"
).style.format(precision=3).hide(axis="index").set_caption(main.replace("_", " against "))

# %% [markdown]
# Where an interval holds nought the two cannot be told apart, which is no proof that they are equal: two dozen captions do not settle the third digit. On exact against general captions the paper's
# statistic less Wen's norm, both at the first step and with four seeds, is {glue:text}`auc_exact_general_jeon_1_4_less_wen_1_4:.3f` ({glue:text}`auc_exact_general_jeon_1_4_less_wen_1_4_lo:.3f` to {glue:text}`auc_exact_general_jeon_1_4_less_wen_1_4_hi:.3f`); less Wen's at five steps and sixteen seeds it is
# {glue:text}`auc_exact_general_jeon_1_4_less_wen_5_16:.3f` ({glue:text}`auc_exact_general_jeon_1_4_less_wen_5_16_lo:.3f` to {glue:text}`auc_exact_general_jeon_1_4_less_wen_5_16_hi:.3f`). Wen's norm at fifty steps less that at one is {glue:text}`auc_exact_general_wen_all_4_less_wen_1_4:.3f` ({glue:text}`auc_exact_general_wen_all_4_less_wen_1_4_lo:.3f` to {glue:text}`auc_exact_general_wen_all_4_less_wen_1_4_hi:.3f`); Kim's difference less sharpness alone
# {glue:text}`auc_exact_general_kim_all_4_less_kim_alone_all_4:.3f` ({glue:text}`auc_exact_general_kim_all_4_less_kim_alone_all_4_lo:.3f` to {glue:text}`auc_exact_general_kim_all_4_less_kim_alone_all_4_hi:.3f`). On exact against stated captions the paper's statistic less Wen's norm is {glue:text}`auc_exact_stated_jeon_1_4_less_wen_1_4:.3f` ({glue:text}`auc_exact_stated_jeon_1_4_less_wen_1_4_lo:.3f` to {glue:text}`auc_exact_stated_jeon_1_4_less_wen_1_4_hi:.3f`).
# No correction is made for the number of comparisons in the table.

# %% tags=["hide-input"]
spread = []
for name in ("wen_1", "jeon_1", "gap_1"):
    question = known.questions[0]
    singly = []
    for one in range(seeds):
        named = np.where(np.isnan(values[name][:, one]), "", families)
        picked, labels = question.rows(named)
        alone = values[name][picked, one]
        singly.append(intervals.auc(alone[labels], alone[~labels]).value)
    run.record(
        f"seed_auc_{name}", intervals.mean(singly), about=f"AUC of {words[name]}, n = 1, mean over seeds"
    )
    run.record(f"seed_auc_{name}_least", min(singly), about=f"Smallest over seeds, {words[name]}")
    run.record(f"seed_auc_{name}_most", max(singly), about=f"Largest over seeds, {words[name]}")
    spread.append(
        {
            "statistic": words[name],
            "smallest": min(singly),
            "mean": float(np.mean(singly)),
            "largest": max(singly),
        }
    )
one_seed = run.table(pd.DataFrame(spread), "one_seed", about="AUC at one seed, over all seeds")
one_seed.style.format(precision=3).hide(axis="index")

# %% [markdown]
# One seed is one draw. Over the seeds the AUC of the paper's statistic runs from {glue:text}`seed_auc_jeon_1_least:.2f` to {glue:text}`seed_auc_jeon_1_most:.2f`, and that of Wen's norm from
# {glue:text}`seed_auc_wen_1_least:.2f` to {glue:text}`seed_auc_wen_1_most:.2f`.
#
# ### Layers of attention

# %% tags=["hide-input"]
by_layer = run.table(
    pd.DataFrame(
        [
            {"layer": i}
            | {
                q.name.replace("_", " against "): scores.judge(q, name, seeds, seed=seed).auc.value
                for q in known.questions
            }
            for i, name in enumerate(entropies)
        ]
    ),
    "layers",
    about="AUC of the entropy of each cross-attention layer at the first step, all seeds",
)
by_layer.style.format(precision=2).hide(axis="index")

# %% [markdown]
# Layers in the order in which they run. The index 3 of 16 in Stable Diffusion has no counterpart among four. Above one half the entropy points as its paper says.
#
# ## By family and by dose

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of dots on logarithmic axes, a row for each group of captions. Exact captions up to 30 copies lie with the general ones at the left, those from 100 copies on at the right, with two of 30; templates lie in between and to the right; stated captions lie furthest to the right."}, "figure": {"caption": "Each dot a caption, its mean over seeds at the first step, on logarithmic axes. Exact captions by dose.", "name": "fig-detection-families"}}
groups = {}
for family in dict.fromkeys(families[first]):
    of_family = [place for place in first if families[place] == family]
    if "exact" in family and doses[of_family].any():
        for dose in sorted({int(doses[place]) for place in of_family}):
            groups[f"exact, k = {dose:,}"] = [place for place in of_family if doses[place] == dose]
    else:
        groups[family] = of_family
groups = dict(
    sorted(
        groups.items(), key=lambda item: ("exact" not in item[0], doses[item[1][0]] * ("exact" in item[0]))
    )
)
figure, axes = plt.subplots(1, 2, figsize=(6.4, 0.3 * len(groups) + 1.0), sharey=True, layout="constrained")
jitter = np.random.default_rng(seed)
for ax, name, label in (
    (axes[0], "wen_1", r"$\|\epsilon_\Delta\|$ (Wen)"),
    (axes[1], "jeon_1", r"$\|H_\Delta s_\Delta\|^2$ (the paper)"),
):
    for line, places in enumerate(groups.values()):
        color = colors[families[places[0]]]
        height = line + jitter.uniform(-0.25, 0.25, len(places))
        ax.plot(
            values[name][places].mean(1),
            height,
            "o",
            color=color,
            markersize=3.5,
            alpha=0.6,
            markeredgewidth=0,
        )
    ax.set(xscale="log", xlabel=label)
    ax.grid(axis="y", linewidth=0.3)
axes[0].xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
axes[0].xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
axes[0].xaxis.set_minor_formatter(ticker.NullFormatter())
axes[0].set_yticks(range(len(groups)), list(groups))
axes[0].invert_yaxis()
run.figure(figure, "families", about="The first-step statistics of every caption, by family and dose")

# %% [markdown]
# The paper's statistic is of second order: its axis spans the square of what that of the norm does. The stated captions are the ones to look at, beside the copied ones.

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUC against the number of copies. Four lines lie near one half up to 10 copies, near 0.7 at 30, and at one from 100 on; the entropy of attention scatters about one half. The dashed share of samples nearest to the image rises from zero at 10 over a quarter at 30 to one at 100."}, "figure": {"caption": "AUC of exact captions of one dose against general ones at the first step, all seeds, and (dashed) how often samples under such a caption are nearest to its image, from the card of the model.", "name": "fig-detection-dose"}}
FIRST = [name for name in ORDER if name.endswith("_1")]
curves = {}
if prompts == "organism":
    returned = text_to_image.tested(model)
    copied = [place for place in first if "exact" in families[place]]
    levels = sorted({int(doses[place]) for place in copied})
    general = [place for place in first if families[place] == "general"]
    for name in FIRST:
        means = scores.of(known.questions[0], name, seeds).mean(1)
        of_dose = {k: [place for place in copied if doses[place] == k] for k in levels}
        curves[name] = [intervals.auc(means[of_dose[k]], means[general]) for k in levels]
        for k, found in zip(levels, curves[name], strict=True):
            run.record(
                f"dose_{name}_{k}", found, about=f"AUC of {words[name]}, exact at {k} copies against general"
            )
    for k in levels:
        if share := returned.get(f"captions, {k} copies"):
            run.record(
                f"captions_{k}", share, about=f"Exact captions with {k} copies whose image most noises give"
            )
    figure, ax = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
    tints = dict(zip(FIRST, plt.get_cmap("tab10").colors, strict=False))
    for name, found in curves.items():
        plots.interval_bars(
            ax,
            np.array(levels) * (0.92 + 0.04 * FIRST.index(name)),
            found,
            tints[name],
            words[name].rpartition(",")[0],
        )
    recalled = [
        returned[f"recalled, {k} copies"].value if f"recalled, {k} copies" in returned else np.nan
        for k in levels
    ]
    ax.plot(levels, recalled, color="black", linestyle="--", label="samples nearest to the image")
    ax.axhline(0.5, color="black", linewidth=0.6)
    ax.set(xscale="log", xlabel="copies of the image $k$", ylabel="AUC; share of samples", ylim=(-0.03, 1.03))
    ax.set_xticks(levels, [f"{k:,}" for k in levels])
    ax.minorticks_off()
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    run.figure(
        figure,
        "dose",
        about="AUC against the number of copies, and recall",
        data={"k": levels, "recalled": recalled}
        | {
            f"{name}_{part}": [getattr(f, part) for f in found]
            for name, found in curves.items()
            for part in ("value", "low", "high")
        },
    )
else:
    display(
        Markdown("How often the content of these captions was copied is not set by hand: no curve is drawn.")
    )

# %% [markdown]
# The dose at which captions are found is the one at which the model begins to return them, in statistic and samples alike. At thirty copies the paper's statistic has an AUC of
# {glue:text}`dose_jeon_1_30:.2f` ({glue:text}`dose_jeon_1_30_lo:.2f` to {glue:text}`dose_jeon_1_30_hi:.2f`) and Wen's {glue:text}`dose_wen_1_30:.2f` ({glue:text}`dose_wen_1_30_lo:.2f` to {glue:text}`dose_wen_1_30_hi:.2f`); at a hundred {glue:text}`dose_jeon_1_100:.2f` ({glue:text}`dose_jeon_1_100_lo:.2f` to {glue:text}`dose_jeon_1_100_hi:.2f`)
# and {glue:text}`dose_wen_1_100:.2f` ({glue:text}`dose_wen_1_100_lo:.2f` to {glue:text}`dose_wen_1_100_hi:.2f`); at three hundred {glue:text}`dose_jeon_1_300:.2f` ({glue:text}`dose_jeon_1_300_lo:.2f` to {glue:text}`dose_jeon_1_300_hi:.2f`) and {glue:text}`dose_wen_1_300:.2f` ({glue:text}`dose_wen_1_300_lo:.2f` to {glue:text}`dose_wen_1_300_hi:.2f`). The statistics answer to
# what the model has learned, not to what it was shown. A caption is learned whole or not at all: of those with thirty copies a share of {glue:text}`captions_30:.2f`
# ({glue:text}`captions_30_lo:.2f` to {glue:text}`captions_30_hi:.2f`) return their image from most noises. In the figure above these are the dots far to the right of their row.
#
# ## One statistic, three products
#
# $H_\Delta$ is the Jacobian of a learned difference, which need not be symmetric. $J s$ (`jvp`, the paper's), $J^\top s$ (`vjp`) and the forward difference of $s_\Delta$ along
# itself, which estimates $J s$ without a graph, on the same captions and noises:

# %%
PRODUCTS = ("jvp", "difference", "vjp") if precision == "float32" else ("jvp", "vjp")
chosen = [f for f in dict.fromkeys(known.families) if f in judged]
some = known.first(dict.fromkeys(chosen, compared // len(chosen)))
multiplied = {
    name: detection.by_product(
        network, network.encode(known.texts(some)), noise[:whole_seeds], name, rows=rows
    )
    for name in PRODUCTS
}
product_rows = []
for name, found in multiplied.items():
    agreed = detection.agreement(found.norms, multiplied["jvp"].norms, seed=seed)
    run.record(f"product_{name}_ratio", agreed.ratio, about=f"Median of ||H s|| by {name} over that by jvp")
    run.record(
        f"product_{name}_rank", agreed.rank, about=f"Rank correlation of ||H s|| by {name} with that by jvp"
    )
    run.record(
        f"product_{name}_largest", agreed.largest, about=f"Largest relative difference of {name} from jvp"
    )
    run.record(
        f"product_{name}_passes",
        found.forward + found.backward,
        about=f"Rows through the network per sample, {name}",
    )
    judged_product = known.questions[0].judge(families[some], found.norms.square(), seed=seed)
    run.record(
        f"product_{name}_auc", judged_product.auc, about=f"AUC of the paper's statistic by {name}, {main}"
    )
    product_rows.append(
        {
            "product": name,
            "over jvp, median": agreed.ratio.value,
            "low": agreed.ratio.low,
            "high": agreed.ratio.high,
            "largest difference": f"{agreed.largest:.1e}",
            "rank correlation": agreed.rank.value,
            "rank low": agreed.rank.low,
            "AUC": judged_product.auc.value,
            "forward": found.forward,
            "backward": found.backward,
        }
    )
products = run.table(pd.DataFrame(product_rows), "products", about="The paper's statistic by three products")
products.style.format(precision=3).hide(axis="index")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two log-log scatter plots. The forward difference lies on the diagonal; the reverse product lies near it with some scatter."}, "figure": {"caption": "The norm by two other products against that by jvp, each dot a caption and seed, colours as above.", "name": "fig-detection-products"}}
figure, axes = plt.subplots(
    1, len(PRODUCTS) - 1, figsize=(3.2 * (len(PRODUCTS) - 1), 3.2), layout="constrained", squeeze=False
)
for ax, name in zip(axes[0], PRODUCTS[1:], strict=True):
    for row, place in enumerate(some):
        color = colors[families[place]]
        ax.plot(
            multiplied["jvp"].norms[row],
            multiplied[name].norms[row],
            "o",
            color=color,
            markersize=3,
            alpha=0.6,
            markeredgewidth=0,
        )
    ends = [float(multiplied["jvp"].norms.min()), float(multiplied["jvp"].norms.max())]
    ax.plot(ends, ends, color="black", linewidth=0.6)
    ax.set(xscale="log", yscale="log", xlabel=r"$\|H_\Delta s_\Delta\|$ by jvp", ylabel=f"by {name}")
run.figure(
    figure,
    "by_product",
    about="The norm by each product against that by jvp",
    data={name: found.norms.flatten().numpy() for name, found in multiplied.items()},
)

# %% [markdown]
# The forward difference agrees with the `jvp` in single precision and on trained weights: the median ratio of the norms is
# {glue:text}`product_difference_ratio:.4f` ({glue:text}`product_difference_ratio_lo:.4f` to {glue:text}`product_difference_ratio_hi:.4f`), and the largest relative deviation
# of one caption and seed {glue:text}`product_difference_largest:.1e`, where the norm is smallest and rounding weighs most. It takes
# {glue:text}`product_difference_passes:.1f` rows through the network per caption and seed; the `jvp` takes
# {glue:text}`product_jvp_passes:.0f` and the `vjp` {glue:text}`product_vjp_passes:.0f`. The reverse product `vjp` is another number: over that by `jvp` its norm is
# {glue:text}`product_vjp_ratio:.2f` ({glue:text}`product_vjp_ratio_lo:.2f` to {glue:text}`product_vjp_ratio_hi:.2f`) in the median, but off by up to {glue:text}`product_vjp_largest:.2f` of the value for one caption and seed. The rank correlation over captions is
# {glue:text}`product_vjp_rank:.3f` ({glue:text}`product_vjp_rank_lo:.3f` to {glue:text}`product_vjp_rank_hi:.3f`). A threshold belongs to the product it was made with.

# %% [markdown]
# ## What it costs
#
# Measured by `python -m benchmarks --suite latent` and kept in `benchmarks/results/`; nothing is timed here. *The released way* is that of the paper's code: a forward pass for the
# difference of the scores, then `torch.func.jvp` on the batch doubled for both. Ratios are medians over rounds in which both sides take turns, with the smallest and the largest.
#
# One target is missed: not every value agrees to a thousandth in single precision. A forward difference subtracts two scores that are nearly the same and divides by a small step, so
# rounding weighs most where the norm is smallest; the ranking does not feel it (above). The network of Stable Diffusion's size has random weights: its time and memory are those of the real one, its values are not.

# %% tags=["hide-input"]
costs = run.table(
    pd.concat([benchmarks.recorded("latent"), benchmarks.recorded("full-size")], ignore_index=True),
    "benchmarks",
    about="Recorded benchmarks, with settings, seconds, notes and agreement of both sides",
)
benchmarks.summary(costs).style.hide(axis="index")

# %% [markdown]
# ## Another model

# %%
second_rows = []
if other_model:
    second = text_to_image.load(other_model, device=run.device, dtype=precision)
    places = [place for place in first if families[place] in judged]
    again = second.noise(whole_seeds, torch.Generator().manual_seed(seed))
    found = detection.measure(
        second,
        second.encode(known.texts(places)),
        again,
        {name: first_step[name] for name in ("wen_1", "jeon_1", "gap_1")}
        | {"ren_layer_1": entropies[f"entropy_{layer}"]},
        **sampling,
    )
    for question in known.questions:
        for name, numbers in found.items():
            result = question.judge(families[places], numbers, seed=seed)
            run.record(
                f"second_auc_{question.name}_{name}",
                result.auc,
                about=f"AUC of {words[name]}, n = {whole_seeds}, {other_model}",
            )
            here = scores.judge(question, name, whole_seeds, seed=seed).auc
            second_rows.append(
                {
                    "question": question.name.replace("_", " against "),
                    "statistic": words[name],
                    f"AUC, {other_model}": result.auc.value,
                    "low": result.auc.low,
                    "high": result.auc.high,
                    f"AUC, {model}": here.value,
                    "lowest": here.low,
                    "highest": here.high,
                }
            )
    second_model = run.table(
        pd.DataFrame(second_rows), "second_model", about="AUC of a second model at the first step"
    )
    display(second_model.style.format(precision=3).hide(axis="index"))

# %% [markdown]
# The second model went on from the first one's weights, on the same data, to predict $v$, as Stable Diffusion 2 did from those of its base model. Stated captions
# have an AUC of {glue:text}`second_auc_stated_general_jeon_1:.2f` against general ones by the paper's statistic here too. Of exact captions against stated ones it is
# {glue:text}`second_auc_exact_stated_jeon_1:.2f` ({glue:text}`second_auc_exact_stated_jeon_1_lo:.2f` to {glue:text}`second_auc_exact_stated_jeon_1_hi:.2f`), in the first model {glue:text}`auc_exact_stated_jeon_1_4:.2f` ({glue:text}`auc_exact_stated_jeon_1_4_lo:.2f` to {glue:text}`auc_exact_stated_jeon_1_4_hi:.2f`).
#
# ## Against the paper
#
# - **Detection from the first step**: so it is here, for exact captions and templates.
# - **More than the norm of the score difference.** The printed advantage at the first step is a hundredth of AUC; here it is {glue:text}`auc_exact_general_jeon_1_4_less_wen_1_4:.3f` ({glue:text}`auc_exact_general_jeon_1_4_less_wen_1_4_lo:.3f` to {glue:text}`auc_exact_general_jeon_1_4_less_wen_1_4_hi:.3f`),
#   where both may be at the ceiling: an area of 1 leaves no room for a hundredth.
# - **Attention and tiles detect less well.** Ren's entropies do; Chen's bright ending has {glue:text}`auc_exact_general_chen_all_4:.2f` ({glue:text}`auc_exact_general_chen_all_4_lo:.2f` to {glue:text}`auc_exact_general_chen_all_4_hi:.2f`) and Carlini's tiles {glue:text}`auc_exact_general_carlini_all_4:.2f` ({glue:text}`auc_exact_general_carlini_all_4_lo:.2f` to {glue:text}`auc_exact_general_carlini_all_4_hi:.2f`) on exact captions, which are whole copies.
# - **Fifty steps as good as one.** Printed so for Wen's norm; here {glue:text}`auc_exact_general_wen_all_4:.2f` after {glue:text}`auc_exact_general_wen_1_4:.2f`. The released code follows guided paths, on which the lemmas do not hold.
# - **What Table 1 does not ask.** The published captions that are not memorized are captions of ordinary images. None is chosen to move the mean, as the stated ones are.
#
# The real models run by the parameters `model`, `prompts` and `layer`. One in ten of the published prompts is then held back for the weights and the calibration.
#
# ## What the run shows

# %%
if prompts == "organism" and text_to_image.shipped(model):
    for name in ("wen_1", "jeon_1", "gap_1", "asthana_1"):
        for asked in ("exact_general", "template_general"):
            assert evaluations[asked, name, four].auc.low > 0.8, (
                f"{words[name]} must tell memorized from general captions"
            )
        assert evaluations["stated_general", name, four].auc.low > 0.8, (
            f"{words[name]} must take captions that state colours for memorized"
        )
    assert evaluations["exact_stated", "jeon_1", four].auc.low < 0.5, (
        "the paper's statistic must not be able to tell exact captions from stated ones"
    )
    if precision == "float32":
        close = detection.agreement(multiplied["difference"].norms, multiplied["jvp"].norms)
        assert abs(close.ratio.value - 1) < 1e-3, (
            "a forward difference must give the jvp's norm to three digits"
        )
        assert close.rank.low > 0.99, "and rank the captions as the jvp does"
provenance = run.finish()
provenance
