"""The result for people: a picture, a page, a table for the terminal; and ``plan.json``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

import cost_models
from hwgen.files import require_writable, writing
from hwgen.formats import BlockFormat
from hwgen.processes import temporary_folder
from hwgen.templates import filled
from optimizer import exports, picture, web_page
from optimizer.explore import Exploration
from optimizer.plan import Plan
from optimizer.ptq.methods import ASYMMETRIC, BLOCK_RULES, POWERS, RANGES, UNSIGNED
from optimizer.text import fenced, grid, markdown, printable

PICTURE, PLAN, PAGE, WEB = "pareto.png", "plan.json", "report.md", "report.html"
FILES = (PICTURE, PLAN, PAGE, WEB)
NOT_OF_BLOCKS = (
    *(name for name in RANGES if name not in BLOCK_RULES),
    *(*POWERS, UNSIGNED, ASYMMETRIC),
)
#: What does not apply to block formats.
LEFT_OUT = (
    "block formats have scales by their own rule, of weights also by mse; "
    f"{', '.join(NOT_OF_BLOCKS)} are for single numbers alone"
)
#: Folder of the chosen plan's units.
VERILOG = "verilog"
#: Characters of a layer's name in the tables; plan.json has the whole.
LONGEST_NAME = 40
#: Operators in float that are named; plan.json has all.
MOST_OPERATORS = 10


def write(
    exploration: Exploration,
    folder: str | Path,
    command: str | None = None,
    verilog: Mapping[str, str] | None = None,
    networks: Mapping[str, onnx.ModelProto] | None = None,
) -> None:
    """Write ``FILES`` and the folder ``VERILOG`` into ``folder``: all, or none if a step fails.

    ``command``: the command line that made the result, for the page; ``verilog``: text by file
    name; ``networks``: of ``exports.FILES``, those that there are. Existing files of these names
    and the whole ``VERILOG`` folder are replaced, other files are left.
    """
    require_writable(folder)
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    existed = target.exists()
    with writing(target), temporary_folder(next_to=target) as draft:
        picture.write(exploration, draft / PICTURE)
        text = json.dumps(exploration.to_dict(), indent=2, allow_nan=False) + "\n"
        (draft / PLAN).write_text(text, encoding="utf-8")
        (draft / PAGE).write_text(page(exploration, command), encoding="utf-8")
        web = web_page.html(exploration, _basis(exploration), command, _row_lines(exploration))
        (draft / WEB).write_text(web, encoding="utf-8")
        (draft / VERILOG).mkdir()
        for name, text in (verilog or {}).items():
            (draft / VERILOG / name).write_text(text, encoding="utf-8")
        for name, network in (networks or {}).items():
            (draft / name).write_bytes(network.SerializeToString())
        target.mkdir(exist_ok=existed)
        shutil.rmtree(target / VERILOG, ignore_errors=True)
        for name in exports.FILES:
            (target / name).unlink(missing_ok=True)
        for name in (*FILES, *(networks or {}), VERILOG):
            os.replace(draft / name, target / name)


# --- text -------------------------------------------------------------------------------------


def _plan_rows(exploration: Exploration) -> list[list[str]]:
    e = exploration
    rows = []
    named = [(str(i), plan) for i, plan in enumerate(e.front, start=1)]
    for name, plan in [*named, *e.references.items()]:
        assert plan.accuracy is not None and plan.selection is not None
        kept = plan.recipe.names if plan.recipe else ()
        difference = (plan.accuracy.correct - e.fp32.correct) / e.fp32.images
        mark = "  <- chosen" if plan is e.chosen else ""
        rows.append(
            [
                name,
                f"{plan.lut.value:,}",
                f"{plan.selection.percent:.2f}",
                f"{plan.accuracy.percent:.2f}",
                f"{100 * difference:+.2f}",
                f"{plan.sensitivity:.4f}",
                ", ".join(kept) or "–",
                plan.summary() + mark,
            ]
        )
    fp32 = [f"{accuracy.percent:.2f}" for accuracy in (e.fp32_selection, e.fp32)]
    rows.append(["FP32", "", *fp32, "", "", "", ""])
    return rows


_PLAN_HEAD = (
    "point", "LUT", "selection %", "test %", "to FP32", "KL sum", "methods", "formats",
)  # fmt: skip
_STEP_HEAD = ("methods, one more a row", "test %", "error", "change", "KL", "of the chosen plan")
_LAYER_HEAD = (
    "layer", "K", "outputs", "lanes", "units", "cycles", "LUT predicted", "range",
    "LUT measured", "MHz", "KL", "activations / weights",
)  # fmt: skip


def _step_rows(e: Exploration) -> list[list[str]]:
    rows = []
    before = None
    for step in e.ablation:
        percent = step.accuracy.percent
        change = "" if before is None else f"{percent - before:+.2f}"
        error = f"±{step.accuracy.standard_error:.2f}"
        rows.append([step.method, f"{percent:.2f}", error, change, f"{step.divergence:.4f}", ""])
        before = percent
    if rows:
        rows[-1][-1] = "<- as it is"
    return rows


def _layer_rows(plan: Plan) -> list[list[str]]:
    rows = []
    shared = plan.style == "shared"
    for p in plan.layers:
        measured = "–" if p.measured_lut is None else f"{p.measured_lut:,}"
        # A shared array is counted once, in the last line.
        luts = [f"{p.lut.value:,}", f"{p.lut.low:,}–{p.lut.high:,}", measured]
        fmax = "–" if p.measured_fmax_mhz is None else f"{p.measured_fmax_mhz:.0f}"
        rows.append(
            [
                _name(p.layer.name),
                str(p.layer.dot_length),
                f"{p.layer.outputs:,}",
                str(p.size.lanes),
                str(p.size.units),
                f"{p.cycles:,}",
                *(["", "", ""] if shared else luts),
                fmax,
                f"{p.sensitivity:.5f}",
                f"{p.spec.a} / {p.spec.b}",
            ]
        )
    total = plan.measured_lut
    rows.append(
        [
            "one array for all" if shared else "sum",
            "", "", "", "",
            f"{plan.cycles:,}",
            f"{plan.lut.value:,}",
            f"{plan.lut.low:,}–{plan.lut.high:,}",
            "–" if total is None else f"{total:,}",
            "",
            f"{plan.sensitivity:.5f}",
            "",
        ]
    )  # fmt: skip
    return rows


def _name(text: str) -> str:
    return printable(text, LONGEST_NAME)


def _basis(e: Exploration) -> str:
    s = e.settings
    return (
        f"{_name(e.network.name)} on {_name(e.data_name)}, {s.target}, {s.fps:g} images/s at "
        f"{s.clock_mhz:g} MHz, {s.style} style; plans chosen by "
        f"{e.fp32_selection.images:,} selection images, accuracy on {e.fp32.images:,} test images "
        f"(standard error {e.fp32.standard_error:.2f} points), calibration on "
        f"{e.calibration_images:,} images, sensitivities on {e.sensitivity_images:,} of those"
    )


def table(exploration: Exploration) -> str:
    """The front, the references and the chosen plan, for a terminal."""
    e = exploration
    return "\n".join(
        [
            _basis(e),
            "",
            *(f"WARNING: {text}\n" for text in e.warnings),
            grid(_PLAN_HEAD, _plan_rows(e), markdown_table=False),
            "",
            f"chosen: {e.reason}",
            "",
            grid(_LAYER_HEAD, _layer_rows(e.chosen), markdown_table=False),
            "",
            *_steps(e, markdown_table=False),
            *_float_lines(e),
            *_row_lines(e),
            *_measured_lines(e),
        ]
    )


def _float_lines(e: Exploration) -> list[str]:
    """What of the network's products no datapath computes, and why: nothing, or some lines."""
    operators = e.network.float_operators
    if not operators:
        return []
    uncounted = sum(f.macs is None for f in operators)
    more = f", and {uncounted} operators that are not counted" if uncounted else ""
    lines = [f"in float, on no datapath: {100 * e.network.float_share:.1f}% of the products{more}"]
    for f in operators[:MOST_OPERATORS]:
        count = "not counted" if f.macs is None else f"{f.macs:,} products an image"
        lines.append(f"in float: {f.op} {_name(f.name)}, {count}: {f.reason}")
    if len(operators) > MOST_OPERATORS:
        lines.append(f"in float: {len(operators) - MOST_OPERATORS} more, named in {PLAN}")
    return lines


def _has_blocks(e: Exploration) -> bool:
    return any(isinstance(f, BlockFormat) for f in e.settings.formats)


def _row_lines(e: Exploration) -> list[str]:
    """What is done to the rows that layers sum over: filled up to whole blocks, rotated."""
    lines = [LEFT_OUT] if _has_blocks(e) else []
    filled = [
        f"{_name(p.layer.name)} {p.layer.dot_length} to {p.filled_products}"
        for p in e.chosen.layers
        if isinstance(p.spec.a, BlockFormat) and p.filled_products > p.layer.dot_length
    ]
    if filled:
        lines.append(
            "products of an output filled up with zeros to whole blocks, at the cost of all "
            f"others: {', '.join(filled)}"
        )
    if e.rotations:
        total = sum(cost.additions for cost in e.rotations)
        named = ", ".join(f"{_name(c.layer)} {c.additions:,}" for c in e.rotations)
        lines.append(
            f"activations rotated at run time in blocks of {e.rotations[0].size}: {total:,} "
            f"additions an image, which no LUTs are counted for: {named}"
        )
    return lines


def _steps(e: Exploration, markdown_table: bool) -> list[str]:
    """What each method of post-training quantisation brought to the chosen plan, if it is known."""
    if not e.ablation:
        return []
    return [grid(_STEP_HEAD, _step_rows(e), markdown_table), ""]


def _device_lines(e: Exploration) -> list[str]:
    """What of the device the chosen plan takes, where one was named."""
    if e.settings.device is None:
        return []
    units = [(d.spec, d.size.units) for d in e.chosen.datapaths]
    part, cost = cost_models.part(e.settings.device), cost_models.total(units, e.settings.target)
    shares = ", ".join(
        f"{getattr(cost, name).value:,} of {part.capacity[name]:,} {name} ({100 * share:.0f}%)"
        for name, share in part.utilisation(cost).items()
    )
    lines = [f"on {part.name}: {shares}, datapaths alone, at {cost.lut.source} costs"]
    if may_not := part.does_not_fit(cost, "high"):
        lines.append(f"WARNING: at the high ends of the costs it does not fit: {may_not}")
    return lines


def _measured_lines(e: Exploration) -> list[str]:
    """Predicted against measured, the clock, and the simulation, of the chosen plan."""
    lines = []
    if e.chosen.measured_lut is not None:
        error = e.chosen.lut.value / e.chosen.measured_lut - 1
        lines.append(
            f"synthesised: {e.chosen.measured_lut:,} LUT, predicted {e.chosen.lut.value:,} "
            f"({100 * error:+.1f}%)"
        )
    lines += _device_lines(e)
    slow = e.chosen.too_slow(e.settings.clock_mhz)
    if slow:
        lines.append(
            f"WARNING: {', '.join(_name(p.layer.name) for p in slow)} do not reach "
            f"{e.settings.clock_mhz:g} MHz: use a lower --clock-mhz"
        )
    if e.full_test is not None:
        t = e.full_test
        lines.append(
            f"on the {t.fp32.images:,} test images of {_name(t.data_name)} that selected nothing: "
            f"FP32 {t.fp32.percent:.2f}%, chosen plan {t.chosen.percent:.2f}% (standard error "
            f"{t.fp32.standard_error:.2f} points)"
        )
    lines += [
        f"simulated {_name(c.layer)}: {c.cycles:,} cycles of {c.module} on the network's own "
        f"numbers, {c.mismatches} mismatches; {c.outputs} sums against inference, "
        f"{c.wrong_outputs} wrong"
        for c in e.checks
    ]
    return lines


def _gap(points: Sequence[Plan]) -> str:
    """How far the search's points may be from the best of their size."""
    gap = max(plan.gap for plan in points)
    if gap == 0:
        return "each proven the best of its size"
    return f"each proven within {100 * gap:.2g}% of the least sum of its size"


def page(exploration: Exploration, command: str | None = None) -> str:
    """The whole report as Markdown; ``command``: the command line that made it."""
    e = exploration
    return filled(
        "optimizer",
        "report.md.j2",
        markdown=markdown,
        network=_name(e.network.name),
        data=_name(e.data_name),
        basis=_basis(e),
        warnings=e.warnings,
        picture=PICTURE,
        evaluated=len(e.points),
        left=len(e.front),
        front=grid(_PLAN_HEAD, _plan_rows(e), markdown_table=True),
        reason=e.reason[0].upper() + e.reason[1:],
        layers=grid(_LAYER_HEAD, _layer_rows(e.chosen), markdown_table=True),
        steps="\n".join(_steps(e, markdown_table=True)),
        methods=", ".join(e.settings.ptq.names),
        measured=[*_float_lines(e), *_row_lines(e), *_measured_lines(e)],
        budget=e.settings.cycle_budget,
        command=fenced(printable(command)) if command else None,
        formats=", ".join(map(str, e.settings.formats)),
        resolution=e.settings.resolution,
        max_divergence=e.settings.max_divergence,
        min_divergence=e.settings.min_divergence,
        gap=_gap(e.points),
        seconds=", ".join(f"{name} {value:.1f} s" for name, value in e.seconds.items()),
    )
