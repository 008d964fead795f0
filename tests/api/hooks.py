"""A hook for schemathesis, which signs every request."""

import os

import schemathesis
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests.auth import AuthBase


class Signed(AuthBase):
    """Signature Version 4 for S3, over the request as it is sent."""

    def __call__(self, request):
        credentials = Credentials(os.environ["STRATUM_KEY"], os.environ["STRATUM_SECRET"])
        body = request.body.encode() if isinstance(request.body, str) else request.body
        signed = AWSRequest(method=request.method, url=request.url, data=body or b"")
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


schemathesis.auth.set_from_requests(Signed())
