"""Where a server listens that was started with ANY_PORT: it says so itself, in the first line of its standard output.

A port that a test looked for and let go again could be anybody's by the time the server takes it.
"""

import os
import select
import time

# For `--address`: the system chooses a port that is free.
ANY_PORT = "127.0.0.1:0"


def port(process, patience):
    """The port at which this process says it serves, once it does; None if it ends or doesn't within so many seconds.

    Its standard output is a pipe, and what comes after that line is left there.
    """
    end, line = time.monotonic() + patience, b""
    while select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
        byte = os.read(process.stdout.fileno(), 1)
        if byte == b"\n":
            return int(line.rpartition(b":")[2])
        if not byte:
            break
        line += byte
    return None
