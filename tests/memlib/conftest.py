"""Tiny pipelines of every family, written once for all tests of a process.

diffusers is imported where a test asks for them: those of the numerics run without it.
"""

import pytest


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Name of a family -> folder of a pipeline, `NAME-tuned` a fine-tune of it; leave them as they are."""
    from .text_to_image import families

    home = tmp_path_factory.mktemp("families")

    class Written(dict):
        def __missing__(self, name):
            family, _, tuned = name.partition("-")
            self[name] = families.write(home / name, family, tuned=bool(tuned))
            return self[name]

    return Written()


@pytest.fixture(scope="module")
def small_flux():
    """Flux has a size of images of its own; 16 latents to a side are enough here."""
    import diffusers

    with pytest.MonkeyPatch.context() as patch:
        size = property(lambda self: 16, lambda self, value: None)
        patch.setattr(diffusers.FluxPipeline, "default_sample_size", size, raising=False)
        yield
