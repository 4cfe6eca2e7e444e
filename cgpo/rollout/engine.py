"""The rollout engine: the protocol of whatever generates the responses, and how one is made by name.

An engine holds its own copy of the policy's weights. `sync` brings them up to date after an optimiser step, and
`score` lets the trainer check that they really are (`cgpo.rollout.parity`). Engines are plugins: entry points of the
group `cgpo.rollout_engines`. Nothing heavy is imported here, because the command line validates names with it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cgpo import plugins
from cgpo.errors import ConfigError, RunError, unknown_name

if TYPE_CHECKING:
    import torch

    from cgpo.config import RolloutSettings, RunSettings
    from cgpo.types import GenerationRequest, Rollout

GROUP = "cgpo.rollout_engines"

TokenIds = tuple[int, ...]
"""Token ids of one sequence, oldest first, without padding."""

NO_VLLM = (
    "rollout.engine is 'vllm', but vLLM is not installed. Type `make setup` in a checkout or "
    "`pip install 'cgpo[vllm]'` on a machine with a GPU, or use transformers instead with `rollout.engine=hf`"
)


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine is made from.

    Attributes:
        model_path: folder or hub name of the policy, already resolved (no aliases).
        revision: branch, tag or commit on the hub, or None.
        trust_remote_code: run Python code that comes with the model's repository.
        dtype: type of the policy's weights, `float32`, `bfloat16` or `float16`.
        context_length: most tokens of prompt + response.
        settings: the `rollout` settings; a plugin's own ones are in `settings.options`.
        seed: the run's seed. Requests carry their own; this one covers anything else that is random.
        rank: this process among all processes of the run, from 0.
        world_size: number of processes. Every process has an engine of its own.
    """

    model_path: str
    revision: str | None
    trust_remote_code: bool
    dtype: str
    context_length: int
    settings: RolloutSettings
    seed: int
    rank: int
    world_size: int


class WeightStream(Protocol):
    """The policy's current weights under their Hugging Face parameter names, whole (not sharded).

    It can be iterated again and again; each pass yields the weights as they are then. On a sharded policy a pass may
    be a collective: then every rank makes it, from the first tensor to the last.
    """

    def metadata(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, type and shape of every tensor, in the order of iteration, without gathering any."""
        ...

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Name and full tensor. A tensor is valid only until the next one is asked for."""
        ...


@runtime_checkable
class RolloutEngine(Protocol):
    """Generates responses from a copy of the policy. One engine per process, used by one thread at a time."""

    def __init__(self, context: EngineContext) -> None: ...

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Rollout]:
        """Yield each response as soon as it is finished, in the order of finishing.

        A request's response depends only on the weights and the request, not on what else is in the batch (up to
        the rounding of floating-point sums). Closing the iterator early drops the responses still in the making.

        Raises:
            ConfigError: a prompt leaves no room for a response within the context.
            RunError: a `sync` failed half-way, so the weights are of no known policy.
        """
        ...

    def score(self, sequences: Sequence[tuple[TokenIds, TokenIds]]) -> list[list[float]]:
        """Log-probability (nats, temperature 1) of every response token, for pairs (prompt ids, response ids).

        Raises:
            RunError: as for `generate`.
        """
        ...

    def sync(self, weights: WeightStream) -> None:
        """Load new weights. No response may be in the making. The engine must be awake.

        A failure half-way leaves weights that belong to no policy: from then on every method but `close` raises.

        Raises:
            RunError: names or shapes are not those of the engine's model, or the transfer failed.
        """
        ...

    def sleep(self) -> None:
        """Give memory back while the policy learns. Allowed when asleep already."""
        ...

    def wake(self) -> None:
        """Be ready to `sync` and `generate`, with the weights the engine fell asleep with. Allowed when awake."""
        ...

    def close(self) -> None:
        """Release everything; the engine is of no use afterwards. Allowed when closed already."""
        ...


def whole_pass(weights: WeightStream) -> Generator[tuple[str, torch.Tensor], None, None]:
    """One pass over the stream, each tensor checked against the metadata, that always runs to its end.

    A pass may be a collective: a rank that breaks off would leave the others waiting for ever. So when the consumer
    stops early (it failed, and closes this iterator), the rest is still iterated.

    Raises:
        RunError: what is streamed differs from what `metadata` declares.
    """
    declared = weights.metadata()
    stream = iter(weights)
    try:
        for name, dtype, shape in declared:
            streamed_name, tensor = next(stream, ("(nothing)", None))
            streamed = (streamed_name, tensor.dtype, tuple(tensor.shape)) if tensor is not None else streamed_name
            if tensor is None or streamed != (name, dtype, tuple(shape)):
                raise RunError(f"the weight stream declares {name} {dtype} {tuple(shape)}, but yields {streamed}")
            yield name, tensor
        extra = next(stream, None)
        if extra is not None:
            raise RunError(f"the weight stream yields {extra[0]} after the last tensor that it declares")
    finally:
        for _ in stream:
            pass


def engine_names() -> list[str]:
    """Names that `rollout.engine` may have, built-in and installed ones, sorted. Imports no engine."""
    return plugins.names(GROUP)


def check_engine(name: str) -> None:
    """Refuse an engine that cannot be used here, without importing it.

    Raises:
        ConfigError: the name is unknown, two packages claim it, or it needs vLLM and that is not installed.
    """
    known = engine_names()
    if name not in known:
        raise ConfigError(unknown_name("rollout engine", name, known, where="rollout.engine"))
    if name == "vllm" and importlib.util.find_spec("vllm") is None:
        raise ConfigError(NO_VLLM)


def create_engine(name: str, context: EngineContext) -> RolloutEngine:
    """Make the engine of that name.

    Raises:
        ConfigError: as `check_engine`, or the engine's package is broken or holds no engine.
    """
    check_engine(name)
    engine = plugins.load(GROUP, "rollout engine", name, "rollout.engine")(context)
    if not isinstance(engine, RolloutEngine):
        needed = "generate, score, sync, sleep, wake, close"
        raise ConfigError(f"rollout.engine {name!r} is no rollout engine: it needs the methods {needed}")
    return engine


def check_ready(broken: str | None, asleep: bool) -> None:
    """Refuse work that an engine cannot do.

    Args:
        broken: why a weight sync failed half-way, or None when none did.
        asleep: the engine sleeps.

    Raises:
        RunError: it is either of these.
    """
    if broken is not None:
        raise RunError(
            "the rollout engine cannot be used: a weight sync failed half-way, so that its weights are of no "
            f"known policy ({broken})"
        )
    if asleep:
        raise RunError("the rollout engine is asleep: wake it first")


def start_engine(settings: RunSettings, context_length: int) -> RolloutEngine:
    """This rank's engine for the policy of a run; it holds the weights of `model.name` until the first `sync`.

    Args:
        settings: the run's.
        context_length: most tokens of prompt + response.

    Raises:
        ConfigError: as `create_engine`, or the model cannot be found.
    """
    from cgpo import distributed
    from cgpo.models.assets import resolve_model

    model = settings.model
    context = EngineContext(
        model_path=resolve_model(model.name),
        revision=model.revision,
        trust_remote_code=model.trust_remote_code,
        dtype=model.dtype,
        context_length=context_length,
        settings=settings.rollout,
        seed=settings.seed,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    return create_engine(settings.rollout.engine, context)


def request_seed(run_seed: int, step: int, stratum: str, prompt_id: str, index: int) -> int:
    """The seed of one request, in [0, 2⁶³): the same in every run that asks for the same sample.

    Args:
        run_seed: the run's seed.
        step: optimiser step the response is generated for.
        stratum: name of the stratum.
        prompt_id: the prompt's id within the stratum.
        index: k, which of the prompt's responses it is.
    """
    # repr of the tuple keeps the parts apart: ("a", "b1", 2) and ("a", "b", 12) must not meet.
    parts = repr((run_seed, step, stratum, prompt_id, index))
    return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:8], "big") >> 1
