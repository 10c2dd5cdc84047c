"""``hwgen optimize``: a format for every layer of a network."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hwgen.arguments import Parser, count, input_file, input_path, names, number, output_folder
from hwgen.cli.parser import FASTEST_MHZ, command
from hwgen.errors import InputError, ToolError
from hwgen.installed import pip_install
from hwgen.progress import tell

#: Names of ``optimizer.ptq.methods``, which is not imported before the command runs.
PTQ = (
    *("mse", "minmax", "percentile", "kl", "pow2", "pow2-group", "unsigned", "asymmetric"),
    *("cross-layer", "smoothquant", "hadamard", "bias", "gptq", "learned"),
)
PTQ_DEFAULT = ("unsigned", "mse", "asymmetric", "cross-layer", "smoothquant", "bias", "gptq")
#: The most frames a second that can be asked for: more than clock cycles of the fastest clock.
FASTEST_FPS = 1e10
#: Points of accuracy that the chosen plan may lose.
USUAL_DROP = 0.5
#: In place of a number of frames: as many as fit.
MOST_FRAMES = "max"
#: The most of a resource that can be given.
MOST_RESOURCES = 10**9


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    _network_options(sub)
    _hardware_options(sub)
    _search_options(sub)
    sub.add_argument(
        "--out", type=output_folder, default=Path("out"), metavar="FOLDER", help="where to"
    )


def _network_options(sub: Parser) -> None:
    sub.add_argument(
        "--model",
        type=input_file,
        metavar="FILE",
        help="ONNX network (default, with --data: the shipped ResNet-8 on Fashion-MNIST)",
    )
    sub.add_argument(
        "--data",
        type=input_path,
        metavar="PATH",
        help="images or feature vectors: an .npz, or a folder of idx files as MNIST's",
    )
    sub.add_argument(
        "--test-data",
        type=input_path,
        metavar="PATH",
        help="images to test FP32 and the chosen plan on once more "
        "(default: the installed Fashion-MNIST, for the shipped data)",
    )
    sub.add_argument(
        "--output",
        metavar="NAME",
        help="the output with the class scores, of a network with several",
    )


def _hardware_options(sub: Parser) -> None:
    from yosys_scripts import TARGETS

    sub.add_argument(
        "--target", metavar="|".join(TARGETS), help="FPGA family (default: ecp5, or the device's)"
    )
    sub.add_argument(
        "--device", metavar="NAME", help="a device that the plan must fit, such as LFE5U-25F"
    )
    for name, words in (("lut", "LUTs"), ("dsp", "DSP blocks")):
        sub.add_argument(
            f"--max-{name}",
            type=count(0, MOST_RESOURCES),
            metavar="N",
            help=f"{words} that the plan may take (default: what the device has)",
        )
    sub.add_argument(
        "--fps",
        type=_rate,
        default=1000.0,
        metavar="F",
        help="frames a second, or max for the most that fit --device or --max-lut",
    )
    sub.add_argument(
        "--clock-mhz",
        type=number(0, FASTEST_MHZ, above=True),
        default=50.0,
        metavar="F",
        help="datapath clock",
    )
    sub.add_argument(
        "--style",
        default="streaming",
        metavar="streaming|shared",
        help="a datapath for every layer, or one for all",
    )


def _search_options(sub: Parser) -> None:
    sub.add_argument(
        "--formats",
        type=names,
        metavar="LIST",
        help="candidates, separated by commas, block formats too, such as mxfp8_e4m3,nvfp4,int8 "
        "(default: the operands of the hardware that 'hwgen formats' lists)",
    )
    sub.add_argument(
        "--given",
        default="start",
        metavar="start|fixed",
        help="formats of a network that is quantised already: tried beside the others, or kept",
    )
    sub.add_argument(
        "--ptq",
        type=names,
        metavar="LIST",
        help="methods of post-training quantisation, kept where they measure better, of "
        f"{', '.join(PTQ)}; or none (default: {','.join(PTQ_DEFAULT)})",
    )
    sub.add_argument(
        "--max-drop",
        type=number(0, 100),
        metavar="P",
        help="accuracy that the chosen plan may lose, in points (default: 0.5)",
    )
    sub.add_argument(
        "--min-accuracy",
        type=number(0, 100),
        metavar="P",
        help="accuracy that the chosen plan must have, in percent, in place of --max-drop",
    )


def _rate(text: str) -> float | str:
    """Frames a second, or ``MOST_FRAMES``."""
    if text == MOST_FRAMES:
        return text
    rate: float = number(0, FASTEST_FPS, above=True)(text)
    return rate


def run(options: argparse.Namespace) -> int:
    """Choose formats for a network's layers and write the plan; returns the exit code."""
    try:
        import cost_models
        from optimizer import exports, optimize, report
        from optimizer.workloads import fashion_mnist
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise ToolError(
            f"optimize needs {missing}, which is not installed: {pip_install('optimize')}"
        ) from error

    if (options.model is None) != (options.data is None):
        raise InputError(
            "a network and its images belong together: give both --model and --data, or neither "
            "for the shipped ResNet-8 on Fashion-MNIST"
        )
    device = None if options.device is None else cost_models.part(options.device)
    if device is not None and options.target not in (None, device.target):
        raise InputError(
            f"--target {options.target}: {device.name} is a device of {device.target}: leave "
            "--target out"
        )
    if options.max_drop is not None and options.min_accuracy is not None:
        raise InputError("--max-drop and --min-accuracy say the same in two ways: give one of them")
    most = {"lut": options.max_lut, "dsp": options.max_dsp}
    target = options.target or ("ecp5" if device is None else device.target)
    plan = optimize.run(
        options.model or fashion_mnist.MODEL,
        options.data or fashion_mnist.DATA,
        options.out,
        target=target,
        test_data=options.test_data,
        output=options.output,
        **({"highest": True, "fps": 1.0} if options.fps == MOST_FRAMES else {"fps": options.fps}),
        clock_mhz=options.clock_mhz,
        style=options.style,
        formats=options.formats,
        ptq=options.ptq,
        given=options.given,
        max_drop=USUAL_DROP if options.max_drop is None else options.max_drop,
        min_accuracy=options.min_accuracy,
        device=options.device,
        most={name: n for name, n in most.items() if n is not None},
        command=shlex.join(["hwgen", *options.arguments]),
        progress=tell,
    )
    print(report.table(plan))
    if plan.unmet:
        raise InputError(f"{plan.unmet} (written to {options.out})")
    reasons = {f: exports.why_not(plan.network, plan.quantization, f) for f in exports.FILES}
    networks = [file for file, reason in reasons.items() if reason is None]
    files = [*report.FILES, *networks, f"{report.VERILOG}/"]
    print(f"\nwritten to {options.out}: {', '.join(files)}")
    for file, reason in reasons.items():
        if reason is not None:
            print(f"not written: {file}: {reason}")
    return 0
