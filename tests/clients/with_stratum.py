"""The store's own command line: trees, parts, pipes, sync, patterns, versions and shared URLs."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import urllib.request

from matrix import MIB, check, equal, read, same_file, same_tree
from with_awscli import s3api
import stratum_server


def stratum(workspace, *words, **options):
    return workspace.run(stratum_server.BINARY, *words, AWS_ENDPOINT_URL=workspace.store.endpoint, **options)


@check
def cp_of_a_tree_and_back(workspace):
    source, back = workspace.tree("source", large=23 * MIB + 1), workspace.path("back")
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    stratum(workspace, "cp", "--recursive", source, f"s3://{workspace.bucket}/tree")
    stratum(workspace, "cp", "--recursive", f"s3://{workspace.bucket}/tree", back)
    same_tree(source, back)
    stratum(workspace, "cp", "--recursive", f"s3://{workspace.bucket}/tree", f"s3://{workspace.bucket}/copy")
    stratum(workspace, "rm", "--recursive", f"s3://{workspace.bucket}/tree")
    stratum(workspace, "sync", f"s3://{workspace.bucket}/copy", workspace.path("again"))
    same_tree(source, workspace.path("again"))


@check
def pipes_and_ranges(workspace):
    body = workspace.chance.randbytes(9 * MIB)
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    stratum(workspace, "cp", "-", f"s3://{workspace.bucket}/piped", input=body)
    equal(stratum(workspace, "cat", f"s3://{workspace.bucket}/piped"), body)
    ranged = ["--offset", "1000", "--bytes", "9M"]
    equal(stratum(workspace, "cat", *ranged, f"s3://{workspace.bucket}/piped"), body[1000:])


@check
def sync_deletes_what_is_left_over(workspace):
    source = workspace.tree("source")
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    stratum(workspace, "sync", source, f"s3://{workspace.bucket}")
    os.remove(os.path.join(source, "plain.txt"))
    would = stratum(workspace, "sync", "--delete", "--dry-run", source, f"s3://{workspace.bucket}").decode()
    equal(would, f"would delete s3://{workspace.bucket}/plain.txt\n")
    stratum(workspace, "sync", "--delete", source, f"s3://{workspace.bucket}")
    stratum(workspace, "sync", f"s3://{workspace.bucket}", workspace.path("back"))
    same_tree(source, workspace.path("back"))


@check
def what_was_a_folder_becomes_a_file_and_a_folder_again(workspace):
    url, back = f"s3://{workspace.bucket}", workspace.path("back")
    stratum(workspace, "mb", url)
    for before, after in [("x/deep/in", "x"), ("x", "x/in")]:
        stratum(workspace, "cp", "-", f"{url}/{before}", input=before.encode())
        stratum(workspace, "sync", "--delete", url, back)
        stratum(workspace, "mv", f"{url}/{before}", f"{url}/{after}")
        # `sync` deletes what is in the way only at its end, so a second run is needed.
        outcome(workspace, "sync", "--delete", url, back)
        stratum(workspace, "sync", "--delete", url, back)
        equal(read(os.path.join(back, after)), before.encode())
        stratum(workspace, "rm", "-r", url)
        stratum(workspace, "sync", "--delete", url, back)


@check
def a_shared_url_is_enough(workspace):
    source = workspace.file("source", 70_000)
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    stratum(workspace, "cp", source, f"s3://{workspace.bucket}/odd ü+%name")
    shared = json.loads(stratum(workspace, "share", "--json", f"s3://{workspace.bucket}/odd ü+%name"))
    if not workspace.store.tls:
        with urllib.request.urlopen(shared["url"]) as answer:
            equal(answer.read(), read(source))
    stratum(workspace, "mv", f"s3://{workspace.bucket}/odd ü+%name", workspace.path("moved"))
    same_file(source, workspace.path("moved"))
    equal(stratum(workspace, "ls", f"s3://{workspace.bucket}"), b"")


@check
def what_has_no_name_makes_no_bucket(workspace):
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    for target in [f"s3://{workspace.bucket}", f"s3://{workspace.bucket}/folder/", f"s3://{workspace.bucket}-not-there"]:
        refused = outcome(workspace, "cp", "-", target, input=b"")
        equal(refused.returncode, 2)
        assert b"name the whole key" in refused.stderr, refused.stderr
    # The marker object of the folder itself has no name below the folder, so nothing is copied.
    s3api(workspace, "put-object", "--key", "folder/")
    stratum(workspace, "cp", f"s3://{workspace.bucket}/folder/**", f"s3://{workspace.bucket}-not-there/")
    assert f"{workspace.bucket}-not-there" not in stratum(workspace, "ls").decode()


@check
def names_are_as_they_are_for_programs_and_harmless_to_a_terminal(workspace):
    name = "red\x1b[31m\n"
    os.mkdir(workspace.path("source"))
    with open(os.path.join(workspace.path("source"), name), "w") as file:
        file.write("x")
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    told = stratum(workspace, "cp", "--json", "-r", workspace.path("source"), f"s3://{workspace.bucket}/a")
    equal(json.loads(told)["to"], f"s3://{workspace.bucket}/a/{name}")
    told = stratum(workspace, "sync", "--json", f"s3://{workspace.bucket}/a", workspace.path("back"))
    equal(json.loads(told)["to"], os.path.join(workspace.path("back"), name))
    os.remove(os.path.join(workspace.path("back"), name))
    workspace.file(os.path.join("back", name, "in the way"), 1)
    refused = outcome(workspace, "cp", "-r", f"s3://{workspace.bucket}/a", workspace.path("back"))
    equal(refused.returncode, 1)
    assert b"\x1b" not in refused.stderr and refused.stderr.count(b"\n") == 1, refused.stderr
    told = stratum(workspace, "rm", "--json", "-r", f"s3://{workspace.bucket}/a")
    equal(json.loads(told)["url"], f"s3://{workspace.bucket}/a/{name}")


@check
def patterns_mean_the_same_everywhere(workspace):
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    for key in ["a.log", "b.log", "c.txt", "d/e.log", "*"]:
        stratum(workspace, "cp", "-", f"s3://{workspace.bucket}/{key}", "--raw", input=key.encode() + b"\n")
    url = f"s3://{workspace.bucket}"
    equal(stratum(workspace, "cat", f"{url}/*.log"), b"a.log\nb.log\n")
    equal(stratum(workspace, "cat", f"{url}/**.log"), b"a.log\nb.log\nd/e.log\n")
    equal(stratum(workspace, "cat", "--raw", f"{url}/*"), b"*\n")
    equal(stratum(workspace, "head", "-c", "1", f"{url}/?.*"), b"abc")
    equal(stratum(workspace, "find", f"{url}/**.log", "--name", "e*"), f"{url}/d/e.log\n".encode())
    equal(json.loads(stratum(workspace, "du", "--json", f"{url}/*.log"))["objects"], 2)
    for command in ["cat", "du", "ls"]:
        equal(outcome(workspace, command, f"{url}/*.nothing").returncode, 3)
    folder = outcome(workspace, "cp", f"{url}/d", workspace.path("d"))
    assert folder.returncode == 3 and b"--recursive" in folder.stderr, folder.stderr


@check
def a_version_is_copied_and_is_current_again(workspace):
    url = f"s3://{workspace.bucket}/k"
    stratum(workspace, "mb", "--versioning", f"s3://{workspace.bucket}")
    for body in [b"first", b"second"]:
        stratum(workspace, "cp", "-", url, input=body)
    lines = stratum(workspace, "ls", "--versions", "--json", url).splitlines()
    first = json.loads(lines[-1])["version"]
    stratum(workspace, "cp", "--version-id", first, url, workspace.path("k"))
    equal(read(workspace.path("k")), b"first")
    stratum(workspace, "cp", "--version-id", first, url, url)
    equal(stratum(workspace, "cat", url), b"first")
    equal(outcome(workspace, "cp", "--version-id", first, f"{url}*", url).returncode, 2)


@check
def progress_keeps_to_its_line(workspace):
    source = workspace.file("source", 20 * MIB)
    stratum(workspace, "mb", f"s3://{workspace.bucket}")
    for columns in [200, 80, 60, 20]:
        seen, ended = on_a_terminal(workspace, columns, "cp", source, f"s3://{workspace.bucket}/k")
        equal(ended, 0)
        assert b"MiB" in seen and b"\x1b[1A" not in seen, (columns, seen)


def environment(workspace):
    return {**workspace.store.environment(workspace.folder), "AWS_ENDPOINT_URL": workspace.store.endpoint}


def outcome(workspace, *words, **options):
    """Runs a command that may fail."""
    return subprocess.run([stratum_server.BINARY, *words], env=environment(workspace), capture_output=True, **options)


def on_a_terminal(workspace, columns, *words):
    """Runs a command on a terminal of that many columns; returns what the terminal got, and the exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([stratum_server.BINARY, *words], stdin=theirs, stdout=theirs, stderr=theirs,
                               env=environment(workspace))
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    return seen, process.wait()
