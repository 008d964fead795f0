"""The calls that Terraform's AWS provider makes. It reads all settings before and after a change, waits until it
reads what it wrote, and asks for everything that a user may have before it deletes the user."""

import json

import boto3
from botocore.config import Config

from matrix import check, equal
from with_boto3 import client_of, refusal

#: What `aws_s3_bucket` asks for in each refresh, and the error if the bucket doesn't have it.
ABSENT = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
}
ALWAYS = ["head_bucket", "get_bucket_location", "get_bucket_acl", "get_bucket_versioning", "get_bucket_accelerate_configuration",
          "get_bucket_request_payment", "get_bucket_logging", "get_bucket_notification_configuration"]


def refresh(client, bucket, has=()):
    for call in ALWAYS:
        getattr(client, call)(Bucket=bucket)
    for call, code in ABSENT.items():
        if call not in has:
            equal(refusal(getattr(client, call), Bucket=bucket), (404, code))


@check
def a_bucket_with_all_that_it_may_have(workspace):
    client, bucket = client_of(workspace), workspace.bucket
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    refresh(client, bucket, has=["get_object_lock_configuration"])
    policy = {"Version": "2012-10-17", "Statement": [
        {"Sid": "DenyInsecure", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
         "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
         "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        {"Sid": "Condition", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*",
         "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}}]}
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "a", "Value": "b"}]}},
            "Expiration": {"Days": 90}, "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 2}}
    uploads = {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": ""},
               "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    cors = [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://a.example"], "AllowedHeaders": ["*"], "MaxAgeSeconds": 30}]
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule, uploads]},
                                              TransitionDefaultMinimumObjectSize="all_storage_classes_128K")
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=encryption)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": cors})
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})

    refresh(client, bucket, has=[call for call in ABSENT if call not in ("get_bucket_website", "get_bucket_replication")])
    told = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    equal((told["Rules"], told["TransitionDefaultMinimumObjectSize"]), ([rule, uploads], "all_storage_classes_128K"))
    equal(json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"]), policy)
    equal(client.get_bucket_cors(Bucket=bucket)["CORSRules"], cors)
    equal(client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"], encryption)
    equal(client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"], lock)
    equal(client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"], block)

    for call in ["delete_bucket_lifecycle", "delete_bucket_policy", "delete_bucket_tagging", "delete_bucket_cors",
                 "delete_bucket_encryption", "delete_public_access_block", "delete_bucket_ownership_controls"]:
        getattr(client, call)(Bucket=bucket)
    refresh(client, bucket, has=["get_object_lock_configuration"])
    client.delete_bucket(Bucket=bucket)
    equal(refusal(client.head_bucket, Bucket=bucket)[0], 404)


@check
def a_user_that_is_destroyed_by_force(workspace):
    store, name = workspace.store, workspace.bucket
    iam = boto3.client("iam", endpoint_url=store.endpoint, aws_access_key_id=store.access_key, aws_secret_access_key=store.secret_key,
                       region_name="us-east-1", verify=store.certificate or True, config=Config(retries={"max_attempts": 0}))
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "iam:PassRole"], "Resource": "*"}]}
    arn = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    equal(iam.get_policy(PolicyArn=arn)["Policy"]["Tags"], [{"Key": "a", "Value": "b"}])
    iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
    iam.create_user(UserName=name, Tags=[{"Key": "a", "Value": "b"}])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)

    equal(iam.list_groups_for_user(UserName=name)["Groups"], [])
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    equal(iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"], [])
    equal(iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"], [])
    equal(iam.list_mfa_devices(UserName=name)["MFADevices"], [])
    equal(refusal(iam.delete_login_profile, UserName=name), (404, "NoSuchEntity"))
    equal(iam.list_signing_certificates(UserName=name)["Certificates"], [])
    equal(iam.list_service_specific_credentials(UserName=name)["ServiceSpecificCredentials"], [])
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.delete_user(UserName=name)
    iam.delete_policy(PolicyArn=arn)
    equal(refusal(iam.get_user, UserName=name), (404, "NoSuchEntity"))
