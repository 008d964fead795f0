"""Starts `stratum server` on a free loopback port over a folder of its own, for tests that drive it from outside."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import listening

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.path.join(ROOT, "target", "debug", "stratum")
ACCESS_KEY, SECRET_KEY = "TESTROOTACCESSKEY", "test-root-secret-key"


class StratumServer:
    """A running server; leave its `with` block to stop it and drop its data."""

    def __init__(self, binary=BINARY, tls=False, anonymous=False, config="", variables=None, disks=0):
        if not os.path.exists(binary):
            raise SystemExit(f"{binary} is absent; run `cargo build -p stratum` first")
        self.folder = tempfile.mkdtemp(prefix="stratum-test-")
        self.certificate = make_certificate(self.folder) if tls else None
        if tls:
            key = self.certificate.replace(".pem", ".key")
            config += f'\n[tls]\ncertificate = "{self.certificate}"\nkey = "{key}"\n'
        self.log = os.path.join(self.folder, "server.log")
        # One data folder in which all drives lie, or a data folder for each of `disks` disks.
        names = [f"disk{n}" for n in range(disks)] or ["data"]
        self.disks = [os.path.join(self.folder, name) for name in names]
        command = [binary, "server", "--address", listening.ANY_PORT]
        for disk in self.disks:
            command += ["--data", disk]
        if config:
            path = os.path.join(self.folder, "stratum.toml")
            with open(path, "w") as file:
                file.write(config)
            command += ["--config", path]
        if anonymous:
            command.append("--anonymous")
        environment = dict(os.environ, STRATUM_ROOT_ACCESS_KEY=ACCESS_KEY, STRATUM_ROOT_SECRET_KEY=SECRET_KEY,
                           **(variables or {}))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        self.wait_until_ready("https" if tls else "http")

    def wait_until_ready(self, scheme, patience=60):
        context = ssl.create_default_context(cafile=self.certificate) if self.certificate else None
        end = time.monotonic() + patience
        self.port = listening.port(self.process, patience)
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}"
        while time.monotonic() < end:
            if self.process.poll() is not None:
                self.fail(f"the server ended with {self.process.returncode} instead of starting")
            try:
                url = f"{self.endpoint}/_stratum/health/ready"
                with urllib.request.urlopen(url, timeout=5, context=context):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.fail(f"the server was not ready within {patience} s")

    def fail(self, problem):
        tail = self.log_tail()
        self.stop()
        raise SystemExit(f"{problem}; the end of its log:\n{tail}")

    def log_tail(self, lines=30):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def stop(self):
        """Stops the server by SIGTERM, or kills it if that takes too long; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def end_on_sigterm():
    """Makes SIGTERM unwind the stack, so that a run that is cut short leaves no server behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def make_certificate(folder):
    """A self-signed certificate for loopback addresses, which clients are to trust as an authority."""
    certificate, key = os.path.join(folder, "tls.pem"), os.path.join(folder, "tls.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        raise SystemExit("the `openssl` program is absent; the tests make a certificate with it") from None
    return certificate
