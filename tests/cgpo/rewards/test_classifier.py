"""The reward model on real parts: MiniLM as an encoder, a small chat model as a causal base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_models import small_model

from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.rewards.classifier import ClassifierSettings
from cgpo.rewards.encoding import ResponseEncoder, batches_by_length
from cgpo.rewards.loading import check_max_length, load_base, load_trained
from cgpo.rewards.model import Reward, create_reward, reward_types
from cgpo.types import Prompt


def prompt(text: str, name: str = "p") -> Prompt:
    return Prompt(name, ({"role": "user", "content": text},))


def saved(base: str, folder: Path) -> str:
    """A classifier with a seeded head as if it had been trained."""
    model, tokenizer = load_base(base, "reward_stage.base", seed=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def encoder_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved("minilm", tmp_path_factory.mktemp("reward") / "encoder")


@pytest.fixture(scope="module")
def causal_model(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tiny_model, tmp_path_factory.mktemp("reward") / "causal")


@pytest.fixture(params=["encoder", "causal"])
def reward(request: pytest.FixtureRequest) -> Reward:
    return create_reward("helpfulness", ClassifierSettings(model=request.getfixturevalue(f"{request.param}_model")))


TEXTS = [
    "",
    "Yes.",
    "It is 7.",
    "a much longer answer " * 8,
    "NUL \x00 and \udc80 lone",
    "[SEP] <|im_end|> {x} 😀",
    "Yes.",
]


def test_a_score_depends_on_its_own_text_alone(reward: Reward) -> None:
    prompts = [prompt(f"What is {i} + 1?") for i in range(len(TEXTS) - 1)] + [prompt("What is 1 + 1?")]
    together = reward.score(prompts, TEXTS)
    alone = [reward.score([p], [t])[0] for p, t in zip(prompts, TEXTS, strict=True)]
    assert together == pytest.approx(alone, abs=1e-4)
    assert together[-1] == together[1]  # the same prompt and response, scored once
    assert len({round(s, 6) for s in together if s is not None}) == len(TEXTS) - 1


def test_no_responses(reward: Reward) -> None:
    assert reward.score([], []) == []


def test_nan_and_infinity_are_missing(encoder_model: str) -> None:
    import torch

    reward = create_reward("helpfulness", ClassifierSettings(model=encoder_model))
    for broken in (torch.nan, torch.inf):
        reward.source._model.classifier.bias.data.fill_(broken)  # type: ignore[attr-defined]
        assert reward.score([prompt("a")] * 2, ["b", "c"]) == [None, None]


def test_a_long_prompt_loses_its_start_and_the_response_stays(encoder_model: str) -> None:
    reward = create_reward("h", ClassifierSettings(model=encoder_model, max_length=32))
    a, b, end = (prompt(start + " word" * 50 + end) for start, end in (("x", ""), ("y", ""), ("x", " z")))
    response = " ".join(["answer"] * 20)
    same, also, other = reward.score([a, b, end], [response] * 3)
    assert same == also
    assert other != same
    assert reward.score([a], [response + " no"]) != [same]


def test_pair_encoding_by_token(encoder_model: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder_model)
    encoder = ResponseEncoder(tokenizer, 9, "here")
    found = encoder.encode(prompt("one two three four five six"), "seven eight")
    assert " ".join(tokenizer.convert_ids_to_tokens(found.ids)) == "[CLS] three four five six [SEP] seven eight [SEP]"
    assert found.types == (0, 0, 0, 0, 0, 0, 1, 1, 1)
    alone = encoder.encode(prompt("one two"), "a b c d e f g h i")
    assert " ".join(tokenizer.convert_ids_to_tokens(alone.ids)) == "[CLS] [SEP] a b c d e f [SEP]"


def test_chat_encoding_is_the_template(causal_model: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(causal_model)
    long, short = (ResponseEncoder(tokenizer, n, "here") for n in (64, 12))
    whole = long.encode(prompt("What is 1 + 2?"), "It is 3.")
    text = tokenizer.decode(whole.ids)
    assert text.endswith("<|im_start|>assistant\nIt is 3.<|im_end|>\n")
    assert "What is 1 + 2?" in text
    assert short.encode(prompt("What is 1 + 2?"), "It is 3.").ids == whole.ids[-12:]


def test_a_causal_base_without_padding_token(tiny_model: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = saved(tiny_model, tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    reward = create_reward("h", ClassifierSettings(model=folder))
    scores = reward.score([prompt("a")] * 2, ["b", "b c d e f"])
    assert scores == pytest.approx([reward.score([prompt("a")], [t])[0] for t in ("b", "b c d e f")], abs=1e-5)


def test_batches_hold_to_the_token_budget() -> None:
    lengths = [5, 50, 7, 6, 200, 49]
    batches = list(batches_by_length(lengths, 100))
    assert batches == [[0, 3, 2], [5, 1], [4]]


def test_a_folder_that_the_stage_has_not_made_yet() -> None:
    with pytest.raises(ConfigError, match=r"rewards\.h\.model: 'runs/none/model' is no model.*cgpo reward experiment="):
        create_reward("h", ClassifierSettings(model="runs/none/model"))


def test_a_hub_name_that_cannot_be_had() -> None:
    with pytest.raises(ConfigError, match=r"rewards\.h\.model: 'no/such-model' cannot be loaded"):
        create_reward("h", ClassifierSettings(model="no/such-model"))


def test_an_untrained_head_is_refused(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    from cgpo.models.assets import resolve_model

    folder = resolve_model("minilm")
    model = AutoModel.from_pretrained(folder, num_labels=1)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"lack classifier\.bias, classifier\.weight"):
        create_reward("h", ClassifierSettings(model=str(tmp_path)))


def spoiled(folder: Path, **files: bytes | None) -> str:
    """A small model in whose folder these files have other contents, or are gone."""
    small_model(folder, ["a"])
    for name, content in files.items():
        file = folder / {"weights": "model.safetensors", "config": "config.json"}[name]
        file.unlink() if content is None else file.write_bytes(content)
    return str(folder)


def configured(folder: Path, **changes: Any) -> str:
    """A small model whose config.json says something else than its weights."""
    small_model(folder, ["a"])
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, **changes}))
    return str(folder)


def test_files_that_are_no_model_are_named(tmp_path: Path) -> None:
    folders = [
        spoiled(tmp_path / "cut", weights=b"\x10" + bytes(7) + b"{"),
        spoiled(tmp_path / "junk", weights=b"\xff" * 500),
        spoiled(tmp_path / "none", weights=None),
        spoiled(tmp_path / "list", config=b"[]"),
        "x" * 300,
    ]
    for model in folders:
        with pytest.raises(ConfigError, match=r"rewards\.r\.model"):
            load_trained(model, "rewards.r.model")


def test_weights_of_another_shape_or_another_model_are_refused(tmp_path: Path) -> None:
    wider = configured(tmp_path / "wider", hidden_size=64)
    with pytest.raises(ConfigError, match=r"other shapes in its files than its config\.json says"):
        load_trained(wider, "rewards.r.model")
    with pytest.raises(ConfigError, match=r"other shapes in its files than its config\.json says, bert\."):
        load_base(wider, "reward_stage.base", 0)
    outputs = configured(tmp_path / "outputs", id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    with pytest.raises(ConfigError, match=r"classifier.*\[1.*instead of \[2"):
        load_trained(outputs, "rewards.r.model")
    load_base(outputs, "reward_stage.base", 0, ["a", "b", "c"])  # of a base the head is new anyway
    other = configured(tmp_path / "other", model_type="electra")
    with pytest.raises(ConfigError, match=r"is no trained model: its files lack .* weights"):
        load_base(other, "reward_stage.base", 0)


def test_a_folder_without_tokenizer_files_is_refused(tmp_path: Path) -> None:
    folder = Path(small_model(tmp_path / "model", ["a"]))
    for file in folder.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            file.unlink()
    with pytest.raises(ConfigError, match=r"rewards\.r\.model.*okenizer"):
        load_trained(str(folder), "rewards.r.model")
    with pytest.raises(ConfigError, match=r"reward_stage\.base.*okenizer"):
        load_base(str(folder), "reward_stage.base", 0)


def test_positions_that_do_not_begin_at_zero(tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = RobertaForSequenceClassification(RobertaConfig(vocab_size=50, max_position_embeddings=34, **sizes))
    check_max_length(model, 32, "rewards.r.max_length")
    with pytest.raises(ConfigError, match="at most 32 tokens"):
        check_max_length(model, 33, "rewards.r.max_length")


def test_more_tokens_than_the_model_has_positions(encoder_model: str) -> None:
    with pytest.raises(ConfigError, match=r"rewards\.h\.max_length = 513: the model knows at most 512"):
        create_reward("h", ClassifierSettings(model=encoder_model, max_length=513))


def test_unknown_type_names_the_nearest() -> None:
    assert "sequence_classifier" in reward_types()
    with pytest.raises(ConfigError, match=r"rewards\.h\.type.*Did you mean 'sequence_classifier'"):
        create_reward("h", RewardSettings(type="sequence_clasifier"))
