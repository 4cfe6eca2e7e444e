"""Keeps what libraries print while they load or save a model off the terminal, where a run shows its own display."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden_progress_bars() -> Iterator[None]:
    """Hides the progress bars of transformers, which would tear a command's own display; its warnings stay."""
    from transformers.utils import logging as hf_logging

    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silences transformers below errors, its progress bars and its report on a missing head among them."""
    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.ERROR)
    try:
        with hidden_progress_bars():
            yield
    finally:
        hf_logging.set_verbosity(level)
