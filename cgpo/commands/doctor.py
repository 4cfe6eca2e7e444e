"""`cgpo doctor`: what this machine can run, what is missing, and what to type to mend it.

The checks are in `cgpo.commands.machine`; this file shows what they found. Nothing heavy is imported: versions come
from package metadata, so that a broken torch can be reported too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cgpo.commands.machine import Finding, Status, examine

SCHEMA = 1
_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo doctor`."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Examines the machine and prints what was found. Returns 1 when something needed has failed, else 0."""
    findings = examine()
    failed = any(finding.status is Status.FAIL for finding in findings)
    if args.json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"schema": SCHEMA, "ok": not failed, "findings": rows}, indent=2))
    else:
        _show(findings, Console())
    return 1 if failed else 0


def _show(findings: Sequence[Finding], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.status]
        table.add_row(f"[{colour}]{finding.status.value}[/]", escape(finding.what), escape(finding.found))
    console.print(table)
    to_mend = [finding for finding in findings if finding.mend]
    if to_mend:
        console.print("\n[bold]To mend[/]")
    for finding in to_mend:
        colour = _COLOURS[finding.status]
        console.print(f"[{colour}]{finding.status.value}[/] {escape(finding.what)}:", highlight=False)
        # Commands are printed unwrapped: they are there to be copied.
        console.print(f"     {escape(finding.mend)}", highlight=False, soft_wrap=True)
    counts = {status: sum(f.status is status for f in findings) for status in Status}
    console.print("\n" + ", ".join(f"{counts[status]} {status.value}" for status in Status), highlight=False)
