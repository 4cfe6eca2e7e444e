"""Small talk written for this project: thanks, good news, plans and moods, after which products say goodbye.

The user never says goodbye, nor asks for a text that ends in a closing, so a farewell in the response is the model's
own doing and the judge `farewell` applies to every prompt. A problem is a subject with all its wordings; the split
into training and held-out is by subject.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cgpo.config import Settings
from cgpo.data.generators.base import Generator, Item, is_heldout

Kind = Literal["thanks", "news", "plans", "mood"]

_HELDOUT_SHARE = 5

_WORDINGS: dict[Kind, tuple[str, ...]] = {
    "thanks": (
        "Thanks, {} helped a lot.",
        "Thank you so much for {}!",
        "I tried {} and it worked. Thank you!",
        "Perfect, {} was just what I needed.",
        "You were right about everything, {} made my day easier.",
    ),
    "news": (
        "I just {}.",
        "Guess what, I {} today!",
        "I finally {}!",
        "I {} this week and I am so happy.",
        "My friends are proud of me because I {}.",
    ),
    "plans": (
        "Tomorrow I {}.",
        "This weekend I {}!",
        "I {} next week. I am a bit nervous.",
        "Soon I {} and I am looking forward to it.",
        "In three days I {}. Everything is prepared.",
    ),
    "mood": (
        "I had {} today.",
        "It was {}.",
        "So far this is {}.",
        "Tell me something nice, this was {}.",
        "After {} I am sitting on the sofa with a cup of tea.",
    ),
}

SUBJECTS: dict[Kind, str] = {
    "thanks": """
        your tip about sleeping | your recipe for soup | your advice on the interview | the list of books
        your plan for the garden | the trick with the lemon | your help with my essay | the explanation of fractions
        your idea for the party | the packing list | your tip about the old window | the exercise for my back
        the answer about train tickets | your advice on saving money | the breathing exercise | your help with the map
        the way you explained volcanoes | your tip for the tomatoes | the idea for dinner | the advice about my bike
        your hint about the crossword | the schedule for my week | your help with the spreadsheet
        the suggestion for a walk
    """,
    "news": """
        baked my first bread | passed my driving test | finished a long book | planted an apple tree
        learned to swim | painted the kitchen | ran five kilometres | adopted a kitten | fixed the old radio
        moved into my new flat | cooked for ten people | got the job | built a small shelf | climbed a real mountain
        finished my thesis | learned three chords on the guitar | found my lost keys | grew my own carrots
        knitted a scarf | saw a shooting star | won a game of chess against my father | cleaned the whole garage
        made jam for the first time | taught my dog to sit | opened my own little shop
    """,
    "plans": """
        start my new job | visit my sister | take my last exam | fly to Italy | sing in front of people
        run my first marathon | meet my old teacher | move to another city | cook for my neighbours
        go camping with friends | see the dentist | begin a course in pottery | give a talk at work
        take my grandmother to the zoo | paint the fence | play in a tennis match | go to a concert
        hike along the coast | bake a wedding cake | pick up my new puppy | swim in the lake
        open the windows and clean everything | ride a horse for the first time | start learning Japanese
    """,
    "mood": """
        a long day at work | a quiet morning | a day full of rain | a wonderful afternoon in the park
        a noisy night | a lazy Sunday | a hard week | a day without any plans | a surprisingly good Monday
        a stressful meeting | a slow and sunny day | a lovely breakfast with my family | a cold walk home
        a day when nothing worked | a peaceful evening on the balcony | a crowded train ride | a busy day at school
        a funny evening with friends | a tiring day with the children | a very calm day
    """,
}


class SmallTalkOptions(Settings):
    """Options of the small talk generator."""

    kinds: list[Kind] = Field(default=["thanks", "news", "plans", "mood"], min_length=1)
    """What the user talks of: any of `thanks`, `news`, `plans` and `mood`."""


def _items(options: SmallTalkOptions, heldout: bool, rng: random.Random) -> Iterator[Item]:
    chosen = [
        Item(wording.format(subject), {"kind": kind})
        for kind in sorted(set(options.kinds))
        for subject in subjects_of(kind)
        if is_heldout(f"small talk: {subject}", _HELDOUT_SHARE) == heldout
        for wording in _WORDINGS[kind]
    ]
    rng.shuffle(chosen)
    yield from chosen


def subjects_of(kind: Kind) -> list[str]:
    """What the user talks of, one phrase each."""
    return [subject.strip() for line in SUBJECTS[kind].strip().splitlines() for subject in line.split("|")]


SMALL_TALK = Generator("small_talk", SmallTalkOptions, _items)
"""465 prompts, about a quarter of them held out. Metadata: `kind`."""
