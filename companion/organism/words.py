"""The words of the captions. None but the names of colours says what an image looks like, its digit apart."""

OPENINGS = ("a photo of", "a drawing of", "a picture of", "a poster of")

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ADJECTIVES = (
    "quiet", "old", "early", "gentle", "hollow", "distant", "hidden", "lonely", "noisy", "patient", "proud",
    "rapid", "restless", "sacred", "secret", "silent", "simple", "sleepy", "slow", "solemn", "steady",
    "strange", "sudden", "tender", "tired", "weary", "wild", "windy", "wise", "wooden", "worthy", "young",
)  # fmt: skip

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

SMALL_WORDS = ("the", "digit", "in", "on", ",")


def all_words() -> list[str]:
    """Every word a caption may hold, sorted, each once."""
    openings = [word for opening in OPENINGS for word in opening.split()]
    return sorted({*openings, *DIGITS, *ADJECTIVES, *NOUNS, *COLOURS, *SMALL_WORDS})
