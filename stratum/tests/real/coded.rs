//! Bodies that are compressed with a codec, in the real binary: they are read also when the configuration names no
//! codec any more, and they can be rescued.

use crate::metrics::scrape;
use crate::rescue::{copy, fetch, objects, rescue_with, store, whole};
use crate::server::Server;

#[test]
fn bodies_coded_by_zstd_are_rescued_and_are_read_when_no_codec_is_configured() {
    are_rescued_and_are_read_when_no_codec_is_configured("zstd");
}

#[test]
fn bodies_coded_by_lz4_are_rescued_and_are_read_when_no_codec_is_configured() {
    are_rescued_and_are_read_when_no_codec_is_configured("lz4");
}

fn are_rescued_and_are_read_when_no_codec_is_configured(codec: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), format!("[tiers.hot]\ncodec = \"{codec}\"\n"))
        .unwrap();
    let objects = objects();
    let mut server = Server::start_on(folder, &["data"]);
    store(&server, &objects);
    let page = scrape(&server);
    let told = |name: &str| -> u64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
    };
    let (plaintext, stored) = (told("stratum_framed_bytes_total"), told("stratum_framed_stored_bytes_total"));
    assert!(plaintext > 1_900_000 && stored < plaintext / 2, "{stored} of {plaintext}");
    // The index is written to disk about a second after the journal.
    std::thread::sleep(std::time::Duration::from_secs(3));
    server.kill();
    let rescued = tempfile::tempdir().unwrap();
    for lost in [&[][..], &["hot/1", "hot/4"]] {
        let (data, to) = (rescued.path().join("data"), rescued.path().join(lost.len().to_string()));
        copy(&server.data(), &data);
        lost.iter().for_each(|drive| std::fs::remove_dir_all(data.join(drive)).unwrap());
        let output = rescue_with(&data, &to, None);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(whole(&to, &objects), objects.len());
        std::fs::remove_dir_all(data).unwrap();
    }
    std::fs::remove_file(server.folder().join("stratum.toml")).unwrap();
    server.restart();
    for (key, body) in &objects {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}
