"""The small encoder: what it is made of, and that it is the same wherever it is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from cgpo.models.assets import check_model_name, resolve_model
from cgpo.models.small_encoder import WORD_SPREAD, build_small_encoder, principal_components
from cgpo.rewards.loading import load_base


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    build_small_encoder(resolve_model("minilm"), folder)
    return folder


def test_components_are_those_of_the_singular_value_decomposition() -> None:
    """Against NumPy's other way to them, up to signs and their order."""
    rows = torch.randn(200, 12, generator=torch.Generator().manual_seed(1)) @ torch.diag(torch.arange(1.0, 13.0))
    centred = rows - rows.mean(dim=0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    expected = (left * values)[:, :3]
    found = principal_components(rows, 3).flip(1)
    scale = expected.std()
    torch.testing.assert_close(found.abs(), (expected / scale).abs(), rtol=1e-3, atol=1e-3)


def test_words_keep_their_neighbours(encoder: Path) -> None:
    """A word is nearer to one of like meaning than to another, as in MiniLM."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    words = AutoModel.from_pretrained(encoder).embeddings.tok_embeddings.weight.detach()
    assert words.std().item() == pytest.approx(WORD_SPREAD, rel=1e-3)

    def cosine(a: str, b: str) -> float:
        ids = tokenizer.convert_tokens_to_ids([a, b])
        return float(torch.nn.functional.cosine_similarity(words[ids[0]], words[ids[1]], dim=0))

    assert cosine("happy", "glad") > cosine("happy", "table")
    assert cosine("monday", "friday") > cosine("monday", "friendly")


def test_the_same_wherever_it_is_made(encoder: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    build_small_encoder(resolve_model("minilm"), tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before), "it drew from the caller's random numbers"
    one, two = AutoModel.from_pretrained(encoder).state_dict(), AutoModel.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(one[name].abs(), two[name].abs()) for name in one)


def test_found_by_name_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CGPO_CACHE", str(tmp_path))
    check_model_name("minilm_small")
    folder = Path(resolve_model("minilm_small"))
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_model("minilm_small") == str(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    model, tokenizer, *_ = load_base("minilm_small", "reward_stage.base", 0, ["love"])
    assert model.config.num_labels == 1
    assert tokenizer.pad_token == "[PAD]"
