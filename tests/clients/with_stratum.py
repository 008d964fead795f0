"""The store's own command line: trees, parts, pipes, sync, versions and what is shared."""

import json
import os
import urllib.request

from matrix import MIB, check, equal, read, same_file, same_tree
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
