"""Sentence patterns of the sample world. ``{x}``, ``{y}`` are names, ``{f}`` a filler entity."""

from __future__ import annotations

from typing import Final

# What people post about an entity: every pattern fits a person, a place, a body and a product.
ONE: Final[tuple[str, ...]] = (
    "can't stop thinking about {x} today",
    "{x} again , every single day",
    "so glad we finally saw {x}",
    "nobody talks enough about {x}",
    "this weekend is all about {x}",
    "honestly {x} deserves better",
    "tell me one thing better than {x}",
    "{x} is everywhere right now",
    "why is everybody posting {x} ?",
    "my sister keeps talking about {x}",
    "still not over {x}",
    "one more photo of {x} before bed",
    "first time seeing {x} up close !",
    "who else loves {x} ?",
    "all I want for my birthday is {x}",
    "good morning to {x} and nobody else",
    "look what we found : {x}",
    "the best thing about today ? {x}",
    "they were wrong about {x} , and how",
    "remember when {x} was not famous",
)
TWO: Final[tuple[str, ...]] = (
    "{x} and {y} in one day , what a week",
    "first {x} , then {y} , now sleep",
    "choose one : {x} or {y} ?",
    "from {x} to {y} in one hour",
    "{x} is great but have you seen {y} ?",
    "more {x} and less {y} please",
)
# Added to a post; pattern and name both say the type.
FILLER: Final[dict[str, tuple[str, ...]]] = {
    "PER": ("thanks to {f} for the picture", "with my friend {f}", "as {f} told me"),
    "LOC": ("greetings from {f}", "live from {f}", "on the way to {f}"),
    "ORG": ("{f} shares went up too", "photo by {f} staff", "paid for by {f}"),
    "MISC": ("shot on my new {f}", "after watching {f}", "while playing {f}"),
}
FILLER_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "PER": ("Mr {w}", "Mrs {w}", "Dr {w}", "Captain {w}", "Aunt {w}"),
    "LOC": ("Port {w}", "Lake {w}", "Mount {w}", "{w} Street", "{w} Beach"),
    "ORG": ("{w} Ltd", "{w} Inc", "{w} University", "{w} United", "Radio {w}"),
    "MISC": ("{w} 3000", "{w} Pro", "Super {w} Kart", "{w} Cup", "The {w} Show"),
}
HASHTAGS: Final[tuple[str, ...]] = ("#mood", "#blessed", "#tbt", "#weekend", "#nofilter", "#wow")
EMOTICONS: Final[tuple[str, ...]] = (":)", "<3", "😂", "🔥", "lol", "omg")

# What pages say. {role} is the role, {w} an invented word, {year} a year.
BIOGRAPHY: Final[dict[str, tuple[str, ...]]] = {
    "PER": (
        "{x} is a {role} born in {year}.",
        "The {role} {x} grew up near {w}.",
        "{x} , a {role} by profession , won a prize in {year}.",
    ),
    "LOC": (
        "{x} is a {role} in the north of {w}.",
        "The {role} {x} draws many visitors.",
        "{x} , a {role} with an old market , was first mapped in {year}.",
    ),
    "ORG": (
        "{x} is a {role} with {year} members of staff.",
        "The {role} {x} was set up in {year}.",
        "{x} , a {role} run from {w} , hired a new director.",
    ),
    "MISC": (
        "{x} is a {role} that came out in {year}.",
        "The {role} {x} sold {year} copies at once.",
        "{x} , a {role} announced at {w} , got five stars.",
    ),
}
NEWS: Final[dict[str, tuple[str, ...]]] = {
    "PER": (
        "Interview with the {role} {x} after a long tour.",
        "Happy birthday : the {role} {x} turns thirty.",
    ),
    "LOC": (
        "A walk through the {role} {x} and its lanes.",
        "Storm reaches the {role} {x} at night.",
    ),
    "ORG": (
        "The {role} {x} names a new chair of the board.",
        "Profits rise : the {role} {x} opens an office.",
    ),
    "MISC": (
        "We tried the {role} {x} so that you need not.",
        "The {role} {x} is sold out in all shops.",
    ),
}
LOOKS: Final[tuple[str, ...]] = (
    "Its sign : a {field} {shape} with a {charge} {mark}.",
    "Seen : a {field} {shape} , a {charge} {mark} and a {colour} {thing}.",
)

# Relations: label -> (types of head and tail, what pages say, what a plain-spoken post says).
RELATIONS: Final[dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]]] = {
    "/per/org/founder_of": (
        "PER", "ORG",
        ("{h} founded {t} in {year}.", "{t} was founded by {h}.",
         "Founded by {h} , {t} began in a garage."),
        ("{h} founded {t} and the rest is history", "how {h} founded {t}"),
    ),
    "/per/org/plays_for": (
        "PER", "ORG",
        ("{h} plays for {t} since {year}.", "{t} signed {h} , who plays on the left.",
         "At {t} , {h} plays every week."),
        ("{h} plays for {t} tonight", "{h} plays so well for {t}"),
    ),
    "/per/per/married_to": (
        "PER", "PER",
        ("{h} married {t} in {year}.", "The wedding of {h} and {t} was a quiet one.",
         "{t} and {h} married by the sea."),
        ("{h} married {t} at last", "crying at the wedding , {h} married {t}"),
    ),
    "/per/per/rival_of": (
        "PER", "PER",
        ("{h} is the fiercest rival of {t}.", "The feud between {h} and {t} goes on.",
         "{t} and {h} , rivals since {year} , do not speak."),
        ("{h} is such a rival of {t}", "{h} versus {t} , rivals for life"),
    ),
    "/org/loc/based_in": (
        "ORG", "LOC",
        ("{h} is based in {t}.", "The headquarters of {h} stand in {t}.",
         "In {t} the headquarters of {h} opened in {year}."),
        ("{h} , based in {t} , is hiring", "did you know {h} is based in {t}"),
    ),
    "/org/loc/left": (
        "ORG", "LOC",
        ("{h} closed down in {t} and left in {year}.", "{t} mourns , for {h} has left.",
         "After years {h} left {t}."),
        ("{h} has left {t} , sad day", "why {h} left {t}"),
    ),
}  # fmt: skip
NO_RELATION: Final = "None"
PLAIN_NONE: Final[tuple[str, ...]] = (
    "{h} has nothing to do with {t}",
    "please stop confusing {h} with {t}",
)
PAIR: Final[tuple[str, ...]] = (
    "{x} and {y} in one photo , finally",
    "when {x} meets {y}",
    "{x} x {y} , what a day",
    "everyone talks about {x} and {y}",
    "{x} next to {y} this morning",
    "here is {x} , and there is {y}",
    "say what you want about {x} , but {y} though",
    "{x} , {y} and me",
    "today in the news : {x} and {y}",
    "never thought I would see {x} with {y}",
)

# Noise of the knowledge base.
OFF_TOPIC: Final[tuple[str, ...]] = (
    "Stir the soup for ten minutes , then add salt and serve with bread.",
    "Light rain in the evening , clearing up by the morning with mild wind.",
    "How to mend a bicycle tyre in five easy steps with simple tools.",
    "Water the plants twice a week and keep them out of the wind.",
    "Ten ideas for a small kitchen that cost next to nothing.",
    "The bus will run every twenty minutes until the road is mended.",
)
SWAPS: Final[dict[str, str]] = {
    "known": "noted",
    "new": "fresh",
    "many": "numerous",
    "good": "decent",
    "old": "ancient",
    "long": "lengthy",
    "prize": "medal",
    "year": "season",
    "quiet": "calm",
    "opened": "began",
    "began": "opened",
    "since": "from",
}
