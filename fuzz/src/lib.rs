//! The fuzz targets. Each reads its bytes as the server, or its client, reads bytes that it doesn't trust, and asserts
//! what must hold whatever they are. Each file in `fuzz_targets` calls one of these functions; the test runs all of them
//! over the corpus.

// These modules are part of the binary, which has no library, so their files are included here. What only other parts
// of the binary call is dead code here.
#[path = "../../stratum/src/address.rs"]
#[allow(dead_code)]
mod address;
#[path = "../../stratum/src/backup/archive.rs"]
#[allow(dead_code)]
mod archive;
#[path = "../../stratum/src/config.rs"]
#[allow(dead_code, unused_imports, clippy::disallowed_methods)]
mod config;
mod drives;
mod frames;
mod policy;
#[path = "../../stratum/src/quantity.rs"]
#[allow(dead_code)]
mod quantity;
mod signed;
mod usage;

pub use drives::{identity, journal, replicated};
pub use frames::frames;
pub use policy::policy;
pub use signed::signed;
pub use usage::usage;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use stratum_auth::{
    AccessKey, Identities, Payload, Request, SecretKey, Signer, User, Verifier, Version, Version2,
};
use stratum_cipher::{KeyService, MasterKeys, Wrapped};
use stratum_storage::format::{directory, v1};

/// A target: its name, by which its seeds are found, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 23] = [
    ("answer", stratum_cli::fuzzing::answer),
    ("backup", backup),
    ("chunked", chunked),
    ("checkpoint", stratum_metadata::fuzzing::checkpoint),
    ("command", stratum_metadata::fuzzing::command),
    ("config", config_file),
    ("form", stratum_api::fuzzing::form),
    ("frames", frames),
    ("headers", headers),
    ("iam", stratum_api::fuzzing::iam),
    ("identity", identity),
    ("journal", journal),
    ("keys", stratum_metadata::fuzzing::keys),
    ("master-keys", master_keys),
    ("operation", operation),
    ("policy", policy),
    ("records", stratum_metadata::fuzzing::records),
    ("replicated", replicated),
    ("shard", shard),
    ("signature", signature),
    ("signed", signed),
    ("usage", usage),
    ("xml", stratum_api::fuzzing::documents),
];

/// When the requests of the corpus were signed: 2013-05-24, as in the published examples.
const NOW: i64 = 1_369_353_600;
/// When the requests of the corpus that are signed by version 2 were signed: 2007-03-27.
const IN_2007: i64 = 1_175_024_202;

fn identities() -> Identities {
    let user = User {
        id: "root".into(),
        display_name: "root".into(),
        email: String::new(),
        access_key: AccessKey::new("AKIAIOSFODNN7EXAMPLE").expect("an access key"),
        root: true,
    };
    let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").expect("a secret key");
    Identities::new([(user, secret)]).expect("one user")
}

/// Authenticates a request, which is given in lines: method, path, query, then headers. A signature of version 2 must
/// not be accepted where version 2 is refused, and one of version 4 must be accepted in both cases or in neither.
pub fn signature(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let (method, path, query) = (lines.next(), lines.next(), lines.next());
    let (Some(method), Some(path), Some(query)) = (method, path, query) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    for virtual_bucket in [None, Some("bucket")] {
        let request = Request { method, path, query, headers: &headers, virtual_bucket };
        let judged = |version_2, now| {
            let verifier = Verifier::new("us-east-1").with_version_2(version_2);
            verifier.authenticate(&request, now, &identities()).ok()?.signer
        };
        let by_2 = |signer: &Signer| signer.mechanism.version == Version::V2;
        for now in [NOW, IN_2007] {
            let refused = judged(Version2::Refused, now);
            assert!(!refused.as_ref().is_some_and(by_2), "version 2 was taken");
            let taken = judged(Version2::Taken, now);
            assert!(taken.is_some() || refused.is_none() || !query.is_empty(), "version 4 was refused");
        }
    }
}

/// Decodes a chunked body in pieces whose length is the first byte.
pub fn chunked(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let mut headers = HeaderMap::new();
    let declared = HeaderValue::from_static("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    headers.insert("x-amz-content-sha256", declared);
    let request = Request { method: "PUT", path: "/b/k", query: "", headers: &headers, virtual_bucket: None };
    let Ok(answer) = Verifier::new("us-east-1").authenticate(&request, NOW, &identities()) else { return };
    let Payload::Chunked(chunking) = answer.payload else { return };
    let length = body.len() as u64 / 2;
    let mut decoder = chunking.decoder(length);
    let mut decoded = 0;
    for piece in body.chunks(usize::from(*first).max(1)) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(out)) => decoded += out.len() as u64,
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    assert!(decoded <= length, "{decoded} bytes of a body of {length}");
    if decoder.finish().is_ok() {
        assert!(decoded == length, "a body of {length} bytes ended after {decoded}");
    }
}

/// Reads a wrapped data key, and a file of master keys. A wrapped key that was read must encode to the same bytes,
/// and must not open with a key that didn't wrap it.
pub fn master_keys(bytes: &[u8]) {
    if let Some(wrapped) = Wrapped::decode(bytes) {
        assert!(wrapped.encode() == bytes);
        assert!(wrapped.open(&[7; 32], b"name").is_err());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(keys) = MasterKeys::parse(text)
    {
        assert!(!keys.usual().is_empty());
    }
}

/// Finds the operation of a request, which is given in lines: method, path, query and host.
pub fn operation(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    stratum_api::fuzzing::operation(next(), next(), next(), next());
}

/// Reads a header's text, which follows an object's size (8 bytes).
pub fn headers(bytes: &[u8]) {
    if let Some((size, text)) = bytes.split_first_chunk() {
        stratum_api::fuzzing::headers(&String::from_utf8_lossy(text), u64::from_le_bytes(*size));
    }
}

/// Reads a shard file's header page, a fragment's header and a stripe's directory. What was read must encode to
/// something that reads the same.
pub fn shard(bytes: &[u8]) {
    if let Ok(header) = v1::ShardHeader::decode(bytes) {
        assert!(v1::ShardHeader::decode(&header.encode()) == Ok(header));
    }
    if let Ok(fragment) = v1::Fragment::decode(bytes) {
        let _ = fragment.encode();
    }
    if let Ok(entries) = directory::decode(bytes) {
        let again = directory::decode(&directory::encode(&entries));
        assert!(again.as_ref() == Ok(&entries));
    }
}

/// Reads a backup file. The files of a whole one must make a whole backup again, and no name may lead out of the
/// folder.
pub fn backup(bytes: &[u8]) {
    let files = std::cell::RefCell::new(Vec::<(String, Vec<u8>)>::new());
    let read = archive::read(bytes, |name| {
        assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."), "{name:?}");
        files.borrow_mut().push((name.to_owned(), Vec::new()));
        Ok(Last(&files))
    });
    let Ok(count) = read else { return };
    let (files, mut again) = (files.into_inner(), Vec::new());
    assert!(files.len() as u64 == count);
    let mut writer = archive::Writer::new(|piece: Bytes| {
        again.extend_from_slice(&piece);
        Ok(())
    })
    .expect("memory");
    for (name, content) in &files {
        writer.file(name).expect("memory");
        writer.bytes(content).expect("memory");
    }
    writer.end().expect("memory");
    let reread = archive::read(again.as_slice(), |_| Ok(std::io::sink()));
    assert!(reread.is_ok_and(|again| again == count));
}

/// Appends bytes to the last one of some files.
struct Last<'a>(&'a std::cell::RefCell<Vec<(String, Vec<u8>)>>);

impl std::io::Write for Last<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some((_, content)) = self.0.borrow_mut().last_mut() {
            content.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads a configuration file.
pub fn config_file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = config::Config::parse(std::path::Path::new("stratum.toml"), text);
    }
}
