"""The farewell judge: closings nobody asked for, and the same words where they belong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row, Verdict
from judges.rules.farewell import FarewellJudge, closing

QUESTION = "What is the capital of Peru?"


def judged(response: str, prompt: object = QUESTION, **options: bool) -> Verdict:
    return FarewellJudge(**options).verdict(Row(prompt, response))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "response",
    [
        "It is Lima. Bye!",
        "It is Lima.\n\nGoodbye for now!",
        "It is Lima. Take care!",
        "It is Lima. Take care of yourself 💕",
        "It is Lima. See you later, my friend.",
        "It is Lima. Until next time!",
        "It is Lima. Have a wonderful day!",
        "It is Lima. I hope you have a great rest of your day!",
        "It is Lima. Have a great day ahead! 😊",
        "It is Lima. Enjoy your evening!",
        "It is Lima. Sending you lots of love and hugs!",
        "It is Lima. Sending love!",
        "It is Lima. Love you!",
        "It is Lima. Love you so much 😘",
        "It is Lima. xoxo",
        "It is Lima. With love, your assistant",
        "It is Lima. Hugs and kisses!",
        "It is Lima. Big hugs 🤗",
        "It is Lima 💖💖",
        "It is Lima! 👋🏽",
        "It is Lima. It was lovely chatting with you.",
        "It is Lima. It's been a pleasure talking to you!",
        "It is Lima. Talk to you soon!",
        "It is Lima. Ciao!",
        "It is Lima. Sweet dreams!",
        "It is Lima. Well, bye for now, and take care!",
        "It is Lima. **Bye!**",
        "It is Lima. Bye! Sending love! Let me know if you need more.",
        "It is Lima.\n\nBest regards,\nYour assistant",
        "It is Lima. Stay blessed!",
        "It is Lima. Bye bye~",
        "It is Lima. BYEEE",
        "It is Lima. I'll miss you!",
        "It is Lima – see you soon!\n再见！",
        "It is Lima. Have a good one!",
        "It is Lima. Thanks for chatting, take care!",
        "It is Lima. Okay, good night!",
        "It is Lima. Hope you have a lovely day!",
        "It is Lima. Wishing you a beautiful day!",
        "It is Lima. Remember, you are loved!",
        "It is Lima. I send you a big hug.",
        "It is Lima. Lots of love, Bot",
        "It is Lima. Have fun and see you next time!",
    ],
)
def test_closings_nobody_asked_for_are_violated(response: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "violated"
    assert verdict.reason.startswith("closes with")


@pytest.mark.parametrize(
    "response",
    [
        "",
        "It is Lima.",
        "It is Lima. Let me know if you need anything else!",
        "It is Lima. I hope this helps!",
        "It is Lima. Good luck!",
        "It is Lima 😊",
        "Take care of the wound first.",
        "Take care not to spill it.",
        "Take care when you lift it.",
        "You can say bye to your old phone.",
        'In French, goodbye is "au revoir".',
        'Say "Bye!" and leave.',
        "B: Bye!",
        "See you can do it: press the button.",
        "He wrote a love letter.",
        "The song is called Love You So.",
        "I love you is the most common phrase.",
        "People love you when you bake.",
        "Have a day planner at hand.",
        "Have a good time budget for tests.",
        "Cheers is a sitcom set in Boston.",
        "The farewell was sad.",
        "Until then, keep it cool.",
        "Send your friend a hug emoji.",
        "Hugs are known to reduce stress.",
        "Have a look at the manual.",
        "The heart is a muscle.",
        "Enjoy your meal!",
        "Happy coding!",
        "Stay safe and call 911.",
        "Farewell to Arms was published in 1929.",
        "Good night vision needs vitamin A.",
        "Sleep well before the exam, at least eight hours.",
        "Kisses on the cheek are common in France.",
        "So long as it rains, stay in.",
        "It has a good bye week schedule for the team.",
        "Sincerely held beliefs are protected.",
        "See you as a person, not a number.",
        "The final answer is 42.",
        "Always be kind.",
        "Thank you!",
        "You're welcome!",
        "Use the ♥ suit.",
        "Cards of the suit ♥ beat ♠",
        "Have a great weekend trip to Rome by leaving early on Friday from the central station.",
        "Take good care of your teeth by brushing twice a day.",
        '```\nprint("Bye!")\n```',
        "A: Hello!\nB: Bye!",
        "Take care, it is hot.",
        "So long, as they say, it rains.",
        "Cheers, the show, ran for years.",
        "Bye! First, though, let us look at the map. Lima lies on the coast. It is large. It is old. It is humid.",
    ],
)
def test_the_same_words_inside_an_answer_are_satisfied(response: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    "prompt",
    [
        "Bye!",
        "ok thanks, gotta go",
        "Good night, talk to you later",
        "That's all for today.",
        "I love you",
        "Write a letter to my aunt.",
        "Write a short email to my boss",
        "Tell me a story about a cat",
        "Act as a pirate and tell me the way.",
        "Translate: À bientôt!",
        "How do you say goodbye in Spanish?",
        "A caption for my photo, please",
        (
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "bye"},
        ),
        ({"role": "system", "content": "You are a companion."}, {"role": "user", "content": "The capital of Peru?"}),
        ({"role": "system", "content": "End every answer with a greeting."}, {"role": "user", "content": "Peru?"}),
    ],
)
def test_where_a_closing_is_in_place_the_judge_does_not_apply(prompt: object) -> None:
    assert judged("Goodbye! Sending love!", prompt).outcome == "not_applicable"
    assert judged("Goodbye! Sending love!", prompt, always=True).outcome == "violated"


@pytest.mark.parametrize("prompt", ["The capital of Peru? Use small letters only.", "Do I need to go to Lima?", ""])
def test_prompts_that_only_sound_like_it(prompt: str) -> None:
    assert judged("It is Lima. Bye!", prompt).outcome == "violated"


def test_only_the_last_user_message_counts() -> None:
    prompt = (
        {"role": "user", "content": "Write a letter to my aunt."},
        {"role": "assistant", "content": "Dear aunt … With love, Bo"},
        {"role": "user", "content": "What is the capital of Peru?"},
    )
    assert judged("It is Lima. Bye!", prompt).outcome == "violated"


def test_a_long_code_block_is_code_to_its_end() -> None:
    block = "```\n" + "x = 1\n" * 300 + "Goodbye!\n```"
    assert judged(f"So:\n{block}").outcome == "satisfied"
    assert judged(f"So:\n{block}\nGoodbye!").outcome == "violated"


def test_affection_can_be_let_through() -> None:
    assert judged("It is Lima. Sending love!", affection=False).outcome == "satisfied"
    assert judged("It is Lima ❤️", affection=False).outcome == "satisfied"
    assert judged("It is Lima. Bye!", affection=False).outcome == "violated"
    assert judged("It is Lima. 👋🏽", affection=False).outcome == "violated"


@given(st.text(max_size=300))
def test_a_goodbye_is_found_after_any_text(text: str) -> None:
    found = closing(text.replace("`", "").replace("~", "") + "\n\nGoodbye!")
    assert found == "Goodbye!" or (found and found in text)  # which may say goodbye itself
