"""From a request to a judged and scored response."""
