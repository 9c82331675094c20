"""The tiny pipelines of the tests of `memlib.text_to_image`."""

from ...memlib.text_to_image.conftest import exact, folders, kind, models

__all__ = ["exact", "folders", "kind", "models"]
