"""Methods chosen by name with settings given as text, as command lines and files give them.

A method is a dataclass; each of its fields is annotated with its type and with what it is:
`steps: Annotated[int, "gradient steps at most"] = 10`. The standard library reads that, so that methods need
nothing else to be imported.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, cast, get_args, get_type_hints

from memlib.mitigation.corrected import Sail
from memlib.mitigation.han import NoiseAdjustment
from memlib.mitigation.method import Method
from memlib.mitigation.none import NoMitigation
from memlib.mitigation.ren import AttentionRescaling
from memlib.mitigation.somepalli import RandomAddition
from memlib.mitigation.wen import PromptEmbedding

METHODS: dict[str, Callable[..., Method]] = {
    "none": NoMitigation,
    "sail": Sail,
    "noise-adjustment": NoiseAdjustment,
    "prompt-embedding": PromptEmbedding,
    "random-addition": RandomAddition,
    "attention-rescaling": AttentionRescaling,
}
"""A name for each, to be chosen by; called with its settings."""
MOVED = {
    "sail-printed": "companion.comparison.SailPrinted",
    "sail-released": "companion.comparison.SailReleased",
}
"""Methods that `companion` has now, by the names that they had here."""
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Setting:
    """One setting of a method.

    Attributes:
        name: the setting's name.
        kind: what its text may be: "a number", "an integer", "true or false", or words to choose from.
        default: what holds if it is not given; None if it must be given.
        about: what it is: the text that annotates the field.
    """

    name: str
    kind: str
    default: float | bool | str | None
    about: str

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}, {'must be given' if self.default is None else self.default})"


def about(name: str) -> str:
    """The first sentence of a method's documentation."""
    return (inspect.getdoc(_class(name)) or "").partition("\n")[0]


def settings_of(name: str) -> dict[str, Setting]:
    """The settings of the method of this name, by theirs.

    Raises:
        ValueError: there is no such method.

    Example:
        >>> [str(setting) for setting in settings_of("random-addition").values()]
        ['kind (token or number, token)', 'count (an integer, 4)']
    """
    found = _class(name)
    hints = get_type_hints(found, include_extras=True)
    known = {}
    for field in fields(found):
        hint, about = get_args(hints[field.name])
        default = None if field.default is MISSING else field.default
        known[field.name] = Setting(field.name, _kind(hint), default, about)
    return known


def from_text(name: str, given: Mapping[str, str], **values: Any) -> Method:
    """The method of this name.

    Args:
        name: one of `METHODS`.
        given: name of a setting -> its value as text; the others have their defaults.
        values: of further settings, as they are.

    Raises:
        ValueError: an unknown name or setting, one that is missing, or a text that says no value it can have;
            the message names what there is.

    Example:
        >>> from_text("sail", {"threshold": "0.5", "project": "no"}).project
        False
    """
    known, hints = settings_of(name), get_type_hints(_class(name))
    listed = f"the settings of {name} are {', '.join(map(str, known.values())) or 'none'}"
    if unknown := [key for key in given if key not in known]:
        raise ValueError(f"{name} has no setting {unknown[0]!r}; {listed}")
    if missing := [
        key for key, one in known.items() if one.default is None and key not in {**given, **values}
    ]:
        raise ValueError(f"{name} needs the setting {missing[0]}; {listed}")
    for key, text in given.items():
        try:
            values[key] = _reader(hints[key])(text.strip())
        except (ValueError, KeyError):
            raise ValueError(f"{key} of {name} must be {known[key].kind}, got {text!r}; {listed}") from None
    return METHODS[name](**values)


def values_of(method: Method) -> dict[str, Any]:
    """Name of a setting -> its value in a method; numbers, texts and truth values."""
    return asdict(cast("Any", method))


def _class(name: str) -> type[Any]:
    if name in MOVED:
        raise ValueError(f"{name} belongs to the book: import {MOVED[name]}; sail is the corrected version")
    if name not in METHODS:
        raise ValueError(f"no mitigation is called {name!r}; there are {', '.join(METHODS)}")
    return cast("type[Any]", METHODS[name])


def _kind(hint: Any) -> str:
    plain = {float: "a number", int: "an integer", bool: "true or false"}
    return plain[hint] if hint in plain else " or ".join(get_args(hint))


def _reader(hint: Any) -> Callable[[str], Any]:
    if hint is float:
        return _number
    if hint is bool:
        return lambda text: _TRUTH[text.lower()]
    return int if hint is int else {word: word for word in get_args(hint)}.__getitem__


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
