"""The captions of the paper's detection experiments, fetched from the repository that its authors released.

That repository has no licence, so none of its files ship. They are fetched at a fixed commit, checked against
their sha256 and kept in the user's cache.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from companion.datasets.files import DataError
from memlib.files import sha256

Version = Literal["sd1", "sd2"]

URL = (
    "https://raw.githubusercontent.com/Dongjae0324/sharpness_memorization_diffusion/"
    "f4ee4b814047ab71561aa6f1fc2af1a4efaf0a45/prompts/"
)
HASHES = {
    "sd1_mem.txt": "6f11239c621a7846979170c79d79f86a31441e044a7bc0b5d952ba8a5ca0fb56",
    "sd1_nmem.txt": "628796e195391501591859f55e249cca70e8fcaa7ceb33aac1d753fbfe4d8a4c",
    "sd2_mem.txt": "02f212d64767b4f066ca1c9ddc161a6ea5cf717aadf7f45e44bfe21856563e8d",
    "sd2_mem.jsonl": "fc2f6553f676e8fb94bf5b2eddfef80915131aeca23fa44e49c54edd6968ca74",
}
"""File -> sha256."""
BLOCKS = {"COCO": 200, "Lexica": 100, "Tuxemon": 100, "GPT-4": 100}
"""Families of the captions that are not memorized, in the order of their file, with numbers of captions.

The file does not name them; the borders are plain from the style of the captions."""
UNTYPED = "untyped"
"""Family of the memorized captions of Stable Diffusion 1, whose types were not released."""


@dataclass(frozen=True)
class PublishedPrompt:
    """A caption of the paper's detection experiments.

    Attributes:
        text: the caption.
        memorized: whether it is among those called memorized. Not every one of these gives a copy.
        family: "TV" (template verbatim) or "MV" (matching verbatim) for the memorized ones of Stable
            Diffusion 2, "untyped" for those of Stable Diffusion 1, else where the caption is from: "COCO",
            "Lexica", "Tuxemon" or "GPT-4".
    """

    text: str
    memorized: bool
    family: str


def published(version: Version, folder: Path | None = None) -> tuple[PublishedPrompt, ...]:
    """The prompts of the paper's table 1: 500 and 500 for Stable Diffusion 1, 219 and 500 for 2.

    Memorized ones come first, each kind in the order of its file. The others are the same for both versions.

    Args:
        version: "sd1" or "sd2".
        folder: the folder of the files, got by other means; None fetches them, once, into the user's cache.

    Raises:
        ImportError: pooch is not installed.
        DataError: a file cannot be fetched or is not the one that was published.
        ValueError: another version.
    """
    if version not in get_args(Version):
        raise ValueError(f"version must be one of {list(get_args(Version))}, got {version!r}")
    memorized = _lines(_file(f"{version}_mem.txt", folder))
    types = _types(_file("sd2_mem.jsonl", folder)) if version == "sd2" else {}
    others = _lines(_file("sd1_nmem.txt", folder))
    families = [family for family, count in BLOCKS.items() for _ in range(count)]
    return (
        *(PublishedPrompt(text, True, types.get(_key(text), UNTYPED)) for text in memorized),
        *(PublishedPrompt(text, False, family) for text, family in zip(others, families, strict=True)),
    )


def _lines(path: Path) -> list[str]:
    """Lines of a text file whose last one has no end."""
    return path.read_text(encoding="utf-8").split("\n")


def _types(path: Path) -> dict[str, str]:
    """Caption -> type."""
    rows = [json.loads(line) for line in _lines(path)]
    return {_key(row["caption"]): row["overfit_type"] for row in rows}


def _key(caption: str) -> str:
    """What a caption has in common in both lists: one of them lost a slash in the text file."""
    return " ".join(caption.replace("/", " ").split())


def _file(name: str, folder: Path | None) -> Path:
    if folder is None:
        return _fetched(name)
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path} is missing; expected the file from {URL}{name}")
    if (found := sha256(path)) != HASHES[name]:
        raise DataError(
            f"{path} has sha256 {found}, expected {HASHES[name]}: it is not the file from {URL}{name}"
        )
    return path


def _fetched(name: str) -> Path:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "the published prompts are fetched with pooch, which is not installed; run 'pip install pooch'"
        ) from error
    cache = Path(pooch.os_cache("memlib")) / "prompts"
    try:
        return Path(pooch.retrieve(URL + name, f"sha256:{HASHES[name]}", fname=name, path=cache))
    except (OSError, ValueError) as error:  # no connection, a refusal; another hash
        raise DataError(
            f"{URL}{name} could not be downloaded to {cache}: {error}; try again later, "
            "or get the file by other means and name its folder: published(..., folder=...)"
        ) from error
