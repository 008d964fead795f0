"""The attacks that `bench/hostile` makes on a server. Each is bounded, ends by itself, and costs the attacker little.

An attack runs in a process of its own at the lowest priority, so that its own work takes as little as possible from the
server. It acts as the user `mallory`, or without a key, and uses only what such a client can have: a key, a bucket,
sockets.
"""

import asyncio
import datetime
import hashlib
import hmac
import itertools
import json
import os
import resource
import time
import urllib.parse

USER = ("hostileaccesskey", "hostile-secret-key-of-nobody")
BUCKET = "mallory"
KEY = "k" * 900


class Target:
    """The server, and how large the attacks are."""

    def __init__(self, port, scale, user=USER):
        self.port, self.scale, self.user = port, scale, user
        self.host = f"127.0.0.1:{port}"

    def head(self, method, path, query=(), headers=(), body=b"", length=None, by=None, service="s3"):
        """A request's head, signed by the user or by (key, secret[, token]). The signature doesn't cover the body of
        an S3 request."""
        user = by or self.user
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        sent = {"host": self.host, "x-amz-date": now, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", **dict(headers)}
        if service != "s3":
            sent["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        if len(user) > 2:
            sent["x-amz-security-token"] = user[2]
        quoted = urllib.parse.quote(path, safe="/-_.~")
        text = "&".join(f"{quote(name)}={quote(value)}" for name, value in sorted(query))
        names = ";".join(sorted(sent))
        lines = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
        canonical = "\n".join([method, quoted, text, lines, names, sent["x-amz-content-sha256"]])
        scope = f"{now[:8]}/us-east-1/{service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = b"AWS4" + user[1].encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}".encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={user[0]}/{scope}"
        sent["authorization"] = f"{credential}, SignedHeaders={names}, Signature={signature}"
        if "transfer-encoding" not in sent:
            sent["content-length"] = str(len(body) if length is None else length)
        target = quoted + (f"?{text}" if text else "")
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()

    async def open(self, limit=1 << 16):
        return await asyncio.open_connection("127.0.0.1", self.port, limit=limit)

    async def ask(self, connection, *request, body=b"", **options):
        """A request on a connection that stays open; returns status and body."""
        reader, writer = connection
        writer.write(self.head(*request, body=body, **options) + body)
        return await answer(reader)


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


async def answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("content-length:")[2].split("\r\n")[0].strip()
    body = await reader.readexactly(int(length)) if length else b""
    return int(head.split(" ", 2)[1]), body


async def each(target, tasks, work):
    """Does work for all tasks over 16 connections that are kept open."""
    queue = list(tasks)

    async def worker():
        connection = await target.open()
        while queue:
            task = queue.pop()
            status, body = await work(connection, task)
            if status >= 300:
                raise SystemExit(f"preparing the attacks failed: {status} {body[:300]!r}")
        connection[1].close()

    await asyncio.gather(*(worker() for _ in range(16)))


async def prepare(target):
    """Makes what the attacks use: a bucket, objects with a thousand long keys, uploads, and one upload of many
    parts."""
    connection = await target.open(1 << 22)
    await target.ask(connection, "PUT", f"/{BUCKET}")
    put = lambda connection, number: target.ask(connection, "PUT", f"/{BUCKET}/{number:04}{KEY}")
    await each(target, range(1000), put)
    create = lambda connection, number: target.ask(
        connection, "POST", f"/{BUCKET}/u{number:04}{KEY}", [("uploads", "")], {"x-amz-meta-a": "m" * 1900})
    await each(target, range(target.scale["uploads"]), create)
    _, created = await target.ask(connection, "POST", f"/{BUCKET}/parts", [("uploads", "")])
    upload = created.decode().partition("<UploadId>")[2].partition("<")[0]
    part = lambda connection, number: target.ask(
        connection, "PUT", f"/{BUCKET}/parts", [("partNumber", str(number)), ("uploadId", upload)], body=b"x")
    await each(target, range(1, target.scale["parts"] + 1), part)
    return upload


async def again(attempt, seconds):
    """Makes attempts until the time is over, at most a few a second: an attacker doesn't stop when it is refused."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        try:
            await attempt()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        await asyncio.sleep(0.2)


async def flood(target, seconds, connections, request):
    """Sends one request after the other on each connection, and reads the answers."""
    deadline = asyncio.get_running_loop().time() + seconds

    async def attempt():
        reader, writer = await target.open(1 << 22)
        try:
            while asyncio.get_running_loop().time() < deadline:
                writer.write(request())
                await answer(reader)
        finally:
            writer.close()

    await asyncio.gather(*(again(attempt, seconds) for _ in range(connections)))


async def answers(reader, pause):
    """Whether the server answers within the pause. Before the end of a request's body that is a refusal."""
    try:
        await asyncio.wait_for(reader.read(1), pause)
        return True
    except asyncio.TimeoutError:
        return False


async def trickle(target, seconds, connections, head, first, piece, pause):
    """Sends requests whose bodies come slowly."""

    async def attempt():
        reader, writer = await target.open()
        try:
            writer.write(head() + first)
            while not await answers(reader, pause):
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 5)
        except asyncio.TimeoutError:
            pass
        finally:
            writer.close()

    await asyncio.gather(*(again(attempt, seconds) for _ in range(connections)))


async def slow_documents(target, upload, seconds):
    head = lambda: target.head("POST", f"/{BUCKET}/parts", [("uploadId", upload)], length=4 << 20)
    await trickle(target, seconds, 200, head, b"<CompleteMultipartUpload>", b" " * 1024, 1)


async def slow_puts(target, upload, seconds):
    head = lambda: target.head("PUT", f"/{BUCKET}/slow", length=5 << 30)
    await trickle(target, seconds, 200, head, b"x" * (1 << 20), b"x" * 1024, 1)


async def call(target, connection, service, action, by=None, **parameters):
    """Sends a request to IAM or STS. Returns a function that gives the content of an element of the answer."""
    version = {"iam": "2010-05-08", "sts": "2011-06-15"}[service]
    body = urllib.parse.urlencode({"Action": action, "Version": version, **parameters}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    _, said = await target.ask(connection, "POST", "/", [], headers, body=body, by=by, service=service)
    return lambda name: said.decode().partition(f"<{name}>")[2].partition("<")[0]


async def sessions(target, upload, seconds):
    """PUTs by many sessions of one role. Making sessions costs a user who may assume the role nothing."""
    connection = await target.open(1 << 16)
    await call(target, connection, "iam", "CreateUser", UserName="ann")
    made = await call(target, connection, "iam", "CreateAccessKey", UserName="ann")
    ann = (made("AccessKeyId"), made("SecretAccessKey"))
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::mallory:user/ann"}, "Action": "sts:AssumeRole"}
    policy = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    trust, policy = (json.dumps({"Version": "2012-10-17", "Statement": said}) for said in (statement, policy))
    await call(target, connection, "iam", "CreateRole", RoleName="many", AssumeRolePolicyDocument=trust)
    await call(target, connection, "iam", "PutRolePolicy", RoleName="many", PolicyName="own", PolicyDocument=policy)
    keys = []
    for number in range(100):
        made = await call(target, connection, "sts", "AssumeRole", by=ann, RoleArn="arn:aws:iam::mallory:role/many",
                          RoleSessionName=f"number-{number}")
        keys.append((made("AccessKeyId"), made("SecretAccessKey"), made("SessionToken")))
    keys = itertools.cycle(keys)
    head = lambda: target.head("PUT", f"/{BUCKET}/slow", length=5 << 30, by=next(keys))
    await trickle(target, seconds, 400, head, b"x" * (1 << 16), b"x" * 1024, 1)


async def unsigned_puts(target, upload, seconds):
    head = lambda: f"PUT /{BUCKET}/k HTTP/1.1\r\nhost: {target.host}\r\ncontent-length: {1 << 30}\r\n\r\n".encode()
    await trickle(target, seconds, 500, head, b"x" * 1024, b"x" * 1024, 1)


async def idle(target, upload, seconds):
    """Opens far more connections than the server accepts. Half of them send nothing, half are idle after a request."""

    async def attempt(is_silent):
        reader, writer = await target.open()
        try:
            if not is_silent:
                writer.write(target.head("HEAD", f"/{BUCKET}"))
                await reader.readuntil(b"\r\n\r\n")
            await reader.read(1)
        finally:
            writer.close()

    await asyncio.gather(*(again(lambda number=n: attempt(number % 2), seconds) for n in range(target.scale["idle"])))


async def unread(target, upload, seconds):
    """Asks for lists of a thousand long keys, and doesn't read the answers."""

    async def attempt():
        reader, writer = await target.open(1024)
        try:
            writer.write(target.head("GET", f"/{BUCKET}", [("list-type", "2")]))
            await asyncio.sleep(seconds)
        finally:
            writer.close()

    await asyncio.gather(*(again(attempt, seconds) for _ in range(300)))


async def single_bytes(target, upload, seconds):
    """Sends bodies in chunks of one byte, by HTTP's chunked encoding and by aws-chunked."""
    plain = {"transfer-encoding": "chunked"}
    aws = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32"}
    chunks = b"1\r\nx\r\n" * 8192

    def framed():
        return target.head("PUT", f"/{BUCKET}/bytes", headers=plain)

    def encoded():
        headers = {**aws, "x-amz-decoded-content-length": str(8192 * 1000)}
        return target.head("PUT", f"/{BUCKET}/bytes", headers=headers, length=len(chunks) * 1000)

    await asyncio.gather(trickle(target, seconds, 8, framed, b"", chunks, 0.05),
                         trickle(target, seconds, 8, encoded, b"", chunks, 0.05))


async def heads(target, upload, seconds):
    """Sends heads as large as is allowed, larger ones, and ones of very many headers."""
    many = "".join(f"x-amz-meta-{number}: v\r\n" for number in range(900))
    large = f"x-amz-meta-large: {'v' * 60000}\r\n"
    heads = [f"GET /{BUCKET} HTTP/1.1\r\nhost: {target.host}\r\n{more}\r\n".encode()
             for more in (many, large, large * 2, many * 2)]
    await asyncio.gather(*(flood(target, seconds, 4, lambda head=head: head) for head in heads))


async def signed_headers(target, upload, seconds):
    """Names one header again and again in SignedHeaders."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = ";".join(["host"] + ["x-a"] * 4000)
    scope = f"{USER[0]}/{now[:8]}/us-east-1/s3/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={'0' * 64}"
    head = (f"GET / HTTP/1.1\r\nhost: {target.host}\r\nx-amz-date: {now}\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
            f"x-a: {'v' * 12000}\r\nauthorization: {authorization}\r\n\r\n").encode()
    await flood(target, seconds, 8, lambda: head)


async def lists(target, upload, seconds):
    """Asks for the longest answers that there are, one after the other."""
    head = lambda path, query: lambda: target.head("GET", path, query)
    asked = [(f"/{BUCKET}/parts", [("uploadId", upload)]), (f"/{BUCKET}", [("uploads", "")]),
             (f"/{BUCKET}", [("list-type", "2"), ("encoding-type", "url")]), (f"/{BUCKET}", [("versions", "")])]
    await asyncio.gather(*(flood(target, seconds, 4, head(path, query)) for path, query in asked))


async def completes(target, upload, seconds):
    """Sends documents that name ten thousand parts, for an upload that can't be completed."""
    etag = hashlib.md5(b"x").hexdigest()
    part = lambda number: f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    body = "".join(part(number) for number in range(1, target.scale["parts"] + 1))
    body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
    request = lambda: target.head("POST", f"/{BUCKET}/parts", [("uploadId", upload)], body=body) + body
    await flood(target, seconds, 8, request)


async def nothing(target, upload, seconds):
    """Sends nothing and uses a processor, to show what the attacker's own work on the same machine costs."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        hashlib.sha256(bytes(1 << 16)).digest()
        await asyncio.sleep(0)


ATTACKS = {
    "nothing (the attacker's own work, on the same machine)": nothing,
    "200 documents at 1 KB/s": slow_documents,
    "200 PUTs of 5 GiB at 1 KB/s": slow_puts,
    "400 PUTs at 1 KB/s by 100 sessions of a role": sessions,
    "500 unsigned PUTs at 1 KB/s": unsigned_puts,
    "more connections than places": idle,
    "300 unread lists": unread,
    "bodies of single bytes": single_bytes,
    "large heads": heads,
    "repeated SignedHeaders": signed_headers,
    "long lists": lists,
    "Complete of many parts": completes,
}


def run(name, target, upload, seconds, begun):
    """Runs an attack. It is called in a process of its own."""
    os.nice(19)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def bounded():
        asyncio.get_running_loop().call_later(1.5, begun.set)
        try:
            await asyncio.wait_for(ATTACKS[name](target, upload, seconds), seconds + 5)
        except asyncio.TimeoutError:
            pass

    asyncio.run(bounded())
