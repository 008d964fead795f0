//! The AWS SDK for Rust against the real binary, over HTTP and over TLS (where the SDK sends checksums as trailers).

use crate::client::client;
use crate::server::Server;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use std::time::Duration;

/// Pseudorandom bytes, which don't compress, and among which a misplaced block would be noticed.
fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let answer =
        client.get_object().bucket("sdk").key(key).checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    answer.body.collect().await.unwrap().to_vec()
}

async fn objects_of_every_size(client: &Client) {
    for (number, size) in [0, 1, 4_096, 32_768, 32_769, 1 << 20, (3 << 20) + 17].into_iter().enumerate() {
        let (key, body) = (format!("größe/{size} +&"), body(size, number as u64));
        for algorithm in [
            ChecksumAlgorithm::Crc32,
            ChecksumAlgorithm::Crc32C,
            ChecksumAlgorithm::Crc64Nvme,
            ChecksumAlgorithm::Sha1,
            ChecksumAlgorithm::Sha256,
        ] {
            let put = client.put_object().bucket("sdk").key(&key).body(ByteStream::from(body.clone()));
            put.checksum_algorithm(algorithm).metadata("size", size.to_string()).send().await.unwrap();
            assert!(get(client, &key).await == body, "{size} bytes came back changed");
        }
        let head = client.head_object().bucket("sdk").key(&key).send().await.unwrap();
        assert_eq!(head.content_length(), Some(size as i64));
        assert_eq!(head.metadata().and_then(|metadata| metadata.get("size")), Some(&size.to_string()));
    }
}

async fn a_multipart_upload(client: &Client, server: &Server) {
    let parts = [body(5 << 20, 1), body(5 << 20, 2), body(77, 3)];
    let create = client
        .create_multipart_upload()
        .bucket("sdk")
        .key("multi")
        .checksum_algorithm(ChecksumAlgorithm::Crc32C);
    let upload = create.send().await.unwrap().upload_id().unwrap().to_owned();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(&parts) {
        let put = client.upload_part().bucket("sdk").key("multi").upload_id(&upload).part_number(number);
        let put = put.checksum_algorithm(ChecksumAlgorithm::Crc32C).body(ByteStream::from(part.clone()));
        let done = put.send().await.unwrap();
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(done.e_tag)
            .set_checksum_crc32_c(done.checksum_crc32_c);
        completed = completed.parts(part.build());
    }
    let complete = client.complete_multipart_upload().bucket("sdk").key("multi").upload_id(&upload);
    let done = complete.multipart_upload(completed.build()).send().await.unwrap();
    assert_eq!(done.location(), Some(format!("{}/sdk/multi", server.endpoint()).as_str()));
    let whole = client.get_object().bucket("sdk").key("multi").send().await.unwrap();
    assert!(whole.e_tag().unwrap().ends_with("-3\""), "{:?}", whole.e_tag());
    assert!(whole.body.collect().await.unwrap().to_vec() == parts.concat());
    let ranged =
        client.get_object().bucket("sdk").key("multi").range("bytes=5242879-5242880").send().await.unwrap();
    assert_eq!(ranged.body.collect().await.unwrap().to_vec(), [parts[0][(5 << 20) - 1], parts[1][0]]);
}

async fn presigned_requests(client: &Client, server: &Server) {
    let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let request = client.get_object().bucket("sdk").key("multi").presigned(expiry).await.unwrap();
    assert!(request.uri().starts_with(&server.endpoint()));
    assert!(request.uri().contains("X-Amz-Signature="));
}

async fn listing_and_deletion(client: &Client) {
    let mut pages = client.list_objects_v2().bucket("sdk").max_keys(3).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert!(keys.is_sorted());
    let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap()).collect();
    let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
    let deleted = client.delete_objects().bucket("sdk").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (8, 0));
    client.delete_bucket().bucket("sdk").send().await.unwrap();
}

async fn conditions(client: &Client) {
    let put = || client.put_object().bucket("sdk").key("once").body(ByteStream::from_static(b"x"));
    put().if_none_match("*").send().await.unwrap();
    let refused = put().if_none_match("*").send().await.unwrap_err();
    assert_eq!(refused.raw_response().map(|response| response.status().as_u16()), Some(412));
    client.delete_object().bucket("sdk").key("once").send().await.unwrap();
}

async fn everything(server: Server) {
    let client = client(&server);
    client.create_bucket().bucket("sdk").send().await.unwrap();
    conditions(&client).await;
    objects_of_every_size(&client).await;
    a_multipart_upload(&client, &server).await;
    presigned_requests(&client, &server).await;
    listing_and_deletion(&client).await;
}

#[tokio::test]
async fn over_http() {
    everything(Server::start()).await;
}

#[tokio::test]
async fn over_tls() {
    everything(Server::start_with_tls()).await;
}
