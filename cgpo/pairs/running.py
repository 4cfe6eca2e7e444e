"""The run of `cgpo preferences` in its directory, from the claim to what came out of it.

<run_dir>/responses.jsonl    every response with its verdicts and rewards; from which a killed command goes on
<run_dir>/pairs.jsonl        the pairs, each with its provenance; `cgpo dpo` and `cgpo reward` read them
<run_dir>/report.json        counts; written last, so it marks the command as done
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.data.contamination import contaminated_in_words
from cgpo.errors import DataError, RunError
from cgpo.pairs.configuration import preferences_configuration
from cgpo.pairs.pair import write_pairs
from cgpo.pairs.ranked_pairs import ranked_pairs
from cgpo.pairs.report import no_pairs, preferences_report, report_lines
from cgpo.pairs.response_file import RESPONSES_NAME
from cgpo.pairs.sampling import collect_responses
from cgpo.storage.disk import write_atomically
from cgpo.storage.environment import write_environment
from cgpo.storage.file_names import REPORT_NAME
from cgpo.tracking.progress import StageProgress, make_progress
from cgpo.tracking.run_log import user_stdout
from cgpo.tracking.run_start import start_run
from judges.printing import say

PAIRS_NAME = "pairs.jsonl"


def run_preferences(settings: RunSettings, *, fresh: bool = False) -> int:
    """Makes the pairs in `settings.run_dir`; every rank calls it. Returns the exit status, 0.

    Started again with the same configuration it goes on where it stopped, or says again what came out.

    Args:
        settings: as `compose_preferences` gives them.
        fresh: start anew; the old directory is moved aside.

    Raises:
        RunError: the directory belongs to another configuration; the disk is full.
        ConfigError, DataError: a model, file or data set cannot be used, or no prompt gave a pair.
        LimitError: too many verdicts or scores are missing.
        Interrupted: a signal came; what was sampled is kept.
    """
    distributed.read_ranks()
    progress = make_progress(settings.tracking.display, distributed.rank())
    try:
        start_run(settings.run_dir, preferences_configuration(settings), progress, fresh=fresh)
        run_dir = Path(settings.run_dir)
        if any(distributed.gather_objects((run_dir / REPORT_NAME).is_file())):
            progress.message(f"{run_dir}: the pairs are made already")
        else:
            _make(settings, run_dir, progress)
        with distributed.together():
            if distributed.rank() == 0:
                lines = [*report_lines(_read_report(run_dir)), f"pairs: {run_dir / PAIRS_NAME}"]
                say("\n".join(lines), file=user_stdout())
    finally:
        distributed.close_distributed()
    return 0


def _make(settings: RunSettings, run_dir: Path, progress: StageProgress) -> None:
    distributed.on_first_rank(lambda: write_environment(run_dir, distributed.world_size()))
    collected = collect_responses(settings, run_dir / RESPONSES_NAME, progress)
    if collected.contaminated:
        progress.message(f"left out: {contaminated_in_words(collected.contaminated)}")
    with distributed.together():
        ranked = ranked_pairs(collected.responses, settings)
        if not ranked.pairs:
            raise DataError(no_pairs(settings.preferences, ranked.counts))
        if distributed.rank() == 0:
            write_pairs(run_dir / PAIRS_NAME, ranked.pairs)
            report = preferences_report(settings, ranked, collected.contaminated)
            text = json.dumps(report, indent=1, allow_nan=False)
            write_atomically(run_dir / REPORT_NAME, text.encode(), "the report")


def _read_report(run_dir: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads((run_dir / REPORT_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{run_dir / REPORT_NAME} cannot be read: {error}. Start anew with --fresh") from error
    return report
