"""What a run shows of itself in a notebook and on its page of the book."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from companion.experiment.parameters import Parameter
from companion.experiment.results import FILE, Results


@dataclass(frozen=True)
class ParameterTable:
    """The parameters of a run with their values and meanings.

    Attributes:
        given: the parameters; the value in this run stands for the default. The type, which the value shows,
            is left to terminals.
    """

    given: list[Parameter]

    def __repr__(self) -> str:
        """One parameter a line, for terminals."""
        return "\n".join(
            f"{item}{' ' if item.limits else '  # '}{item.help}".rstrip(" #") for item in self.given
        )

    def _repr_html_(self) -> str:
        titles = ("parameter", "value", "may be", "meaning")
        head = "".join(f'<th scope="col">{title}</th>' for title in titles)
        body = "".join(
            f'<tr><th scope="row"><code>{escape(item.name)}</code></th><td>{escape(repr(item.default))}</td>'
            f"<td>{escape(item.limits.text if item.limits else '')}</td><td>{escape(item.help)}</td></tr>"
            for item in self.given
        )
        return f'<table class="table parameters"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a page come from, and what can be downloaded."""

    results: Results
    folder: Path
    link: str | None

    def __repr__(self) -> str:
        """One fact a line, for terminals."""
        lines = [f"{name}: {value}" for name, value in self._facts()]
        return "\n".join([*lines, f"written to {self.folder}"] if self.link is None else lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in self._facts()
        )
        caption = "<caption>Provenance of this page</caption>"
        table = f'<table class="table provenance">{caption}<tbody>{rows}</tbody></table>'
        return table + self._downloads()

    def _facts(self) -> list[tuple[str, str]]:
        results = self.results
        state = {True: ", with uncommitted changes", False: "", None: ""}[results.dirty]
        return [
            ("preset", results.preset or "none (run by hand)"),
            ("parameters", ", ".join(f"{name} = {value!r}" for name, value in results.parameters.items())),
            ("commit", results.commit + state),
            ("hardware", results.hardware),
            ("versions", ", ".join(f"{name} {version}" for name, version in results.versions.items())),
            ("started", f"{results.started:%Y-%m-%d %H:%M} UTC"),
            ("duration", f"{results.duration_s:.1f} s"),
            *([("checks", _held(results))] if results.checks else []),
        ]

    def _downloads(self) -> str:
        if self.link is None:
            return f"<p>Results and figures are in <code>{escape(str(self.folder))}</code>.</p>"
        groups = [
            ("Numbers", [FILE]),
            ("Figures", [file for item in self.results.figures.values() for file in item.files]),
            ("Data", [file for item in self.results.tables.values() for file in item.files]),
        ]
        links = {title: [_anchor(f"{self.link}{file}") for file in files] for title, files in groups}
        # Sphinx has put the source of the page there, which need not be in the site twice.
        notebook = {"Notebook": [_anchor(f"../_sources/notebooks/{self.results.notebook}.ipynb")]}
        items = "".join(
            f"<li>{title}: {', '.join(of)}</li>" for title, of in (notebook | links).items() if of
        )
        return f'<p class="downloads-title">Downloads</p><ul class="downloads">{items}</ul>'


def _anchor(address: str) -> str:
    return f'<a href="{escape(address)}" download>{escape(address.rsplit("/", 1)[-1])}</a>'


def _held(results: Results) -> str:
    """How many checks hold, and which do not."""
    held = f"{len(results.checks) - len(results.broken)} of {len(results.checks)} hold"
    return f"{held}; not: {'; '.join(results.broken)}" if results.broken else held
