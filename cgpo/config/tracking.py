"""Settings of what is recorded and shown (`tracking`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cgpo.config.base import Settings


class TrackingSettings(Settings):
    """What is recorded and shown."""

    tensorboard: bool = True
    """Write TensorBoard event files into the run directory."""
    wandb: bool = False
    """Log to Weights & Biases (needs the `tracking` extra)."""
    trackio: bool = False
    """Log to trackio, local and offline (needs the `tracking` extra)."""
    project: str = "cgpo"
    """Project name for wandb and trackio."""
    display: Literal["auto", "live", "plain", "off"] = "auto"
    """Progress: live in a terminal, plain lines elsewhere; `auto` decides."""
    report_samples: int = Field(default=12, ge=0)
    """Samples per stratum shown in report.html."""
