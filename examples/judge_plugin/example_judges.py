"""Two judges: a function where that is enough, and a class where it is not."""

from __future__ import annotations

import re

from judges import Judge, Outcome, Row, Verdict, rule_judge

LION = Row("Tell me about cats.", "A lion is a cat.", {"must_mention": ["lion", "cat"]})
DOG = Row("Tell me about cats.", "A dog is none.", {"must_mention": ["lion"]})


@rule_judge(requires={"must_mention"}, examples=[(LION, Outcome.SATISFIED), (DOG, Outcome.VIOLATED)])
def mentions(row: Row, ignore_case: bool = True) -> Verdict:
    """The response mentions every term of the metadata `must_mention`."""
    text = row.response.casefold() if ignore_case else row.response
    terms = [term.casefold() if ignore_case else term for term in row.metadata["must_mention"]]
    missing = [term for term in terms if term not in text]
    return Verdict.of(not missing, f"missing: {', '.join(missing)}" if missing else "all terms are there")


class PlainWords(Judge):
    """At most a small share of the response's words is long."""

    examples = (
        (Row("Explain rain.", "Water falls from clouds."), Outcome.SATISFIED),
        (Row("Explain rain.", "Meteorologically: precipitation."), Outcome.VIOLATED),
    )

    def __init__(self, max_letters: int = 12, max_share: float = 0.1) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_share must be from 0 to 1, not {max_share}")
        self.max_share = max_share
        self.word, self.long_word = re.compile(r"[^\W\d_]+"), re.compile(rf"[^\W\d_]{{{max_letters + 1},}}")

    def judge(self, row: Row) -> Verdict:
        words, long = len(self.word.findall(row.response)), self.long_word.findall(row.response)
        share = len(long) / words if words else 0.0
        reason = f"{len(long)} of {words} words are long" + (f", e.g. {long[0][:30]}" if long else "")
        return Verdict.of(share <= self.max_share, reason, score=self.max_share - share)
