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
# # What has a fine-tuned model memorized?
#
# :::{admonition} Does the base model of a fine-tune help to find what the fine-tune has memorized, and does an audit find the images that come out?
# :class: answer
#
# Answer
# : Against captions that state what they show, yes: there the norm of the score difference of one model ranks copies with an area under the ROC curve (AUC) of {interval}`area_difference_copies_stated:.2f n`, and by how much that norm is larger than the base's with {interval}`area_excess_copies_stated:.2f n`.
#   Against general captions the base adds {interval}`excess_less_difference_general:.2f` to the AUC. After a LoRA on {glue:text}`images:.0f` images, under a share of {interval}`reproduced_lora_10:.2f n` of the captions whose image was shown ten times that image comes out. The audit finds it by generating;
#   its list, which rests on the statistics alone, holds {interval}`listed_lora_10:.2f n` of them. With repeats taken out, and as many passes, their images come out under {interval}`reproduced_deduplicated_10:.2f n`.
#
# How sure
# : Captions are the unit, and n counts the memorized ones. One model organism and one fine-tune of each kind: the intervals do not cover another training. What is compared, at which times and with which margin, was fixed before the run; how long the fine-tunes last was not.
#
# For your model
# : Let `memlib audit` generate under every caption that you can afford, not only under those that its list holds. Give it the base, and harmless captions by the number that {numref}`tab-11-needed` says. Take repeats out before you train.
#
# This chapter
# : goes beyond the paper {cite}`jeon2025understanding`, whose detectors know one model. It took {took}`run`. The command and its options are in {doc}`../book/guide/audit`.
# :::
#
# ```{glue:figure} figure_excess
# :alt: Three panels of dots, one for each fine-tune. After LoRA most captions shown ten times are filled, after a training of all weights nearly all; they lie among the others, not above them. With repeats taken out all groups lie near zero and one dot is filled.
# :name: fig-tuned-excess
#
# By how much a caption changes the noise prediction more than in the base, for every caption of three fine-tunes. Filled: the audit found its image among four generated ones.
# ```
#
# Who fine-tunes a model has two things that a detector of memorized prompts lacks: the images, and the model that the training began from. `memlib audit` uses both.
#
# **Fixed before the run.** *Statistics*: the five of the audit, each a mean over {glue:text}`noises:.0f` noises at the first sampling step, of 50 on the organism and of {glue:text}`audit_steps:.0f` in the audits. With $d = \epsilon(x, c) - \epsilon(x)$: the *norm*
# $\lVert d \rVert$ {cite}`wen2024detecting`, the *paper's* $\lVert H_\Delta s_\Delta \rVert$ {cite}`jeon2025understanding`, the *excess* $\lVert d_\text{model} \rVert - \lVert d_\text{base} \rVert$, the *shift*
# $\lVert \epsilon_\text{model}(x, c) - \epsilon_\text{base}(x, c) \rVert$, and the product of the shift's Jacobian with it. *What counts as memorized*: on the organism a caption whose image was copied 100 times or more in the model's training and not in the base's, all of which there are; in a fine-tune a caption whose
# image was shown ten times. *What is compared*: the excess with the norm, in pairs on the same captions; a difference of 0.05 of AUC matters. *Reproduced* means what the audit's rule says: one of the images
# generated under the caption is nearer to a training image than to the next, by a factor that one in a hundred images of unseen handwriting undercuts.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**31) seed of every random draw
general: int = 90  # [20, 300] unseen general captions of the first part
stated: int = 50  # [10, 110] unseen captions of it that state colours
screened: int = 48  # [10, 200] of both, how many are screened; the others calibrate
draws: int = 100  # [10, 10**4] random calibrations
harmless: int = 90  # [10, 300] unseen captions that calibrate the audits
held_out: int = 200  # [2, 10**4] images that no model has seen, for what counts as reproduced
seeds: int = 4  # [1, 100] noises of a caption, and images
steps: int = 15  # [2, 1000] sampling steps of an image
rate: float = 0.1  # (0, 0.5] false discovery rate of the list
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/11_fine_tuning/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
import shutil

import numpy as np
from IPython.display import Markdown, display

from companion import experiment, plots, tables
from companion import fine_tuning as tuning
from companion.organism import captions
from companion.organism.fine_tune_set import STATED
from companion.organism.training_set import removed
from companion.recipes import fine_tunes, text_to_image
from memlib import intervals
from memlib.audit import Settings, significance
from memlib.screening import noises

plots.use_style()
run = experiment.start("11_fine_tuning", globals())
run.parameter_table()

# %% tags=["hide-input"]
TITLES = {
    "difference": "norm",
    "gain": "paper's",
    "excess": "excess over the base",
    "shift": "shift from the base",
    "shift_curvature": "product of the shift",
}
run.record("noises", seeds, about="Noises of every caption")
run.record("audit_steps", steps, about="Sampling steps of the audits")
model, base = (
    text_to_image.load(name, device=run.device) for name in ("organism_epsilon", "organism_without_copies")
)
noise = noises(model, range(seed, seed + seeds))
memorized = [caption for caption in captions("exact") if caption.copies >= 100]
gone = removed()
fresh = {family: [c for c in tuning.unseen() if c.family == family] for family in ("general", "stated")}
groups = {
    "copies": [caption for caption in memorized if caption in gone],
    "both": [caption for caption in memorized if caption not in gone],
    "general": fresh["general"][:general],
    "stated": fresh["stated"][:stated],
}

# %% [markdown]
# ## A model that has copies, beside one that has not
#
# `organism_epsilon` was trained on images that were copied up to 1,000 times; `organism_without_copies` on the same images, but the copies of every second caption are gone, and one image is left. It takes the place of a base. Of *copies* the model
# has 100 or more and the base none, and of captions with copies in *both* the excess should say nothing: one half is right. So it is for captions that *state* the colours of what they show, against general ones; neither was in a training ({numref}`tab-11-organism` and {numref}`fig-tuned-organism`).

# %% tags=["hide-input"] table={"caption": "AUC of five statistics at the first step, on an organism with copies and beside one without", "name": "tab-11-organism"}
found = tuning.measure(model, base, groups, noise)
run.table(found.table(), "values", about="Every statistic of every caption of the organism")
questions = {
    ("copies", "general"): "copies against general",
    ("copies", "stated"): "copies against stated",
    ("both", "general"): "copies in both against general",
    ("stated", "general"): "stated against general",
}
rows = [
    {"key": name, "statistic": title}
    | {f"{first}_{second}": found.area(name, first, second) for first, second in questions}
    for name, title in TITLES.items()
]
about = "AUC of {{statistic}}, {}"
tables.tabulate(
    run,
    "organism",
    rows,
    about="AUC of every statistic on the organism",
    record={
        f"{a}_{b}": (f"area_{{key}}_{a}_{b}", about.format(words)) for (a, b), words in questions.items()
    },
)
shown = {"statistic": "statistic"} | {f"{a}_{b}": words for (a, b), words in questions.items()}
display(tables.shown(rows, shown))
for other in ("general", "stated"):
    label = [True] * len(groups["copies"]) + [False] * len(groups[other])
    ours, theirs = (
        np.concatenate([found.of(name, "copies"), found.of(name, other)]) for name in ("excess", "difference")
    )
    run.record(
        f"excess_less_difference_{other}",
        tuning.differences(ours, theirs, label),
        about=f"AUC of the excess less that of the norm, copies against {other} captions",
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four panels of dots with intervals, a row for each statistic. Copies against general captions: all near one. Copies against stated captions: norm and the paper's statistic below one half, the three that know the base at one. Copies in both: norm and paper's near one, the excess near one half. Stated against general: norm and paper's near one, the others nearer to one half."}, "figure": {"caption": "AUC with intervals over captions. In the last two panels one half is right.", "name": "fig-tuned-organism"}}
areas = {words: {row["statistic"]: row[f"{a}_{b}"] for row in rows} for (a, b), words in questions.items()}
run.figure(
    tuning.figures.areas(areas),
    "organism",
    about="AUC of every statistic on the organism",
    data=tables.frame(rows),
)

# %% [markdown]
# Against captions that state colours the norm has {interval}`area_difference_copies_stated:.2f` and the excess {interval}`area_excess_copies_stated:.2f`; the difference is {interval}`excess_less_difference_stated:.2f`. What such a caption does to the prediction it does in both models, and it cancels. Against general
# captions the norm has {interval}`area_difference_copies_general:.2f` already, and there is nothing to gain: the excess has {interval}`excess_less_difference_general:.3f` more. The excess of an image that both models know does not stand out, {interval}`area_excess_both_general:.2f`.
#
# ## How many harmless captions does a list need?
#
# The audit lists captions whose p-value against harmless ones is small, at a false discovery rate of {glue:text}`rate:.2f`. p-values of n harmless captions are at least 1 / (n + 1), and a list of k among m captions needs p-values of at most the rate times k / m. If a share of the harmless captions
# looks as suspicious as the least suspicious of the k, it takes more ({numref}`tab-11-needed`); from a certain share on no number suffices. Captions that are compared with their own kind alone need as many of each kind.

# %% tags=["hide-input"] table={"caption": "Harmless captions that a list needs at least, of each kind that is compared with its own", "name": "tab-11-needed"}
run.record("rate", rate, about="False discovery rate of the lists")
needed = [
    {"captions": m, "memorized": k}
    | {
        f"overlap {part}": significance.calibration_needed(m, k, rate, overlap=over * rate * k / m)
        for part, over in (("none", 0.0), ("a quarter of the limit", 0.25), ("half of it", 0.5))
    }
    | {"limit of the overlap": rate * k / m}
    for m, k in ((40, 10), (40, 4), (100, 10), (1000, 20), (1000, 100))
]
tables.tabulate(run, "needed", needed, about="Harmless captions that a list needs at least")
tables.shown(needed, formats={"limit of the overlap": ".3f"})

# %% [markdown]
# How it comes out on the organism: the {glue:text}`copies:.0f` captions with copies, {glue:text}`screened:.0f` harmless ones beside them, and others that calibrate. General and stated captions are compared with their own kind, or *pooled*: the excess of both kinds is much alike (above), which is a reason to pool, but one that has to be settled before
# the captions in question are looked at, as here, from captions that are not among them. Which harmless captions calibrate is drawn anew {glue:text}`draws:.0f` times ({numref}`fig-tuned-lists`).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, the share of memorized captions that is listed against the number of harmless captions: zero for few, and one from some number on, which is smaller where kinds are pooled. Right, the harmless share of the list, below the dashed rate."}, "figure": {"caption": "What the list finds (left), and how much of it is harmless (right), as means over calibrations with intervals. Dashed: the rate that is promised.", "name": "fig-tuned-lists"}}
copies = found.of("excess", "copies")
kinds = [family for family in ("general", "stated") for _ in groups[family]]
innocent = np.concatenate([found.of("excess", family) for family in ("general", "stated")])
most = len(innocent) - screened
numbers = sorted({max(5, most * part // 8) for part in (1, 2, 4, 6, 8)})
quality = {
    (words, n): tuning.list_quality(
        copies, innocent, kinds, kind="general", screened=screened, calibration=n, pooled=pooled, rate=rate,
        draws=draws, seed=seed,
    )
    for words, pooled in (("pooled", True), ("own", False))
    for n in numbers
}  # fmt: skip
for (words, n), one in quality.items():
    if n in numbers[-1:]:
        beside = f"{words} kinds, as many harmless captions as there are"
        run.record(f"found_{words}", one.found, about=f"Share of the memorized captions listed, {beside}")
        run.record(f"whole_{words}", one.whole, about=f"Share of lists that hold all of them, {beside}")
        run.record(f"false_{words}", one.false, about=f"Harmless share of the list, {beside}")
for key, value, about in (
    ("copies", len(copies), "Captions with copies that the base has not"),
    ("screened", screened, "Harmless captions among those screened"),
    ("draws", draws, "Random calibrations"),
    ("calibrating", most, "Harmless captions that calibrate, at most"),
    ("least", significance.calibration_needed(len(copies) + screened, len(copies), rate), "Least number"),
):
    run.record(key, value, about=about)
by_kind = {
    words: [quality[key, n] for n in numbers]
    for key, words in (("pooled", "pooled"), ("own", "with their own kind"))
}
figure = tuning.figures.list_quality(
    numbers,
    {words: [one.found for one in some] for words, some in by_kind.items()},
    {words: [one.false for one in some] for words, some in by_kind.items()},
    rate,
)
rows = [
    {"compared": words, "harmless": n, "found": one.found, "whole": one.whole, "false": one.false}
    for (words, n), one in quality.items()
]
run.figure(figure, "lists", about="Quality of the list by its calibration", data=tables.frame(rows))

# %% [markdown]
# By {numref}`tab-11-needed`'s rule {glue:text}`least:.0f` harmless captions are the least. With {glue:text}`calibrating:.0f`, pooled, a share of {interval}`found_pooled:.2f` of the memorized captions is listed, and {interval}`whole_pooled:.2f` of the lists hold all; compared with their own kind {interval}`found_own:.2f` and {interval}`whole_own:.2f`. Of a list
# {interval}`false_pooled:.3f` and {interval}`false_own:.3f` are harmless, where {glue:text}`rate:.2f` is promised. These intervals are over calibrations from the same captions.
#
# ## A fine-tune
#
# The base is now `organism_epsilon` itself, and the fine-tune a real one: {glue:text}`images:.0f` captions that it has not read, with one image each, of which a quarter are shown 10 times, a quarter 3 times and the others once; a quarter state colours. Once by LoRA (peft, rank {glue:text}`rank:.0f`, written as a file), once with
# all weights of the U-Net, {glue:text}`passes:.0f` passes each. Then the LoRA again with every image shown once: the same number of passes, so that each image is seen as often as one that is shown once, in fewer steps ({numref}`fig-tuned-excess`, at the top). Learning rates and passes were chosen among six so that
# images that were shown ten times come out and the others mostly do not; after 80 passes at three times the rate every image came out. The statistics of these tries were seen: what this part says is exploratory. The three ship with the book; `companion train fine_tune_lora` makes the first one anew in two minutes.

# %% tags=["hide-input"]
data = fine_tunes.FINE_TUNES["lora"].shown
for key, value, about in (
    ("images", len(data.captions), "Different images of the fine-tune"),
    ("entries", len(data.pairs), "Its entries, repeats counted"),
    ("rank", fine_tunes.RANK, "Rank of the LoRA"),
    ("passes", fine_tunes.PASSES, "Passes of a fine-tune through its entries"),
):
    run.record(key, value, about=about)
home = run.output / "audits"
shutil.rmtree(home, ignore_errors=True)
plans = {"lora": "LoRA", "whole": "all weights", "deduplicated": "LoRA, repeats taken out"}

# %% [markdown]
# ### The audit
#
# What `memlib audit --model lora.safetensors --base organism_epsilon --training images --calibration harmless.csv --held-out unseen --out report` does, from Python. It says of the LoRA, and of the LoRA without repeats:

# %% tags=["hide-input"]
settings = Settings(
    seeds=seeds,
    first_seed=seed,
    num_inference_steps=steps,
    rate=rate,
    suspicious=len(data.captions),
    random=0,
    pooled=True,
)
calibration = tuning.unseen(data.captions)
calibration = [calibration[k] for k in np.linspace(0, len(calibration) - 1, harmless).astype(int)]
reports = {
    key: tuning.audited(
        fine_tunes.FINE_TUNES[key].load().path,
        fine_tunes.FINE_TUNES[key].shown,
        home / key,
        harmless=calibration,
        held_out=held_out,
        settings=settings,
        device=str(run.device),
    )
    for key in plans
}
for key in ("lora", "deduplicated"):
    said = [f"> {sentence}" for sentence in reports[key].verdict]
    display(Markdown("\n".join([f"**{plans[key]}**", "", *said])))

# %% tags=["hide-input"] table={"caption": "Captions of the fine-tunes whose images come out, and which of them the audit lists", "name": "tab-11-audits"}
rows = []
for key, title in plans.items():
    for row in tuning.by_group(reports[key], fine_tunes.FINE_TUNES[key].shown):
        short = {"10 times": "10", "3 times": "3", "once": "1", STATED: "stated"}[row["group"]]
        rows.append({"fine-tune": title, "key": key, "short": short} | row)
record = {
    name: (f"{name}_{{key}}_{{short}}", f"Share of captions {name}, {{fine-tune}}, image shown {{group}}")
    for name in ("listed", "reproduced", "another")
}
tables.tabulate(run, "audits", rows, about="What the audits list and what comes out", record=record)
tables.shown(
    rows,
    {
        "fine-tune": "fine-tune",
        "group": "image shown",
        "captions": "captions",
        "listed": "listed",
        "reproduced": "own image comes out",
        "another": "another one does",
    },
)

# %% tags=["hide-input"]
told = {key: tuning.of_report(report, data) for key, report in reports.items()}
out = {key: tuning.reproduced(report, fine_tunes.FINE_TUNES[key].shown) for key, report in reports.items()}
missed = sum(int((out[key] & ~tuning.listed(report, data)).sum()) for key, report in reports.items())
run.record(
    "missed", missed, about="Captions of all fine-tunes whose own image comes out, and that are not listed"
)
run.record("came_out", sum(int(of.sum()) for of in out.values()), about="Captions whose own image comes out")
strips = {
    title: {
        group.replace(", ", "\n"): (
            told[key].of("excess", group),
            out[key][[name == group for name in data.groups]],
        )
        for group in dict.fromkeys(data.groups)
    }
    for key, title in plans.items()
}
columns = {key: told[key].values["excess"] for key in plans} | {f"{key}_out": out[key] for key in plans}
run.figure(
    tuning.figures.strips(strips, "excess"),
    "excess",
    about="Excess of every caption of the fine-tunes",
    data={"group": list(data.groups)} | columns,
    opening=True,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Columns of small coloured digits, each with a training image on top. In the row after the LoRA the generated image is that image; in the row with repeats taken out it is another digit of the same kind."}, "figure": {"caption": "Images that were shown ten times, one image generated after the LoRA, and one after the LoRA without repeats, from the same noise.", "name": "fig-tuned-images"}}
pictures = tuning.beside_training_images(
    data, {plans[key]: (reports[key], home / key) for key in ("lora", "deduplicated")}
)
run.figure(
    plots.image_grid(pictures, 8),
    "images",
    about="Training images and generated ones",
    data={name.replace(",", "").replace(" ", "_"): images for name, images in pictures.items()},
)

# %% [markdown]
# After the LoRA their own image comes out under {interval}`reproduced_lora_10:.2f` of the captions whose image was shown ten times, {interval}`reproduced_lora_3:.2f` of those shown three times and {interval}`reproduced_lora_1:.2f` of those shown once ({numref}`tab-11-audits` and {numref}`fig-tuned-images`); with all weights {interval}`reproduced_whole_10:.2f`,
# {interval}`reproduced_whole_3:.2f` and {interval}`reproduced_whole_1:.2f`. Of {glue:text}`came_out:.0f` captions of all three whose own image comes out {glue:text}`missed:.0f` are not in the list of their audit. An image that was shown often comes out under other captions, too: the last column counts them, and what a caption adds to the prediction cannot tell
# of that. The same holds for captions that calibrate.
#
# ### Which statistic tells?
#
# Captions whose image was shown ten times against all others of the fine-tune, among them those that state colours ({numref}`tab-11-tuned`).

# %% tags=["hide-input"] table={"caption": "AUC of captions whose image was shown ten times against the others of the fine-tune", "name": "tab-11-tuned"}
repeated = np.array([group == "10 times" for group in data.groups])
rows = [
    {"key": name, "statistic": title}
    | {
        key: intervals.auc(told[key].values[name][repeated], told[key].values[name][~repeated])
        for key in ("lora", "whole")
    }
    for name, title in TITLES.items()
]
record = {
    key: (
        f"tuned_{{key}}_{key}",
        f"AUC of {{statistic}}, shown ten times against the others, {plans[key]}",
    )
    for key in ("lora", "whole")
}
tables.tabulate(run, "tuned", rows, about="AUC of every statistic in the fine-tunes", record=record)
for key in ("lora", "whole"):
    ours, theirs = (told[key].values[name] for name in ("excess", "difference"))
    run.record(
        f"tuned_excess_less_difference_{key}",
        tuning.differences(ours, theirs, repeated),
        about=f"AUC of the excess less that of the norm, {plans[key]}",
    )
both = (told[key].values["excess"] for key in ("lora", "whole"))
about = "AUC of the excess, LoRA less all weights, on the same captions"
run.record("lora_less_whole", tuning.differences(*both, repeated), about=about)
tables.shown(rows, {"statistic": "statistic", "lora": "LoRA", "whole": "all weights"})

# %% [markdown]
# In the LoRA the norm has {interval}`tuned_difference_lora:.2f`, the paper's statistic {interval}`tuned_gain_lora:.2f` and the excess {interval}`tuned_excess_lora:.2f`; the excess is ahead of the norm by {interval}`tuned_excess_less_difference_lora:.2f`, with all weights by {interval}`tuned_excess_less_difference_whole:.2f`. Between LoRA and all
# weights the AUC of the excess differs by {interval}`lora_less_whole:.2f`.
#
# ## Against the paper
#
# The paper asks of one model which prompts it has memorized. Its statistic, and the norm beneath it, are differences of two scores of that model, with the caption and without, and so they are large for whatever the caption says. A second difference, to a model that has read the same words and not the same images, takes that
# away. It needs the base, which who fine-tunes has. The experiments here are small: one organism with {glue:text}`copies:.0f` memorized captions, and one fine-tune of each kind.
#
# ## What the run shows

# %% tags=["hide-input"]
run.check(
    "every_report_is_about_all_captions",
    all(len(report.captions) == len(data.captions) for report in reports.values()),
    "Every audit has looked at every caption.",
)
run.check(
    "the_base_kept_weights",
    all(report.kept["same"] > 0 for report in reports.values()),
    "Every fine-tune has left weights of its base alone.",
)
run.check(
    "repeats_are_seen",
    reports["lora"].training.exact == sum(times for times in data.times if times > 1)
    and reports["deduplicated"].training.exact == 0,
    "The audit counts the repeated images before anything is computed.",
)
run.finish()
