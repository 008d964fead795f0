//! The examples of the S3 API reference, "Authenticating Requests (AWS Signature Version 4)".

use http::HeaderMap;
use stratum_auth::{Authenticated, Carrier, PostForm, Request, Verifier};

use crate::{ACCESS_KEY, SIGNED_AT, headers, identities};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HOST: (&str, &str) = ("Host", "examplebucket.s3.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", "20130524T000000Z");

fn authenticate(method: &str, path: &str, query: &str, headers: &HeaderMap) -> Authenticated {
    let request = Request { method, path, query, headers, virtual_bucket: None };
    let answer = Verifier::new("us-east-1").authenticate(&request, SIGNED_AT, &identities());
    let answer = answer.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(answer.signer.as_ref().map(|signer| signer.holder.access_key.as_str()), Some(ACCESS_KEY));
    answer
}

fn header_example(
    method: &str,
    path: &str,
    query: &str,
    extra: &[(&str, &str)],
    names: &str,
    signature: &str,
) {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders={names},\
         Signature={signature}"
    );
    let all = [HOST, DATE, ("Authorization", &authorization)].into_iter().chain(extra.iter().copied());
    authenticate(method, path, query, &headers(all));
}

#[test]
fn get_object_with_a_range() {
    let extra = [("Range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)];
    let names = "host;range;x-amz-content-sha256;x-amz-date";
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    header_example("GET", "/test.txt", "", &extra, names, signature);
}

#[test]
fn put_object() {
    let extra = [
        ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
    ];
    let names = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class";
    let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    header_example("PUT", "/test%24file.text", "", &extra, names, signature);
}

#[test]
fn get_bucket_lifecycle() {
    let names = "host;x-amz-content-sha256;x-amz-date";
    let signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
    header_example("GET", "/", "lifecycle", &[("x-amz-content-sha256", EMPTY)], names, signature);
}

#[test]
fn list_objects() {
    let names = "host;x-amz-content-sha256;x-amz-date";
    let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    header_example("GET", "/", "max-keys=2&prefix=J", &[("x-amz-content-sha256", EMPTY)], names, signature);
}

#[test]
fn presigned_get() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    authenticate("GET", "/test.txt", query, &headers([HOST]));
}

#[test]
fn post_form() {
    // "Browser-Based Uploads Using POST", whose form is signed on 2015-12-29.
    let policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7Im\
        J1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCi\
        AgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbX\
        BsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb2\
        50ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW\
        16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLC\
        AiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2\
        F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdG\
        UiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
    let form = PostForm {
        policy,
        algorithm: "AWS4-HMAC-SHA256",
        credential: "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
        date: "20151229T000000Z",
        signature: "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
        session_token: None,
    };
    let (verifier, identities) = (Verifier::new("us-east-1"), identities());
    let user = verifier.verify_post_form(&form, &identities).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(user.access_key.as_str(), ACCESS_KEY);

    let other = PostForm { policy: "e30=", ..form };
    assert!(verifier.verify_post_form(&other, &identities).is_err());
    let region = verifier.verify_post_form(
        &PostForm { credential: "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request", ..form },
        &identities,
    );
    assert!(matches!(region, Err(stratum_auth::AuthError::Malformed { carrier: Carrier::Query, .. })));
}
