"""Tells the port of a server that was started with ANY_PORT: the server prints it in the first line of its standard
output.

A test that chose a free port itself could lose it to another process before the server takes it.
"""

import os
import select
import time

# The value of `--address` with which the system chooses a free port.
ANY_PORT = "127.0.0.1:0"


def port(process, patience):
    """Waits until this process says at which port it serves; None if it ends, or doesn't say so within `patience`
    seconds.

    The standard output of the process must be a pipe. What it prints after that line is left there.
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
