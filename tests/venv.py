"""The Python environment of the tests. It is made on first use, and completed when a list of requirements changes.

    venv.enter("tests/clients/requirements.txt")

All tests share one environment, tests/.venv. A stamp file for each list of requirements says that it is installed, so
that a later run installs nothing and needs no network.
"""

import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, ".venv")
PYTHON = os.path.join(FOLDER, "bin", "python")


def enter(requirements):
    """Makes sure that what the file lists is installed, and goes on with this script inside the environment."""
    install(requirements)
    if os.path.realpath(sys.prefix) != os.path.realpath(FOLDER):
        os.execv(PYTHON, [PYTHON, *sys.argv])


def install(requirements):
    if not os.path.exists(PYTHON):
        make()
    with open(requirements, "rb") as lines:
        wanted = hashlib.sha256(lines.read()).hexdigest()
    stamp = os.path.join(FOLDER, f"installed-{wanted[:16]}")
    if os.path.exists(stamp):
        return
    print(f"installing {os.path.relpath(requirements)} into {os.path.relpath(FOLDER)}", flush=True)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    if subprocess.run(command).returncode != 0:
        raise SystemExit("pip could not install what the tests need; is a package index reachable?")
    open(stamp, "w").close()


def make():
    if subprocess.run([sys.executable, "-m", "venv", FOLDER]).returncode != 0:
        raise SystemExit("Python's venv module does not work here; on Debian and Ubuntu: apt-get install python3-venv")


def program(name):
    """The path of a program that is installed in the environment."""
    return os.path.join(FOLDER, "bin", name)
