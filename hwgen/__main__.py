"""The command ``hwgen``, also ``python -m hwgen``."""

import signal
import sys


def main() -> int:
    """As ``hwgen.cli.main``, of the arguments of this process.

    While it is imported there is nothing to tidy: Ctrl-C ends the process at once, without a
    traceback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Not one that nohup left.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hwgen.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
