//! Objects lie on the tier that their storage class names, and a tier that lost its drives doesn't affect the others.

use crate::client::client;
use crate::rescue::{BUCKET, fetch, store};
use crate::server::Server;
use crate::tiers::explain;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass;
use std::collections::BTreeMap;

/// Puts a body with a storage class; gives the status of the answer. A large body is written to its tier at once.
fn put(server: &Server, key: &str, class: StorageClass, body: &[u8]) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let put = client(server).put_object().bucket(BUCKET).key(key).storage_class(class);
        let sent = put.body(ByteStream::from(body.to_vec())).send().await;
        sent.map_or_else(|error| error.raw_response().map_or(0, |raw| raw.status().as_u16()), |_| 200)
    })
}

/// The status of a GET, without the retries of the SDK.
fn status(server: &Server, key: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let retries = aws_sdk_s3::config::retry::RetryConfig::disabled();
        let config = client(server).config().to_builder().retry_config(retries).build();
        let sent = aws_sdk_s3::Client::from_conf(config).get_object().bucket(BUCKET).key(key).send().await;
        sent.map_or_else(|error| error.raw_response().map_or(0, |raw| raw.status().as_u16()), |_| 200)
    })
}

#[test]
fn a_tier_that_lost_its_drives_does_not_affect_objects_on_other_tiers() {
    let mut server = Server::start();
    let body: Vec<u8> =
        (0..300_000u32).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 8).to_le_bytes()).collect();
    store(&server, &BTreeMap::from([("free".to_owned(), body.clone())]));
    assert_eq!(put(&server, "warm", StorageClass::StandardIa, &body), 200);
    assert_eq!(put(&server, "cold", StorageClass::Glacier, &body), 200);
    for (key, tier) in [("free", "hot"), ("warm", "warm"), ("cold", "cold")] {
        let why = explain(&server, key);
        assert_eq!(
            (&why["tier"], &why["moving_to"]),
            (&tier.into(), &serde_json::Value::Null),
            "{key}: {why}"
        );
    }
    server.kill();
    for drive in 0..5 {
        std::fs::remove_dir_all(server.data().join("warm").join(drive.to_string())).unwrap();
    }
    server.restart();
    assert_eq!(status(&server, "warm"), 503);
    for key in ["free", "cold"] {
        assert!(fetch(&server, key).as_deref() == Some(&*body), "{key}");
    }
    // A new object for the lost tier is accepted, and lies on hot until it can be moved.
    assert_eq!(put(&server, "later", StorageClass::StandardIa, &body), 200);
    let why = explain(&server, "later");
    assert_eq!((&why["tier"], &why["moving_to"]), (&"hot".into(), &"warm".into()), "{why}");
    assert!(fetch(&server, "later").as_deref() == Some(&*body));
}
