"""Runs a tool in a worker process: a crash, a hang or an error of it ends as a ``ToolError``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from hwgen import processes, progress
from hwgen.errors import ToolError

WORKER = Path(__file__).with_name("worker.py")
_STEP = re.compile(r"^(?:[\d.]+\. Executing (\w+) pass|-- Running command [`'](\S+))", re.MULTILINE)


def run(tool: str, job: dict[str, Any], folder: Path, *, time_limit_s: float) -> dict[str, Any]:
    """Do the ``job`` (see ``worker.py``) in ``folder``; return its result.

    Nothing that the worker starts survives this call, or this process (``hwgen.processes``).
    ToolError if the tool fails, crashes or takes longer than ``time_limit_s`` seconds.
    """
    time_limit_s = max(time_limit_s, 0)
    log, result = folder / f"{job['kind']}.log", folder / "result.json"
    result.unlink(missing_ok=True)
    (folder / "job.json").write_text(json.dumps({**job, "time_limit_s": time_limit_s}))
    with (
        log.open("wb") as output,
        processes.program(
            # -P: the working folder, which holds a tool's output, is not a place to import from.
            [sys.executable, "-P", str(WORKER), "job.json"],
            folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as worker,
        progress.doing(
            f"{tool} works on {job.get('top', 'a netlist')}",
            limit_s=time_limit_s,
            detail=lambda: _where(log).removeprefix(" in "),
        ),
    ):
        try:
            code = worker.wait(timeout=time_limit_s)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"{tool} took longer than {time_limit_s:.0f} s{_where(log)}: raise the time "
                "limit or make the design smaller"
            ) from None
    if code < 0:
        reason = _reason(log, "no message", folder)
        raise ToolError(f"{tool} crashed (signal {-code}){_where(log)}: {reason}")
    # Yosys ends its process at an error: no result then.
    answer: dict[str, Any] = processes.read_json(result) if result.exists() else {}
    if code or "error" in answer:
        reason = _reason(log, str(answer.get("error", f"exit code {code}")), folder)
        raise ToolError(f"{tool} failed{_where(log)}: {reason}")
    return answer


def _where(log: Path) -> str:
    steps = _STEP.findall(log.read_text(errors="replace"))
    return f" in step {steps[-1][0] or steps[-1][1]}" if steps else ""


def _reason(log: Path, error: str, folder: Path) -> str:
    """Why a tool failed, in a line.

    What the machine had too little of, or the log's errors, or what its caller met, or the log's
    last lines.
    """
    text = log.read_text(errors="replace")
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    errors = [x for x in lines if x.startswith("ERROR")][-1:]
    if not errors and not error.startswith("exit code"):
        errors = [error]
    return (
        processes.shortage(f"{text}\n{error}", folder.parent)
        or (" | ".join(errors or lines[-3:] or [error])[:500])
    )
