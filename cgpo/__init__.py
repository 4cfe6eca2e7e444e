"""cgpo: constrained generative policy optimisation of language models with a mixture of judges."""

__version__ = "0.1.0"
