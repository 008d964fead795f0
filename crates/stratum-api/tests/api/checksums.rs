//! Every checksum algorithm of S3: as a header, in a trailer, and of an upload's parts and whole.

use crate::client::Client;
use crate::rig::noise;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest as _;

/// An algorithm's name, whether an object of parts has a composite checksum by it, and its value over some bytes.
type Algorithm = (&'static str, bool, fn(&[u8]) -> Vec<u8>);

/// The algorithms by their names. The names of headers have them in lower case.
const ALGORITHMS: [Algorithm; 10] = [
    ("CRC32", true, |bytes| (crc_fast::crc32_iso_hdlc(bytes)).to_be_bytes().to_vec()),
    ("CRC32C", true, |bytes| (crc_fast::crc32_iscsi(bytes)).to_be_bytes().to_vec()),
    ("CRC64NVME", false, |bytes| crc_fast::crc64_nvme(bytes).to_be_bytes().to_vec()),
    ("SHA1", true, |bytes| sha1::Sha1::digest(bytes).to_vec()),
    ("SHA256", true, |bytes| sha2::Sha256::digest(bytes).to_vec()),
    ("SHA512", true, |bytes| sha2::Sha512::digest(bytes).to_vec()),
    ("MD5", true, |bytes| md5::Md5::digest(bytes).to_vec()),
    ("XXHASH64", true, |bytes| xxhash_rust::xxh64::xxh64(bytes, 0).to_be_bytes().to_vec()),
    ("XXHASH3", true, |bytes| xxhash_rust::xxh3::xxh3_64(bytes).to_be_bytes().to_vec()),
    ("XXHASH128", true, |bytes| xxhash_rust::xxh3::xxh3_128(bytes).to_be_bytes().to_vec()),
];

fn header(name: &str) -> String {
    format!("x-amz-checksum-{}", name.to_ascii_lowercase())
}

const MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_compared_stored_and_returned() {
    let client = Client::with_bucket().await;
    for size in [9, 200_000] {
        let body = noise(size as u64, size);
        for (name, _, of) in ALGORITHMS {
            let (header, right) = (header(name), BASE64.encode(of(&body)));
            let put = client.send("PUT", "/bucket/k", &[(&header, &right)], &body).await.expect(200);
            assert_eq!(
                (put.header(&header), put.header("x-amz-checksum-type")),
                (Some(&*right), Some("FULL_OBJECT"))
            );
            let head = client.send("HEAD", "/bucket/k", &[MODE], "").await.expect(200);
            assert_eq!(head.header(&header), Some(&*right));
            assert_eq!(client.get("/bucket/k").await.expect(200).header(&header), None);
            let asked = [("x-amz-object-attributes", "Checksum")];
            let told = client.send("GET", "/bucket/k?attributes", &asked, "").await.expect(200);
            assert_eq!(told.element(&format!("Checksum{name}")), Some(right.clone()));
            assert_eq!(
                client.get("/bucket?list-type=2").await.element("ChecksumAlgorithm").as_deref(),
                Some(name)
            );

            // The checksum of another body, values of a wrong length, and values that aren't base64.
            let other = BASE64.encode(of(b"other"));
            client.send("PUT", "/bucket/k", &[(&header, &other)], &body).await.refused(400, "BadDigest");
            for wrong in ["AAAA", "bad", "", "%%%%"] {
                let refused = client.send("PUT", "/bucket/k", &[(&header, wrong)], &body).await;
                assert_eq!(
                    refused.element("Message"),
                    Some(format!("Value for {header} header is invalid."))
                );
                refused.refused(400, "InvalidRequest");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailer_is_compared_and_stored() {
    let client = Client::with_bucket().await;
    let body = noise(1, 20_000);
    for (name, _, of) in ALGORITHMS {
        let header = header(name);
        let send = async |value: &str| {
            let mut framed = format!("{:x}\r\n", body.len()).into_bytes();
            framed.extend_from_slice(&body);
            framed.extend_from_slice(format!("\r\n0\r\n{header}:{value}\r\n\r\n").as_bytes());
            let headers = [
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", "20000"),
                ("content-encoding", "aws-chunked"),
                ("x-amz-trailer", header.as_str()),
            ];
            client.send("PUT", "/bucket/k", &headers, framed).await
        };
        let right = BASE64.encode(of(&body));
        assert_eq!(send(&right).await.expect(200).header(&header), Some(&*right));
        send(&BASE64.encode(of(b"other"))).await.refused(400, "BadDigest");
        send("AAAA").await.refused(400, "InvalidRequest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_hashed_as_it_asks_or_as_its_source_was() {
    let client = Client::with_bucket().await;
    let body = noise(2, 50_000);
    client.put("/bucket/source", &body).await.expect(200);
    for (name, _, of) in ALGORITHMS {
        let right = BASE64.encode(of(&body));
        let asked = [("x-amz-copy-source", "bucket/source"), ("x-amz-checksum-algorithm", name)];
        let copied = client.send("PUT", "/bucket/copy", &asked, "").await.expect(200);
        assert_eq!(copied.element(&format!("Checksum{name}")), Some(right.clone()));
        let again = [("x-amz-copy-source", "bucket/copy")];
        let again = client.send("PUT", "/bucket/again", &again, "").await.expect(200);
        assert_eq!(again.element(&format!("Checksum{name}")), Some(right));
    }
    let unknown = [("x-amz-copy-source", "bucket/source"), ("x-amz-checksum-algorithm", "MD4")];
    client.send("PUT", "/bucket/copy", &unknown, "").await.refused(400, "InvalidRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_has_the_checksum_that_it_was_created_with() {
    let client = Client::with_bucket().await;
    let parts = [noise(3, 5 << 20), noise(4, 70_000)];
    client.put("/bucket/source", &parts[1]).await.expect(200);
    for (name, composite, of) in ALGORITHMS {
        let (header, element) = (header(name), format!("Checksum{name}"));
        let created = [("x-amz-checksum-algorithm", name)];
        let created = client.send("POST", "/bucket/key?uploads", &created, "").await.expect(200);
        let kind = if composite { "COMPOSITE" } else { "FULL_OBJECT" };
        assert_eq!(created.header("x-amz-checksum-type"), Some(kind), "{name}");
        let upload = created.element("UploadId").unwrap();
        let part = |number: usize| format!("/bucket/key?uploadId={upload}&partNumber={number}");

        let values = parts.each_ref().map(|part| of(part));
        let texts = values.each_ref().map(|value| BASE64.encode(value));
        let one = client.send("PUT", &part(1), &[(&header, &texts[0])], &parts[0]).await.expect(200);
        assert_eq!(one.header(&header), Some(&*texts[0]));
        let source = [("x-amz-copy-source", "bucket/source")];
        let two = client.send("PUT", &part(2), &source, "").await.expect(200);
        assert_eq!(two.element(&element).as_ref(), Some(&texts[1]), "{name}");
        let listed = client.get(&format!("/bucket/key?uploadId={upload}")).await.expect(200);
        assert_eq!(listed.element("ChecksumAlgorithm").as_deref(), Some(name));
        assert_eq!(listed.elements(&element), texts);

        // A composite checksum is made of the checksums that the client sent with the parts. CompleteMultipartUpload
        // may leave out the checksums of parts.
        let unsaid = client.put(&part(1), &parts[0]).await;
        let etags = [one.header("etag").unwrap().to_owned(), two.element("ETag").unwrap()];
        let document = |said: [bool; 2]| {
            let part = |at: usize| {
                let checksum = format!("<{element}>{}</{element}>", texts[at]);
                let checksum = if said[at] { checksum } else { String::new() };
                format!(
                    "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>{checksum}</Part>",
                    at + 1,
                    etags[at]
                )
            };
            format!("<CompleteMultipartUpload>{}{}</CompleteMultipartUpload>", part(0), part(1))
        };
        let target = format!("/bucket/key?uploadId={upload}");
        if composite {
            unsaid.refused(400, "InvalidRequest");
        } else {
            unsaid.expect(200);
        }
        let whole = match composite {
            true => format!("{}-2", BASE64.encode(of(&values.concat()))),
            false => BASE64.encode(of(&parts.concat())),
        };
        let other = [(header.as_str(), "AAAA-2")];
        client.send("POST", &target, &other, document([true; 2])).await.refused(400, "BadDigest");
        let right = [(header.as_str(), whole.as_str())];
        if composite {
            let half = client.send("POST", &target, &right, document([true, false])).await;
            assert!(half.text().contains("It was missing for part 2 in the request."), "{}", half.text());
            half.refused(400, "InvalidRequest");
        }
        let done = client.send("POST", &target, &right, document([false; 2])).await.expect(200);
        assert_eq!(
            (done.element(&element).as_ref(), done.element("ChecksumType").as_deref()),
            (Some(&whole), Some(kind))
        );

        let head = client.send("HEAD", "/bucket/key", &[MODE], "").await.expect(200);
        assert_eq!((head.header(&header), head.header("x-amz-checksum-type")), (Some(&*whole), Some(kind)));
        let second = client.send("GET", "/bucket/key?partNumber=2", &[MODE], "").await.expect(206);
        assert_eq!(second.header(&header), Some(&*texts[1]));
        let asked = [("x-amz-object-attributes", "Checksum,ObjectParts")];
        let told = client.send("GET", "/bucket/key?attributes", &asked, "").await.expect(200);
        assert_eq!(told.elements(&element), [&[whole], &texts[..]].concat(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_crc_can_be_of_the_whole() {
    let client = Client::with_bucket().await;
    for (name, composite, _) in ALGORITHMS {
        let create = async |kind| {
            let headers = [("x-amz-checksum-algorithm", name), ("x-amz-checksum-type", kind)];
            client.send("POST", "/bucket/key?uploads", &headers, "").await.status
        };
        let combines = name.starts_with("CRC");
        assert_eq!(create("FULL_OBJECT").await, if combines { 200 } else { 400 }, "{name}");
        assert_eq!(create("COMPOSITE").await, if composite { 200 } else { 400 }, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_an_upload_without_an_algorithm_have_crc64nvme() {
    let client = Client::with_bucket().await;
    let upload = client.post("/bucket/key?uploads", "").await.expect(200).element("UploadId").unwrap();
    let body = noise(5, 1000);
    let put = client.put(&format!("/bucket/key?uploadId={upload}&partNumber=1"), &body).await.expect(200);
    let etag = put.header("etag").unwrap();
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let document = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    client.post(&format!("/bucket/key?uploadId={upload}"), document).await.expect(200);
    let asked = [("x-amz-object-attributes", "ObjectParts")];
    let told = client.send("GET", "/bucket/key?attributes", &asked, "").await.expect(200);
    let crc = BASE64.encode(crc_fast::crc64_nvme(&body).to_be_bytes());
    assert_eq!(told.element("ChecksumCRC64NVME"), Some(crc));
}
