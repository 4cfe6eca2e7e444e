"""What the info string of a fenced block names, in the forms that tools and models write."""

from __future__ import annotations

import pytest

from judges.rules.info_strings import PYTHON_TAGS, language


@pytest.mark.parametrize(
    "info",
    [
        "python",
        "PYTHON",
        "Python 3.12",
        "python3.11",
        "python-3.12.1",
        "py3.10",
        "ipython3",
        "Python3.x",
        "python3 -u",
        "python,linenos",
        "python, ignore",
        "python;",
        "Python:",
        "python{1,3}",
        "python {1,3-5}",
        "python{cmd=true}",
        "python=",
        "python=101",
        "python!",
        "python(main.py)",
        "python#L10",
        "python:src/main.py",
        "python title='x.js'",
        "main.py",
        "src/main.py",
        ".py",
        "lang=python",
        "language-python",
        '"python"',
        "«python»",
        "{python}",
        "{.python}",
        "{ .python .numberLines startFrom=100 }",
        "{.linenos .python}",
        "{#listing-1 .python}",
        "{python, echo=FALSE}",
        "{code-cell} ipython3",
        "{code-block} python",
        "\ufeffpython",
        "python\u200b",
    ],
)
def test_python(info: str) -> None:
    assert language(info) in PYTHON_TAGS


@pytest.mark.parametrize(
    ("info", "named"),
    [
        ("", ""),
        ("  ", ""),
        ("{}", ""),
        ("{", ""),
        ("{1,3}", ""),
        ("{#id}", ""),
        ("python2.7", "python2"),
        ("pycon", "pycon"),
        ("python-repl", "python-repl"),
        ("numpy", "numpy"),
        ("PyPy 3", "pypy"),
        ("cpy", "cpy"),
        ("micropython", "micropython"),
        ("c#", "c#"),
        ("C++", "c++"),
        ("objective-c", "objective-c"),
        ("{.haskell}", "haskell"),
        ("{r, fig.width=4}", "r"),
        ("json,copy", "json"),
        ("text title=main.py", "text"),
    ],
)
def test_other_languages_and_none(info: str, named: str) -> None:
    assert language(info) == named
