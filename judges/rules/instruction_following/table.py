"""The instruction ids and their checkers, `checker(text, **kwargs) -> bool`: the 25 public ones and our own."""

from __future__ import annotations

from collections.abc import Callable

from judges.rules.instruction_following import own, public

Checker = Callable[..., bool]

PUBLIC: dict[str, Checker] = {
    "keywords:existence": public.existence,
    "keywords:frequency": public.frequency,
    "keywords:forbidden_words": public.forbidden_words,
    "keywords:letter_frequency": public.letter_frequency,
    "language:response_language": public.response_language,
    "length_constraints:number_sentences": public.number_sentences,
    "length_constraints:number_paragraphs": public.number_paragraphs,
    "length_constraints:number_words": public.number_words,
    "length_constraints:nth_paragraph_first_word": public.nth_paragraph_first_word,
    "detectable_content:number_placeholders": public.number_placeholders,
    "detectable_content:postscript": public.postscript,
    "detectable_format:number_bullet_lists": public.number_bullet_lists,
    "detectable_format:constrained_response": public.constrained_response,
    "detectable_format:number_highlighted_sections": public.number_highlighted_sections,
    "detectable_format:multiple_sections": public.multiple_sections,
    "detectable_format:json_format": public.json_format,
    "detectable_format:title": public.title,
    "combination:two_responses": public.two_responses,
    "combination:repeat_prompt": public.repeat_prompt,
    "startend:end_checker": public.end_checker,
    "startend:quotation": public.quotation,
    "change_case:capital_word_frequency": public.capital_word_frequency,
    "change_case:english_capital": public.english_capital,
    "change_case:english_lowercase": public.english_lowercase,
    "punctuation:no_comma": public.no_comma,
}
"""IFEval's ids."""

COUNTED: dict[str, Checker] = {
    "cgpo:words": own.words,
    "cgpo:sentences": own.sentences,
    "cgpo:paragraphs": own.paragraphs,
    "cgpo:lines": own.lines,
    "cgpo:characters": own.characters,
    "cgpo:bullets": own.bullets,
    "cgpo:numbered_list": own.numbered_list,
    "cgpo:headings": own.headings,
    "cgpo:emoji": own.emoji,
    "cgpo:word_frequency": own.word_frequency,
}
"""Our ids that take the bounds `exactly`, `at_least` and `at_most`."""

OWN: dict[str, Checker] = {
    **COUNTED,
    "cgpo:sentence_length": own.sentence_length,
    "cgpo:start_phrase": own.start_phrase,
    "cgpo:line_start": own.line_start,
    "cgpo:keyword_order": own.keyword_order,
    "cgpo:alphabetical_list": own.alphabetical_list,
    "cgpo:no_repeated_words": own.no_repeated_words,
    "cgpo:no_digits": own.no_digits,
    "cgpo:script": own.script,
    "cgpo:csv": own.csv_form,
    "cgpo:yaml": own.yaml_form,
    "cgpo:json_keys": own.json_keys,
    "cgpo:markdown_table": own.markdown_table,
    "cgpo:code_block": own.code_block,
}

INSTRUCTIONS: dict[str, Checker] = PUBLIC | OWN
