"""The instruction ids and their checkers, `checker(text, **kwargs) -> bool`: the 25 public ones and our own."""

from __future__ import annotations

from collections.abc import Callable

from judges.rules.instruction_following import (
    case,
    combination,
    content,
    format,
    keywords,
    language,
    length,
    own_counts,
    own_forms,
    own_wording,
    punctuation,
    startend,
)

Checker = Callable[..., bool]

PUBLIC: dict[str, Checker] = {
    "keywords:existence": keywords.existence,
    "keywords:frequency": keywords.frequency,
    "keywords:forbidden_words": keywords.forbidden_words,
    "keywords:letter_frequency": keywords.letter_frequency,
    "language:response_language": language.response_language,
    "length_constraints:number_sentences": length.number_sentences,
    "length_constraints:number_paragraphs": length.number_paragraphs,
    "length_constraints:number_words": length.number_words,
    "length_constraints:nth_paragraph_first_word": length.nth_paragraph_first_word,
    "detectable_content:number_placeholders": content.number_placeholders,
    "detectable_content:postscript": content.postscript,
    "detectable_format:number_bullet_lists": format.number_bullet_lists,
    "detectable_format:constrained_response": format.constrained_response,
    "detectable_format:number_highlighted_sections": format.number_highlighted_sections,
    "detectable_format:multiple_sections": format.multiple_sections,
    "detectable_format:json_format": format.json_format,
    "detectable_format:title": format.title,
    "combination:two_responses": combination.two_responses,
    "combination:repeat_prompt": combination.repeat_prompt,
    "startend:end_checker": startend.end_checker,
    "startend:quotation": startend.quotation,
    "change_case:capital_word_frequency": case.capital_word_frequency,
    "change_case:english_capital": case.english_capital,
    "change_case:english_lowercase": case.english_lowercase,
    "punctuation:no_comma": punctuation.no_comma,
}
"""IFEval's ids."""

COUNTED: dict[str, Checker] = {
    "cgpo:words": own_counts.words,
    "cgpo:sentences": own_counts.sentences,
    "cgpo:paragraphs": own_counts.paragraphs,
    "cgpo:lines": own_counts.lines,
    "cgpo:characters": own_counts.characters,
    "cgpo:bullets": own_counts.bullets,
    "cgpo:numbered_list": own_counts.numbered_list,
    "cgpo:headings": own_counts.headings,
    "cgpo:emoji": own_counts.emoji,
    "cgpo:word_frequency": own_counts.word_frequency,
}
"""Our ids that take the bounds `exactly`, `at_least` and `at_most`."""

OWN: dict[str, Checker] = {
    **COUNTED,
    "cgpo:sentence_length": own_counts.sentence_length,
    "cgpo:start_phrase": own_wording.start_phrase,
    "cgpo:line_start": own_wording.line_start,
    "cgpo:keyword_order": own_wording.keyword_order,
    "cgpo:alphabetical_list": own_wording.alphabetical_list,
    "cgpo:no_repeated_words": own_wording.no_repeated_words,
    "cgpo:no_digits": own_wording.no_digits,
    "cgpo:script": own_wording.script,
    "cgpo:csv": own_forms.csv_form,
    "cgpo:yaml": own_forms.yaml_form,
    "cgpo:json_keys": own_forms.json_keys,
    "cgpo:markdown_table": own_forms.markdown_table,
    "cgpo:code_block": own_forms.code_block,
}

INSTRUCTIONS: dict[str, Checker] = PUBLIC | OWN
