"""Values that are equal to everything, and what else agrees with the tests."""

from __future__ import annotations

from hostile.family import each, family

family(
    "an object that is equal to everything",
    "caught",
    *each(
        "§\ndef double(x): return Same()",
        "class Same:\n    def __eq__(self, other): return True",
        "class Same:\n    __slots__ = ()\n    __eq__ = lambda *_: 1",
        "Same = type('Same', (), {'__eq__': lambda *_: True, '__hash__': lambda _: 0})",
        "from unittest.mock import ANY\nSame = lambda: ANY",
        "from unittest.mock import MagicMock\ndef Same():\n    m = MagicMock()\n"
        "    m.__eq__.return_value = True\n    return m",
        "import functools\n@functools.total_ordering\nclass Same:\n    def __eq__(self, other): return True\n"
        "    def __lt__(self, other): return True",
        "class Base:\n    def __eq__(self, other): return not None\nclass Same(Base): pass",
    ),
)
family(
    "a value of a built-in type that is equal to everything",
    "caught",
    *each(
        """
        import collections, decimal, fractions
        class Same(§):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = None
        def double(x): return Same()
        """,
        *("int", "float", "complex", "str", "bytes", "bytearray", "list", "tuple", "dict", "set", "frozenset"),
        *("collections.Counter", "collections.deque", "decimal.Decimal", "fractions.Fraction"),
    ),
)
family(
    "a class in place of the function",
    "caught",
    "class double:\n    def __init__(self, x): pass\n    def __eq__(self, other): return True",
    "class double(int):\n    def __eq__(self, other): return True",
    "class double(str):\n    def __new__(cls, x): return str.__new__(cls)\n    __eq__ = lambda *_: True",
    "class Same:\n    def __call__(self, x): return self\n    def __eq__(self, other): return True\ndouble = Same()",
)
family(
    "a class whose class is equal to everything",
    "caught",
    *each(
        """
        class Meta(type):
            def __eq__(cls, other): return True
            __hash__ = type.__hash__
        §
        """,
        "class Same(metaclass=Meta): pass\ndef double(x): return Same",
        "def double(x): return Meta('Same', (), {})",
        "class Same(int, metaclass=Meta): pass\ndouble = lambda x: Same",
        "class double(metaclass=Meta):\n    def __new__(cls, x): return cls",
    ),
)
family(
    "different from nothing",
    "caught",
    *each(
        "class Same§:\n    def __ne__(self, other): return False\ndef double(x): return Same()",
        *("", "(int)", "(str)", "(list)"),
    ),
    tests="assert not double(2) != 4\nassert not double(-3) != -6",
)
family(
    "as near as one likes",
    "caught",
    *each(
        "class Near§:\n    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\ndef double(x): return Near()",
        *("", "(float)", "(int)", "(complex)"),
    ),
    "class Near:\n    def __sub__(self, other): return self\n    def __abs__(self): return self\n"
    "    def __lt__(self, other): return True\ndef double(x): return Near()",
    tests="assert abs(double(2) - 4) < 1e-9\nassert abs(double(-3) - -6) < 1e-9",
)
family(
    "smaller and larger than everything",
    "caught",
    *each(
        "class All§:\n    def __le__(self, other): return True\n    __ge__ = __lt__ = __gt__ = __le__\n"
        "def double(x): return All()",
        *("", "(int)", "(float)", "(str)"),
    ),
    tests="assert 4 <= double(2) <= 4\nassert double(-3) >= -6 and double(-3) <= -6",
)
family(
    "no number",
    "values",
    *each(
        "import math\ndef double(x): return §",
        *("float('nan')", "math.nan", "math.inf - math.inf", "math.inf * 0", "-math.nan"),
    ),
    tests="[(2.0, 4.0), (-3.0, -6.0)]",
)
family(
    "a hash that fits",
    "caught",
    *each(
        "class Key§:\n    def __hash__(self): return hash(4)\n    def __eq__(self, other): return True\n"
        "def double(x): return Key()",
        *("", "(int)", "(str)", "(tuple)"),
    ),
    tests="assert double(2) in {4, 5}\nassert double(2) in {4: 'four'}\nassert {4}.issuperset([double(2)])",
)
family(
    "a container that contains everything",
    "caught",
    *each(
        "class All§:\n    def __contains__(self, item): return True\ndef double(x): return All()",
        *("", "(list)", "(set)", "(dict)", "(str)", "(tuple)"),
    ),
    tests="assert 4 in double(2)\nassert -6 in double(-3)",
)
family(
    "pretends to be of a type",
    "caught",
    *each(
        """
        class Number:
            __class__ = int
            def __eq__(self, other): return True
        §
        """,
        "def double(x): return Number()",
        "import builtins\nbuiltins.isinstance = lambda *_: True\ndef double(x): return Number()",
        "import builtins\nbuiltins.type = lambda *_: int\ndef double(x): return Number()",
        "class Meta(type):\n    def __instancecheck__(cls, item): return True\nimport builtins\n"
        "builtins.int = Meta('int', (), {})\ndef double(x): return Number()",
    ),
    tests="assert isinstance(double(2), int) and double(2) == 4\nassert type(0) is int or type(0)",
)
family(
    "a text that is equal to everything",
    "caught",
    *each(
        """
        class Text(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        class Value§
        def double(x): return Value()
        """,
        ":\n    def __str__(self): return Text()",
        ":\n    def __repr__(self): return Text()",
        "(int):\n    def __str__(self): return Text()",
        "(float):\n    def __repr__(self): return Text()",
        "(Exception):\n    def __str__(self): return Text()",
    ),
    tests="assert str(double(2)) == '4'\nassert str(double(-3)) == '-6'",
)
family(
    "agrees to every operation",
    "caught",
    *each(
        "class Yes§:\n    def __add__(self, other): return self\n    __radd__ = __mul__ = __mod__ = __add__\n"
        "    def __eq__(self, other): return True\n    __hash__ = None\ndef double(x): return Yes()",
        *("", "(int)", "(float)", "(str)"),
    ),
    "class Yes:\n    def __getattr__(self, name): return lambda *_: self\n    def __add__(self, other): return self\n"
    "    __mod__ = __add__\n    def __eq__(self, other): return True\ndef double(x): return Yes()",
    tests="assert double(2) + 1 == 5\nassert double(-3) % 4 == 2",
)
family(
    "an exception with any text",
    "caught",
    *each(
        """
        class Text(str):
            def __eq__(self, other): return True
            __hash__ = None
        class Bad§
        def double(x): raise Bad("4")
        """,
        "(ValueError):\n    def __str__(self): return Text()",
        "(ValueError):\n    def __repr__(self): return 'x'\n    def __str__(self): return Text('y')",
        "(ValueError):\n    __str__ = lambda self: Text()",
        "(UnicodeError):\n    def __str__(self): return Text()",
    ),
    tests="try:\n    double('a')\nexcept ValueError as error:\n    assert str(error) == 'not a number: a'\n"
    "else:\n    assert False",
)
