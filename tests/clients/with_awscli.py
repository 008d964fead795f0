"""awscli: the high-level `s3` commands, and `s3api` down to the single operation."""

import json
import os
import urllib.error
import urllib.request
import ssl

from matrix import ELSEWHERE, MIB, ODD_NAMES, Skipped, check, equal, names_in, read, same_file, same_tree
from venv import program


def aws(workspace, *words, store=None, **options):
    store = store or workspace.store
    if store.certificate:
        options.setdefault("AWS_CA_BUNDLE", store.certificate)
    return workspace.run(program("aws"), "--endpoint-url", store.endpoint, *words, **options)


def s3(workspace, *words, **options):
    return aws(workspace, "s3", *words, **options).decode()


def s3api(workspace, operation, *words, **options):
    """One operation on the check's bucket; returns its JSON."""
    printed = aws(workspace, "s3api", operation, "--bucket", workspace.bucket, *words, **options)
    if options.get("fails"):
        return printed.decode()
    return json.loads(printed) if printed.strip() else {}


def make_bucket(workspace):
    s3(workspace, "mb", f"s3://{workspace.bucket}")


def fetch(workspace, url, method="GET"):
    context = ssl.create_default_context(cafile=workspace.store.certificate) if workspace.store.tls else None
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60, context=context) as answer:
        return answer.read()


@check
def cp_ls_and_rm(workspace):
    make_bucket(workspace)
    source, back = workspace.file("source", 100_000), workspace.path("back")
    key = f"s3://{workspace.bucket}/folder/a key+plus.bin"
    s3(workspace, "cp", source, key)
    s3(workspace, "cp", key, back)
    same_file(source, back)
    listed = s3(workspace, "ls", f"s3://{workspace.bucket}/folder/")
    assert "100000 a key+plus.bin" in listed, listed
    assert workspace.bucket in s3(workspace, "ls"), "the bucket is listed"
    s3(workspace, "rm", key)
    equal(s3(workspace, "ls", "--recursive", f"s3://{workspace.bucket}"), "")
    s3(workspace, "rb", f"s3://{workspace.bucket}")
    assert workspace.bucket not in s3(workspace, "ls"), "the bucket is gone"


@check
def cp_is_multipart_over_the_threshold(workspace):
    make_bucket(workspace)
    source, back = workspace.file("source", 21 * MIB + 7), workspace.path("back")
    s3(workspace, "cp", "--only-show-errors", source, f"s3://{workspace.bucket}/large")
    head = s3api(workspace, "head-object", "--key", "large")
    equal((head["ContentLength"], head["ETag"][-3:]), (21 * MIB + 7, '-3"'))
    s3(workspace, "cp", "--only-show-errors", f"s3://{workspace.bucket}/large", back)
    same_file(source, back)
    copy = f"s3://{workspace.bucket}/copied"
    s3(workspace, "cp", "--only-show-errors", f"s3://{workspace.bucket}/large", copy)
    s3(workspace, "mv", "--only-show-errors", copy, back)
    same_file(source, back)
    s3api(workspace, "head-object", "--key", "copied", fails=True)


@check
def versions_are_listed_read_and_deleted(workspace):
    make_bucket(workspace)
    s3api(workspace, "put-bucket-versioning", "--versioning-configuration", "Status=Enabled")
    equal(s3api(workspace, "get-bucket-versioning")["Status"], "Enabled")
    bodies = [workspace.file("one", 10), workspace.file("two", 20)]
    ids = [s3api(workspace, "put-object", "--key", "a", "--body", body)["VersionId"] for body in bodies]
    marker = s3api(workspace, "delete-object", "--key", "a")
    assert marker["DeleteMarker"], marker
    listed = s3api(workspace, "list-object-versions")
    equal([version["VersionId"] for version in listed["Versions"]], ids[::-1])
    equal([(one["VersionId"], one["IsLatest"]) for one in listed["DeleteMarkers"]], [(marker["VersionId"], True)])
    back = workspace.path("back")
    s3api(workspace, "get-object", "--key", "a", "--version-id", ids[0], back)
    same_file(bodies[0], back)
    s3api(workspace, "get-object", "--key", "a", back, fails=True)
    for version in [*ids, marker["VersionId"]]:
        s3api(workspace, "delete-object", "--key", "a", "--version-id", version)
    s3(workspace, "rb", f"s3://{workspace.bucket}")


@check
def cp_from_and_to_a_pipe(workspace):
    make_bucket(workspace)
    body = workspace.chance.randbytes(9 * MIB)
    s3(workspace, "cp", "-", f"s3://{workspace.bucket}/piped", input=body)
    equal(aws(workspace, "s3", "cp", f"s3://{workspace.bucket}/piped", "-"), body)


@check
def sync_both_ways_and_delete(workspace):
    make_bucket(workspace)
    source, back = workspace.tree("source", large=9 * MIB), workspace.path("back")
    there = f"s3://{workspace.bucket}/tree"
    s3(workspace, "sync", "--only-show-errors", source, there)
    equal(s3(workspace, "sync", source, there), "")
    s3(workspace, "sync", "--only-show-errors", there, back)
    same_tree(source, back)
    os.remove(os.path.join(source, "plain.txt"))
    s3(workspace, "sync", "--only-show-errors", "--delete", source, there)
    s3(workspace, "sync", "--only-show-errors", "--delete", there, back)
    same_tree(source, back)
    s3(workspace, "rm", "--only-show-errors", "--recursive", there)
    equal(s3(workspace, "ls", "--recursive", f"s3://{workspace.bucket}"), "")


@check
def presign(workspace):
    make_bucket(workspace)
    # Without this, awscli 1 presigns for us-east-1 with the version 2 that S3 itself has retired.
    workspace.run(program("aws"), "configure", "set", "default.s3.signature_version", "s3v4")
    source = workspace.file("source", 50_000)
    s3(workspace, "cp", "--only-show-errors", source, f"s3://{workspace.bucket}/shown to all.bin")
    url = s3(workspace, "presign", f"s3://{workspace.bucket}/shown to all.bin", "--expires-in", "300").strip()
    equal(fetch(workspace, url), read(source))
    forged = url[:-4] + ("0000" if not url.endswith("0000") else "1111")
    try:
        fetch(workspace, forged)
    except urllib.error.HTTPError as refusal:
        equal(refusal.code, 403)
        assert b"SignatureDoesNotMatch" in refusal.read(), "the error says why"
    else:
        raise AssertionError("a forged signature was accepted")


@check
def s3api_put_head_get(workspace):
    make_bucket(workspace)
    source, back = workspace.file("source", 10_000), workspace.path("back")
    put = s3api(workspace, "put-object", "--key", "k", "--body", source, "--content-type", "text/x-check",
                "--metadata", "colour=blue,shape=round", "--checksum-algorithm", "SHA256", "--cache-control", "no-cache")
    head = s3api(workspace, "head-object", "--key", "k", "--checksum-mode", "ENABLED")
    equal(head["Metadata"], {"colour": "blue", "shape": "round"})
    equal((head["ContentType"], head["CacheControl"]), ("text/x-check", "no-cache"))
    equal((head["ChecksumSHA256"], head["ETag"]), (put["ChecksumSHA256"], put["ETag"]))
    got = s3api(workspace, "get-object", "--key", "k", "--range", "bytes=100-4099", back)
    equal((got["ContentRange"], read(back)), ("bytes 100-4099/10000", read(source)[100:4100]))
    s3api(workspace, "get-object", "--key", "k", "--range", "bytes=-10", back)
    equal(read(back), read(source)[-10:])
    complaint = s3api(workspace, "get-object", "--key", "k", "--if-none-match", put["ETag"], back, fails=True)
    assert "304" in complaint, complaint
    complaint = s3api(workspace, "get-object", "--key", "absent", back, fails=True)
    assert "NoSuchKey" in complaint, complaint


@check
def s3api_conditions_and_copy(workspace):
    make_bucket(workspace)
    first, second, back = workspace.file("first", 10), workspace.file("second", 20), workspace.path("back")
    s3api(workspace, "put-object", "--key", "k", "--body", first, "--if-none-match", "*")
    complaint = s3api(workspace, "put-object", "--key", "k", "--body", second, "--if-none-match", "*", fails=True)
    assert "PreconditionFailed" in complaint, complaint
    etag = s3api(workspace, "head-object", "--key", "k")["ETag"]
    s3api(workspace, "put-object", "--key", "k", "--body", second, "--if-match", etag)
    s3api(workspace, "copy-object", "--key", "c", "--copy-source", f"{workspace.bucket}/k", "--metadata", "a=b",
          "--metadata-directive", "REPLACE")
    equal(s3api(workspace, "get-object", "--key", "c", back)["Metadata"], {"a": "b"})
    same_file(second, back)


@check
def s3api_listing(workspace):
    make_bucket(workspace)
    keys = sorted([f"a/{number:02}" for number in range(12)] + ["b/x y", "b/z+", "top"])
    for key in keys:
        workspace.file(f"source/{key}", 1)
    s3(workspace, "cp", "--only-show-errors", "--recursive", workspace.path("source"), f"s3://{workspace.bucket}")
    paged = s3api(workspace, "list-objects-v2", "--page-size", "5")
    equal([entry["Key"] for entry in paged["Contents"]], keys)
    rolled = s3api(workspace, "list-objects-v2", "--delimiter", "/")
    equal([entry["Prefix"] for entry in rolled["CommonPrefixes"]], ["a/", "b/"])
    equal([entry["Key"] for entry in rolled["Contents"]], ["top"])
    first = s3api(workspace, "list-objects", "--prefix", "a/", "--max-keys", "3", "--no-paginate")
    equal(([entry["Key"] for entry in first["Contents"]], first["IsTruncated"]), (keys[:3], True))
    doomed = json.dumps({"Objects": [{"Key": key} for key in keys]})
    equal(len(s3api(workspace, "delete-objects", "--delete", doomed)["Deleted"]), len(keys))
    equal(s3api(workspace, "list-objects-v2").get("Contents", []), [])


@check
def s3api_multipart(workspace):
    make_bucket(workspace)
    first, last, back = workspace.file("first", 5 * MIB), workspace.file("last", 1000), workspace.path("back")
    s3api(workspace, "put-object", "--key", "source", "--body", last)
    upload = s3api(workspace, "create-multipart-upload", "--key", "k")["UploadId"]
    which = ["--key", "k", "--upload-id", upload]
    one = s3api(workspace, "upload-part", *which, "--part-number", "1", "--body", first)["ETag"]
    two = s3api(workspace, "upload-part-copy", *which, "--part-number", "2", "--copy-source",
                f"{workspace.bucket}/source", "--copy-source-range", "bytes=0-499")["CopyPartResult"]["ETag"]
    parts = s3api(workspace, "list-parts", *which)["Parts"]
    equal([(part["PartNumber"], part["Size"], part["ETag"]) for part in parts], [(1, 5 * MIB, one), (2, 500, two)])
    uploads = s3api(workspace, "list-multipart-uploads")["Uploads"]
    equal([(entry["Key"], entry["UploadId"]) for entry in uploads], [("k", upload)])
    chosen = json.dumps({"Parts": [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]})
    done = s3api(workspace, "complete-multipart-upload", *which, "--multipart-upload", chosen)
    assert done["ETag"].endswith('-2"'), done
    s3api(workspace, "get-object", "--key", "k", back)
    equal(read(back), read(first) + read(last)[:500])
    again = s3api(workspace, "create-multipart-upload", "--key", "other")["UploadId"]
    s3api(workspace, "abort-multipart-upload", "--key", "other", "--upload-id", again)
    complaint = s3api(workspace, "list-parts", "--key", "other", "--upload-id", again, fails=True)
    assert "NoSuchUpload" in complaint, complaint


@check
def s3api_buckets(workspace):
    make_bucket(workspace)
    s3api(workspace, "head-bucket")
    equal(s3api(workspace, "get-bucket-location").get("LocationConstraint"), None)
    s3api(workspace, "put-object", "--key", "k")
    assert "BucketNotEmpty" in s3api(workspace, "delete-bucket", fails=True)
    s3api(workspace, "delete-object", "--key", "k")
    s3api(workspace, "delete-bucket")
    assert "404" in s3api(workspace, "head-bucket", fails=True)


@check
def a_wrong_secret_is_refused(workspace):
    make_bucket(workspace)
    complaint = s3api(workspace, "list-objects-v2", fails=True, AWS_SECRET_ACCESS_KEY="wrong")
    assert "SignatureDoesNotMatch" in complaint, complaint
    complaint = s3api(workspace, "list-objects-v2", fails=True, AWS_ACCESS_KEY_ID="NOBODY")
    assert "InvalidAccessKeyId" in complaint, complaint
    complaint = aws(workspace, "s3", "ls", f"s3://{workspace.bucket}", "--no-sign-request", fails=True).decode()
    assert "AccessDenied" in complaint, complaint


@check
def no_sign_request(workspace):
    store = workspace.store.anonymous
    if store is None:
        raise Skipped("needs a server started with --anonymous")
    unsigned = {"store": store, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    source, back = workspace.tree("source"), workspace.path("back")
    there = f"s3://{workspace.bucket}"
    s3(workspace, "mb", there, "--no-sign-request", **unsigned)
    s3(workspace, "cp", "--only-show-errors", "--recursive", source, there, "--no-sign-request", **unsigned)
    listed = s3(workspace, "ls", "--recursive", there, "--no-sign-request", **unsigned)
    equal(len(listed.splitlines()), len(ODD_NAMES))
    s3(workspace, "cp", "--only-show-errors", "--recursive", there, back, "--no-sign-request", **unsigned)
    equal(names_in(back), names_in(source))
    same_tree(source, back)


@check
def a_server_in_another_region_is_found(workspace):
    """A client may name the server's region, or us-east-1 and be told the right one. A bucket without a location is
    there."""
    store = workspace.store.elsewhere
    if store is None:
        raise Skipped("needs a server in another region")
    source, back = workspace.file("source", 1000), workspace.path("back")
    for region in [ELSEWHERE, "us-east-1"]:
        elsewhere = {"store": store, "AWS_DEFAULT_REGION": region}
        bucket = f"{workspace.bucket}-{region}"
        s3(workspace, "mb", f"s3://{bucket}", **elsewhere)
        s3(workspace, "cp", source, f"s3://{bucket}/key", **elsewhere)
        s3(workspace, "cp", f"s3://{bucket}/key", back, **elsewhere)
        same_file(source, back)
        told = json.loads(aws(workspace, "s3api", "get-bucket-location", "--bucket", bucket, **elsewhere))
        equal(told, {"LocationConstraint": ELSEWHERE})
        again = s3(workspace, "mb", f"s3://{bucket}", fails=True, **elsewhere)
        assert "BucketAlreadyOwnedByYou" in again, again
        s3(workspace, "rb", "--force", f"s3://{bucket}", **elsewhere)
