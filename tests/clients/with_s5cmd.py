"""s5cmd: wildcards, parallel multipart, sync, pipes and batch deletes."""

import os

from matrix import MIB, check, equal, read, same_file, same_tree
from venv import program


def s5cmd(workspace, *words, **options):
    endpoint = ["--endpoint-url", workspace.store.endpoint, "--retry-count", "0"]
    return workspace.run(program("s5cmd"), *endpoint, *words, **options)


@check
def cp_of_a_tree_and_back(workspace):
    source, back = workspace.tree("source"), workspace.path("back")
    s5cmd(workspace, "mb", f"s3://{workspace.bucket}")
    s5cmd(workspace, "cp", f"{source}/", f"s3://{workspace.bucket}/tree/")
    s5cmd(workspace, "cp", f"s3://{workspace.bucket}/tree/*", f"{back}/")
    same_tree(source, back)
    listed = s5cmd(workspace, "ls", f"s3://{workspace.bucket}/tree/*.bin").decode()
    assert "deep/er/file.bin" in listed and "plain.txt" not in listed, listed


@check
def multipart_cp(workspace):
    source, back = workspace.file("source", 23 * MIB + 1), workspace.path("back")
    s5cmd(workspace, "mb", f"s3://{workspace.bucket}")
    s5cmd(workspace, "cp", "--part-size", "5", source, f"s3://{workspace.bucket}/large")
    s5cmd(workspace, "cp", "--part-size", "5", "--concurrency", "3", f"s3://{workspace.bucket}/large", back)
    same_file(source, back)
    equal(s5cmd(workspace, "cat", f"s3://{workspace.bucket}/large"), read(source))


@check
def sync_and_rm(workspace):
    source, back = workspace.tree("source"), workspace.path("back")
    s5cmd(workspace, "mb", f"s3://{workspace.bucket}")
    s5cmd(workspace, "sync", f"{source}/", f"s3://{workspace.bucket}/")
    os.remove(os.path.join(source, "plain.txt"))
    s5cmd(workspace, "sync", "--delete", f"{source}/", f"s3://{workspace.bucket}/")
    s5cmd(workspace, "sync", f"s3://{workspace.bucket}/*", f"{back}/")
    same_tree(source, back)
    s5cmd(workspace, "rm", f"s3://{workspace.bucket}/*")
    assert b"no object found" in s5cmd(workspace, "ls", f"s3://{workspace.bucket}/*", fails=True)
    s5cmd(workspace, "rb", f"s3://{workspace.bucket}")


@check
def pipe_mv_and_du(workspace):
    body = workspace.chance.randbytes(100_000)
    s5cmd(workspace, "mb", f"s3://{workspace.bucket}")
    s5cmd(workspace, "pipe", f"s3://{workspace.bucket}/piped", input=body)
    s5cmd(workspace, "mv", f"s3://{workspace.bucket}/piped", f"s3://{workspace.bucket}/a/moved")
    equal(s5cmd(workspace, "cat", f"s3://{workspace.bucket}/a/moved"), body)
    assert b"100000 bytes in 1 objects" in s5cmd(workspace, "du", f"s3://{workspace.bucket}/*"), "the sum is right"
