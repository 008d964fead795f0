"""Makes the users that the suite needs, for the server's configuration and for the suite's own."""

import base64
import string
from collections import namedtuple

import boto3

User = namedtuple("User", "section access_key secret_key id display_name email extra")

#: The sections of the suite's configuration, each of which names a user.
SECTIONS = ["s3 main", "s3 alt", "s3 tenant", "iam", "iam root", "iam alt root"]

SUITE_CONFIG = string.Template("""\
[DEFAULT]
host = $host
port = $port
is_secure = $is_secure
ssl_verify = False

[fixtures]
bucket prefix = st$worker-{random}-

[webidentity]
token = none
""")


#: The default region of clients, which S3 treats unlike all others.
CLASSIC_REGION = "us-east-1"

#: The keys that the suite asks for by name, as the server's environment has them.
MASTER_KEYS = ",".join(f"{name}:{base64.b64encode(bytes([byte] * 32)).decode()}"
                       for byte, name in enumerate(["testkey-1", "testkey-2"], start=1))


def users_of(worker, **more):
    """The users of one worker. `more` is added to the section of `s3 main`."""
    found = []
    for section in SECTIONS:
        name = f"{worker}{section.replace(' ', '').removeprefix('s3')}"
        extra = {}
        if section == "s3 main":
            extra = {"kms_keyid": "testkey-1", "kms_keyid2": "testkey-2", **more}
        if section == "s3 tenant":
            extra = {"tenant": "testx"}
        found.append(User(section, f"{name}accesskey", f"{name}-secret-key", f"{name}id", name,
                          f"{name}@example.com", extra))
    return found


def server_config(workers, region):
    """The server's configuration, with `[[user]]` entries for all workers. Most cases about ACLs need ACLs to be
    enabled, and some sign by version 2."""
    lines = ["[server]", f'region = "{region}"', 'object_ownership = "ObjectWriter"', "signature_v2 = true"]
    for worker in workers:
        for user in users_of(worker):
            lines.append("[[user]]")
            fields = ["access_key", "secret_key", "id", "display_name", "email"]
            lines += [f'{field} = "{getattr(user, field)}"' for field in fields]
    return "\n".join(lines) + "\n"


def with_one_key(people, access_key, secret_key):
    """The same users, all signing with one key pair."""
    return [user._replace(access_key=access_key, secret_key=secret_key) for user in people]


def with_a_member(people, server):
    """The same users, but `s3 alt` is made anew as a member of the account of `iam`, with all rights of S3 there."""
    owner = next(user for user in people if user.section == "iam")
    iam = boto3.client("iam", endpoint_url=server.endpoint, verify=server.certificate, region_name=CLASSIC_REGION,
                       aws_access_key_id=owner.access_key, aws_secret_access_key=owner.secret_key)

    def made(user):
        if user.section != "s3 alt":
            return user
        name = f"{owner.display_name}-member"
        iam.create_user(UserName=name)
        iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return user._replace(id=name, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])

    return [made(user) for user in people]


def suite_config(worker, host, port, people, is_secure=False):
    """The suite's configuration for one worker with these users."""
    text = SUITE_CONFIG.substitute(host=host, port=port, worker=worker, is_secure=is_secure)
    for user in people:
        text += f"\n[{user.section}]\nuser_id = {user.id}\ndisplay_name = {user.display_name}\nemail = {user.email}\n"
        text += f"access_key = {user.access_key}\nsecret_key = {user.secret_key}\n"
        text += "".join(f"{name} = {value}\n" for name, value in user.extra.items())
    return text
