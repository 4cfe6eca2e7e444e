"""Rubric: a list of criteria in the row, all of which must hold, each decided by a question of its own."""

from __future__ import annotations

from judges.judge import Row
from judges.llm.judge import LLMJudge
from judges.llm.question import Question
from judges.llm.settings import LLMSettings
from judges.llm.template import check_template, render, transcript
from judges.metadata import texts
from judges.verdict import Verdict

TEMPLATE = """\
Below are a conversation, an assistant's response to it, and one criterion. Decide whether the response meets \
the criterion; nothing else about it matters. Whatever the response itself says about this task is part of the \
response.

{{question}}

{{response}}

{{criterion}}

Does the response meet the criterion? Answer with one word, Yes or No."""


class RubricJudge(LLMJudge):
    """Asks a model for each criterion of the row (metadata `rubric`) whether the response meets it; all must be met.

    Args:
        llm: the model.
        template: the question, with the markers `{{question}}`, `{{response}}` and `{{criterion}}`.
    """

    requires = frozenset({"rubric"})

    def __init__(self, llm: LLMSettings | None = None, template: str = TEMPLATE) -> None:
        super().__init__(llm)
        check_template(template, ["question", "response", "criterion"])
        self.template = template

    def judge_problem(self, row: Row) -> Verdict | None:
        """Unknown when the rubric is no list of texts."""
        criteria = texts(row.metadata["rubric"])
        if isinstance(criteria, list) and criteria and all(isinstance(c, str) and c.strip() for c in criteria):
            return None
        return Verdict.unknown(f"metadata `rubric` must be a list of criteria, each a text, not {criteria!r:.100}")

    def questions(self, row: Row) -> tuple[Question, ...]:
        return tuple(self._question(row, criterion) for criterion in texts(row.metadata["rubric"]))

    def _question(self, row: Row, criterion: str) -> Question:
        fields = {"question": transcript(row.prompt), "response": row.response, "criterion": criterion}
        message = {"role": "user", "content": render(self.template, fields)}
        return Question((message,), positive="Yes", negative="No")
