"""Weight transfer into a vLLM engine on the same host, as a back end of vLLM's weight-transfer API.

vLLM's own back ends are `nccl` (other GPUs) and `ipc` (CUDA memory of another process). Neither serves an engine in
the policy's own process: a CUDA IPC handle cannot be opened by the process that made it, and on a CPU there is
neither. This one, `cgpo_shm`, hands tensors over by reference when the engine lives in this process, and through
POSIX shared memory when it is a process of its own.

Loading is vLLM's layerwise reload: tensors are buffered until a layer is complete, then processed and copied into
the storage the engine already uses. On a CPU that leaves one thing stale, which is mended here: a linear layer
computes with a prepacked copy of its weight, and the copy of an output head tied to the embedding belongs to a module
for which no tensor arrives, so vLLM never packs it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.shared_memory import SharedMemory
from typing import Any, ClassVar

import torch
from vllm.distributed.weight_transfer.base import (
    ParamMeta,
    TrainerInitInfo,
    TrainerWeightTransferEngine,
    VLLMWeightSyncClient,
    WeightSource,
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory, WeightTransferTrainerFactory

from cgpo.errors import listed
from cgpo.rollout.engine import WeightStream, whole_pass

BACKEND = "cgpo_shm"

CHUNK_BYTES = 256 * 2**20
"""Weights handed over at once: bounds the memory of the copies, while a chunk is large against a call's overhead."""

_ALIGNMENT = 64

Named = tuple[str, torch.Tensor]


@dataclass
class ShmInitInfo(WeightTransferInitInfo):  # type: ignore[misc]
    """Nothing to agree on: every update says how it travels."""


@dataclass
class ShmUpdateInfo(WeightTransferUpdateInfo):  # type: ignore[misc]
    """One chunk of weights.

    Attributes:
        names: Hugging Face parameter names.
        tensors: the tensors themselves, in the same process; they stay as they are until the update is finished.
        segment: name of a shared-memory segment, for another process; it lives until the call returns.
        layout: where in the segment each tensor lies: (dtype name, shape, offset in bytes).
    """

    names: list[str]
    tensors: list[torch.Tensor] | None = None
    segment: str | None = None
    layout: list[tuple[str, list[int], int]] = field(default_factory=list)

    def weights(self) -> list[Named]:
        """The named tensors, free to be kept until the update is finished."""
        if self.tensors is not None:
            return list(zip(self.names, self.tensors, strict=True))
        if self.segment is None:
            raise ValueError("a weight update needs either `tensors` or `segment`")
        return list(zip(self.names, _read_segment(self.segment, self.layout), strict=True))


class ShmWeightTransferEngine(WeightTransferEngine[ShmInitInfo, ShmUpdateInfo]):  # type: ignore[misc]
    """The engine's side: loads what arrives and makes sure that all of it arrived and nothing stale is left."""

    init_info_cls = ShmInitInfo
    update_info_cls = ShmUpdateInfo

    def __init__(self, config: Any, vllm_config: Any, device: torch.device, model: torch.nn.Module) -> None:
        super().__init__(config, vllm_config, device, model)
        # Tied weights appear once here, under the name that the loader reports too.
        self._expected = {name for name, _ in model.named_parameters()}
        self._loaded: set[str] | None = set()
        self._packed: dict[torch.nn.Module, Callable[..., torch.Tensor]] = {}

    def init_transfer_engine(self, init_info: ShmInitInfo) -> None:
        """No rendezvous is needed."""

    def start_weight_update(self) -> None:
        from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

        self._loaded = set()
        self._packed = packed_copies(self.model)
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        # The base class's own synchronises an accelerator, which a CPU does not have.
        self.receive_weights(self.parse_update_info(update_info))
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)

    def receive_weights(self, update_info: ShmUpdateInfo) -> None:
        from vllm.model_executor.model_loader.mtp_validation import disable_mtp_completeness_check

        with disable_mtp_completeness_check():
            loaded = self.model.load_weights(update_info.weights())
        # Some models do not report what they loaded; then completeness is unknown, and the parity check must do.
        self._loaded = None if loaded is None or self._loaded is None else self._loaded | set(loaded)

    def finish_weight_update(self) -> None:
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

        missing = set() if self._loaded is None else self._expected - self._loaded
        if missing and self.model_config.quantization is None:
            raise ValueError(f"no weights arrived for {listed(sorted(missing), 5)}")
        finalize_layerwise_reload(self.model, self.model_config)
        repack_stale_copies(self.model, self._packed)
        self._packed = {}

    def shutdown(self) -> None:
        self._packed = {}


def packed_copies(model: torch.nn.Module) -> dict[torch.nn.Module, Callable[..., torch.Tensor]]:
    """The modules that compute with a prepacked copy of their weight, with the function that holds the copy."""
    return {module: module.cpu_linear for module in model.modules() if hasattr(module, "cpu_linear")}  # type: ignore[misc]


def repack_stale_copies(model: torch.nn.Module, before: dict[torch.nn.Module, Callable[..., torch.Tensor]]) -> None:
    """Pack the weight again wherever an update left the old copy in place.

    A module whose weight was given up after packing (it is empty then) has nothing to pack from; the check for
    missing weights has already made sure that it got a new one.
    """
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    for module in model.modules():
        stale = module in before and getattr(module, "cpu_linear", None) is before[module]
        if stale and not module.weight.is_meta and module.weight.numel() > 0:  # type: ignore[operator]
            dispatch_cpu_unquantized_gemm(module, remove_weight=False)


class WorkerExtension:
    """Named to vLLM as `worker_extension_cls`: its import registers the back end in the engine's own process."""


class StreamSource(WeightSource):  # type: ignore[misc]
    """A `WeightStream` as vLLM's trainer side wants it."""

    def __init__(self, stream: WeightStream) -> None:
        self._stream = stream

    def metadata(self) -> list[ParamMeta]:
        return [ParamMeta(name, dtype, tuple(shape)) for name, dtype, shape in self._stream.metadata()]

    def __iter__(self) -> Iterator[Named]:
        return whole_pass(self._stream)


@dataclass
class ShmTrainerInitInfo(TrainerInitInfo):  # type: ignore[misc]
    """How the trainer's side sends.

    Attributes:
        same_process: the engine lives in this process, so that tensors need not travel.
        chunk_bytes: weights handed over at once, in bytes.
    """

    backend: ClassVar[str] = BACKEND
    same_process: bool = True
    chunk_bytes: int = CHUNK_BYTES


class ShmTrainerWeightTransferEngine(TrainerWeightTransferEngine[ShmTrainerInitInfo]):  # type: ignore[misc]
    """The policy's side. Every process drives its own engine, so each one is a sender."""

    init_info_cls = ShmTrainerInitInfo

    def __init__(self, info: ShmTrainerInitInfo, client: VLLMWeightSyncClient, source: WeightSource | None) -> None:
        super().__init__(client=client, source=source, is_sender=info.is_sender)
        self._info = info

    @classmethod
    def trainer_init(
        cls, init_info: ShmTrainerInitInfo, *, client: VLLMWeightSyncClient, source: WeightSource | None = None
    ) -> ShmTrainerWeightTransferEngine:
        client.init_weight_transfer_engine(asdict(ShmInitInfo()))
        return cls(init_info, client, source)

    def send_weights(self, source: WeightSource | None = None) -> None:
        """Send one pass over `source` (or over the source given at the start) and wait until it is in use.

        Raises:
            RunError: the stream is not what its metadata says.
            Exception: whatever vLLM raises; the engine's weights are then half new and half old.
        """
        source = source or self.source
        if source is None:
            raise ValueError("no weights to send: give `source` here or to `trainer_init`")
        self.client.start_weight_update()
        passing = iter(source)
        try:
            for names, tensors in _chunks(passing, self._info.chunk_bytes):
                self._send(names, tensors)
        finally:
            # Runs the stream to its end when vLLM failed: the pass may be a collective.
            getattr(passing, "close", lambda: None)()
        self.client.finish_weight_update()

    def _send(self, names: list[str], tensors: list[torch.Tensor]) -> None:
        if self._info.same_process:
            self.client.update_weights({"names": names, "tensors": tensors})
            return
        segment, layout = _write_segment(tensors)
        try:
            self.client.update_weights({"names": names, "segment": segment.name, "layout": layout})
        finally:
            segment.close()
            segment.unlink()


class LocalClient:
    """vLLM's control calls for an `LLM` object of this process."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self._llm.init_weight_transfer_engine({"init_info": init_info})

    def start_weight_update(self) -> None:
        self._llm.start_weight_update()

    def update_weights(self, update_info: Any) -> None:
        self._llm.update_weights({"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self._llm.finish_weight_update(weight_version)


def _chunks(stream: Iterable[Named], limit: int) -> Iterator[tuple[list[str], list[torch.Tensor]]]:
    """Names and copies of the tensors, as many at once as fit into `limit` bytes (one at least).

    Copies, because a streamed tensor is valid only until the next one, while vLLM keeps what it gets until a layer
    is complete (query, key and value arrive one by one and become one weight).
    """
    names: list[str] = []
    tensors: list[torch.Tensor] = []
    size = 0
    for name, tensor in stream:
        if names and size + tensor.nbytes > limit:
            yield names, tensors
            names, tensors, size = [], [], 0
        names.append(name)
        tensors.append(tensor.detach().clone(memory_format=torch.contiguous_format))
        size += tensor.nbytes
    if names:
        yield names, tensors


def _write_segment(tensors: list[torch.Tensor]) -> tuple[SharedMemory, list[tuple[str, list[int], int]]]:
    """Copy tensors into a new shared-memory segment; the caller closes and unlinks it."""
    offsets, end = [], 0
    for tensor in tensors:
        offsets.append(end)
        end += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
    segment = SharedMemory(create=True, size=max(end, 1))
    layout = []
    for tensor, offset in zip(tensors, offsets, strict=True):
        dtype = str(tensor.dtype).removeprefix("torch.")
        if tensor.numel() > 0:
            _view(segment, dtype, list(tensor.shape), offset).copy_(tensor)
        layout.append((dtype, list(tensor.shape), offset))
    return segment, layout


def _read_segment(name: str, layout: list[tuple[str, list[int], int]]) -> list[torch.Tensor]:
    segment = SharedMemory(name=name)
    try:
        return [_view(segment, dtype, shape, offset).clone() for dtype, shape, offset in layout]
    finally:
        segment.close()


def _view(segment: SharedMemory, dtype: str, shape: list[int], offset: int) -> torch.Tensor:
    """A tensor over part of the segment; it must be gone before the segment is closed."""
    kind = getattr(torch, dtype)
    count = torch.Size(shape).numel()
    if count == 0:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(segment.buf, dtype=kind, count=count, offset=offset).view(shape)


def register() -> None:
    """Make the back end known to vLLM in this process. Allowed more than once."""
    if BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(BACKEND, ShmWeightTransferEngine)
    if BACKEND not in WeightTransferTrainerFactory._registry:
        WeightTransferTrainerFactory.register_engine(BACKEND, ShmTrainerWeightTransferEngine)


register()
