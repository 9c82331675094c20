"""What `memlib generate --mitigate` adds: its options, the list of methods, and what it says at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from memlib.cli import options
from memlib.cli.program import complain, console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memlib.mitigation import Method
    from memlib.screening.mitigation_table import MitigationSummary
    from memlib.text_to_image import TextToImage

_of_mitigation = options.in_panel("Mitigation")
_HELP = "`memlib generate --mitigate help` lists methods and settings"


def _list(name: str) -> str:
    """Print all methods and leave where "help" was asked for."""
    if name != "help":
        return name
    from memlib.mitigation.settings import METHODS, about, settings_of

    for known in METHODS:
        table = Table(title=f"[bold]{known}[/]  {escape(about(known))}", title_justify="left", box=None)
        for heading in ("  --set", "", "default", "what"):
            table.add_column(heading)
        for one in settings_of(known).values():
            default = "[bold]must be given[/]" if one.default is None else str(one.default)
            table.add_row(f"  {one.name}=", one.kind, default, escape(one.about))
        console.print(table if table.rows else table.title, "")
    console.print(
        "A threshold depends on the model: --reference takes it from prompts that are not memorized."
    )
    raise typer.Exit


Mitigate = Annotated[
    str,
    _of_mitigation(
        "--mitigate",
        "Make every image also with a mitigation: sail, noise-adjustment, prompt-embedding, "
        "random-addition, attention-rescaling, none. **help** lists their settings.",
        metavar="METHOD",
        callback=_list,
        is_eager=True,
    ),
]
Settings = Annotated[
    list[str] | None,
    _of_mitigation(
        "--set",
        "A setting of the method, such as threshold=0.5 or steps=20; give it several times for several.",
        metavar="NAME=VALUE",
    ),
]
Reference = Annotated[
    Path | None,
    _of_mitigation(
        "--reference",
        "Prompts known not to be memorized, of the kind you give: the threshold is set so that 95 % of "
        "their images stay as they are.",
    ),
]


def chosen(
    model: TextToImage,
    seeds: Sequence[int],
    name: str,
    settings: list[str],
    reference: Path | None,
    *,
    num_inference_steps: int,
    batch: int,
) -> Method:
    """The method of the options, its threshold from the reference prompts if there are any."""
    from memlib.mitigation import from_text, settings_of
    from memlib.screening import noises, prompt_files, thresholds

    given = _pairs(settings)
    if reference is None:
        if "threshold" in settings_of(name) and "threshold" not in given:
            raise ValueError(
                f"{name} needs a threshold, which depends on the model: give --reference FILE with prompts "
                "known not to be memorized, from which it is taken, or a number by --set threshold=NUMBER; "
                f"{_HELP}"
            )
        return from_text(name, given)
    if "threshold" in given:
        raise ValueError("both --set threshold and --reference say what the threshold is; give one of them")
    found = thresholds.from_reference(
        model,
        name,
        given,
        prompt_files.read(reference),
        noises(model, seeds),
        num_inference_steps=num_inference_steps,
        rows=batch or None,
        progress=True,
    )
    console.print(
        f"threshold={found.threshold:g}: {thresholds.SHARE:.0%} of {found.images} images of {reference} are "
        "under it as they come",
        highlight=False,
    )
    return from_text(name, {**given, "threshold": repr(found.threshold)})


def refuse_without(settings: list[str], reference: Path | None) -> None:
    """Raise `ValueError` for options that mean nothing without a mitigation."""
    if settings or reference is not None:
        raise ValueError(f"--set and --reference belong to --mitigate METHOD, which is missing; {_HELP}")


def tell(found: MitigationSummary) -> None:
    """Say once what became of all images."""
    if found.judged:
        met = found.judged - found.unmet
        console.print(
            f"{met} of {found.judged} images met the threshold, {found.at_once} of them as they came",
            highlight=False,
        )
    if found.unmet:
        complain.print(
            f"{found.unmet} of {found.judged} images did not meet the threshold; they are the best that was "
            f"found, with objectives from {found.least:.3g} to {found.most:.3g} (in the table each stands "
            "beside its threshold). More steps or candidates may help, or a larger threshold, by --set"
        )
    if found.same:
        complain.print(f"{found.same} images start from the same noise as another one (column repeated)")
    if found.cut:
        complain.print(
            f"{found.cut} images have a changed prompt that exceeds what the model reads; the column "
            "truncated_after has what was cut. Add less to it, by --set count="
        )


def _pairs(settings: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise ValueError(f"--set takes NAME=VALUE, got {text!r}; {_HELP}")
        if name in given:
            raise ValueError(f"the setting {name} is given twice, as {given[name]!r} and {value!r}")
        given[name] = value
    return given
