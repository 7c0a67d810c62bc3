"""`python -m shardyfusion`: runs the command, which is installed with the package."""

import os
import sys
from pathlib import Path
from typing import NoReturn

COMMAND = Path(__file__).with_name("bin") / "shardyfusion"


def main() -> NoReturn:
    """Replaces this process with the command, which inherits its signals and standard streams and sets its exit status."""
    sys.stdout.flush()
    os.execv(COMMAND, ["shardyfusion", *sys.argv[1:]])


if __name__ == "__main__":
    main()
