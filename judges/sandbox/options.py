"""Settings of the sandbox, as plain data in a judge's option `sandbox`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judges.errors import JudgesError, unknown_name


class SandboxOptions(BaseModel):
    """Where untrusted programs run, and how much of the machine one of them may take."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    backend: Literal["bubblewrap", "http"] = "bubblewrap"
    """`bubblewrap`: boxes on this machine; `http`: a server started by `python -m judges.sandbox.serve`."""

    wall_seconds: float = Field(10.0, gt=0, le=3600)
    """Wall time of one verdict: all tests of one response together."""

    cpu_seconds: int = Field(10, ge=1, le=3600)
    """CPU time of one process of the program."""

    memory_mib: int = Field(512, ge=64, le=2**20)
    """Address space of one process of the program. All of them together may take `processes` times as much."""

    processes: int = Field(4, ge=1, le=1000)
    """Processes and threads of one program at a time, its main thread included."""

    file_mib: int = Field(16, ge=1, le=2**16)
    """What a program may keep in files, all of them together; they are in memory and gone with the box."""

    output_kib: int = Field(4096, ge=1, le=60 * 1024)
    """What a program may answer to all tests together; for one that prints, to one case."""

    python: str | None = None
    """The interpreter in the box, an absolute path; default: the running one if the box can reach it, else
    `/usr/bin/python3`."""

    unsafe_subprocess: bool = False
    """Run programs as plain processes where there is no bubblewrap. They can then read and change whatever the user
    can, reach the network, and leave processes behind. For programs you trust."""

    url: str | None = None
    """Address of the server, for the backend `http`."""

    retries: int = Field(3, ge=0, le=20)
    """Further attempts after the box or the server failed (not the program)."""

    @classmethod
    def parse(cls, value: Mapping[str, Any] | None, owner: str = "option 'sandbox'") -> Self:
        """Options from plain data.

        Raises:
            JudgesError: an unknown name (with the nearest match), a value of the wrong type or out of its range, or
                options that do not go together.
        """
        given = dict(value or {})
        for name in given:
            if name not in cls.model_fields:
                raise JudgesError(unknown_name("sandbox option", name, cls.model_fields, f"of {owner}"))
        try:
            options = cls.model_validate(given)
        except ValidationError as error:
            problems = [f"{item['loc'][0]}: {item['msg']}, got {item['input']!r}" for item in error.errors()]
            raise JudgesError(f"{owner}: {'; '.join(problems)}") from None
        options._go_together(owner)
        return options

    def _go_together(self, owner: str) -> None:
        if (self.backend == "http") != (self.url is not None):
            raise JudgesError(f"{owner}: the backend 'http' needs `url`, and only it has one")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise JudgesError(f"{owner}: url must start with http:// or https://")
        if self.url is not None and "@" in self.url.split("/")[2]:
            raise JudgesError(
                f"{owner}: url must have no user or password; the variable JUDGES_SANDBOX_TOKEN has a token"
            )
        if self.python is not None and not self.python.startswith("/"):
            raise JudgesError(f"{owner}: python must be an absolute path, got {self.python!r}")
        if self.backend == "http" and self.unsafe_subprocess:
            raise JudgesError(f"{owner}: unsafe_subprocess is for this machine; the server decides for itself")

    @property
    def limits(self) -> dict[str, int]:
        """Resource limits of a process of the program, by their names in the module `resource`."""
        return {
            "RLIMIT_CPU": self.cpu_seconds,
            "RLIMIT_AS": self.memory_mib * 2**20,
            "RLIMIT_FSIZE": self.file_mib * 2**20,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_SIGPENDING": 64,
            "RLIMIT_NPROC": self.processes,
        }
