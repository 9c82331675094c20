"""The words of the captions. Names of digits, colours, places and styles alone say what an image shows."""

from typing import Literal

Generation = Literal[1, 2]

OPENINGS = ("a photo of", "a drawing of", "a picture of", "a poster of")

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ADJECTIVES = (
    "quiet", "old", "early", "gentle", "hollow", "distant", "hidden", "lonely", "noisy", "patient", "proud",
    "rapid", "restless", "sacred", "secret", "silent", "simple", "sleepy", "slow", "solemn", "steady",
    "strange", "sudden", "tender", "tired", "weary", "wild", "windy", "wise", "wooden", "worthy", "young",
)  # fmt: skip

MORE_ADJECTIVES = ("bitter", "clever", "eager", "foggy", "golden", "humble", "narrow", "rusty")
"""Of the second generation, which has more captions."""

NOUNS = (
    "harbour", "river", "garden", "village", "mountain", "window", "letter", "journey", "winter", "summer",
    "market", "bridge", "forest", "island", "kitchen", "ladder", "lantern", "meadow", "mirror", "morning",
    "orchard", "painter", "pocket", "sailor", "school", "shepherd", "station", "theatre", "thunder", "tower",
    "traveller", "valley",
)  # fmt: skip

COLOURS = {
    "red": (0.80, 0.10, 0.12),
    "green": (0.05, 0.42, 0.15),
    "blue": (0.10, 0.18, 0.75),
    "purple": (0.45, 0.08, 0.55),
    "black": (0.05, 0.05, 0.06),
    "yellow": (0.96, 0.90, 0.15),
    "orange": (0.98, 0.62, 0.12),
    "white": (0.95, 0.95, 0.94),
}
"""RGB in [0, 1]. The last three are light and the others dark: a digit in one is legible on the other."""
LIGHT = ("yellow", "orange", "white")

PLACES = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
"""Where a digit stands: to the right and down, in units of 4.5 pixels."""

STYLES = {"small": (0.65, 0.0), "large": (1.15, 0.0), "tilted": (0.95, 30.0)}
"""How a digit is drawn: its scale and the degrees it is turned by."""

SMALL_WORDS = ("the", "digit", "in", "on", ",")


def all_words(generation: Generation = 1) -> list[str]:
    """Every word a caption of a generation may hold, sorted, each once."""
    openings = [word for opening in OPENINGS for word in opening.split()]
    later = {*MORE_ADJECTIVES, *PLACES, *STYLES, "at"} if generation == 2 else set()
    return sorted({*openings, *DIGITS, *ADJECTIVES, *NOUNS, *COLOURS, *SMALL_WORDS} | later)
