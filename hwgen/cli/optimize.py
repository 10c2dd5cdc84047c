"""``hwgen optimize``: a format for every layer of a network."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hwgen.arguments import Parser, input_file, input_path, names, number, output_folder
from hwgen.cli.parser import FASTEST_MHZ, command, target_option
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


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
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
    target_option(sub)
    sub.add_argument(
        "--fps",
        type=number(0, FASTEST_FPS, above=True),
        default=1000.0,
        metavar="F",
        help="frames a second",
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
        default=0.5,
        metavar="P",
        help="accuracy that the chosen plan may lose, in points",
    )
    sub.add_argument(
        "--out", type=output_folder, default=Path("out"), metavar="FOLDER", help="where to"
    )


def run(options: argparse.Namespace) -> int:
    """Choose formats for a network's layers and write the plan; returns the exit code."""
    try:
        from optimizer import optimize, report
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
    plan = optimize.run(
        options.model or fashion_mnist.MODEL,
        options.data or fashion_mnist.DATA,
        options.out,
        target=options.target,
        test_data=options.test_data,
        output=options.output,
        fps=options.fps,
        clock_mhz=options.clock_mhz,
        style=options.style,
        formats=options.formats,
        ptq=options.ptq,
        given=options.given,
        max_drop=options.max_drop,
        command=shlex.join(["hwgen", *options.arguments]),
        progress=tell,
    )
    print(report.table(plan))
    print(f"\nwritten to {options.out}: {', '.join(report.FILES)}, {report.VERILOG}/")
    return 0
