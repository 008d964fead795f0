"""boto3: the transfer manager, presigned URLs, checksums, odd keys, ranges and conditions."""

import base64
import hashlib
import io
import ssl
import threading
import urllib.error
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from matrix import MIB, Skipped, Store, check, equal


def client_of(workspace, store=None, **options):
    store = store or workspace.store
    options = {"signature_version": "s3v4", **options}
    config = Config(region_name="us-east-1", retries={"max_attempts": 0}, s3={"addressing_style": "path"}, **options)
    return boto3.client("s3", endpoint_url=store.endpoint, aws_access_key_id=store.access_key,
                        aws_secret_access_key=store.secret_key, verify=store.certificate or True, config=config)


def connect(workspace, **options):
    """A client, with the check's bucket made."""
    client = client_of(workspace, **options)
    client.create_bucket(Bucket=workspace.bucket)
    return client


def refusal(call, **arguments):
    """The status and the code of a call that must fail."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError(f"{call.__name__} was accepted")


def http(workspace, url, method="GET", body=None, headers=None, store=None):
    store = store or workspace.store
    context = ssl.create_default_context(cafile=store.certificate) if store.tls else None
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return answer.read(), answer.headers


@check
def transfer_manager(workspace):
    client, body = connect(workspace), workspace.chance.randbytes(27 * MIB + 5)
    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=6 * MIB, max_concurrency=4)
    extra = {"Metadata": {"a": "b"}, "ContentType": "application/x-check"}
    client.upload_fileobj(io.BytesIO(body), workspace.bucket, "large", Config=config, ExtraArgs=extra)
    head = client.head_object(Bucket=workspace.bucket, Key="large")
    equal((head["ContentLength"], head["Metadata"], head["ContentType"]), (len(body), {"a": "b"}, "application/x-check"))
    parts = [hashlib.md5(body[start:start + 6 * MIB]).digest() for start in range(0, len(body), 6 * MIB)]
    equal(head["ETag"], f'"{hashlib.md5(b"".join(parts)).hexdigest()}-{len(parts)}"')
    back = io.BytesIO()
    client.download_fileobj(workspace.bucket, "large", back, Config=config)
    assert back.getvalue() == body, "the download differs"
    client.copy({"Bucket": workspace.bucket, "Key": "large"}, workspace.bucket, "copy", Config=config)
    assert client.get_object(Bucket=workspace.bucket, Key="copy")["Body"].read() == body, "the copy differs"
    part = client.get_object(Bucket=workspace.bucket, Key="large", PartNumber=2)
    equal((part["PartsCount"], part["Body"].read() == body[6 * MIB:12 * MIB]), (5, True))


@check
def presigned_get_and_put(workspace):
    client, body = connect(workspace), workspace.chance.randbytes(70_000)
    which = {"Bucket": workspace.bucket, "Key": "a key/with +%25 things"}
    url = client.generate_presigned_url("put_object", Params=which, ExpiresIn=300)
    http(workspace, url, "PUT", body, {"content-type": ""})
    url = client.generate_presigned_url("get_object", ExpiresIn=300, Params={
        **which, "ResponseContentType": "text/x-chosen", "ResponseContentDisposition": "attachment"})
    found, headers = http(workspace, url)
    equal((headers["content-type"], headers["content-disposition"]), ("text/x-chosen", "attachment"))
    assert found == body, "the presigned download differs"
    try:
        http(workspace, client.generate_presigned_url("get_object", Params=which, ExpiresIn=-10))
    except urllib.error.HTTPError as error:
        assert error.code in (400, 403), error.code
    else:
        raise AssertionError("an expired URL was accepted")


@check
def an_old_signature_is_refused_in_words(workspace):
    """boto3 still presigns by version 2 for us-east-1 unless told otherwise; the refusal says what is needed."""
    connect(workspace)
    client = client_of(workspace, signature_version="s3")
    url = client.generate_presigned_url("get_object", Params={"Bucket": workspace.bucket, "Key": "k"})
    assert "AWSAccessKeyId=" in url, url
    try:
        http(workspace, url)
    except urllib.error.HTTPError as error:
        complaint = error.read()
        assert error.code == 400 and b"AWS4-HMAC-SHA256" in complaint, complaint
    else:
        raise AssertionError("a version 2 signature was accepted")


@check
def an_old_signature_where_it_is_taken(workspace):
    store = workspace.store.lenient
    if not store:
        raise Skipped("needs a server started with signature_v2")
    client, bucket = client_of(workspace, store, signature_version="s3"), workspace.bucket
    client.create_bucket(Bucket=bucket)
    which, body = {"Bucket": bucket, "Key": "a key/with +%25 things"}, workspace.chance.randbytes(70_000)
    signed = []
    client.meta.events.register("before-send.s3", lambda request, **_: signed.append(request.headers["Authorization"]))
    client.put_object(**which, Body=body, Metadata={"a": "b"}, ContentType="text/x-chosen")
    got = client.get_object(**which)
    assert got["Body"].read() == body, "what came back differs"
    equal((got["Metadata"], got["ContentType"]), ({"a": "b"}, "text/x-chosen"))
    large = workspace.chance.randbytes(11 * MIB)
    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=6 * MIB)
    client.upload_fileobj(io.BytesIO(large), bucket, "large", Config=config)
    assert client.get_object(Bucket=bucket, Key="large")["Body"].read() == large, "the parts differ"
    equal([one["Key"] for one in client.list_objects_v2(Bucket=bucket, Prefix="a k")["Contents"]], [which["Key"]])
    equal(client.get_object_tagging(**which)["TagSet"], [])
    assert all(str(value).lstrip("b'").startswith("AWS ") for value in signed), signed
    other = Store(store.endpoint, store.access_key, "another-secret-key", store.certificate)
    equal(refusal(client_of(workspace, other, signature_version="s3").get_object, **which), (403, "SignatureDoesNotMatch"))

    url = client.generate_presigned_url("get_object", Params={**which, "ResponseContentType": "text/y"}, ExpiresIn=300)
    found, headers = http(workspace, url, store=store)
    assert found == body and headers["content-type"] == "text/y", "the presigned download differs"
    put = client.generate_presigned_url("put_object", ExpiresIn=300, Params={
        "Bucket": bucket, "Key": "put", "Metadata": {"a": "b"}, "ContentType": "text/z"})
    http(workspace, put, "PUT", b"body", {"content-type": "text/z"}, store)
    head = client.head_object(Bucket=bucket, Key="put")
    equal((head["ContentLength"], head["Metadata"], head["ContentType"]), (4, {"a": "b"}, "text/z"))
    for wrong, kind in [(put.replace("/put?", "/other?"), "text/z"), (put + "&tagging", "text/z"), (put, "text/other")]:
        try:
            http(workspace, wrong, "PUT", b"body", {"content-type": kind}, store)
        except urllib.error.HTTPError as error:
            equal((error.code, b"SignatureDoesNotMatch" in error.read()), (403, True))
        else:
            raise AssertionError(f"{wrong} was accepted")
    doomed = {"Objects": [{"Key": key} for key in [which["Key"], "large", "put"]], "Quiet": True}
    assert "Errors" not in client.delete_objects(Bucket=bucket, Delete=doomed)
    client.delete_bucket(Bucket=bucket)


@check
def default_checksums(workspace):
    """The SDK adds a CRC32 by itself: in a header over HTTP, in a trailer over TLS; it checks what comes back."""
    client, body = connect(workspace), workspace.chance.randbytes(200_000)
    sent = []
    client.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(dict(request.headers)))
    put = client.put_object(Bucket=workspace.bucket, Key="k", Body=io.BytesIO(body))
    wanted = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    equal((put["ChecksumCRC32"], put["ChecksumType"]), (wanted, "FULL_OBJECT"))
    payload = {name.lower(): value for name, value in sent[0].items()}["x-amz-content-sha256"]
    payload = payload.decode() if isinstance(payload, bytes) else payload
    equal(payload.startswith("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), workspace.store.tls)
    got = client.get_object(Bucket=workspace.bucket, Key="k")
    assert got["Body"].read() == body and got["ChecksumCRC32"] == wanted, "what came back differs"
    head = client.head_object(Bucket=workspace.bucket, Key="k")
    assert "ContentEncoding" not in head and head["ContentLength"] == len(body), head


@check
def chosen_checksums(workspace):
    client, body = connect(workspace), workspace.chance.randbytes(100_000)
    for algorithm, digest in [("SHA256", hashlib.sha256(body)), ("SHA1", hashlib.sha1(body))]:
        field, wanted = f"Checksum{algorithm}", base64.b64encode(digest.digest()).decode()
        put = client.put_object(Bucket=workspace.bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
        equal(put[field], wanted)
        head = client.head_object(Bucket=workspace.bucket, Key="k", ChecksumMode="ENABLED")
        equal(head[field], wanted)
        bad = base64.b64encode(bytes(len(digest.digest()))).decode()
        equal(refusal(client.put_object, Bucket=workspace.bucket, Key="k", Body=b"other", **{field: bad})[0], 400)
    assert client.get_object(Bucket=workspace.bucket, Key="k")["Body"].read() == body, "a refused PUT left a trace"
    equal(refusal(client.put_object, Bucket=workspace.bucket, Key="k", Body=b"x",
                  ContentMD5=base64.b64encode(bytes(16)).decode()), (400, "BadDigest"))


@check
def without_checksums(workspace):
    """Requests without checksums, as SDKs sent them before they added checksums by default."""
    client = connect(workspace, request_checksum_calculation="when_required",
                     response_checksum_validation="when_required")
    for size in [0, 1, 32_768, 32_769, 5 * MIB]:
        body = workspace.chance.randbytes(size)
        put = client.put_object(Bucket=workspace.bucket, Key="k", Body=body)
        equal(put["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        assert client.get_object(Bucket=workspace.bucket, Key="k")["Body"].read() == body, f"{size} bytes differ"
    doomed = {"Objects": [{"Key": "k"}], "Quiet": True}
    assert "Errors" not in client.delete_objects(Bucket=workspace.bucket, Delete=doomed)


@check
def keys_are_opaque(workspace):
    client = connect(workspace)
    keys = ["a", "a/", "a//b", "a/b", "/a", "..", "../x", "a/../b", "a/./b", " lead", "trail ", "+", "%2F", "%", "a?b#c",
            "\x01\x1f\n", "ü", "日本語", "😀", "x" * 1024, "~", "&<>\"'"]
    for key in keys:
        client.put_object(Bucket=workspace.bucket, Key=key, Body=key.encode())
    for key in keys:
        equal(client.get_object(Bucket=workspace.bucket, Key=key)["Body"].read(), key.encode())
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=workspace.bucket, PaginationConfig={"PageSize": 4})
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    equal(listed, sorted(keys, key=str.encode))
    equal(refusal(client.put_object, Bucket=workspace.bucket, Key="x" * 1025, Body=b"")[1], "KeyTooLongError")
    # XML can't carry most control characters, and DeleteObjects has no url encoding. Such a key is deleted by itself.
    sayable = [key for key in keys if key.isprintable()]
    done = client.delete_objects(Bucket=workspace.bucket, Delete={"Objects": [{"Key": key} for key in sayable]})
    equal(sorted(entry["Key"] for entry in done["Deleted"]), sorted(sayable))
    for key in set(keys) - set(sayable):
        client.delete_object(Bucket=workspace.bucket, Key=key)
    equal(client.list_objects_v2(Bucket=workspace.bucket)["KeyCount"], 0)


@check
def ranges_and_conditions(workspace):
    client, body = connect(workspace), workspace.chance.randbytes(3 * MIB + 11)
    etag = client.put_object(Bucket=workspace.bucket, Key="k", Body=body)["ETag"]
    which = {"Bucket": workspace.bucket, "Key": "k"}
    for first, last in [(0, 0), (32_767, 32_768), (262_143, 262_145), (1 * MIB - 1, 2 * MIB), (len(body) - 1, len(body))]:
        got = client.get_object(**which, Range=f"bytes={first}-{last}")
        equal(got["ContentRange"], f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}")
        assert got["Body"].read() == body[first:last + 1], f"bytes {first}-{last} differ"
    equal(client.get_object(**which, Range="bytes=-5")["Body"].read(), body[-5:])
    equal(refusal(client.get_object, **which, Range=f"bytes={len(body)}-"), (416, "InvalidRange"))
    equal(refusal(client.get_object, **which, IfMatch='"other"')[0], 412)
    equal(refusal(client.head_object, **which, IfNoneMatch=etag)[0], 304)
    equal(refusal(client.put_object, **which, Body=b"x", IfNoneMatch="*"), (412, "PreconditionFailed"))
    equal(refusal(client.delete_object, **which, IfMatch='"other"')[0], 412)
    client.delete_object(**which, IfMatch=etag)
    equal(refusal(client.get_object, **which), (404, "NoSuchKey"))


@check
def one_winner_of_a_race(workspace):
    client, outcomes = connect(workspace), []
    ready = threading.Barrier(8)

    def contend(number):
        ready.wait()
        try:
            client.put_object(Bucket=workspace.bucket, Key="k", Body=str(number).encode(), IfNoneMatch="*")
            outcomes.append(number)
        except ClientError as error:
            equal(error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412), True)

    threads = [threading.Thread(target=contend, args=[number]) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal(len(outcomes), 1)
    equal(client.get_object(Bucket=workspace.bucket, Key="k")["Body"].read(), str(outcomes[0]).encode())


@check
def versions_of_a_bucket_without_versions(workspace):
    client = connect(workspace)
    client.put_object(Bucket=workspace.bucket, Key="k", Body=b"x")
    listed = client.list_object_versions(Bucket=workspace.bucket)["Versions"]
    equal([(entry["Key"], entry["VersionId"], entry["IsLatest"]) for entry in listed], [("k", "null", True)])
    equal(client.get_object(Bucket=workspace.bucket, Key="k", VersionId="null")["Body"].read(), b"x")
    client.delete_object(Bucket=workspace.bucket, Key="k", VersionId="null")
    equal(client.list_object_versions(Bucket=workspace.bucket).get("Versions", []), [])
