"""Judges that ask a language model: questions with a fixed prompt, answered by token probabilities, never by text."""
