"""The one way out for text that commands print, so that no character of a model, a row or a file moves the terminal.

A response, a reason, a name of a file may hold ESC sequences that clear the screen, rename the window or hide what
stands before them, and marks that turn a line's direction. What is printed has them written out: `\\x1b`. Plain lines
go through `say`, JSON through `json_text`, tables and colours through the consoles of `judges.terminal`, errors of the
command line through `judges.command_options.Parser`, and errors that nobody foresaw through `show_errors_plainly`.

Files keep every character; JSON has escapes of its own for those that a terminal would obey.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

_OBEYED = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""C0 without tab and newline, DEL, C1, separators of lines, embeddings and overrides of direction, isolates."""
_UNSHOWABLE = re.compile(rf"[{_OBEYED}\ud800-\udfff]")
_IN_JSON = re.compile(rf"[{_OBEYED}]")


def showable(text: str) -> str:
    """The text with control characters, direction overrides and lone surrogates written out.

    Newlines and tabs stay.
    """
    return _UNSHOWABLE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def say(text: object = "", *, file: TextIO | None = None) -> None:
    """Prints a line, at once.

    Args:
        text: what to say, whatever it quotes.
        file: where to; standard output by default.
    """
    print(showable(str(text)), file=file, flush=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON in which no character is raw that a terminal would obey; read back, the value is the same.

    Raises:
        ValueError: a number is not finite, or the value is nothing that JSON has.
    """
    return escaped_json(json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False))


def escaped_json(text: str) -> str:
    """JSON text with such characters, which only its strings can hold, as JSON's own escapes."""
    if text.isascii() and "\x7f" not in text:  # most lines; of C0, JSON has only blanks raw
        return text
    return _IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def show_errors_plainly() -> None:
    """From here on the traceback of an error that ends the process is printed by `say`: it quotes what it met."""
    sys.excepthook = _say_traceback


def _say_traceback(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    say("".join(traceback.format_exception(kind, error, where)).rstrip("\n"), file=sys.stderr)
