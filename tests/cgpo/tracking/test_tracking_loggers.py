"""Views of the metrics: TensorBoard's real event files, and a clear word when a package is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cgpo.config import TrackingSettings
from cgpo.errors import ConfigError
from cgpo.tracking.loggers import make_loggers


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, round(e.value, 3)) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path: Path) -> None:
    for first, last in ((1, 3), (3, 4)):
        (logger,) = make_loggers(TrackingSettings(), tmp_path, first)
        for step in range(first, last + 1):
            logger.log(step, {"math/satisfied_rate": step / 10 + first / 100, "math/log_ratio": None})
        logger.close()
    assert _scalars(tmp_path / "tensorboard") == {
        "math/satisfied_rate": [(1, 0.11), (2, 0.21), (3, 0.33), (4, 0.43)],
    }


@pytest.mark.parametrize("package", ["wandb", "trackio"])
def test_a_missing_package_is_named_with_what_to_type(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None makes the import fail, as on a machine without the package.
    monkeypatch.setitem(sys.modules, package, None)
    settings = TrackingSettings(tensorboard=False, wandb=package == "wandb", trackio=package == "trackio")
    with pytest.raises(ConfigError, match=rf"tracking\.{package}=true needs.*pip install 'cgpo\[tracking\]'"):
        make_loggers(settings, tmp_path, 1)


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    tracking = ("display", "live", "loggers", "metrics", "response_metrics", "rollouts")
    modules = (*(f"tracking.{name}" for name in tracking), "report.run_page", "report.terminal", "storage.environment")
    imports = "; ".join(f"import cgpo.{name}" for name in modules)
    heavy = "{'torch', 'pyarrow', 'jinja2', 'rich', 'tensorboard', 'transformers'}"
    code = f"{imports}; import sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
