"""The source of the book is put together from good runs alone."""

import pytest

from companion.experiment import recorder, results, staging
from companion.experiment.runs import MESSAGE, NOTEBOOK, Place

from .conftest import namespace


@pytest.fixture
def root(tmp_path):
    """A project of two pages and two notebooks."""
    for file in (
        "book/intro.md",
        "book/guide/more.md",
        "book/assets/style.css",
        "notebooks/01_one.py",
        "notebooks/02_two.py",
        *staging.INCLUDED,
    ):
        path = tmp_path / "project" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return tmp_path / "project"


@pytest.fixture
def build(root, monkeypatch):
    """The build folder of the project with a good run of each notebook."""
    build = root / "build"
    for name in ("01_one", "02_two"):
        place = Place(build, name, "quick")
        run = recorder.start(name, namespace(output=str(place.final)))
        run.table({"x": [1]}, "numbers")
        run.finish()
        (place.final / NOTEBOOK).write_text(f"executed {name}")
        (place.final / "log.txt").write_text("not for readers")
    return build


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_pages_notebooks_and_assets_come_together(root, build):
    stage = staging.stage(root, "quick", build)
    assert stage == build / "stage"
    downloads = [
        f"assets/runs/{name}/{file}"
        for name in ("01_one", "02_two")
        for file in ("results.json", "tables/numbers.csv")
    ]
    assert files(stage) == sorted(
        [
            *downloads,
            *staging.INCLUDED,
            "assets/style.css",
            "book/intro.md",
            "book/guide/more.md",
            "notebooks/01_one.ipynb",
            "notebooks/02_two.ipynb",
        ]
    )
    assert (stage / "notebooks" / "02_two.ipynb").read_text() == "executed 02_two"


def test_what_has_gone_from_the_sources_goes_from_the_stage(root, build):
    staging.stage(root, "quick", build)
    (root / "book" / "guide" / "more.md").unlink()
    assert "book/guide/more.md" not in files(staging.stage(root, "quick", build))


def test_what_is_generated_is_part_of_the_stage_or_there_is_none(root, build):
    def generate(stage):
        (stage / "book" / "made.md").write_text(f"of {len(list((stage / 'notebooks').iterdir()))} runs")

    stage = staging.stage(root, "quick", build, generate)
    assert (stage / "book" / "made.md").read_text() == "of 2 runs"

    def fail(stage):
        raise ValueError("cannot be made")

    with pytest.raises(ValueError, match="cannot be made"):
        staging.stage(root, "quick", build, fail)
    assert (stage / "book" / "made.md").is_file()  # the stage before is left as it was


def lose_run(place):
    (place.final / results.FILE).unlink()


def lose_notebook(place):
    (place.final / NOTEBOOK).unlink()


def corrupt(place):
    (place.final / results.FILE).write_text("{}")


def lose_table(place):
    (place.final / "tables" / "numbers.csv").unlink()


def fail(place):
    place.failed.mkdir(parents=True)
    (place.failed / MESSAGE).write_text("02_two failed, see over there")


def mix_up(place):
    one = Place(place.build, "01_one", "quick").final / results.FILE
    (place.final / results.FILE).write_bytes(one.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_run, "02_two: .*results.json is not there"),
        (lose_notebook, "02_two: .*notebook.ipynb is not there"),
        (corrupt, "02_two: .*is not a valid results file"),
        (lose_table, "02_two: .*lists tables/numbers.csv, not there"),
        (fail, "02_two failed, see over there"),
        (mix_up, "holds run quick of 01_one"),
    ],
)
def test_no_stage_without_a_good_run_of_every_notebook(root, build, spoil, message):
    spoil(Place(build, "02_two", "quick"))
    with pytest.raises(ValueError, match=message) as caught:
        staging.stage(root, "quick", build)
    assert "01_one:" not in str(caught.value)
    assert not (build / "stage").exists()


def test_a_run_of_another_preset_does_not_count(root, build):
    with pytest.raises(ValueError, match="01_one"):
        staging.stage(root, "full", build)


@pytest.fixture
def html(root, build):
    """A built book as Sphinx would leave it."""
    stage = staging.stage(root, "quick", build)
    html = build / "html"
    (html / "notebooks").mkdir(parents=True)
    (html / "index.html").write_text("start")
    for name in ("01_one", "02_two"):
        (html / "notebooks" / f"{name}.html").write_text(
            '<div class="cell_output docutils container">1</div>'
        )
    return html, stage


def test_a_complete_book_passes(html):
    staging.check_book(*html)


def test_missing_and_empty_pages_are_named(html):
    folder, stage = html
    (folder / "index.html").unlink()
    (folder / "notebooks" / "01_one.html").unlink()
    (folder / "notebooks" / "02_two.html").write_text("<p>only prose</p>")
    with pytest.raises(ValueError, match="not complete") as caught:
        staging.check_book(folder, stage)
    for fault in ("index.html is missing", "01_one.html is missing", "02_two.html shows no output"):
        assert fault in str(caught.value)
