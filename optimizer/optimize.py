"""The main job: a network, images and a target in; plan, Verilog, measured cost, proof out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cost_models
import sim
import yosys_scripts
from cost_models import Cost
from hwgen import emit, store
from hwgen.errors import ToolError
from hwgen.fields import require_path
from hwgen.files import require_writable
from hwgen.spec import DotProduct
from optimizer import data as image_data
from optimizer import explore, onnx_import, report
from optimizer.data import ImageData
from optimizer.explore import Exploration
from optimizer.layer_vectors import layer_vectors
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.plan import LayerCheck, LayerPlan, Plan
from optimizer.text import printable
from optimizer.workloads import fashion_mnist
from sim import tools

#: Layers whose real operands go through their Verilog, outputs of each, images they are of.
CHECKED_LAYERS, CHECKED_OUTPUTS, CHECKED_IMAGES = 3, 256, 2

Progress = Callable[[str], None]


def run(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    target: str,
    test_data: str | Path | None = None,
    command: str | None = None,
    progress: Progress = lambda text: None,
    **settings: Any,
) -> Exploration:
    """Explores, then measures, emits and simulates what the chosen plan needs.

    ``settings`` are those of ``explore.settings``; ``test_data``: images to test FP32 and the
    chosen plan on once more, default the whole Fashion-MNIST where ``data`` is the shipped part
    of it and the data set is installed. Writes ``pareto.png``, ``plan.json``, ``report.md`` and
    ``verilog/`` to ``out``: first when the plan is found, so that nothing that follows can lose
    it, and again with what was measured. InputError for bad input and ToolError for a missing
    tool before any long work; ToolError too if a tool fails or the hardware is not what the
    plan says.
    """
    # All that can be refused is refused here, the quickest first.
    model, data, out = map(require_path, ("model", "data", "out"), (model, data, out))
    test_data = None if test_data is None else require_path("test_data", test_data)
    require_writable(out)
    asked = explore.settings(target=target, **settings)
    explore.require_predictable(asked)
    _require_tools(target)
    network = onnx_import.load(model)
    explore.arrays(network, asked)
    images = _images(network, data)
    more_data = _more_data(data, test_data)
    more_images = None if more_data is None else _images(network, more_data)
    found = explore.explore(network, images, asked, progress=progress)
    verilog = {f"{spec.name}.v": emit.verilog(spec) for spec in found.chosen.specs}
    report.write(found, out, command, verilog)
    seconds = dict(found.seconds)

    started = time.perf_counter()
    chosen = found.chosen.with_measured(measure(found.chosen, target, progress))
    seconds["synthesis"] = time.perf_counter() - started

    started = time.perf_counter()
    checks = check(found, images, progress)
    seconds["simulation"] = time.perf_counter() - started

    if more_images is not None:
        progress(f"testing the chosen plan on {len(more_images.test_labels):,} images")
        started = time.perf_counter()
        found = dataclasses.replace(found, full_test=explore.full_test(found, more_images))
        seconds["full test"] = time.perf_counter() - started

    def newest(plan: Plan) -> Plan:
        return chosen if plan is found.chosen else plan

    found = dataclasses.replace(
        found,
        chosen=chosen,
        points=tuple(map(newest, found.points)),
        front=tuple(map(newest, found.front)),
        references={name: newest(plan) for name, plan in found.references.items()},
        checks=checks,
        seconds=seconds,
    )
    report.write(found, out, command, verilog)
    failed = [printable(c.layer, 40) for c in checks if not c.passed]
    if failed:
        raise ToolError(
            f"the Verilog of {', '.join(failed)} does not compute the network's own numbers: "
            f"see {out / report.PAGE}"
        )
    return found


def _require_tools(target: str) -> None:
    """ToolError, InputError if what comes after the exploration cannot run."""
    missing = yosys_scripts.available(target)
    if missing:
        raise ToolError(f"target {target} needs: pip install {' '.join(missing)}")
    tools.require_tools()
    store.require_writable()


def _more_data(data: Path, test_data: Path | None) -> Path | None:
    if test_data is None and data.resolve() == fashion_mnist.DATA.resolve():
        return image_data.installed_dataset()
    return test_data


def _images(network: Network, data: Path) -> ImageData:
    return image_data.load(data, explore.classes_of(network), network.input_shape)


def measure(plan: Plan, target: str, progress: Progress) -> dict[DotProduct, Cost]:
    """Measured cost of every unit of ``plan``, from the store or the tools, on all cores."""

    def one(spec: DotProduct) -> Cost:
        cost = cost_models.measure(spec, target)
        fmax = cost.fmax_mhz.value
        progress(
            f"synthesised {spec.name}: {cost.lut.value:g} LUT"
            + (f", {fmax:.0f} MHz" if fmax is not None else "")
        )
        return cost

    return dict(zip(plan.specs, in_parallel(one, plan.specs), strict=True))


def check(found: Exploration, images: ImageData, progress: Progress) -> tuple[LayerCheck, ...]:
    """The Verilog of the first layers' units on the layers' real weights and activations."""
    shown = images.test_images[:CHECKED_IMAGES]

    def one(plan: LayerPlan) -> LayerCheck:
        layer, spec = plan.layer.name, plan.spec
        outputs = min(CHECKED_OUTPUTS, plan.layer.outputs * len(shown))
        operands = layer_vectors(
            found.network, found.calibration, found.chosen, layer, shown, outputs
        )
        inputs = {"clear": operands.clear[:, None], "a": operands.a_codes, "b": operands.b_codes}
        outcome = sim.verify_inputs(spec, inputs)
        # The bench compares with the golden model; the sums behind the accuracy must be the
        # golden model's too.
        sums = sim.golden.expected(spec, inputs)["accumulator"][:, 0]
        wrong = np.asarray(sums[operands.last_cycles] != np.array(operands.expected, object))
        result = LayerCheck(
            layer=layer,
            module=spec.name,
            cycles=outcome.vectors,
            mismatches=outcome.mismatches,
            outputs=len(operands.expected),
            wrong_outputs=int(wrong.sum()),
        )
        progress(
            f"simulated {printable(layer, 40)} on {spec.name}: {result.cycles} cycles, "
            f"{result.mismatches} mismatches; {result.outputs} sums, {result.wrong_outputs} wrong"
        )
        return result

    # One after the other: a build uses all cores.
    return tuple(one(plan) for plan in found.chosen.layers[:CHECKED_LAYERS])
