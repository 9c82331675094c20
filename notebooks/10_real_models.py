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
# # Models that others trained
#
# :::{admonition} What can be reproduced of Figure 3, Table 1 and Figure 6 when all that is known is a list of prompts?
# :class: answer
#
# Answer
# : All three questions can be asked. The answer here is that of a rehearsal: a model that ships, treated as if nothing were known of it. At the first step the paper's statistic separates the listed prompts from the others with an area under the ROC curve (AUC) of {interval}`opening_auc:.2f n`.
#   At the last step the spectra have {interval}`count_memorized_last:.1f n` non-negative eigenvalues under listed prompts and {interval}`count_others_last:.1f n` under others. Without mitigation {interval}`copy_none:.2f n` of the images are called copies, under SAIL as printed
#   {interval}`copy_sail_printed:.2f n`.
#
# How sure
# : Not at all about Stable Diffusion: no run on its own weights has been recorded yet. On the shipped model prompts are the unit, n counts them, and there are few.
#
# For your model
# : This is the chapter to run on it: any pipeline of Stable Diffusion's kind, from a folder or from the hub, with a list of prompts. Without a list of your own use the commands of {doc}`../book/guide/screening`.
#
# This chapter
# : answers Figure 3, Table 1 and Figure 6 of the paper {cite}`jeon2025understanding` with what is known of a real model: a list of prompts reported as memorized, a list of others, and perhaps the training images of the first. It took {took}`run` with the shipped model.
# :::
#
# ```{glue:figure} figure_auc
# :alt: Two panels of dots with intervals, exact and template against general captions, one row for each statistic. Most statistics lie near one in both panels; Ren's entropy at the first step lies at one half, Carlini and Kim fall from one to the middle for templates, and Kim's statistic without its reference lies near zero.
# :name: fig-real-auc
#
# AUC of every statistic with intervals, lighter to darker for more seeds. Left of the line a statistic points the wrong way.
# ```
#
# ## Stable Diffusion 1.4 and 2
#
# ```
# companion run 10_real_models --preset full -p model=CompVis/stable-diffusion-v1-4 -p prompts=sd1 \
#     -p listing=sdv1_500_mem_groundtruth.jsonl -p clip= -p dino= -p layer=3
# companion run 10_real_models --preset full -p model=stabilityai/stable-diffusion-2 -p prompts=sd2 \
#     -p listing=sd2_mem.jsonl -p clip= -p dino= -p layer=3
# ```
#
# - `model` is a name of the hub or a folder as diffusers writes it. Weights are read from safetensors alone.
# - `prompts` is `sd1`, `sd2` (the published prompts, which are fetched then and only then), or a CSV file with the columns `text` and `family`, where the families are *exact*, *template*, *general* and *stated*.
# - `listing` names the training images of memorized prompts, in the layout of the archive that {cite:t}`wen2024detecting` offer: lines such as `{"caption": "A cat", "index": 17}` beside `gt_images/17/*.png`. Images of
#   `sd2_mem.jsonl` have to be fetched into such folders first.
# - `clip` and `dino` are the networks that judge agreement and similarity; left empty, those of the paper's evaluation are fetched, and DINOv2 in place of SSCD, which is published as pickles alone.
# - `precision=float16` halves memory on a GPU. Products are then taken in reverse mode, since a difference of scores would be lost in rounding.
#
# Memory: the networks have 1.07 billion weights, 4.3 GB in single precision. A reverse product through the U-Net takes about 4 GB beside them for each row, and a step of SAIL has four rows: 16 GB are
# enough for one image at a time (`rows=1`). `make rehearsal` runs all of this chapter at full size with random weights, so that a fault shows before the download. The expected times are in the section *What it will cost*.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Show the parameters"}
seed: int = 0  # [0, 2**32) seed of every random draw
model: str = "organism_epsilon"  # name of a shipped model, a pipeline folder or a hub id
prompts: str = ""  # "sd1", "sd2" or a CSV file; empty: a list made for the shipped model
listing: str = ""  # file that names training images; empty: some made for the shipped model
clip: str = "digits"  # judge of agreement: "digits", a folder or hub id; empty: the paper's
dino: str = "pixels"  # judge of similarity: "pixels", a folder or hub id; empty: facebook/dinov2-base
captions: int = 40  # [2, 10**4] captions of each family at the first step, at most
whole_captions: int = 8  # [2, captions] captions of each family followed to the last step, at most
spectra: int = 3  # [2, 10**4] captions of each class whose spectra are computed
mitigated: int = 2  # [2, 10**4] memorized captions with training images, at most
harmless: int = 6  # [2, 10**4] other captions, whose values are the reference level
seeds: int = 3  # [1, 1000] noises of each caption
whole_seeds: int = 2  # [1, seeds] of these, followed to the last step
steps: int = 15  # [2, 1000] sampling steps
guidance: float = 7.5  # [0, 100] scale of classifier-free guidance
layer: int = 1  # [0, 100] cross-attention layer whose entropy is taken; 3 for Stable Diffusion 1.4
krylov: int = 48  # [1, 10**4] Lanczos steps of a spectrum
probes: int = 4  # [2, 1000] random directions of the curvature maps; 16 as published
multiples: list[float] = [1.5, 2.5]  # ascending of (0, 100] thresholds of mitigation, in reference levels
descent_steps: int = 3  # [0, 1000] gradient steps of a mitigation, at most
rows: int = 64  # [1, 10**5] captions times seeds in one pass; bounds the memory
precision: str = "float32"  # {float32, float16, bfloat16} of the networks
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results; empty: build/runs/10_real_models/interactive

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the set-up"}
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

from companion import comparison, experiment, plots, real_models, tables
from companion.comparison import figures, report
from companion.comparison.small_encoders import judges
from companion.prompts import detectors, prompt_sets
from companion.prompts.figures import areas
from companion.prompts.labelled import labelled
from companion.recipes import text_to_image
from memlib import intervals
from memlib.text_to_image import paths

plots.use_style()
run = experiment.start("10_real_models", globals())
run.parameter_table()

# %% tags=["hide-input"]
network = text_to_image.load(model, device=run.device, dtype=precision)
if not prompts:
    made = real_models.stand_in(run.output / "stand_in")
    prompts, listing = str(made.captions), str(made.listing)
known = (
    prompt_sets.published(prompts)
    if prompts in ("sd1", "sd2")
    else prompt_sets.labelled(labelled(Path(prompts)))
)
question = known.questions[0]
others = [family for family in known.judged if family not in known.memorized]
copied = [
    text for text, family in zip(known.captions, known.families, strict=True) if family in known.memorized
]
pictures = comparison.training_images(copied, Path(listing), least=2, most=mitigated)
drawn = network.noise(max(2, seeds), torch.Generator().manual_seed(seed))
noise = drawn[:seeds]
sampling = {"steps": steps, "guidance": guidance, "rows": rows}
times = network.timesteps(steps)
ends = {"first": times[0], "last": times[-1]}
watch = real_models.Stopwatch.of(network, noise, times[0])

# %% [markdown]
# ## Spectra: what Figure 3 becomes
#
# Latents of Stable Diffusion have 16,384 numbers or more, so that a spectrum is computed from its ends by Lanczos steps ({doc}`03_hessian_routines`), and a count of non-negative eigenvalues comes with bounds. A list of
# prompts gives no strength of memorization: there are two classes where the paper has three. All captions start from one noise; at the last step each is evaluated at the end of its own path ({numref}`tab-10-spectra`).

# %% tags=["hide-input"] table={"caption": "Ends of the spectra by class", "name": "tab-10-spectra"}
classes = {"memorized": known.memorized, "others": others}
places = {
    name: known.first(dict.fromkeys(some, -(-spectra // len(some))))[:spectra]
    for name, some in classes.items()
}
looked_at = [place for some in places.values() for place in some]
encoded = network.encode(known.texts(looked_at))
with watch.part("spectra", units=len(looked_at) * len(ends) * krylov):
    path = paths(network, encoded, noise[:1], times=list(ends.values()), **sampling).states
    found = pd.concat(
        real_models.counts(network, t, encoded, path[t][:, 0], krylov=krylov, rows=rows).assign(
            end=end, class_=[name for name, some in places.items() for _ in some]
        )
        for end, t in ends.items()
    )
spectral = [
    {"end": end, "class": name}
    | {"count": intervals.mean(some["count"]).clipped(low=0.0)}
    | {what: intervals.mean(some[what]) for what in ("largest", "smallest", "ratio")}
    | {"settled": int((some["at least"] == some["at most"]).sum()), "captions": len(some)}
    for (end, name), some in found.groupby(["end", "class_"], sort=False)
]
record = {
    what: (f"{what}_{{class}}_{{end}}", f"{meaning}, mean over {{class}} captions, {{end}} step")
    for what, meaning in (
        ("count", "Number of non-negative eigenvalues under the caption"),
        ("largest", "Largest eigenvalue under the caption, in units of 1 / sigma^2"),
        ("smallest", "Smallest eigenvalue under the caption, in units of 1 / sigma^2"),
        ("ratio", "||s||^2 over -tr H"),
    )
}
tables.tabulate(run, "ends", spectral, about="Ends of the spectra by class", record=record)
run.table(found, "spectra", about="Counts with bounds and extreme eigenvalues of every caption")
headings = {
    "end": "step",
    "class": "captions",
    "count": "non-negative",
    "largest": "largest eigenvalue",
    "ratio": "score norm over trace",
}
tables.shown(spectral, headings | {"settled": "counts settled"})

# %% [markdown]
# *Counts settled*: the number of captions for which both bounds agree. Where they do not, the count is that of the Ritz values, and more steps would settle it. *Score norm over trace*: the ratio
# that the paper's Figure 4 says is one.
#
# ## Detection: what Table 1 becomes
#
# Statistics, seeds, intervals and the rule of calibration are those of {doc}`08_latent_detection`. One caption in ten of either class is held back, for the weights of Asthana's statistic and the calibration of Huang's ({numref}`tab-10-auc` and {numref}`fig-real-auc`).

# %% tags=["hide-input"] table={"caption": "Detection of the listed prompts by every statistic", "name": "tab-10-auc"}
first = known.first(dict.fromkeys((*known.judged, *known.apart, known.calibration), captions))
whole = known.first(dict.fromkeys(known.judged, whole_captions))
held = {"steps": steps, "guidance": guidance}
calm = detectors.calibrated(network, known, captions, drawn[: max(2, whole_seeds)], **held)
rows_of_table = detectors.detectors(
    network,
    calm,
    layer=layer,
    product="difference" if precision == "float32" else "vjp",
    probes=probes,
    several=whole_seeds > 1,
    seed=seed,
)
with watch.part("all steps", units=len(whole) * whole_seeds * steps):
    scores = detectors.measured(
        network,
        known,
        rows_of_table,
        first=first,
        whole=whole,
        noise=noise,
        whole_seeds=whole_seeds,
        **sampling,
    )
averaged = sorted({1, whole_seeds, seeds})
evaluations = detectors.judged(run, scores, rows_of_table, averaged, seed=seed)
main = {asked: detectors.table(run, evaluations, asked, rows_of_table, steps) for asked in known.questions}
run.table(detectors.every_value(scores, first), "values", about="Every statistic of every caption and seed")
run.record(
    "opening_auc",
    evaluations[question.name, "jeon_1", seeds].auc,
    about=f"AUC of the paper's statistic at the first step, {question.words}, all seeds",
)
tables.shown(main[question], ["statistic", "n", "AUC", "TPR"], ".3f").set_caption(question.words)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A panel for each question with dots and intervals for every statistic. In both the first-step statistics of Wen, Jeon, gap and Asthana lie near one; entropies of attention lie about one half."}}
figure = areas(evaluations, known.questions, rows_of_table, steps)
run.figure(figure, "auc", about="AUC of every statistic for every question", opening=True)

# %% [markdown]
# What was published for Stable Diffusion stands beside each row in the downloadable tables. The list decides what counts as memorized: a listed prompt that the model does not reproduce counts as a miss, and a
# prompt that says much about the image counts as a false alarm ({doc}`08_latent_detection`, *stated*).
#
# ## Mitigation: what Figure 6 becomes
#
# Without counted copies an image is called a copy if it resembles the training images of its caption more than all but one in a hundred of the training images of other captions do. Agreement with the prompt is judged by a
# network that reads both: CLIP for Stable Diffusion, here the shipped classifier of digits. Thresholds of the methods are multiples of the objective's value under other captions. {numref}`tab-10-methods` and {numref}`fig-real-tradeoff` compare them, {numref}`fig-real-images` shows one caption.

# %% tags=["hide-input"] table={"caption": "Every method at its best setting", "name": "tab-10-methods"}
agreement, likeness = judges(clip, dino, run.device)
judge = comparison.RealJudge(network, pictures, clip=agreement, dino=likeness, rows=max(rows, seeds))
ordinary, targets = (
    network.encode(texts)
    for texts in (known.texts(known.first(dict.fromkeys(others, harmless))), list(pictures.captions))
)
with watch.part("mitigation", units=1):
    levels, level_rows = report.levels(
        run,
        *(
            comparison.objectives(network, some, noise, steps=steps, rows=rows)
            for some in (ordinary, targets)
        ),
    )
    settings = comparison.Settings(
        ordinary=levels,
        dimension=noise[0].numel(),
        multiples=multiples,
        additions=list(range(1, 2 * len(multiples), 2)),
        factors=np.linspace(1.1, 1.5, len(multiples)).tolist(),
        steps=descent_steps,
        candidates=1,
        pool=seeds,
        rounds=1,
    )
    methods = settings.methods() | {
        "SAIL with the difference": {"": settings.with_difference(multiples[0])},
        "SAIL without penalty": {"": settings.printed(multiples[0], penalty=0.0)},
    }
    trials = comparison.Trials(network, judge, targets, noise, steps, guidance, seed, rows)
    judged = trials.all(methods)
images = run.table(comparison.joined(judged), "images", about="Every image and what was done for it")
watch.parts["mitigation"] = (watch.parts["mitigation"][0], len(images) * steps)
best = comparison.best_settings(images)
best_rows = report.at_best(run, images, best, "dino")
cost_rows = report.costs(run, images, list(methods))
shown = {"method": "method", "setting": "setting", "copy": "copy", "agree": "agreement", "dino": "similarity"}
tables.shown(best_rows, shown | {"norm_after": "length of the noise"})

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of similarity to the training image against agreement with the prompt. Methods that change the noise lie with no mitigation at high similarity; those that change the prompt lie lower and to the left."}, "figure": {"caption": "Similarity to the training images against agreement with the prompt; the settings of a method are joined, bars are 95 % intervals over captions. Lower right is better.", "name": "fig-real-tradeoff"}}
curves = report.tradeoff(images, {name: list(some) for name, some in methods.items()}, judge.spaces)
run.figure(
    figures.tradeoffs(curves, judge.spaces),
    "tradeoff",
    about="Similarity against agreement",
    data=tables.frame(curves),
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rows of images of one caption, one row for each method at its best setting."}, "figure": {"caption": "Images of one caption under every method at its best setting, from the same noises.", "name": "fig-real-images"}}
grid = {name: judged[name, setting].images[-1].numpy() for name, setting in best.items()}
run.figure(
    plots.image_grid(grid, seeds),
    "images",
    about="Images of one caption under every method at its best setting",
    data={report.key(name): some for name, some in grid.items()},
)

# %% [markdown]
# ## What it will cost
#
# Each part is timed in passes of one row through the model's own U-Net, and a pass through a U-Net of Stable Diffusion 1.4's size was recorded to take {glue:text}`row_seconds:.1f` s on two cores in single precision
# (`benchmarks/results/`, a quarter of the recorded call, which sends four rows). Passes, times the sizes of the paper, times that, give the hours on two cores ({numref}`tab-10-expected`). The last column divides them by
# {glue:text}`gpu:.0f`, the speed that a data-centre GPU in half precision is taken to have; nobody has measured it here. A small U-Net has other proportions than a large one: read the numbers as orders of magnitude.

# %% tags=["hide-input"]
run.record(
    "row_seconds",
    real_models.seconds_per_row(),
    about="Seconds of a row through a U-Net of full size, recorded",
)
run.record("gpu", real_models.GPU, about="Times that a GPU is taken to be faster than two cores")
hours = real_models.expected(watch, real_models.seconds_per_row())
run.table(hours, "expected", about="Expected hours of every part at the sizes of the paper")
tables.shown(
    hours[["part", "sizes of the paper", "passes a unit", "hours on two cores", "hours on a GPU"]],
    formats=".2g",
)

# %% [markdown]
# ## Recorded runs
#
# The `results.json` of a run on real weights, put into `companion/results/` as `<model>-<preset>.json`, is shown here with the hardware that made it.

# %% tags=["hide-input"]
recorded = real_models.recorded_runs()
if recorded.empty:
    display(
        Markdown(
            "**None exists yet.** All numbers of this page are those of the model named under *Parameters*."
        )
    )
else:
    display(tables.shown(recorded))

# %% [markdown]
# ## What the run shows

# %% tags=["hide-input"]
run.check("every_method_ran", set(images["method"]) == set(methods), "Every method has made images.")
run.check(
    "listed_prompts_are_found",
    model != "organism_epsilon" or evaluations[question.name, "jeon_1", seeds].auc.low > 0.5,
    "The paper's statistic separates the listed prompts of the shipped model from the others.",
)
run.finish()
