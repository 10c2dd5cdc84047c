"""The main job: a network, images and a target in; plan, Verilog, measured cost, proof out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cost_models
import sim
import yosys_scripts
from cost_models import Cost
from hwgen import emit, store
from hwgen.errors import ToolError
from hwgen.fields import require_path
from hwgen.files import require_writable
from optimizer import candidates, explore, exports, fastest, idx, onnx_import, report, selection
from optimizer import data as image_data
from optimizer.data import ImageData
from optimizer.datapaths import Datapath
from optimizer.explore import Exploration, Settings
from optimizer.inputs import count, taken
from optimizer.layer_vectors import layer_vectors, results
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.plan import LayerCheck, LayerPlan, Plan
from optimizer.stages import Progress, Stages
from optimizer.text import printable
from optimizer.workloads import fashion_mnist
from sim import tools

#: Layers whose real operands go through their Verilog, outputs of each, images they are of.
CHECKED_LAYERS, CHECKED_OUTPUTS, CHECKED_IMAGES = 3, 256, 2


@dataclass(frozen=True, eq=False)
class Job:
    """What was asked for, read and checked.

    ``more_images``: those to test FP32 and the chosen plan on once more, if any.
    """

    network: Network
    images: ImageData
    settings: Settings
    more_images: ImageData | None


def run(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    target: str,
    test_data: str | Path | None = None,
    output: str | None = None,
    command: str | None = None,
    highest: bool = False,
    progress: Progress = lambda text: None,
    **settings: Any,
) -> Exploration:
    """Explores, then measures, emits and simulates what the chosen plan needs.

    ``settings`` are those of ``explore.settings``; ``test_data``: images to test FP32 and the
    chosen plan on once more, default the whole Fashion-MNIST where ``data`` is the shipped part
    of it and the data set is installed; ``output``: the tensor of class scores, where the network
    has several outputs; ``highest``: at the highest frame rate that fits. Writes ``report.FILES``,
    ``verilog/`` and what there can be of ``exports.FILES`` to ``out``: first when the plan is
    chosen, so that nothing that follows can lose it, and again with what was measured. Where the
    plan is ``unmet``, not what was asked for, nothing follows.
    InputError for bad input and ToolError for a missing tool before any long work; ToolError too if
    a tool fails or the hardware is not what the plan says.
    """
    model, data, out = map(require_path, ("model", "data", "out"), (model, data, out))
    test_data = None if test_data is None else require_path("test_data", test_data)
    require_writable(out)
    job = read(model, data, test_data, explore.settings(target=target, **settings), output)
    search = fastest.explore_fastest if highest else explore.explore
    exploration = search(job.network, job.images, job.settings, progress=progress)
    verilog = {f"{spec.name}.v": emit.verilog(spec) for spec in exploration.chosen.specs}
    networks = exports.models(exploration.network, exploration.quantization)
    report.write(exploration, out, command, verilog, networks)
    if exploration.unmet:
        return exploration
    exploration = completed(exploration, job, progress)
    report.write(exploration, out, command, verilog, networks)
    failed = [printable(c.layer, 40) for c in exploration.checks if not c.passed]
    if failed:
        raise ToolError(
            f"the Verilog of {', '.join(failed)} does not compute the network's own numbers: "
            f"see {out / report.PAGE}"
        )
    return exploration


def read(
    model: Path,
    data: Path,
    test_data: Path | None,
    settings: Settings,
    output: str | None = None,
) -> Job:
    """Reads the network and its data, and refuses what can be before any long work.

    InputError for what does not fit, ToolError for a missing tool, the quickest checks first.
    """
    explore.require_candidates(settings)
    _require_tools(settings.target)
    network = _network(model, data, output)
    candidates.require_arrays(network, settings)
    images = _images(network, data)
    more_data = _more_data(data, test_data)
    more_images = None if more_data is None else _images(network, more_data)
    return Job(network, images, settings, more_images)


def load(model: Path, data: Path) -> tuple[Network, ImageData]:
    """The network and its data; InputError for what cannot be read or does not fit."""
    network = _network(model, data, None)
    return network, _images(network, data)


def _network(model: Path, data: Path, output: str | None) -> Network:
    inputs = onnx_import.declared(model)
    # What the file leaves open, such as the length of a text, the data say.
    images = image_data.load(data, None, inputs) if any(None in i.sizes for i in inputs) else None
    return onnx_import.load(model, {} if images is None else images.sizes(inputs), output)


def completed(e: Exploration, job: Job, progress: Progress) -> Exploration:
    """The exploration ``e`` with what the tools say of the chosen plan, and its full test."""
    stages = Stages(progress, dict(e.seconds))
    with stages.timed("synthesis"):
        chosen = e.chosen.with_measured(measure(e.chosen, job.settings.target, progress))
    with stages.timed("simulation"):
        checks = check(e, job.images, progress)
    full_test = None
    more = None if job.more_images is None else selection.unseen(job.more_images, job.images)
    if job.more_images is not None and more is not None and len(more.labels):
        progress(f"testing the chosen plan on {len(more.labels):,} images")
        with stages.timed("full test"):
            full_test = explore.full_test(e, more, job.more_images.name)

    def newest(plan: Plan) -> Plan:
        return chosen if plan is e.chosen else plan

    return dataclasses.replace(
        e,
        chosen=chosen,
        points=tuple(map(newest, e.points)),
        front=tuple(map(newest, e.front)),
        references={name: newest(plan) for name, plan in e.references.items()},
        checks=checks,
        full_test=full_test,
        seconds=stages.seconds,
    )


def _require_tools(target: str) -> None:
    """ToolError, InputError if the tools that follow the exploration cannot run."""
    missing = yosys_scripts.available(target)
    if missing:
        raise ToolError(f"target {target} needs: pip install {' '.join(missing)}")
    tools.require_tools()
    store.require_writable()


def _more_data(data: Path, test_data: Path | None) -> Path | None:
    if test_data is None and data.resolve() == fashion_mnist.DATA.resolve():
        return idx.installed_dataset()
    return test_data


def _images(network: Network, data: Path) -> ImageData:
    return image_data.load(data, explore.classes_of(network), network.declared)


def measure(plan: Plan, target: str, progress: Progress) -> dict[Datapath, Cost]:
    """Measured cost of every unit of ``plan``, from the store or the tools, on all cores."""

    def measured(spec: Datapath) -> Cost:
        cost = cost_models.measure(spec, target)
        fmax = cost.fmax_mhz.value
        progress(
            f"synthesised {spec.name}: {cost.lut.value:g} LUT"
            + (f", {fmax:.0f} MHz" if fmax is not None else "")
        )
        return cost

    return dict(zip(plan.specs, in_parallel(measured, plan.specs), strict=True))


def check(e: Exploration, images: ImageData, progress: Progress) -> tuple[LayerCheck, ...]:
    """Simulates the Verilog of the first layers' units on the layers' real weights and activations.

    ``CHECKED_LAYERS`` of them, ``CHECKED_OUTPUTS`` outputs of each, of the first
    ``CHECKED_IMAGES`` test images.
    """
    first_images = taken(images.test_images, slice(e.network.batch or CHECKED_IMAGES))

    def checked(plan: LayerPlan) -> LayerCheck:
        layer, spec = plan.layer.name, plan.spec
        outputs = min(CHECKED_OUTPUTS, plan.layer.outputs * count(first_images))
        operands = layer_vectors(e.network, e.quantization, e.chosen, layer, first_images, outputs)
        inputs = operands.inputs(spec)
        outcome = sim.verify_inputs(spec, inputs)
        # The bench compares with the golden model; the sums behind the accuracy must be the
        # golden model's too.
        sums = results(spec, sim.golden.expected(spec, inputs), operands.last_cycles)
        result = LayerCheck(
            layer=layer,
            module=spec.name,
            cycles=outcome.vectors,
            mismatches=outcome.mismatches,
            outputs=len(operands.expected),
            wrong_outputs=sum(bool(a != b) for a, b in zip(sums, operands.expected, strict=True)),
        )
        progress(
            f"simulated {printable(layer, 40)} on {spec.name}: {result.cycles} cycles, "
            f"{result.mismatches} mismatches; {result.outputs} sums, {result.wrong_outputs} wrong"
        )
        return result

    # One after the other: a build uses all cores.
    return tuple(checked(plan) for plan in e.chosen.layers[:CHECKED_LAYERS])
