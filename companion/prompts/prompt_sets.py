"""Sets of prompts known to be memorized or not, by family, and which of them statistics are to tell apart.

Of the model organism it is known what was copied and how often; of the published prompts it is known what
their authors call memorized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from companion.organism.caption import Caption
from companion.organism.captions import captions
from companion.prompts import published as published_prompts
from companion.prompts.labelled import COPIED, UNCOPIED, LabelledCaption
from companion.prompts.questions import PromptSet, Question

FEW, HELD_OUT, HELD_BACK = "{}, few copies", "{}, held out", "{}, held back"
SEEN, COPIES = "{}, seen", "exact, {:,} copies"
MEMORIZED, OTHERS = "memorized", "others"
_EVERY = 10  # one published prompt in ten is held back


def organism(copies: int = 100) -> PromptSet:
    """All captions of the model organism.

    Its families are "exact", "template", "general", "stated", those of the last two that were held out, and
    "exact, few copies".

    Args:
        copies: from which on a caption of one image counts as memorized.

    Raises:
        ValueError: nothing was copied so often.
    """

    def family(caption: Caption) -> str:
        if caption.held_out:
            return HELD_OUT.format(caption.family)
        few = caption.family == "exact" and caption.copies < copies
        return FEW.format(caption.family) if few else caption.family

    known = captions()
    families = tuple(map(family, known))
    if "exact" not in families:
        raise ValueError(
            f"no image was copied {copies} times; the largest number is {max(c.copies for c in known)}"
        )
    unseen = (HELD_OUT.format("general"),)
    by_template, by_exact = (("template",), unseen), (("exact",), unseen)
    return PromptSet(
        tuple(caption.text for caption in known),
        families,
        tuple(caption.copies for caption in known),
        (
            Question("exact_general", ("exact",), ("general",), by_template),
            Question("template_general", ("template",), ("general",), by_exact),
            Question("exact_stated", ("exact",), ("stated",), by_template),
            Question("template_stated", ("template",), ("stated",), by_exact),
            Question("stated_general", ("stated",), ("general",), by_template),
        ),
        *unseen,
    )


def second_organism(copies: int = 100, between: Sequence[int] = (30, 45, 60, 100)) -> PromptSet:
    """All captions of the model organism's second generation.

    Exact captions make a family for each number of copies, "exact, 30 copies". Captions of the families
    "mixed", "near" and "template" with fewer copies are in families of their own. The others are captions
    that no training image has, "general" and "stated"; those that the training has are "general, seen" and
    "stated, seen", and the first of these are for fits and calibrations. The question "middle" is about
    captions whose copy comes out at times: exact ones with certain numbers of copies, "mixed" and "near".

    Args:
        copies: from which on a caption counts as memorized.
        between: numbers of copies of exact captions whose copy comes out at times.

    Raises:
        ValueError: no exact caption has so many, or all have; or one of `between` is none of their numbers.
    """
    known = captions(generation=2)
    numbers = sorted({caption.copies for caption in known if caption.family == "exact"})
    if not numbers[0] < copies <= numbers[-1]:
        raise ValueError(f"copies must lie in ({numbers[0]}, {numbers[-1]}], got {copies}")
    if unknown := set(between) - set(numbers):
        raise ValueError(f"exact captions have {numbers} copies, got {sorted(unknown)}")

    def family(caption: Caption) -> str:
        if caption.family == "exact":
            return COPIES.format(caption.copies)
        if caption.key is None:
            return caption.family if caption.held_out else SEEN.format(caption.family)
        return caption.family if caption.copies >= copies else FEW.format(caption.family)

    exact, middle = (
        tuple(COPIES.format(k) for k in some) for some in ([k for k in numbers if k >= copies], between)
    )
    seen = (SEEN.format("general"),)
    by_template, by_exact = (("template",), seen), ((exact[-1], exact[-2]), seen)
    return PromptSet(
        tuple(caption.text for caption in known),
        tuple(map(family, known)),
        tuple(caption.copies for caption in known),
        (
            Question("middle_general", (*middle, "mixed", "near"), ("general",), by_template),
            Question("exact_general", exact, ("general",), by_template),
            Question("mixed_general", ("mixed",), ("general",), by_template),
            Question("near_general", ("near",), ("general",), by_template),
            Question("template_general", ("template",), ("general",), by_exact),
            Question("exact_stated", exact, ("stated",), by_template),
            Question("stated_general", ("stated",), ("general",), by_template),
        ),
        *seen,
    )


def published(version: published_prompts.Version, folder: Path | None = None) -> PromptSet:
    """The prompts of the paper's table 1, one in ten held back for fits and calibrations.

    Args:
        version: "sd1" or "sd2".
        folder: the folder of the files; None fetches them. See `companion.prompts.published.published`.

    Raises:
        ValueError: another version.
    """
    if version not in get_args(published_prompts.Version):
        raise ValueError(f"prompts must be 'organism', 'sd1' or 'sd2', got {version!r}")
    given = published_prompts.published(version, folder)
    kinds = [MEMORIZED if prompt.memorized else OTHERS for prompt in given]
    families = tuple(
        HELD_BACK.format(kind) if place % _EVERY == 0 else prompt.family
        for place, (prompt, kind) in enumerate(zip(given, kinds, strict=True))
    )
    memorized, others = (
        tuple(dict.fromkeys(prompt.family for prompt in given if prompt.memorized is which))
        for which in (True, False)
    )
    back = (HELD_BACK.format(MEMORIZED),), (HELD_BACK.format(OTHERS),)
    return PromptSet(
        tuple(prompt.text for prompt in given),
        families,
        (0,) * len(given),
        (
            Question("memorized_others", memorized, others, back),
            *(Question(f"memorized_{o.lower().replace('-', '')}", memorized, (o,), back) for o in others),
        ),
        *back[1],
    )


def labelled(given: Sequence[LabelledCaption], copies: int = 100) -> PromptSet:
    """Captions of one's own, one in ten of each family held back for fits and calibrations.

    "exact" and "template" ones count as memorized from so many copies on, or where it is not known how many
    there are; with fewer copies they are in no question. "general" and "stated" ones do not.

    Args:
        given: captions, as `companion.prompts.labelled` reads them.
        copies: from which on a caption counts as memorized.

    Raises:
        ValueError: no caption left that counts as memorized, or none that does not.
    """
    seen: Counter[str] = Counter()
    families: list[str] = []
    for caption in given:
        copied = caption.family in COPIED
        if copied and caption.copies is not None and caption.copies < copies:
            families.append(FEW.format(caption.family))
            continue
        held_back = seen[caption.family] % _EVERY == 0
        seen[caption.family] += 1
        families.append(HELD_BACK.format(MEMORIZED if copied else OTHERS) if held_back else caption.family)
    memorized, others = ([family for family in which if family in families] for which in (COPIED, UNCOPIED))
    if not memorized or not others:
        raise ValueError(
            f"captions of {COPIED} with {copies} copies or more and of {UNCOPIED} are expected, two or more "
            f"of a kind beside the one held back; there are {dict(Counter(families))}"
        )
    back = (HELD_BACK.format(MEMORIZED),), (HELD_BACK.format(OTHERS),)
    pairs = [(one, other) for other in others for one in memorized]
    if others == [*UNCOPIED]:
        pairs.append(("stated", "general"))
    return PromptSet(
        tuple(caption.text for caption in given),
        tuple(families),
        tuple(caption.copies or 0 for caption in given),
        tuple(Question(f"{one}_{other}", (one,), (other,), back) for one, other in pairs),
        *back[1],
    )
