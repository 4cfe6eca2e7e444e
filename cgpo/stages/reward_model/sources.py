"""The sources of each head's rows: data sets, feedback, or pairs made from responses to the strata's prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from cgpo import distributed
from cgpo.config import HeadSettings, PairwiseHeadSettings, RewardPairSettings, RunSettings
from cgpo.data.contamination import strata_heldout
from cgpo.errors import RunError
from cgpo.pairs.pair import PreferencePair, counts_by_kind, read_pairs, write_pairs
from cgpo.pairs.response_file import SampledResponse
from cgpo.pairs.rows import PairData, read_preference_rows
from cgpo.pairs.sampling import sample_responses
from cgpo.pairs.synthetic import synthetic_pairs
from cgpo.stages.configuration import started_from
from cgpo.stages.reward_model.rows import HeadRows, read_text_rows, row_of_pair
from cgpo.stages.running import announce_rows
from cgpo.storage.disk import write_atomically
from cgpo.tracking.progress import StageProgress


class HeadSources:
    """Reads or makes the rows of the heads of one run; every rank calls it together with the others.

    Args:
        settings: the run's.
        run_dir: where pairs are kept.
        progress: told what was left out.
    """

    def __init__(self, settings: RunSettings, run_dir: Path, progress: StageProgress) -> None:
        self._settings = settings
        self._stage = settings.reward_stage
        self._run_dir = run_dir
        self._progress = progress
        self._responses: dict[tuple[object, ...], list[SampledResponse]] = {}

    def shares(self) -> dict[str, float]:
        """Name → share of the prompts to hold out, of the heads whose rows do not say themselves which are."""
        return {
            name: head.heldout_share
            for name, head in self._stage.all_heads().items()
            if not isinstance(head, PairwiseHeadSettings)
            and head.heldout_path is None
            and getattr(head, "feedback", None) is None
        }

    def rows(self, name: str, head: HeadSettings) -> HeadRows:
        """All rows of a head.

        Raises:
            ConfigError, DataError: a data set or a model cannot be used. RunError: what a killed stage left is damaged.
        """
        if isinstance(head, PairwiseHeadSettings):
            pairs, left_out = self._pairs(name, head)
            kinds = ", ".join(f"{count} {kind}" for kind, count in counts_by_kind(pairs).items())
            self._progress.message(f"head {name}: {len(pairs)} pairs ({kinds})")
            return HeadRows([row_of_pair(pair) for pair in pairs], left_out=left_out)
        with distributed.together():
            rows = read_text_rows(head, f"reward_stage.heads.{name}")
        announce_rows(self._progress, f"reward_stage.heads.{name}", rows.bad, too_long=0)
        return replace(rows, left_out={"bad": len(rows.bad)})

    def _pairs(self, name: str, head: PairwiseHeadSettings) -> tuple[list[PreferencePair], dict[str, int] | None]:
        """The pairs of a head, those on disk or else new ones, and what was left out, where they were given."""
        file = self._run_dir / (f"pairs-{name}.jsonl" if self._stage.heads else "pairs.jsonl")
        if not any(distributed.gather_objects(file.is_file())):
            left_out: dict[str, int] | None = None
            settings = self._stage.pairs_of(head)
            sampled = self._sampled(settings) if settings.path is None else []
            with distributed.together():
                if settings.path is not None:
                    where = "reward_stage.pairs" if head.pairs is None else f"reward_stage.heads.{name}.pairs"
                    data = self._given(settings, head.margin_column, where)
                    pairs, left_out = data.pairs, {"bad": len(data.bad), **data.left_out}
                else:
                    pairs = synthetic_pairs(sampled, settings, self._settings.seed)
                if distributed.rank() == 0:
                    # Before the pairs: where these are, a stage that was killed finds the counts too.
                    text = json.dumps({"schema": 1, "left_out": left_out})
                    write_atomically(_counts_file(file), text.encode(), "what was left out of the preference pairs")
                    write_pairs(file, pairs)
        with distributed.together():
            return read_pairs(file), _left_out(_counts_file(file))

    def _sampled(self, pairs: RewardPairSettings) -> list[SampledResponse]:
        """Judged responses; heads that ask for the same ones share them."""
        key = (pairs.model, pairs.prompts_per_stratum, pairs.responses_per_prompt, pairs.temperature)
        if key not in self._responses:
            sampled_from = started_from(self._settings, pairs.model)
            self._responses[key] = sample_responses(sampled_from, pairs, self._progress)
        return self._responses[key]

    def _given(self, pairs: RewardPairSettings, margin_column: str | None, where: str) -> PairData:
        """The pairs of a user's data set, without those of the strata's held-out prompts; its own split is kept."""
        heldout = strata_heldout(self._settings) if pairs.contamination.action != "off" else []
        data = read_preference_rows(
            pairs.as_data(), seed=self._settings.seed, where=where, margin_column=margin_column, heldout=heldout
        )
        announce_rows(self._progress, where, data.bad, too_long=0)
        for line in data.lines(where):
            self._progress.message(line)
        return data


def _counts_file(pairs: Path) -> Path:
    return pairs.with_suffix(".left_out.json")


def _left_out(file: Path) -> dict[str, int] | None:
    if not file.is_file():  # somebody else put the pairs there
        return None
    try:
        counts: dict[str, int] | None = json.loads(file.read_text(encoding="utf-8"))["left_out"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} cannot be read: {error}. Start anew with --fresh") from error
    return counts
