"""rclone: copy, sync, check by download, ranged reads, streams; configured by environment alone."""

import os

from matrix import ELSEWHERE, MIB, Skipped, check, equal, read, same_tree
from venv import program


def rclone(workspace, *words, store=None, region="us-east-1", **options):
    store = store or workspace.store
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": store.endpoint, "ACCESS_KEY_ID": store.access_key,
              "SECRET_ACCESS_KEY": store.secret_key, "REGION": region, "FORCE_PATH_STYLE": "true"}
    variables = {f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()}
    if store.certificate:
        variables["RCLONE_CA_CERT"] = store.certificate
    flags = ["--config", os.path.join(workspace.folder, "rclone.conf"), "--retries", "1", "--low-level-retries", "1",
             "--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M"]
    return workspace.run(program("rclone"), *words, *flags, **variables, **options)


@check
def copy_check_and_copy_back(workspace):
    source, back = workspace.tree("source", large=17 * MIB), workspace.path("back")
    there = f"store:{workspace.bucket}/tree"
    rclone(workspace, "mkdir", f"store:{workspace.bucket}")
    rclone(workspace, "copy", source, there)
    rclone(workspace, "check", "--download", source, there)
    rclone(workspace, "copy", there, back)
    same_tree(source, back)
    with open(os.path.join(source, "plain.txt"), "wb") as file:
        file.write(b"changed")
    rclone(workspace, "check", "--download", source, there, fails=True)


@check
def sync_removes_what_is_gone(workspace):
    source = workspace.tree("source")
    there = f"store:{workspace.bucket}/tree"
    rclone(workspace, "mkdir", f"store:{workspace.bucket}")
    rclone(workspace, "sync", source, there)
    os.remove(os.path.join(source, "with space.txt"))
    workspace.file("source/new.bin", 1000)
    rclone(workspace, "sync", source, there)
    rclone(workspace, "check", "--download", source, there)
    listed = rclone(workspace, "lsf", there).decode()
    assert "new.bin" in listed and "with space.txt" not in listed, listed
    rclone(workspace, "purge", f"store:{workspace.bucket}")
    assert workspace.bucket not in rclone(workspace, "lsd", "store:").decode(), "the bucket is gone"


@check
def ranged_cat(workspace):
    source = workspace.file("source", 7 * MIB)
    rclone(workspace, "mkdir", f"store:{workspace.bucket}")
    rclone(workspace, "copyto", source, f"store:{workspace.bucket}/large")
    body = read(source)
    for offset, count in [(0, 10), (32_760, 20), (5 * MIB - 3, 1 * MIB), (7 * MIB - 1, 1)]:
        printed = rclone(workspace, "cat", f"store:{workspace.bucket}/large", "--offset", offset, "--count", count)
        assert printed == body[offset:offset + count], f"{count} bytes at {offset} differ"
    equal(rclone(workspace, "cat", f"store:{workspace.bucket}/large", "--tail", 100), body[-100:])


@check
def streams_and_copies_on_the_server(workspace):
    body = workspace.chance.randbytes(8 * MIB)
    rclone(workspace, "mkdir", f"store:{workspace.bucket}")
    rclone(workspace, "rcat", f"store:{workspace.bucket}/piped", input=body)
    rclone(workspace, "copyto", f"store:{workspace.bucket}/piped", f"store:{workspace.bucket}/copied")
    rclone(workspace, "moveto", f"store:{workspace.bucket}/copied", f"store:{workspace.bucket}/moved")
    equal(rclone(workspace, "lsf", f"store:{workspace.bucket}").decode().split(), ["moved", "piped"])
    assert rclone(workspace, "cat", f"store:{workspace.bucket}/moved") == body, "the copy differs"


@check
def a_bucket_in_another_region(workspace):
    elsewhere = {"store": workspace.store.elsewhere, "region": ELSEWHERE}
    if elsewhere["store"] is None:
        raise Skipped("needs a server in another region")
    body = workspace.chance.randbytes(1000)
    rclone(workspace, "mkdir", f"store:{workspace.bucket}", **elsewhere)
    rclone(workspace, "rcat", f"store:{workspace.bucket}/key", input=body, **elsewhere)
    # rclone checks the bucket before it writes.
    rclone(workspace, "rcat", f"store:{workspace.bucket}/other", input=body, **elsewhere)
    equal(rclone(workspace, "lsf", f"store:{workspace.bucket}", **elsewhere).decode().split(), ["key", "other"])
    assert rclone(workspace, "cat", f"store:{workspace.bucket}/key", **elsewhere) == body, "the bytes differ"
