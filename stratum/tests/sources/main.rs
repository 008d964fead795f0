//! Rules for the sources that no compiler checks:
//!
//! - No text for operators or clients holds a value in Rust's Debug form, which changes with the code and means nothing
//!   to them; a name in quotes is written with `escape_debug`.
//! - The container image is built from every crate, and the README's `cargo run` finds the one binary that it means.
//! - Every crate of the product has clippy refuse a panic for which no reason is given.
//! - No two modules use each other ([`circles`]).
//! - The files in `deploy/` ask only for metrics and sections that exist ([`deploy`]).
//! - The description of the operator's API agrees with its routes ([`openapi`]).

mod circles;
mod deploy;
mod openapi;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Rust files of the product, without those that are only for tests.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = entries(&root.join("crates")).into_iter().map(|of_crate| of_crate.join("src"));
    crates.chain([root.join("stratum/src")]).flat_map(|src| rust_files(&src)).collect()
}

/// The Rust files below a folder, without those that are only for tests.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder) {
            match entry.file_stem().and_then(|name| name.to_str()) {
                Some("tests" | "fixtures" | "fuzzing") => {}
                _ if entry.is_dir() => folders.push(entry),
                _ => files.push(entry),
            }
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The lines that write a value in Debug form. Implementations of Debug, tests and comments don't count.
fn debug_forms(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_debug = false;
    for (at, line) in text.lines().enumerate() {
        match line {
            "#[cfg(test)]" if text.lines().nth(at + 1) == Some("mod tests {") => break,
            "}" => is_debug = false,
            _ if line.starts_with("impl") && line.contains("Debug for") => is_debug = true,
            _ if is_debug || line.trim_start().starts_with("//") => {}
            _ if tells_debug(line) => found.push((at + 1, line.trim())),
            _ => {}
        }
    }
    found
}

/// Whether a line has `{name:?}` in a text, or `?name` as a field of the log.
fn tells_debug(line: &str) -> bool {
    let is_field = |at: usize| {
        let before = line[..at].chars().next_back();
        let after = line[at + 1..].chars().next();
        before.is_some_and(|char| " (,=".contains(char))
            && after.is_some_and(|char| char.is_ascii_lowercase() || char == '_')
    };
    line.contains(":?}") || line.contains(":#?}") || line.match_indices('?').any(|(at, _)| is_field(at))
}

#[test]
fn no_text_holds_a_value_in_debug_form() {
    let files = sources();
    assert!(files.len() > 200, "{} files", files.len());
    let mut told = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        told.extend(debug_forms(&text).iter().map(|(at, line)| format!("{}:{at}: {line}", file.display())));
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// The build of the image first compiles the dependencies from the manifests alone, and fails if a crate's manifest is
/// missing.
#[test]
fn the_image_is_built_from_every_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
    for folder in entries(&root.join("crates")) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let line = format!("COPY crates/{name}/Cargo.toml crates/{name}/");
        assert!(dockerfile.contains(&line), "the Dockerfile lacks: {line}");
    }
}

/// Each crate asks clippy for this in its root file, because a setting of the whole workspace can't exempt tests.
#[test]
fn every_crate_has_clippy_refuse_panics() {
    const REFUSED: &str = "#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let libraries = entries(&root.join("crates")).into_iter().map(|folder| folder.join("src/lib.rs"));
    for file in libraries.chain([root.join("stratum/src/main.rs")]) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().any(|line| line == REFUSED), "{} lacks {REFUSED}", file.display());
    }
}

/// `cargo run` without a package works only if the default members of the workspace have exactly one binary.
#[test]
fn the_default_members_have_exactly_one_binary() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(manifest);
    let output = cargo.output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let chosen = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let targets = packages
        .filter(|package| chosen.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().unwrap());
    let binaries = targets.filter(|target| target["kind"][0] == "bin").map(|target| &target["name"]);
    assert_eq!(binaries.collect::<Vec<_>>(), ["stratum"]);
}

#[test]
fn debug_forms_are_found() {
    for line in ["tracing::info!(?outcome, \"a\");", "why = ?job.why", "format!(\"{x:?}\")", "(\"{:#?}\", x)"]
    {
        assert!(tells_debug(line), "{line}");
    }
    for line in ["let x = y()?;", "T: ?Sized,", "x?.y()", "GET /b?acl", "matches!(x, Some(b'?'))"] {
        assert!(!tells_debug(line), "{line}");
    }
}
