"""Reads a text-to-image pipeline: weights from safetensors alone, no code from the folder."""

from __future__ import annotations

import importlib.util
import inspect
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from memlib.text_to_image.families import FAMILIES, Family
from memlib.text_to_image.libraries import libraries, quiet
from memlib.text_to_image.source import CONFIGURATION, WANTED, ModelError, find, read_json

# Parts that look at images, given or made; they change no prompt and no latent.
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
# Entries of the index that the pipelines know and that change no prompt and no latent.
_INERT = ("requires_safety_checker", "add_watermarker")
_SAFE = (
    "weights are read from safetensors alone, because a pickle can run code: save the model with "
    "save_pretrained(..., safe_serialization=True)"
)
_STORED = ("architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "dropout")


def read(
    source: str | os.PathLike[str],
    device: str | torch.device,
    dtype: torch.dtype,
    vae_dtype: torch.dtype,
    revision: str | None,
    variant: str | None,
    lora: str | os.PathLike[str] | None,
    config: str | os.PathLike[str] | None,
    offload: bool,
) -> Any:
    """A pipeline of diffusers, networks in evaluation mode and without gradients of their weights.

    Arguments as in `TextToImage.load`.

    Raises:
        ImportError: diffusers, transformers, or what a LoRA or offloading needs is not installed.
        ModelError: a part is missing or of another kind, or weights come only as pickles.
    """
    diffusers, _ = libraries()
    place = torch.device("cpu" if offload else device)
    single = Path(source) if Path(source).is_file() else None
    _check_single(source, single, config)
    wanted = WANTED if single is None else CONFIGURATION
    folder = find(config or source, revision, wanted, variant=variant if single is None else None)
    index = read_json(folder / "model_index.json")
    family = _family(folder, index)
    given: dict[str, Any] = dict.fromkeys(_UNUSED)
    networks = _networks(folder, index, family)
    for part, kind in networks.items():
        if single is None:
            given[part] = network(folder / part, kind, vae_dtype if part == "vae" else dtype, variant)
        else:
            _check_no_pickles(folder / part)
    with quiet():  # imports image processors
        kind = getattr(diffusers, family.pipeline)
    known = inspect.signature(kind.__init__).parameters
    _report(folder / "model_index.json", [k for k in index if k[0] != "_" and k not in {*known, *_INERT}])
    given = {part: value for part, value in given.items() if part in known}
    given |= {name: False for name in _INERT if name in known}
    pipeline = _built(kind, single, folder, dtype, given)
    for part in networks:
        module = getattr(pipeline, part).to(place)
        if single is not None:
            _settled(module, vae_dtype if part == "vae" else dtype)
    pipeline.set_progress_bar_config(disable=True)
    if lora is not None:
        fuse(pipeline, Path(lora))
    if offload:
        _offload(pipeline, device)
    return pipeline


def _networks(folder: Path, index: dict[str, Any], family: Family) -> dict[str, Any]:
    """Name of a network -> its class; tokenizers and scheduler are looked at on the way."""
    diffusers, transformers = libraries()
    found: dict[str, Any] = {}
    for part, (library, name) in _parts(folder, index, family).items():
        if "Tokenizer" in name:
            _check_tokenizer(folder / part)
        elif part == "scheduler":
            _check_scheduler(folder, diffusers, name)
        else:
            found[part] = getattr(diffusers if library == "diffusers" else transformers, name)
    return found


def _offload(pipeline: Any, device: str | torch.device) -> None:
    """Keep all parts but the one that computes in the processor's memory, as diffusers does it."""
    if importlib.util.find_spec("accelerate") is None:
        raise ImportError(
            "offloading needs accelerate, which is missing; in the clone of memlib: pip install -e '.[lora]'"
        )
    with quiet():
        pipeline.enable_model_cpu_offload(device=torch.device(device))


def _check_single(
    source: str | os.PathLike[str], file: Path | None, config: str | os.PathLike[str] | None
) -> None:
    if file is None and config is not None:
        raise ValueError(f"config belongs to a single file of weights, {source} has its own; leave it out")
    if file is not None and file.suffix != ".safetensors":
        raise ModelError(
            f"{file} is no .safetensors; weights are read from these alone, because a pickle can run code"
        )
    if file is not None and config is None:
        raise ModelError(
            f"{file} is a single file of weights, without configurations and tokenizers; name a folder or "
            "hub id that has those of a pipeline of its kind with config= (--config)"
        )


def _built(kind: Any, file: Path | None, folder: Path, dtype: torch.dtype, given: dict[str, Any]) -> Any:
    """A pipeline as diffusers builds it, which leaves random what a single file lacks: that is refused."""
    missing: set[str] = set()
    load = torch.nn.Module.load_state_dict

    def noted(self: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        found = load(self, *arguments, **options)
        missing.update(f"{type(self).__name__}'s {key}" for key in found.missing_keys)
        return found

    try:
        with quiet():
            if file is None:
                return kind.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False, **given)
            torch.nn.Module.load_state_dict = noted  # type: ignore[method-assign]
            options = {"config": str(folder), "local_files_only": True, "torch_dtype": dtype}
            pipeline = kind.from_single_file(str(file), **options, **given)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(f"{file or folder} cannot be loaded as {kind.__name__}: {error}") from error
    finally:
        torch.nn.Module.load_state_dict = load  # type: ignore[method-assign]
    if lacking := sorted(key for key in missing if not key.endswith("position_ids")):
        raise ModelError(f"{file} lacks {len(lacking)} weights, such as {lacking[:2]}; does config fit it?")
    return pipeline


def fuse(pipeline: Any, lora: Path) -> None:
    """Add a LoRA to the weights that it belongs to, as diffusers reads and fuses it.

    Raises:
        ImportError: peft is not installed.
        ModelError: the file is not there, no safetensors, or fits none of the pipeline's networks.
    """
    if lora.suffix != ".safetensors" or not lora.is_file():
        raise ModelError(f"{lora} is no file of a LoRA: expected one that ends in .safetensors")
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a LoRA is read with peft, which is missing; in the clone of memlib run pip install -e '.[lora]'"
        ) from error
    before = {name: module for name, module in pipeline.components.items() if hasattr(module, "state_dict")}
    weights = {name: _sums(module) for name, module in before.items()}
    try:
        with quiet():
            pipeline.load_lora_weights(lora.parent, weight_name=lora.name, use_safetensors=True)
            pipeline.fuse_lora()
            pipeline.unload_lora_weights()
    except (OSError, ValueError, RuntimeError, AttributeError, SafetensorError) as error:
        raise ModelError(f"{lora} cannot be fused into a {type(pipeline).__name__}: {error}") from error
    if weights == {name: _sums(module) for name, module in before.items()}:
        raise ModelError(
            f"{lora} changes no weight of this {type(pipeline).__name__}: was it made for another?"
        )
    for module in before.values():
        module.eval().requires_grad_(False)


def _sums(module: Any) -> list[float]:
    return [weight.double().sum().item() for weight in module.parameters()]


def network(home: Path, kind: Any, dtype: torch.dtype, variant: str | None = None) -> Any:
    """A network from its own folder, in evaluation mode and without gradients of its weights.

    Args:
        home: holds config.json and weights as safetensors.
        kind: class of diffusers or transformers.
        dtype: the dtype of the weights.
        variant: of the weights, such as "fp16", the part of the files' names before .safetensors.

    Raises:
        ModelError: weights are missing, incomplete, unreadable, pickles, or have no place in the network.
    """
    config = read_json(home / "config.json")
    _check_weights(home, variant)
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    options["variant"] = variant
    if kind.__module__.startswith("transformers."):
        options["dtype"] = dtype
    else:
        options["torch_dtype"] = dtype
        # Without accelerate diffusers loads the same way, but warns.
        options["low_cpu_mem_usage"] = importlib.util.find_spec("accelerate") is not None
    try:
        with quiet():
            found, info = kind.from_pretrained(home, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{home} cannot be loaded as {kind.__name__}: {error}") from error
    if info["missing_keys"]:
        # The libraries fill these with random numbers.
        raise ModelError(f"the weights in {home} lack {sorted(info['missing_keys'])[:4]}; fetch them anew")
    if extra := sorted(key for key in info["unexpected_keys"] if not key.endswith("position_ids")):
        lora = "fuse the LoRA first: pipeline.fuse_lora(), unload_lora_weights(), save_pretrained(...)"
        remedy = lora if any("lora" in key for key in extra) else "is its config.json the right one?"
        raise ModelError(
            f"the weights in {home} hold {len(extra)} tensors for which {kind.__name__} has no place, such "
            f"as {extra[:2]}; {remedy}"
        )
    if kind.__module__.startswith("transformers."):
        known = {*type(found.config)().to_dict(), *_STORED}
    else:
        known = {*inspect.signature(kind.__init__).parameters}
    _report(home / "config.json", [key for key in config if key[0] != "_" and key not in known])
    # What a class keeps in single precision it keeps from half.
    return _settled(found, torch.float64 if dtype == torch.float64 else None)


def _settled(module: Any, dtype: torch.dtype | None) -> Any:
    """In evaluation mode, without gradients of weights, channels last: a fifth less time on processors."""
    module = module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    with quiet():
        return module if dtype is None else module.to(dtype)


def _family(folder: Path, index: dict[str, Any]) -> Family:
    name = index.get("_class_name")
    if not isinstance(name, str) or name not in FAMILIES:
        raise ModelError(f"{folder} holds a {name}, expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _parts(folder: Path, index: dict[str, Any], family: Family) -> dict[str, tuple[str, str]]:
    """Name of a part that is used -> library and class; nothing is loaded that is of another kind."""
    parts: dict[str, tuple[str, str]] = {}
    for part, entry in index.items():
        if not isinstance(entry, list) or part in _UNUSED or entry == [None, None]:
            continue
        library, name = (*entry, None, None)[:2]
        expected = family.classes.get(part, name)
        if library not in ("diffusers", "transformers") or not isinstance(name, str) or name != expected:
            wanted = ["diffusers", expected] if part in family.classes else "one of diffusers or transformers"
            raise ModelError(f"{part} of {folder} is {entry} in model_index.json, expected {wanted}")
        parts[part] = library, name
    if missing := sorted(family.needed - {*parts}):
        raise ModelError(f"model_index.json of {folder} names no {', '.join(missing)}; save the model anew")
    return parts


def _check_weights(home: Path, variant: str | None) -> None:
    names = [path.name for path in home.glob("*.safetensors")]
    for index in home.glob("*.safetensors.index*.json"):  # it is followed to any file, pickles among them
        shards = read_json(index).get("weight_map")
        away = {str(name) for name in shards.values()} - {*names} if isinstance(shards, dict) else {"nothing"}
        if away:
            raise ModelError(f"{index} names {sorted(away)[:2]}, expected files beside it, .safetensors")
    # model.safetensors, model-00001-of-00002.safetensors; model.fp16.safetensors, model.fp16-00001-of-...
    kinds = {(*name.removesuffix(".safetensors").split("."), "")[1].split("-")[0] for name in names}
    if (variant or "") in kinds:
        return
    if kinds:
        other = sorted(kinds)[0]
        remedy = f'load with variant="{other}" (--variant {other})' if other else "load without a variant"
        raise ModelError(
            f"{home} holds {', '.join(sorted(names)[:3])} and no weights "
            f"{f'of the variant {variant!r}' if variant else 'without a variant'}; {remedy}"
        )
    _check_no_pickles(home)
    raise ModelError(f"{home} holds no weights; {_SAFE}")


def _check_no_pickles(home: Path) -> None:
    pickles = sorted(path.name for pattern in ("*.bin", "*.ckpt", "*.pt") for path in home.glob(pattern))
    if pickles and not any(home.glob("*.safetensors")):
        raise ModelError(f"{home} holds only pickles, {', '.join(pickles)}; {_SAFE}")


def _check_tokenizer(home: Path) -> None:
    if not any((home / name).is_file() for name in ("tokenizer.json", "vocab.json", "spiece.model")):
        raise ModelError(
            f"{home} holds no tokenizer: vocab.json with merges.txt, spiece.model or tokenizer.json expected"
        )


def _check_scheduler(folder: Path, diffusers: Any, name: str) -> None:
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    kind = getattr(diffusers, name, None)
    if kind is None or diffusers.SchedulerMixin not in getattr(kind, "__mro__", ()):
        raise ModelError(f"{folder} names the scheduler {name}, which is none of diffusers'")
    # Each reads the entries of those it can be exchanged for.
    kinds = [kind, *(getattr(diffusers, getattr(other, "name", other), kind) for other in kind._compatibles)]
    known = {key for each in kinds for key in inspect.signature(each.__init__).parameters}
    unknown = [key for key in config if key[0] != "_" and key not in known]
    _report(folder / "scheduler" / "scheduler_config.json", unknown)
    if (other := config.get("_class_name", name)) != name:
        warnings.warn(
            f"{folder} has a {name} by model_index.json and a {other} by scheduler/scheduler_config.json; "
            "diffusers takes the first, and so does this",
            stacklevel=3,
        )


def _report(path: Path, keys: list[str]) -> None:
    """Say which entries the libraries will not read."""
    if keys:
        warnings.warn(
            f"{path} has entries that the installed libraries do not know: {', '.join(sorted(keys))}; they "
            "are ignored here as there",
            stacklevel=4,
        )
