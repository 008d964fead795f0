"""The real binary under test, and a ledger of what it acknowledged.

This needs only the standard library: the server runs with --anonymous, so a request needs no signature.
"""

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import listening  # noqa: E402

BUCKET = "crash"
RETRIES = 3
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Server:
    """`stratum server` on a free loopback port over one data folder."""

    def __init__(self, binary, data, log):
        self.binary, self.data, self.log = binary, data, log
        self.process, self.port = None, None
        # A plan of faults (`--faults`), for a build that has them.
        self.faults = None
        # A binary that doesn't tell its port on standard output is given one.
        self.given_port = None

    def start(self, patience=300.0):
        address = f"127.0.0.1:{self.given_port}" if self.given_port else listening.ANY_PORT
        command = [self.binary, "server", "--anonymous", "--data", self.data, "--address", address]
        command += ["--faults", self.faults] if self.faults else []
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        self.port = self.given_port or listening.port(self.process, patience)
        while time.monotonic() - began < patience:
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode} instead of starting")
            try:
                if self.request("GET", "/_stratum/health/ready")[0] == 200:
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"the server was not ready within {patience} s")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """A graceful stop; its exit code must be 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        assert code == 0, f"a graceful stop ended with {code}"

    def root(self):
        """An environment with the credentials of the server's root."""
        with open(os.path.join(self.data, "meta", "root-credentials")) as file:
            root = dict(line.strip().split(" = ", 1) for line in file)
        return dict(os.environ, STRATUM_ROOT_ACCESS_KEY=root["access_key"], STRATUM_ROOT_SECRET_KEY=root["secret_key"])

    def operate(self, *words, found=False):
        """Runs an operator's command against the server and returns what it printed. With `found` it may end with 1,
        too."""
        command = [self.binary, *words, "--endpoint", f"http://127.0.0.1:{self.port}"]
        done = subprocess.run(command, capture_output=True, env=self.root(), timeout=150)
        if done.returncode not in ((0, 1) if found else (0,)):
            raise SystemExit(f"FAILED: {' '.join(words)} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    def status(self):
        return json.loads(self.operate("status", "--json", found=True))

    def wait_for(self, what, is_so, patience=120):
        """Waits until `is_so` holds of the status; returns how long that took."""
        began = time.monotonic()
        while not is_so(status := self.status()):
            if time.monotonic() - began > patience:
                raise SystemExit(f"FAILED: {what} was not seen within {patience} s: {json.dumps(status, indent=1)}")
            time.sleep(0.3)
        return time.monotonic() - began

    def scrub(self):
        """Starts a scrub, which reads everything on the drives, and waits for its end."""
        before = self.status()["scrub"]
        self.operate("scrub", "start", found=True)
        passes = ("passes", "copies_passes")
        self.wait_for("a whole scrub", lambda status: all(status["scrub"][name] > before[name] for name in passes))

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()


def path(key, **query):
    query = "?" + urllib.parse.urlencode(query) if query else ""
    return f"/{BUCKET}/{urllib.parse.quote(key)}{query}"


def fingerprint(body):
    return None if body is None else hashlib.sha256(body).hexdigest()


class Ledger:
    """For each key, the states that the store may show: one if the last request was answered, more if it wasn't."""

    def __init__(self):
        self.states, self.acknowledged, self.lock = {}, 0, threading.Lock()

    def may_become(self, key, state):
        with self.lock:
            self.states.setdefault(key, {None}).add(state)

    def now_is(self, key, state):
        with self.lock:
            self.states[key] = {state}
            self.acknowledged += 1


class Refused(Exception):
    """The server answered, but not with success: nothing may have changed."""


class TryAgain(Refused):
    """A 503, which every S3 client retries."""


def refused(what, status, text):
    return (TryAgain if status == 503 else Refused)(f"{what}: {status} {text[:200]}")


def put(server, ledger, key, body):
    """Puts an object and notes that in the ledger. If the connection breaks, both states stay possible."""
    state = fingerprint(body)
    ledger.may_become(key, state)
    status, text, headers = server.request("PUT", path(key), body)
    if status != 200:
        raise refused(f"PUT {key}", status, text)
    assert headers["ETag"].strip('"') == hashlib.md5(body).hexdigest(), f"PUT {key}: a wrong ETag"
    ledger.now_is(key, state)


def put_in_parts(server, ledger, key, parts):
    state = fingerprint(b"".join(parts))
    ledger.may_become(key, state)
    status, text, _ = server.request("POST", path(key) + "?uploads")
    if status != 200:
        raise refused(f"create upload {key}", status, text)
    upload = ElementTree.fromstring(text).findtext(NAMESPACE + "UploadId")
    done = ""
    for number, part in enumerate(parts, 1):
        status, text, headers = server.request("PUT", path(key, partNumber=number, uploadId=upload), part)
        if status != 200:
            raise refused(f"part {number} of {key}", status, text)
        done += f"<Part><PartNumber>{number}</PartNumber><ETag>{headers['ETag']}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{done}</CompleteMultipartUpload>"
    status, text, _ = server.request("POST", path(key, uploadId=upload), document.encode())
    if status != 200 or b"<Error>" in text:
        raise refused(f"complete {key}", status, text)
    ledger.now_is(key, state)


def delete(server, ledger, key):
    ledger.may_become(key, None)
    status, text, _ = server.request("DELETE", path(key))
    if status != 204:
        raise refused(f"DELETE {key}", status, text)
    ledger.now_is(key, None)


def random_body(chance):
    """A body: mostly small enough for the journal, sometimes large enough for stripes. Some of them can be
    compressed."""
    low, high = chance.choice([(0, 1), (1, 5_000), (1, 5_000), (4_096, 4_097), (30_000, 34_000), (50_000, 400_000), (1 << 20, 3 << 20)])
    length = chance.randrange(low, high)
    if chance.random() < 0.3:
        return (chance.randbytes(100) * (length // 100 + 1))[:length]
    return chance.randbytes(length)


def work(server, ledger, name, seed, until, problems, retries):
    """One client: random operations on its own keys until told to stop or the server is gone.

    A 503 is tried again a few times in a row, as every S3 client does. A request gets one whose body was being written
    to a drive when the drive was lost.
    """
    chance, patience = random.Random(seed), retries
    while not until.is_set():
        key, dice = f"{name}/{chance.randrange(40)}", chance.random()
        try:
            if dice < 0.10:
                delete(server, ledger, key)
            elif dice < 0.13:
                put_in_parts(server, ledger, key, [chance.randbytes(5 << 20), random_body(chance)])
            else:
                put(server, ledger, key, random_body(chance))
            patience = retries
        except TryAgain as problem:
            patience -= 1
            if patience == 0:
                problems.append(str(problem))
                return
            time.sleep(0.2)
        except (OSError, http.client.HTTPException):
            return
        except (Refused, AssertionError) as problem:
            problems.append(str(problem))
            return


def load(server, ledger, seconds, clients, seed, meanwhile=None, retries=RETRIES):
    """Runs a mixed load for a while, and calls `meanwhile` in its middle. Returns the clients' threads, which may not
    have ended yet, and a list of what went wrong."""
    until, problems = threading.Event(), []
    threads = [
        threading.Thread(
            target=work, args=(server, ledger, f"client-{number}", f"{seed}-{number}", until, problems, retries)
        )
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    if meanwhile:
        meanwhile()
    time.sleep(seconds / 2)
    until.set()
    return threads, problems


def verify(server, ledger):
    """Asserts that every key has a state that the ledger allows, and that the listing has just the keys that exist."""
    for key, allowed in sorted(ledger.states.items()):
        status, body, _ = server.request("GET", path(key))
        if status not in (200, 404):
            raise SystemExit(f"FAILED: GET {key}: {status} {body[:300]}")
        found = fingerprint(body) if status == 200 else None
        if found not in allowed:
            what = "is gone" if found is None else f"has {len(body)} other bytes"
            raise SystemExit(f"FAILED: {key} {what}; it may be any of {len(allowed)} states")
        ledger.states[key] = {found}
    expected = sorted(key for key, states in ledger.states.items() if states != {None})
    listed = list_all(server)
    if listed != expected:
        raise SystemExit(f"FAILED: the listing differs: {set(listed) ^ set(expected)}")
    return len(expected)


def list_all(server, bucket=BUCKET):
    keys, token = [], None
    while True:
        query = {"list-type": "2", "max-keys": "100", **({"continuation-token": token} if token else {})}
        status, text, _ = server.request("GET", f"/{bucket}?{urllib.parse.urlencode(query)}")
        assert status == 200, text
        page = ElementTree.fromstring(text)
        keys += [item.findtext(NAMESPACE + "Key") for item in page.iter(NAMESPACE + "Contents")]
        token = page.findtext(NAMESPACE + "NextContinuationToken")
        if not token:
            return keys


def overwrite_with_noise(folder, chance):
    """Overwrites every file under the folder with random bytes of the same length."""
    for place, _, names in os.walk(folder):
        for name in names:
            where = os.path.join(place, name)
            with open(where, "r+b") as file:
                left = os.fstat(file.fileno()).st_size
                while left > 0:
                    left -= file.write(chance.randbytes(min(left, 1 << 20)))
