"""The users that the suite wants, in the server's configuration and in the suite's own."""

import base64
import string
from collections import namedtuple

User = namedtuple("User", "section access_key secret_key id display_name email extra")

#: The suite's sections; `iam` users are only there so that its configuration is whole.
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


#: The keys that the suite asks for by name, as the server's environment has them.
MASTER_KEYS = ",".join(f"{name}:{base64.b64encode(bytes([byte] * 32)).decode()}"
                       for byte, name in enumerate(["testkey-1", "testkey-2"], start=1))


def users_of(worker):
    """The users of one worker."""
    found = []
    for section in SECTIONS:
        name = f"{worker}{section.replace(' ', '').removeprefix('s3')}"
        extra = {}
        if section == "s3 main":
            extra = {"api_name": "us-east-1", "kms_keyid": "testkey-1", "kms_keyid2": "testkey-2"}
        if section == "s3 tenant":
            extra = {"tenant": "testx"}
        found.append(User(section, f"{name}accesskey", f"{name}-secret-key", f"{name}id", name,
                          f"{name}@example.com", extra))
    return found


def server_config(workers):
    """`[[user]]` entries for all workers; most cases of access control lists take them to be in use."""
    lines = ["[server]", 'object_ownership = "ObjectWriter"']
    for worker in workers:
        for user in users_of(worker):
            lines.append("[[user]]")
            fields = ["access_key", "secret_key", "id", "display_name", "email"]
            lines += [f'{field} = "{getattr(user, field)}"' for field in fields]
    return "\n".join(lines) + "\n"


def suite_config(worker, host, port, credentials=None, is_secure=False):
    """The suite's configuration for one worker; `credentials` puts one key pair in place of every user's."""
    text = SUITE_CONFIG.substitute(host=host, port=port, worker=worker, is_secure=is_secure)
    for user in users_of(worker):
        access_key, secret_key = credentials or (user.access_key, user.secret_key)
        text += f"\n[{user.section}]\nuser_id = {user.id}\ndisplay_name = {user.display_name}\nemail = {user.email}\n"
        text += f"access_key = {access_key}\nsecret_key = {secret_key}\n"
        text += "".join(f"{name} = {value}\n" for name, value in user.extra.items())
    return text
