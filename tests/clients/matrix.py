"""The checks of the client matrix, and what they work with.

A check is a function that takes a Workspace: a bucket's name and a folder of its own, and the store to talk to. It is
registered by @check and fails by raising.
"""

import filecmp
import os
import random
import shutil
import subprocess
import tempfile
import time
import uuid

CHECKS = {}
MIB = 1 << 20
#: Names that a store gets wrong which takes keys for paths or encodes them carelessly.
ODD_NAMES = ["plain.txt", "with space.txt", "plus+sign.txt", "per%25cent.txt", "ünïcødé-日本.txt", "deep/er/file.bin",
             "quote'\"&<>.txt", "semi;colon=at@.txt", "tilde~(brackets)[x]{y}.txt"]


class Skipped(Exception):
    """A check that does not apply to this store."""


def check(function):
    CHECKS[f"{function.__module__.removeprefix('with_')}: {function.__name__.replace('_', ' ')}"] = function
    return function


#: The region of the server in another region.
ELSEWHERE = "eu-central-1"


class Store:
    """An endpoint, and the keys and certificate with which clients use it."""

    def __init__(self, endpoint, access_key, secret_key, certificate=None):
        self.endpoint, self.certificate = endpoint, certificate
        self.access_key, self.secret_key = access_key, secret_key
        #: A second server, which needs no signature and takes signatures of version 2: used without a key, and with
        #: one.
        self.anonymous = self.lenient = None
        #: A third server, in another region than us-east-1.
        self.elsewhere = None

    @property
    def tls(self):
        return self.endpoint.startswith("https")

    def environment(self, folder):
        """The variables of a client: nothing of the caller's own configuration reaches it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", "S3_"))}
        kept.update(HOME=folder, AWS_ACCESS_KEY_ID=self.access_key, AWS_SECRET_ACCESS_KEY=self.secret_key,
                    AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true", AWS_MAX_ATTEMPTS="1",
                    PYTHONWARNINGS="ignore", LC_ALL="C.UTF-8")
        if self.certificate:
            kept.update(AWS_CA_BUNDLE=self.certificate, SSL_CERT_FILE=self.certificate,
                        RCLONE_CA_CERT=self.certificate)
        else:
            kept.pop("AWS_CA_BUNDLE", None)
        return kept


class Workspace:
    """A fresh bucket name and a folder, which is removed when the check is over."""

    def __init__(self, store):
        self.store = store
        self.bucket = f"check-{uuid.uuid4().hex[:12]}"
        self.folder = tempfile.mkdtemp(prefix="stratum-client-")
        self.chance = random.Random(self.bucket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command, input=None, fails=False, **variables):
        """Runs a client and returns what it printed, as bytes. With `fails` it must fail, and its error is returned,
        too."""
        environment = self.store.environment(self.folder)
        environment.update(variables)
        done = subprocess.run([str(word) for word in command], input=input, capture_output=True, cwd=self.folder,
                              env=environment, timeout=180)
        if fails != (done.returncode != 0):
            shown = " ".join(str(word) for word in command)
            raise AssertionError(f"{shown}\nended with {done.returncode}\n{done.stdout[-2000:].decode(errors='replace')}"
                                 f"\n{done.stderr[-2000:].decode(errors='replace')}")
        return done.stderr + done.stdout if fails else done.stdout

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, size):
        """A file of random bytes, a minute old; returns its path.

        `aws s3 sync` copies a file again that changed after its object's LastModified, which S3 gives in whole
        seconds. A file of this very second would look newer than its copy.
        """
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(self.chance.randbytes(size))
        a_minute_ago = time.time() - 60
        os.utime(path, (a_minute_ago, a_minute_ago))
        return path

    def tree(self, name, large=0):
        """A folder of oddly named files of many sizes, and one of `large` bytes if that is wanted."""
        for number, odd in enumerate(ODD_NAMES):
            self.file(os.path.join(name, odd), [0, 1, 100, 5_000, 32_768, 32_769, 70_000, 300_000, 1 << 20][number])
        if large:
            self.file(os.path.join(name, "large.bin"), large)
        return self.path(name)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def same_file(left, right):
    assert filecmp.cmp(left, right, shallow=False), f"{left} and {right} differ"


def same_tree(left, right):
    assert names_in(left) == names_in(right), f"{names_in(left)} is not {names_in(right)}"
    for name in names_in(left):
        same_file(os.path.join(left, name), os.path.join(right, name))


def names_in(folder):
    """The files under a folder, relative to it, sorted."""
    found = []
    for place, _, files in os.walk(folder):
        found += [os.path.relpath(os.path.join(place, file), folder) for file in files]
    return sorted(found)


def equal(found, wanted):
    assert found == wanted, f"found {found!r:.500}, wanted {wanted!r:.500}"
