"""Starts and stops the servers that the benchmarks measure, and reads their processor time and memory from /proc."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "tests"))
import listening  # noqa: E402

ACCESS_KEY, SECRET_KEY = "benchaccesskey", "bench-secret-key-of-nobody"
TICKS = os.sysconf("SC_CLK_TCK")
# How often a server is started that can't say its port: another process may take the one that was free.
STARTS = 3


class Contestant:
    """A server that is measured. One runs at a time, over one folder."""

    name = ""
    ready_path = None
    # Whether the server listens at any port that is free, and says at which as `stratum server` does.
    says_port = False

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)
        if not os.access(self.binary, os.X_OK):
            raise SystemExit(f"{binary} is absent; bench/README.md says how to build it")
        self.process, self.port, self.folder = None, None, None

    def command(self, scene):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self, folder, scene="", patience=300.0):
        """Starts the server on a free loopback port; returns the seconds until it was ready."""
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        for _ in range(1 if self.says_port else STARTS):
            if (took := self.started(scene, patience)) is not None:
                return took
        raise SystemExit(f"{self.name} ended with {self.process.returncode}; see {self.folder}.log")

    def started(self, scene, patience):
        """Starts the server once; returns the seconds until it was ready, or None if it ended instead."""
        self.port = 0 if self.says_port else free_port()
        with open(f"{self.folder}.log", "ab") as log:
            output = subprocess.PIPE if self.says_port else log
            began = time.monotonic()
            environment = dict(os.environ, **self.environment())
            self.process = subprocess.Popen(self.command(scene), stdout=output, stderr=log, env=environment)
        if self.says_port:
            self.port = listening.port(self.process, patience)
            if self.port is None and self.has_ended():
                return None
        while self.port and time.monotonic() - began < patience:
            if self.process.poll() is not None:
                return None
            if self.is_ready() and self.listens():
                return time.monotonic() - began
            time.sleep(0.01)
        self.kill()
        raise SystemExit(f"{self.name} was not ready within {patience:.0f} s; see {self.folder}.log")

    def listens(self):
        """Whether the port is this server's own: who answers there may be somebody who took it first."""
        sockets = set()
        for table in ("tcp", "tcp6"):
            with open(f"/proc/net/{table}") as lines:
                rows = [line.split() for line in lines][1:]
            # The fields: local address and port, state (0A listens), inode.
            mine = [row for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == self.port]
            sockets.update(f"socket:[{row[9]}]" for row in mine)
        files = f"/proc/{self.process.pid}/fd"
        try:
            return any(os.readlink(f"{files}/{number}") in sockets for number in os.listdir(files))
        except OSError:
            # A file was closed meanwhile, or the process has ended. The next look tells.
            return False

    def has_ended(self):
        """Whether the server ends within a second."""
        try:
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def is_ready(self):
        try:
            if self.ready_path is None:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            with urllib.request.urlopen(self.endpoint + self.ready_path, timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self):
        """User and system time of all the server's threads, also of those that have ended."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, field):
        """A field of /proc/PID/status in bytes: VmRSS now, VmHWM at its highest."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) * 1024
        raise SystemExit(f"the kernel reports no {field}")

    def read_bytes(self):
        """How many bytes the server has read from disks. Reads that the page cache answered don't count."""
        with open(f"/proc/{self.process.pid}/io") as io:
            return next(int(line.split()[1]) for line in io if line.startswith("read_bytes:"))

    def forget_peak(self):
        """Lowers VmHWM to what is resident now."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def stop(self):
        """A graceful stop, by the process's own id."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def clear(self):
        """Removes the folder, and waits until the disk has written everything, so that the next measurement isn't
        disturbed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.sync()


class Peer(Contestant):
    """MinIO over six folders with parity 2; its other settings are its own."""

    name = "MinIO"

    def command(self, scene):
        return [self.binary, "server", "--address", f"127.0.0.1:{self.port}", self.folder + "/{0...5}"]

    def is_ready(self):
        # MinIO's health checks succeed while it still answers every request with 503. Once it is ready, an unsigned
        # one gets 403.
        try:
            urllib.request.urlopen(self.endpoint, timeout=1).close()
        except urllib.error.HTTPError as answer:
            return answer.code == 403
        except (urllib.error.URLError, OSError):
            pass
        return False

    def environment(self):
        # MINIO_CI_CD permits folders on the root disk.
        settings = {"MINIO_CI_CD": "1", "MINIO_STORAGE_CLASS_STANDARD": "EC:2"}
        return dict(settings, MINIO_ROOT_USER=ACCESS_KEY, MINIO_ROOT_PASSWORD=SECRET_KEY)


class Limit(Contestant):
    """The bare responder of stratum/examples/limit; the scene chooses its mode."""

    name = "limit"
    says_port = True

    def command(self, scene):
        address = f"127.0.0.1:{self.port}"
        return [self.binary, "--mode", scene, "--address", address, "--data", self.folder]


class Stratum(Contestant):
    name = "Stratum"
    ready_path = "/_stratum/health/ready"
    says_port = True

    def command(self, scene):
        return [self.binary, "server", "--data", self.folder, "--address", f"127.0.0.1:{self.port}"]

    def environment(self):
        return {"STRATUM_ROOT_ACCESS_KEY": ACCESS_KEY, "STRATUM_ROOT_SECRET_KEY": SECRET_KEY}


class Before(Stratum):
    """An earlier binary of Stratum, to compare with, which may be so old that it doesn't say its port."""

    name = "before"
    says_port = False


def free_port():
    """A port that is free now. Who starts a server at it starts it again where somebody else took it meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def begin_load(tool, endpoint, op, **options):
    """Starts `stratum bench`. The options are its flags; `keep=True` is a flag without a value."""
    command = [tool, "bench", "--json", "--endpoint", endpoint, "--op", op]
    for name, value in options.items():
        command.append(f"--{name}")
        if value is not True:
            command.append(str(value))
    environment = dict(os.environ, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def finish_load(load):
    """Waits for a load that was started; returns its report."""
    return load.communicate()[0]


def load(tool, endpoint, op, **options):
    """Runs `stratum bench` and returns its report."""
    return finish_load(begin_load(tool, endpoint, op, **options))
