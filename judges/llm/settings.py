"""Where a judge's model is and how it may be asked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from judges.errors import unknown_name

CONNECTION = frozenset(
    f"llm.{name}"
    for name in (
        "base_url",
        "api_key_env",
        "max_concurrency",
        "requests_per_second",
        "retries",
        "backoff_seconds",
        "give_up_after",
        "request_seconds",
        "max_batch",
        "max_memory_share",
    )
)
"""Options that cannot change a verdict: not in the key of the verdict cache."""


class LLMSettings(BaseModel):
    """A model that answers a judge's questions (option `llm`)."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    model: str
    """The name under which the endpoint serves it; for the other back ends a hub name or local folder."""
    backend: Literal["endpoint", "vllm", "transformers"] = "endpoint"
    """`endpoint`: any OpenAI-compatible server (vLLM's `vllm serve` and others). `vllm`, `transformers`: loaded into
    this process; for judging files, not beside training on the same device."""
    base_url: str = Field(default="http://127.0.0.1:8000/v1", pattern=r"^https?://")
    """Address of the endpoint, up to and with `/v1`."""
    api_key_env: str | None = None
    """Environment variable that holds the endpoint's key."""
    scoring: Literal["logprobs", "prompt_logprobs"] = "logprobs"
    """`logprobs`: the likeliest next tokens, one request a question. `prompt_logprobs` (vLLM's endpoint only): the
    probability of each spelling of the answers, however unlikely; a request for each."""
    top_logprobs: int = Field(default=20, ge=2, le=100)
    """How many of the likeliest tokens to ask for. OpenAI's own and vLLM's default limit is 20."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the model's chat template, e.g. `{enable_thinking: false}`."""
    special_tokens: list[str] = Field(default_factory=list)
    """Special tokens of the model's chat format besides the usual forms (`<|…|>`, `</s>`, `[INST]`, …): they are made
    harmless in what the judge is shown."""
    max_concurrency: int = Field(default=32, ge=1)
    """Requests under way at once to one endpoint."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Requests started per second at most. Unset: no limit."""
    retries: int = Field(default=4, ge=0)
    """Further attempts after a lost connection, a time-out, or the statuses 408, 409, 425, 429 and 5xx."""
    backoff_seconds: float = Field(default=0.5, gt=0)
    """Longest wait before the first further attempt; doubles each time; the wait is random below that, and at least
    the server's Retry-After."""
    give_up_after: int = Field(default=32, ge=1)
    """Requests that fail in a row, after all their attempts, before further ones fail at once; after a pause of 10 s
    they are tried again."""
    request_seconds: float = Field(default=30.0, gt=0)
    """Time limit of one attempt. That of a whole question, with its further attempts, is `timeout_seconds`."""
    max_batch: int = Field(default=32, ge=1)
    """Questions computed side by side by the back ends `vllm` and `transformers`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights, for the back ends `vllm` and `transformers`."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Most tokens of a question, for the back end `vllm`. Unset: what the model allows."""
    max_memory_share: float = Field(default=0.4, gt=0, le=1)
    """Share of the GPU's memory for the back end `vllm`."""

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, value: Any) -> Any:
        """Names the nearest option, which pydantic's own message does not."""
        if isinstance(value, dict):
            for name in value:
                if name not in cls.model_fields:
                    raise ValueError(unknown_name("option", str(name), cls.model_fields))
        return value
