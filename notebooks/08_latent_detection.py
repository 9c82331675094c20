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
# **Which of ten statistics find the captions whose image was copied, after how many steps, and which other captions do they call memorized by mistake?** They come from seven papers and are measured on the same captions,
# noises and samples of one text-to-image model.
#
# **From the first step, the paper's statistic finds them**: exact copies against general captions with an area under the ROC curve (AUC) of {interval}`auc_exact_general_jeon_1_4:.2f`, templates with
# {interval}`auc_template_general_jeon_1_4:.2f`. But it also finds captions that state the colours of the image, under which nothing was copied ({interval}`auc_stated_general_jeon_1_4:.2f`, where one half would be right), and does not tell
# exact copies from these ({interval}`auc_exact_stated_jeon_1_4:.2f`).
#
# ```{glue:figure} figure_auc
# :alt: Five panels of dots with intervals. In the first two, the first-step statistics of Wen, Jeon, gap and Asthana lie near one and Ren's entropy about one half; Carlini and Kim are near one for exact captions and at one half for templates. Against stated captions the paper's statistic falls far below one half, while Carlini and the proxy of Kim stay high for exact ones. In the last panel, stated against general captions, most statistics lie near one.
# :name: fig-detection-auc
#
# AUC with intervals. Panels are questions, rows statistics with their steps; lighter to darker are one, four and sixteen seeds. Left of the line a statistic points the wrong way. In the last panel one half is right: stated captions are not memorized.
# ```
#
# :::{admonition} This chapter
# :class: note
#
# - **Answers** Table 1 of the paper {cite}`jeon2025understanding`: detection of memorized prompts, by methods before it, by its own, and by later ones.
# - **Uses** the model organism, a Stable Diffusion in miniature of which it is known what was copied and how often. Real models, the published prompts and captions of one's own are in {doc}`10_real_models`.
# - **Takes** about two and a half minutes of processor time; not timed on a GPU yet.
# :::
#
# **What counts as memorized** is decided by the training set, not by samples. *Exact*: a caption with one image, copied 100 times or more. *Template*: a
# caption whose images share a fixed part, also 100 times or more. The others are *general*, captions in training with 85 different images
# each; apart from them stand the *stated* ones, which are like general ones except that their text states the colours of the image. Every other
# caption leaves them open.
#
# **The unit is the caption.** All captions start from the same noises, the seeds; a score is a mean over $n$ of them. An area under the ROC
# curve (AUC) is the probability that a memorized caption scores above another; its interval is Newcombe's. TPR is the share of memorized captions above the threshold that
# lets through the largest share of the others not above 1 % (with $N$ others, a multiple of $1/N$), with a bootstrap
# interval over captions. Two statistics are compared on the same captions, by a paired bootstrap. Every statistic points the way its
# paper says. An AUC below one half is left as it is.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**32) seed of every random draw
model: str = "organism_epsilon"  # name of a shipped model
other_model: str = "organism_v"  # a second model for the first step
captions: int = 100  # [2, 10**4] captions of each family at the first step, at most
stated: int = 32  # [2, 84] of these, captions that state colours
whole_captions: int = (
    24  # [2, captions] captions of each family followed further than the first step, at most
)
whole_stated: int = 12  # [2, stated] of these, captions that state colours
held_out: int = 12  # [2, 200] harmless captions for calibration
compared: int = 40  # [8, 10**4] captions for the comparison of products
seeds: int = 16  # [2, 1000] noises of the statistics of the first five steps
whole_seeds: int = (
    4  # [2, seeds] noises of the statistics of all steps, of the products and of the second model
)
probes: int = 4  # [2, 1000] random directions of the curvature maps; 16 as published
rows: int = 128  # [1, 10**5] captions times seeds in one pass
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/08_latent_detection/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
import numpy as np
import pandas as pd
import torch

from companion import experiment, plots, tables
from companion.experiment import benchmarks
from companion.organism import captions as all_captions
from companion.organism import image
from companion.products import agreement, by_product
from companion.prompts import detectors, figures, prompt_sets
from companion.recipes import text_to_image
from memlib import detection, intervals
from memlib.text_to_image import generate

plots.use_style()
run = experiment.start("08_latent_detection", globals())
run.parameter_table()

# %% tags=["hide-input"]
STEPS, GUIDANCE, LAYER, MEMORIZED = 50, 7.5, 1, 100  # sampling; layer of Ren's local entropy; copies
path = {"steps": STEPS, "guidance": GUIDANCE}
network = text_to_image.load(model, device=run.device)
known = prompt_sets.organism(MEMORIZED)
families, copies = np.array(known.families), np.array(known.copies)
few = [family for family in dict.fromkeys(known.families) if family.endswith("few copies")]
colors = (
    dict.fromkeys(known.families, plots.GENERAL)
    | dict.fromkeys(known.memorized, plots.MEMORIZED)
    | dict.fromkeys(few, plots.NEUTRAL)
    | {"stated": "#8c510a"}
)
noise = network.noise(seeds, torch.Generator().manual_seed(seed))
at_most = dict.fromkeys(known.judged, captions) | {"stated": stated}
first = known.first(at_most | dict.fromkeys((*few, *known.apart), captions) | {known.calibration: held_out})
whole = known.first(dict.fromkeys(known.judged, whole_captions) | {"stated": whole_stated})
counts = run.table(
    {
        "family": (shown := list(dict.fromkeys(families[first]))),
        "captions, first step": [int((families[first] == family).sum()) for family in shown],
        "captions, further steps": [int((families[whole] == family).sum()) for family in shown],
    },
    "families",
    about="Captions of each family that were measured",
)
counts.style.hide(axis="index")

# %% [markdown]
# ## What the model draws
#
# Before any statistic: a training image of each caption, and samples with guidance.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight rows of small coloured digits. In the two rows of exact captions the samples equal the training image at the left; in the template rows a part of the image is the same in all; in the general rows digits, inks and grounds all differ; in the stated rows they differ in handwriting and share two colours."}, "figure": {"caption": "At the left an image of the training set under the caption, then samples. Of the two captions of a family the last and the first are shown.", "name": "fig-detection-samples"}}
drawn_from = {}
for family in ("exact", "template", "general", "stated"):
    of_family = np.flatnonzero(families == family)
    for number, place in enumerate((of_family[-1], of_family[0]), start=1):
        what = f"k = {copies[place]:,}" if copies[place] else f"{number}"
        drawn_from[f"{family}, {what}"] = place
drawn = generate(
    network, network.encode(known.texts(drawn_from.values())), noise[:whole_seeds], **path
).samples
pictures = network.decode(drawn.flatten(0, 1)).cpu().unflatten(0, drawn.shape[:2]) * 2 - 1
trained = [
    image(all_captions()[place], torch.Generator().manual_seed(seed + int(place)))
    for place in drawn_from.values()
]
rows_of_images = {
    name: torch.cat([one[None], many]).numpy()
    for name, one, many in zip(drawn_from, trained, pictures, strict=True)
}
run.figure(
    plots.image_grid(rows_of_images, 1 + whole_seeds),
    "samples",
    about="Training images and samples of captions of every family",
    data={name.replace(",", "").replace(" ", "_"): images for name, images in rows_of_images.items()},
)

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
# | Chen | $\lVert \epsilon_\Delta \circ m \rVert / \bar m$, with $m$ the attention paid to the end token at the last step | 50 | {cite}`chen2025exploring` |
# | Carlini | the largest distance between corresponding tiles of two samples, small for copies | 50 | {cite}`carlini2023extracting` |
# | Kim | mean of the positive part of $\operatorname{diag}(-H_c) - \operatorname{diag}(-H_\varnothing)$ at the last step | 50 | {cite}`kim2026localizing` |
# | Kim, alone | the same without $H_\varnothing$: sharpness under the caption alone | 50 | {cite}`kim2026localizing` |
# | Kim, proxy | mean of $s_\Delta^2$ at the last step | 50 | {cite}`kim2026localizing` |
# | Huang | z-scores of the lengths of sampling steps, against harmless captions | 5, 50 | {cite}`huang2026broken` |
#
# Products with $H$ are forward differences unless said otherwise. The weights $\gamma$ come from a logistic regression on captions
# that are in no comparison with those judged: on templates and held-out general captions where exact ones are judged, and on exact ones where templates are. Huang's
# lengths are calibrated on held-out general captions.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five panels of dots with intervals. In the first two, the first-step statistics of Wen, Jeon, gap and Asthana lie near one, Ren's entropies about one half; Carlini and Kim are near one for exact captions and low for templates. Against stated captions Wen, Jeon, gap and Asthana fall below one half, while Carlini and the Kim proxy stay high for exact ones. In the last panel most statistics lie near one."}}
calm = detectors.calibrated(network, known, held_out, noise[:2], **path)
found = detectors.detectors(network, calm, layer=LAYER, probes=probes, several=whole_seeds > 1, seed=seed)
scores = detectors.measured(
    network,
    known,
    found,
    first=first,
    whole=whole,
    noise=noise,
    whole_seeds=whole_seeds,
    rows=rows,
    **path,
)
averaged = sorted({1, 4, 16, whole_seeds, seeds})
evaluations = detectors.judged(run, scores, found, averaged, seed=seed)
run.table(detectors.every_value(scores, first), "values", about="Every statistic of every caption and seed")
run.table(
    {"caption": first, "text": known.texts(first)},
    "captions",
    about="The captions behind the numbers in the table of values",
)
figure = figures.areas(evaluations, known.questions, found, STEPS)
run.figure(figure, "auc", about="AUC of every statistic for every question, by number of seeds", opening=True)

# %% [markdown]
# ## Table 1, and beside it what was published
#
# Rows are statistics with the number of steps they need and the number of seeds averaged. The columns marked *published* are printed for other models, on other
# captions, and are not a target: they show how hard the task was there.

# %% tags=["hide-input"]
question, *_ = known.questions
by_question = {asked: detectors.table(run, evaluations, asked, found, STEPS) for asked in known.questions}
columns = [name for name in by_question[question][0] if name != "FPR"]
tables.shown(by_question[question], columns, ".3f").set_caption(question.words)

# %% [markdown]
# **Against general captions** the first step is enough. With four seeds, exact captions have an AUC of {interval}`auc_exact_general_wen_1_4:.2f` by Wen's norm,
# {interval}`auc_exact_general_jeon_1_4:.2f` by the paper's statistic, {interval}`auc_exact_general_gap_1_4:.2f` by the gap and {interval}`auc_exact_general_asthana_1_4:.2f` by Asthana's; templates
# {interval}`auc_template_general_jeon_1_4:.2f` by the paper's. The intervals are wide: {glue:text}`auc_exact_general_jeon_1_4:.3f` and {glue:text}`auc_exact_general_wen_1_4:.3f` from
# two dozen memorized captions cannot be told apart. By number of copies (below), detection becomes hard below a hundred copies.
#
# **Fifty steps.** Averaged along the whole guided path Wen's norm has {interval}`auc_exact_general_wen_all_4:.2f`: late steps, at which guidance has already decided,
# count as much as the first. Carlini's distance needs finished images, and has {interval}`auc_exact_general_carlini_all_4:.2f` on exact captions and
# {interval}`auc_template_general_carlini_all_4:.2f` on templates, where the largest tile distance is that of a part left free, which differs on purpose. Kim's
# curvature difference at the last step has {interval}`auc_exact_general_kim_all_4:.2f` for exact ones, against {interval}`auc_exact_general_kim_alone_all_4:.2f` for sharpness under the caption
# alone; on templates it has {interval}`auc_template_general_kim_all_4:.2f`, where less than one half points the wrong way, and its proxy {interval}`auc_template_general_kim_proxy_all_4:.2f`. Where
# such maps are bright is looked at in {doc}`07_latent_spectra`.
#
# **Entropies of attention** have {interval}`auc_exact_general_ren_layer_1_4:.2f` at the layer chosen and {interval}`auc_exact_general_ren_attention_all_4:.2f` over all layers.
# Their authors found them higher for memorized captions, which gives an AUC above one half; below it they are lower, and the sign was not turned.
#
# **Stated captions mislead.** A caption that says two colours moves the mean of the image a long way and copies nothing. Against general captions all four statistics of the first step call it memorized:
# {interval}`auc_stated_general_jeon_1_4:.2f` for the paper's, where one half would be right. Of exact captions against stated ones the AUC is {interval}`auc_exact_stated_wen_1_4:.2f` for Wen's norm and
# {interval}`auc_exact_stated_jeon_1_4:.2f` for the paper's. Lemma 4.2 says why: the score difference adds a gap between the means to the gap between curvatures. Under a caption whose image was copied all samples agree; under a stated caption
# they do not. Carlini's distance measures exactly that, and has {interval}`auc_exact_stated_carlini_all_4:.2f`; Kim's proxy at the last step, where the mean is settled, has {interval}`auc_exact_stated_kim_proxy_all_4:.2f`
# on exact and {interval}`auc_template_stated_kim_proxy_all_4:.2f` on template captions.
#
# ### Which differences are real?

# %% tags=["hide-input"]
four, most = min(4, whole_seeds), seeds
pairs = [
    ("jeon_1", 1, "wen_1", 1),
    ("jeon_1", four, "wen_1", four),
    ("jeon_1", most, "wen_1", most),
    ("jeon_1", four, "wen_5", most),
    ("jeon_1", four, "gap_1", four),
    ("jeon_1", four, "asthana_1", four),
    ("wen_all", four, "wen_1", four),
    ("chen_all", four, "wen_all", four),
    ("kim_all", four, "kim_alone_all", four),
    ("kim_all", four, "kim_proxy_all", four),
]
differences = detectors.paired(run, scores, found, pairs, known.questions[:3], steps=STEPS, seed=seed)
shown = ["first", "second", "AUC", "AUC differs", "TPR", "TPR differs"]
own = [row for row in differences if row["question"] == question.words]
tables.shown(own, shown, ".3f").set_caption(question.words)

# %% [markdown]
# Where an interval covers zero the two cannot be told apart, which does not prove that they are equal: two dozen captions do not settle the third digit. On exact against general captions the paper's
# statistic less Wen's norm, both at the first step and with four seeds, is {interval}`auc_exact_general_jeon_1_4_less_wen_1_4:.3f`; less Wen's at five steps and sixteen seeds it is
# {interval}`auc_exact_general_jeon_1_4_less_wen_5_16:.3f`. Wen's norm at fifty steps less that at one is {interval}`auc_exact_general_wen_all_4_less_wen_1_4:.3f`; Kim's difference less sharpness alone
# {interval}`auc_exact_general_kim_all_4_less_kim_alone_all_4:.3f`. On exact against stated captions the paper's statistic less Wen's norm is {interval}`auc_exact_stated_jeon_1_4_less_wen_1_4:.3f`.
# No correction is made for the number of comparisons in the table.

# %% tags=["hide-input"]
singly = detectors.one_seed(run, scores, found, ["wen_1", "jeon_1", "gap_1"], steps=STEPS)
tables.shown(singly, ["statistic", "smallest", "mean", "largest"], ".3f")

# %% [markdown]
# A single seed is one draw. Over the seeds the AUC of the paper's statistic runs from {glue:text}`seed_auc_jeon_1_least:.2f` to {glue:text}`seed_auc_jeon_1_most:.2f`, and that of Wen's norm from
# {glue:text}`seed_auc_wen_1_least:.2f` to {glue:text}`seed_auc_wen_1_most:.2f`.
#
# ### Layers of attention

# %% tags=["hide-input"]
by_layer = [
    {"layer": number}
    | {asked.words: scores.judge(asked, name, seeds, seed=seed).auc for asked in known.questions}
    for number, name in enumerate(found.layers)
]
about = "AUC of the entropy of each cross-attention layer at the first step, all seeds"
tables.tabulate(run, "layers", by_layer, about=about)
tables.shown(by_layer)

# %% [markdown]
# Layers in the order in which they run. The index 3 of 16 in Stable Diffusion has no counterpart among four. Above one half the entropy points as its paper says.
#
# ## By family and by number of copies

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of dots on logarithmic axes, a row for each group of captions. Exact captions up to 30 copies lie with the general ones at the left, those from 100 copies on at the right, with two of 30; templates lie in between and to the right; stated captions lie furthest to the right."}, "figure": {"caption": "Each dot a caption, its mean over seeds at the first step, on logarithmic axes. Exact captions by number of copies.", "name": "fig-detection-families"}}
exact = [place for place in first if "exact" in families[place]]
levels = sorted({int(number) for number in copies[exact]})
copied = {k: [place for place in exact if copies[place] == k] for k in levels}
groups = {f"exact, k = {k:,}": places for k, places in copied.items()} | {
    family: [place for place in first if families[place] == family]
    for family in dict.fromkeys(families[first])
    if "exact" not in family
}
run.figure(
    figures.dots(
        groups,
        {
            r"$\|\epsilon_\Delta\|$ (Wen)": scores.values["wen_1"],
            r"$\|H_\Delta s_\Delta\|^2$ (the paper)": scores.values["jeon_1"],
        },
        {name: colors[families[places[0]]] for name, places in groups.items()},
        seed,
    ),
    "families",
    about="The first-step statistics of every caption, by family and number of copies",
)

# %% [markdown]
# The paper's statistic is a squared quantity of second order, so that its axis covers a wider range than that of the norm. The stated captions are the ones to look at, beside the copied ones.

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUC against the number of copies. Four lines lie near one half up to 10 copies, near 0.7 at 30, and at one from 100 on; the entropy of attention scatters about one half. The dashed share of samples nearest to the image rises from zero at 10 over a quarter at 30 to one at 100."}, "figure": {"caption": "AUC of exact captions with one number of copies against general ones at the first step, all seeds, and (dashed) how often samples under such a caption are nearest to its image, from the card of the model.", "name": "fig-detection-copies"}}
returned = text_to_image.tested(model)
curves = []
for detector in [row for row in found.rows if row.steps == 1]:
    means = scores.of(question, detector.key, seeds).mean(1)
    curves += [
        {
            "statistic": detector.title,
            "key": detector.key,
            "copies": k,
            "AUC": intervals.auc(means[places], means[groups["general"]]),
        }
        for k, places in copied.items()
    ]
record = {"AUC": ("dose_{key}_{copies}", "AUC of {statistic}, exact at {copies} copies against general")}
about = "AUC against the number of copies, and recall"
tables.tabulate(run, "copies", curves, about=about, record=record)
for k in levels:
    if share := returned.get(f"captions, {k} copies"):
        run.record(
            f"captions_{k}", share, about=f"Exact captions with {k} copies whose image most noises give"
        )
recalled = [returned[name].value if (name := f"recalled, {k} copies") in returned else np.nan for k in levels]
lines = {}
for row in curves:
    lines.setdefault(row["statistic"], []).append(row["AUC"])
figure = figures.by_copies(lines, levels, recalled)
run.figure(figure, "by_copies", about=about, data={"k": levels, "recalled": recalled})

# %% [markdown]
# The number of copies at which captions are found is the one at which the model begins to return them, in statistic and samples alike. At thirty copies the paper's statistic has an AUC of
# {interval}`dose_jeon_1_30:.2f` and Wen's {interval}`dose_wen_1_30:.2f`; at a hundred {interval}`dose_jeon_1_100:.2f`
# and {interval}`dose_wen_1_100:.2f`; at three hundred {interval}`dose_jeon_1_300:.2f` and {interval}`dose_wen_1_300:.2f`. The statistics respond to
# what the model has learned, not to what it was shown. A caption is learned whole or not at all: of those with thirty copies a share of {interval}`captions_30:.2f` return their image from most noises. In the figure above these are the dots far to the right of their row.
#
# ## One statistic, three products
#
# $H_\Delta$ is the Jacobian of a learned difference, which need not be symmetric. $J s$ (`jvp`, the paper's), $J^\top s$ (`vjp`) and the forward difference of $s_\Delta$ along
# itself, which estimates $J s$ without a graph, on the same captions and noises:

# %% tags=["hide-input"]
some = known.first(dict.fromkeys(known.judged, compared // len(known.judged)))
encoded = network.encode(known.texts(some))
multiplied = {
    name: by_product(network, encoded, noise[:whole_seeds], name, rows=rows)
    for name in ("jvp", "difference", "vjp")
}
products = []
for name, by in multiplied.items():
    agreed = agreement(by.norms, multiplied["jvp"].norms, seed=seed)
    products.append(
        {
            "product": name,
            "ratio": agreed.ratio,
            "largest": agreed.largest,
            "rank": agreed.rank,
            "auc": question.judge(families[some].tolist(), by.norms.square(), seed=seed).auc,
            "passes": by.forward + by.backward,
            "forward": by.forward,
            "backward": by.backward,
        }
    )
record = {
    "ratio": ("product_{product}_ratio", "Median of ||H s|| by {product} over that by jvp"),
    "rank": ("product_{product}_rank", "Rank correlation of ||H s|| by {product} with that by jvp"),
    "largest": ("product_{product}_largest", "Largest relative difference of {product} from jvp"),
    "passes": ("product_{product}_passes", "Rows through the network per sample, {product}"),
    "auc": ("product_{product}_auc", f"AUC of the paper's statistic by {{product}}, {question.words}"),
}
tables.tabulate(run, "products", products, about="The paper's statistic by three products", record=record)
headings = {
    "product": "product",
    "ratio": "over jvp, median",
    "largest": "largest difference",
    "rank": "rank correlation",
    "auc": "AUC",
    "forward": "forward",
    "backward": "backward",
}
tables.shown(products, headings, dict.fromkeys(("ratio", "rank", "auc"), ".3f") | {"largest": ".1e"})

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two log-log scatter plots. The forward difference lies on the diagonal; the reverse product lies near it with some scatter."}, "figure": {"caption": "The norm by two other products against that by jvp, each dot a caption and seed, colours as above.", "name": "fig-detection-products"}}
norms = {name: by.norms.numpy() for name, by in multiplied.items()}
run.figure(
    figures.products(norms, [colors[families[place]] for place in some]),
    "by_product",
    about="The norm by each product against that by jvp",
    data={name: values.flatten() for name, values in norms.items()},
)

# %% [markdown]
# The forward difference agrees with the `jvp` in single precision and on trained weights: the median ratio of the norms is
# {interval}`product_difference_ratio:.4f`, and the largest relative deviation
# of one caption and seed {glue:text}`product_difference_largest:.1e`, where the norm is smallest and rounding weighs most. It takes
# {glue:text}`product_difference_passes:.1f` rows through the network per caption and seed; the `jvp` takes
# {glue:text}`product_jvp_passes:.0f` and the `vjp` {glue:text}`product_vjp_passes:.0f`. The reverse product `vjp` gives another value: the ratio of its norm to that of the `jvp` is
# {interval}`product_vjp_ratio:.2f` in the median, but off by up to {glue:text}`product_vjp_largest:.2f` of the value for one caption and seed. The rank correlation over captions is
# {interval}`product_vjp_rank:.3f`. A threshold belongs to the product it was made with.

# %% [markdown]
# ## What it costs
#
# Measured by `python -m benchmarks --suite latent` and kept in `benchmarks/results/`; nothing is timed here. *The released way* is that of the paper's code: a forward pass for the
# difference of the scores, then `torch.func.jvp` on the batch doubled for both. Ratios are medians over rounds in which both sides take turns, with the smallest and the largest.
#
# One target is missed: not every value agrees to a thousandth in single precision. A forward difference subtracts two scores that are nearly the same and divides by a small step, so
# rounding weighs most where the norm is smallest; the ranking stays the same (above). The network of Stable Diffusion's size has random weights: its time and memory are those of the real one, its values are not.

# %% tags=["hide-input"]
costs = run.table(
    pd.concat([benchmarks.recorded("latent"), benchmarks.recorded("full-size")], ignore_index=True),
    "benchmarks",
    about="Recorded benchmarks, with settings, seconds, notes and agreement of both sides",
)
benchmarks.summary(costs).style.hide(axis="index")

# %% [markdown]
# ## Another model

# %% tags=["hide-input"]
second = text_to_image.load(other_model, device=run.device)
places = [place for place in first if families[place] in known.judged]
keys = ("wen_1", "jeon_1", "gap_1", "ren_layer_1")
measured = detection.measure(
    second,
    second.encode(known.texts(places)),
    second.noise(whole_seeds, torch.Generator().manual_seed(seed)),
    {key: found[key].statistic for key in keys},
    rows=rows,
    **path,
)
again = [
    {
        "question": asked.words,
        "statistic": found[key].words(STEPS),
        "asked": asked.name,
        "key": key,
        "second": asked.judge(families[places].tolist(), measured[key], seed=seed).auc,
        "here": scores.judge(asked, key, whole_seeds, seed=seed).auc,
    }
    for asked in known.questions
    for key in keys
]
meaning = f"AUC of {{statistic}}, n = {whole_seeds}, {other_model}"
record = {"second": ("second_auc_{asked}_{key}", meaning)}
tables.tabulate(run, "second_model", again, about="AUC of a second model at the first step", record=record)
headings = {"question": "question", "statistic": "statistic", "second": f"AUC, {other_model}"}
tables.shown(again, headings | {"here": f"AUC, {model}"})

# %% [markdown]
# The second model went on from the first one's weights, on the same data, to predict $v$, as Stable Diffusion 2 did from those of its base model. Stated captions
# have an AUC of {glue:text}`second_auc_stated_general_jeon_1:.2f` against general ones by the paper's statistic here too. Of exact captions against stated ones it is
# {interval}`second_auc_exact_stated_jeon_1:.2f`, in the first model {interval}`auc_exact_stated_jeon_1_4:.2f`.
#
# ## Against the paper
#
# - **Detection from the first step**: so it is here, for exact captions and templates.
# - **More than the norm of the score difference.** The advantage printed at the first step is a hundredth of AUC; here it is {interval}`auc_exact_general_jeon_1_4_less_wen_1_4:.3f`,
#   where both may be at their maximum: an area of 1 leaves no room for a hundredth.
# - **Attention and tiles detect less well.** Ren's entropies do; Chen's bright ending has {interval}`auc_exact_general_chen_all_4:.2f` and Carlini's tiles {interval}`auc_exact_general_carlini_all_4:.2f` on exact captions, which are whole copies.
# - **Fifty steps are no worse than one.** The paper prints this for Wen's norm; here it has {glue:text}`auc_exact_general_wen_all_4:.2f` after {glue:text}`auc_exact_general_wen_1_4:.2f`. The released code follows guided paths, on which the lemmas do not hold.
# - **What Table 1 does not ask.** The published captions that are not memorized are captions of ordinary images. None is chosen to move the mean, as the stated ones are.
#
# The same statistics on real models and published prompts are in {doc}`10_real_models`.
#
# ## What the run shows

# %% tags=["hide-input"]
# That the paper's statistic finds memorized captions, and its price, are claims of the ledger.
least = {
    (asked, key): evaluations[asked, key, four].auc.low
    for asked in ("exact_general", "template_general", "stated_general")
    for key in ("wen_1", "jeon_1", "gap_1", "asthana_1")
}
run.check(
    "first_step_finds_copies",
    all(low > 0.8 for (asked, key), low in least.items() if asked != "stated_general" and key != "jeon_1"),
    "Wen's, the gap and Asthana's statistic tell exact and template captions from general ones at the first step.",
)
run.check(
    "stated_captions_mislead",
    all(low > 0.8 for (asked, _), low in least.items() if asked == "stated_general"),
    "All four statistics of the first step take captions that state colours for memorized.",
)
run.check(
    "exact_is_not_told_from_stated",
    evaluations["exact_stated", "jeon_1", four].auc.low < 0.5,
    "The paper's statistic does not tell exact captions from stated ones.",
)
run.check(
    "difference_ranks_as_jvp",
    products[1]["rank"].low > 0.99,
    "A forward difference ranks the captions as the forward product does.",
)
run.finish()
