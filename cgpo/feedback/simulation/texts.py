"""SIMULATOR: a seeded grammar that writes prompts, and the responses of policies that differ in style.

`{topic}` in a sentence is what is spoken of.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class PolicyStyle:
    """How a simulated policy writes: the probability that a response has a part, or how many sentences on average.

    Attributes:
        name: in the column `policy` of the log.
    """

    name: str
    stock: float
    warm: float
    advice: float
    plain: float
    polite: float
    question: float
    closing: float
    emoji: float
    repeat: float
    refuse: float


def policy_styles(count: int) -> tuple[PolicyStyle, ...]:
    """`count` policies, always the same ones: each leans a way of its own."""
    return tuple(_policy_style(number) for number in range(1, count + 1))


def _policy_style(number: int) -> PolicyStyle:
    draw = random.Random(f"simulated policy {number}")
    return PolicyStyle(
        name=f"policy-{number:02}",
        stock=draw.uniform(0.05, 0.5),
        warm=draw.uniform(0.1, 0.8),
        advice=draw.uniform(0.3, 2.0),
        plain=draw.uniform(0.6, 2.0),
        polite=draw.uniform(0.05, 0.4),
        question=draw.uniform(0.1, 0.6),
        closing=draw.choice((0.02, 0.04, 0.08, 0.15, 0.3)),
        emoji=draw.uniform(0.02, 0.4),
        repeat=draw.uniform(0.0, 0.15),
        refuse=draw.uniform(0.0, 0.08),
    )


def write_prompt(rng: random.Random) -> tuple[str, str]:
    """A user's message, and its topic."""
    topic = rng.choice(TOPICS)
    pool = ASKING if rng.random() < 0.5 else TELLING
    return _sentence(rng.choice(pool), topic, rng.choice(LEADS)), topic


def write_response(style: PolicyStyle, topic: str, rng: random.Random) -> str:
    """A response about `topic` as this policy writes: opening, body, politeness, question, closing, emoji."""
    if rng.random() < style.refuse:
        return _sentence(rng.choice(REFUSALS), topic)
    parts = _body(style, topic, rng)
    if rng.random() < style.stock:
        parts.insert(0, _sentence(rng.choice(STOCK), topic))
    for chance, pool in ((style.polite, POLITE), (style.question, QUESTIONS)):
        if rng.random() < chance:
            parts.append(_sentence(rng.choice(pool), topic))
    if rng.random() < style.closing:
        parts.append(rng.choice(CLOSINGS))
    if rng.random() < style.emoji:
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(parts))
            parts[place] += f" {rng.choice(EMOJI)}"
    return " ".join(parts)


def _body(style: PolicyStyle, topic: str, rng: random.Random) -> list[str]:
    """Warm sentences first, then what there is to say; never empty."""
    warm = rng.sample(WARM, rng.randint(1, 3)) if rng.random() < style.warm else []
    rest = _some(ADVICE, style.advice, rng) + _some(PLAIN, style.plain, rng)
    rng.shuffle(rest)
    parts = [_sentence(text, topic) for text in warm + (rest or [rng.choice(PLAIN)])]
    if rng.random() < style.repeat:
        parts += parts[-rng.randint(1, 2) :]
    return parts


def _some(pool: Sequence[str], mean: float, rng: random.Random) -> list[str]:
    """Different sentences, 0 … 4 of them, binomial with this mean."""
    return rng.sample(pool, sum(rng.random() < mean / _MAX_SENTENCES for _ in range(_MAX_SENTENCES)))


def _sentence(text: str, topic: str, before: str = "") -> str:
    return before + text.format(topic=topic, Topic=topic[0].upper() + topic[1:])


TOPICS = (
    "baking bread", "running", "learning Spanish", "gardening", "the guitar", "drawing", "chess", "swimming",
    "knitting", "photography", "job interviews", "public speaking", "cooking for two", "saving money", "cycling",
    "early mornings", "yoga", "watercolours", "writing a diary", "the piano", "pottery", "hiking", "singing",
    "my new puppy", "moving house", "my first marathon", "a small balcony", "house plants", "sourdough",
    "bird watching", "learning to code", "my thesis", "a shy cat", "long train rides", "birthday cakes", "night shifts",
    "card games", "home repairs", "healthy lunches", "studying maths", "meeting neighbours", "a book club", "sewing",
    "tennis", "board games", "my allotment", "making jam", "better sleep", "rock climbing", "stargazing", "a tidy desk",
    "remote work", "camping", "the violin", "making friends", "learning Japanese", "meditation", "cold weather",
    "a family reunion", "pasta from scratch",
)  # fmt: skip

ASKING = (
    "How do I get better at {topic}?", "Any tips for {topic}?", "What should I know about {topic}?",
    "How can I find time for {topic}?", "What is a good way to begin with {topic}?", "Why is {topic} so hard?",
    "What do people get wrong about {topic}?", "Can you give me one idea about {topic}?",
    "How long does it take to feel at home with {topic}?", "What would you do first about {topic}?",
)  # fmt: skip

TELLING = (
    "I finally made progress with {topic}.", "I had a good day with {topic}.", "Guess what, {topic} went well today!",
    "I have been thinking about {topic} all week.", "It is only a small thing, but {topic} made me smile.",
    "I spent the whole weekend on {topic}.", "My sister got me into {topic}.", "I almost gave up on {topic}.",
    "Thanks, what you said about {topic} helped a lot.", "That worked, {topic} is going much better now.",
    "I am a little nervous about {topic}.", "I told my friends about {topic} and they laughed.",
)  # fmt: skip

LEADS = (
    "", "", "", "Hi there. ", "Hello! ", "Quick one: ", "So, ", "Good morning. ", "Hey, me again. ", "Okay. ",
    "Honestly, ", "Not sure whom to tell. ", "Long day. ",
)  # fmt: skip

STOCK = (
    "Great question!", "What a great question about {topic}!", "As an AI, I see {topic} from the outside.",
    "Certainly!", "Absolutely!", "Of course!", "Thank you for sharing this about {topic}.",
    "I understand that you have {topic} on your mind.", "That is to say: good question!", "Excellent question!",
)  # fmt: skip

PLAIN = (
    "{Topic} takes a while for most people.", "There is more than one way to go about {topic}.",
    "Many start with {topic} later in life.", "A lot depends on how much room {topic} has in the week.",
    "Some days go better than others.", "Progress with {topic} is rarely a straight line.",
    "Most of it is habit, and habits grow slowly.", "What counts is what {topic} means to you.",
    "The weather and the mood play their part too.", "People differ a good deal in this.",
    "It is common to feel stuck with {topic} for a time.", "Small changes add up over a month or two.",
    "There is no need to be perfect at {topic}.", "Others have been through the same with {topic}.",
)  # fmt: skip

ADVICE = (
    "Try ten minutes of {topic} every day before breakfast.", "Start with the easiest part of {topic}.",
    "Pick one thing about {topic} and leave the rest for later.", "Write down what went well with {topic} tonight.",
    "Set aside a fixed hour for {topic} on Sunday.", "First look at what already works, then change one thing.",
    "Keep a short list of what to do next.", "Ask a friend who knows {topic} to watch you once.",
    "Avoid long sessions, because tired hands learn little.", "Choose a small goal for {topic}, for example one page.",
    "Make sure the things you need for {topic} are within reach.", "Take it step by step and rest in between.",
)  # fmt: skip

WARM = (
    "That is wonderful to hear!", "I'm so glad you told me about {topic}.", "You should be proud of yourself.",
    "How lovely that {topic} is part of your life.", "I am delighted for you!", "Congratulations on {topic}!",
    "Well done, truly.", "You've got this.", "This made me smile.", "What a beautiful thing to care about.",
    "That sounds amazing!", "I am cheering for you and {topic}.", "Your heart is in it, and that shows.",
)  # fmt: skip

POLITE = (
    "Please let me know how {topic} goes.", "Thank you for asking.", "You're welcome.", "It was my pleasure to help.",
    "Tell me more if you like.", "Please take your time.", "Thanks for coming back to me.",
)  # fmt: skip

QUESTIONS = (
    "What do you enjoy most about {topic}?", "How did you come to {topic}?", "When do you have time for it?",
    "Who is with you in this?", "What would help you most right now?", "How does that sound to you?",
    "Would you like to hear more about {topic}?", "Which part of {topic} is hardest?",
)  # fmt: skip

CLOSINGS = (
    "Have a great day!", "Have a lovely evening!", "Take care!", "Bye! Sending love!", "Goodbye for now!",
    "Sending you lots of love!", "See you soon!", "Enjoy your day!", "Bye for now, take care of yourself!",
    "Sending hugs!", "Talk to you later!", "Have a wonderful rest of your week!", "Until next time!", "Lots of love!",
    "Have fun and take care!", "Best wishes!", "Big hugs and bye!", "I wish you a wonderful day!",
)  # fmt: skip

REFUSALS = (
    "I'm sorry, but {topic} is nothing I can speak about.", "I cannot help with {topic}.",
    "I am unable to say anything about {topic}.", "I'm afraid this is beyond me.",
)  # fmt: skip

EMOJI = ("😊", "🌟", "🎉", "❤️", "🌻", "👏", "✨", "🙌", "🍞", "☀️", "💪", "😄")
