//! The real model on a few tiny files.

use super::*;

fn classifier() -> Classifier {
    Classifier::built_in().unwrap()
}

/// A PNG of one pixel.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xda\
    c\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";
const RUST: &str = "//! Adds.\n\nuse std::ops::Add;\n\n/// The sum of two.\npub fn add<T: Add<Output = T>>(a: T, b: T) -> T {\n    \
    a + b\n}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn sums() {\n        assert_eq!(add(1, 2), 3);\n    }\n}\n";
const CSV: &str = "id,name,city,amount\n1,Ann,Oslo,12.50\n2,Bob,Rome,7.25\n3,Cyd,Bonn,99.00\n4,Dan,Lima,3.10\n5,Eve,Kyiv,8.80\n";

const REFERENCE: &[(&str, &str, f32)] = &[(RUST, "rust", 0.999924), (CSV, "csv", 0.999981)];

#[test]
fn a_few_files_are_what_they_are() {
    let mut classifier = classifier();
    let log =
        "Nov 29 01:02:03 host sshd[7]: Accepted publickey for ann from 10.0.0.7 port 50022 ssh2\n".repeat(20);
    let html = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Home</title></head>\n<body><p>Hello</p></body>\n</html>\n";
    for (body, label, class, shrinks) in [
        (PNG, "png", ContentClass::Image, Shrinks::Hardly),
        (RUST.as_bytes(), "rust", ContentClass::Source, Shrinks::Well),
        (CSV.as_bytes(), "csv", ContentClass::Table, Shrinks::Well),
        (html.as_bytes(), "html", ContentClass::Document, Shrinks::Well),
        (log.as_bytes(), "txt", ContentClass::Log, Shrinks::Well),
        (b"short", "txt", ContentClass::Text, Shrinks::Well),
        (b"", "empty", ContentClass::Unknown, Shrinks::Perhaps),
    ] {
        let classified = classifier.classify(&Sample::of(body)).unwrap();
        assert_eq!(
            (&*classified.label, classified.seen.class, classified.seen.shrinks),
            (label, class, shrinks)
        );
        assert!((0.5..=1.0).contains(&classified.score), "{classified:?}");
    }
}

/// The scores are those that ONNX Runtime 1.2x gives for the same input, by `bench/classifier`.
#[test]
fn the_scores_are_those_of_the_reference() {
    let mut classifier = classifier();
    for (body, label, score) in REFERENCE {
        let classified = classifier.classify(&Sample::of(body.as_bytes())).unwrap();
        assert_eq!(classified.best.as_deref(), Some(*label));
        assert!((classified.score - score).abs() < 1e-4, "{label}: {} for {score}", classified.score);
    }
}

#[test]
fn a_model_that_cannot_be_used_is_refused_in_words() {
    let folder = std::env::temp_dir().join(format!("stratum-classify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (model, described) = (folder.join("m.onnx"), folder.join("m.json"));
    let refused = || Classifier::from_file(&model).unwrap_err().to_string();
    assert!(refused().contains("m.onnx"), "{}", refused());
    std::fs::write(&model, b"\x08\x01 no model").unwrap();
    assert!(refused().contains("m.json"), "{}", refused());
    std::fs::write(&described, include_str!("../../model/standard_v3_3.json")).unwrap();
    assert!(refused().starts_with("it is no model that can be run"), "{}", refused());
    std::fs::write(&model, session::BUILT_IN.unwrap()).unwrap();
    assert!(Classifier::from_file(&model).is_ok());
    // The description of another model: one label is missing.
    let fewer = include_str!("../../model/standard_v3_3.json").replace("\"3gp\",", "");
    std::fs::write(&described, fewer).unwrap();
    assert!(refused().contains("the model gives 214 figures, and 213 labels are known"), "{}", refused());
    let shorter =
        include_str!("../../model/standard_v3_3.json").replace("\"beg_size\":1024", "\"beg_size\":512");
    std::fs::write(&described, shorter).unwrap();
    assert!(refused().starts_with("it is no model that can be run"), "{}", refused());
    std::fs::remove_dir_all(&folder).unwrap();
}
