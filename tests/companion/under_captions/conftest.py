"""The tiny pipelines of the tests of `memlib.text_to_image`."""

from ...memlib.text_to_image.conftest import exact, folders, generator, kind, models, single

__all__ = ["exact", "folders", "generator", "kind", "models", "single"]
