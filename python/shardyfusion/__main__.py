"""`python -m shardyfusion`: the command line, which comes with the package."""

import os
import sys
from pathlib import Path
from typing import NoReturn

COMMAND = Path(__file__).with_name("bin") / "shardyfusion"


def main() -> NoReturn:
    """Becomes the command: its signals, its standard streams and its exit status are those of this process."""
    sys.stdout.flush()
    os.execv(COMMAND, ["shardyfusion", *sys.argv[1:]])


if __name__ == "__main__":
    main()
