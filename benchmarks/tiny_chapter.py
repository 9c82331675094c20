# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A chapter in miniature
# `make gpu TINY=1` runs it in place of the chapters, which take minutes.

# %% tags=["parameters"]
seed: int = 0  # [0, 2**32) seed of the matrix
device: str = "auto"  # {auto, cpu, cuda*} to compute on
output: str = ""  # folder for results

# %%
import torch

from companion import experiment
from memlib import hessian

run = experiment.start("tiny_chapter", globals())
generator = torch.Generator().manual_seed(seed)
matrix = torch.randn(1, 8, 8, generator=generator, dtype=torch.float64).to(run.device)
trace = hessian.trace(hessian.DenseOperator(matrix), 8, generator=generator).value
run.record("trace", trace.item(), about="Estimated trace of a random matrix")

# %%
run.finish()
