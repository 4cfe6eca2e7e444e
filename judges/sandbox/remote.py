"""A sandbox on another machine, reached over HTTP: the client of `judges.sandbox.serve`.

A request is a JSON object `{"program", "limits", "tests", "entry_point"}` or `{"program", "limits", "cases",
"by_token"}`, the answer `{"verdict", "reason"}`. Whatever goes wrong on the way is `unknown`, after some attempts.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from judges.sandbox.local import Case
from judges.sandbox.options import SandboxOptions
from judges.verdict import Outcome, Verdict

TOKEN_VARIABLE = "JUDGES_SANDBOX_TOKEN"
"""Environment variable with the bearer token; unset: none is sent, and the server asks for none."""
MAX_ANSWER_BYTES = 65536
_FIRST_PAUSE_SECONDS = 0.2
QUEUE_SECONDS = 60.0
"""Time a program may wait at the server for its turn, beyond its own, all attempts together."""
_DECIDED = {outcome.value: outcome for outcome in (Outcome.SATISFIED, Outcome.VIOLATED, Outcome.UNKNOWN)}


class RemoteSandbox:
    """Programs run at `options.url`; each request carries the limits.

    Args:
        options: with `url`. The server may lower the limits to its own.
    """

    def __init__(self, options: SandboxOptions) -> None:
        assert options.url is not None
        self.options = options
        self._url = options.url.rstrip("/") + "/run"

    def run_tests(self, program: str, tests: Sequence[str], entry_point: str = "") -> Verdict:
        """As `LocalSandbox.run_tests`."""
        return self._run({"program": program, "tests": list(tests), "entry_point": entry_point})

    def run_cases(self, program: str, cases: Sequence[Case], by_token: bool = False) -> Verdict:
        """As `LocalSandbox.run_cases`."""
        pairs = [[case.stdin, case.stdout] for case in cases]
        return self._run({"program": program, "cases": pairs, "by_token": by_token})

    def close(self) -> None:
        """Nothing is kept open."""

    def _run(self, job: dict[str, Any]) -> Verdict:
        names = ("wall_seconds", "cpu_seconds", "memory_mib", "processes", "file_mib", "output_kib")
        body = json.dumps({**job, "limits": {name: getattr(self.options, name) for name in names}}).encode()
        problem = ""
        deadline = time.monotonic() + self.options.wall_seconds + QUEUE_SECONDS
        for attempt in range(self.options.retries + 1):
            if attempt:
                time.sleep(max(0.0, min(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), deadline - time.monotonic())))
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return _verdict(self._post(body, left))
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code} {error.reason}"
                error.close()
                if error.code in (400, 401, 403, 404, 413):  # asking again does not help
                    break
            except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
                problem = f"{type(error).__name__}: {error}"
        return Verdict.unknown(f"the sandbox server {self.options.url} gave no verdict: {problem}")

    def _post(self, body: bytes, seconds: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        token = os.environ.get(TOKEN_VARIABLE)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self._url, body, headers)
        with _OPENER.open(request, timeout=seconds) as answer:
            data: bytes = answer.read(MAX_ANSWER_BYTES + 1)
        return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection would take programs, tests and token elsewhere."""

    def redirect_request(self, *request: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _verdict(data: bytes) -> Verdict:
    """The verdict in an answer. Raises ValueError when there is none."""
    if len(data) > MAX_ANSWER_BYTES:
        raise ValueError("an answer that is too long")
    answer = json.loads(data)
    verdict, reason = (answer.get("verdict"), answer.get("reason")) if isinstance(answer, dict) else (None, None)
    if not isinstance(verdict, str) or verdict not in _DECIDED or not isinstance(reason, str):
        raise ValueError("an answer without a verdict")
    return Verdict(_DECIDED[verdict], reason)
