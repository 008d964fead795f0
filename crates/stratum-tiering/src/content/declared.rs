//! What a `Content-Type` header says of the bytes, by IANA's registry of media types and the unregistered types in
//! wide use.

use super::ContentClass;

/// The class that a media type names; `None` where it names none, as `application/octet-stream`.
pub fn declared(content_type: &str) -> Option<ContentClass> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, name) = essence.split_once('/')?;
    match kind {
        "image" => Some(ContentClass::Image),
        "video" => Some(ContentClass::Video),
        "audio" => Some(ContentClass::Audio),
        "font" => Some(ContentClass::Font),
        "text" => Some(text(name)),
        "application" => application(name),
        _ => None,
    }
}

fn text(name: &str) -> ContentClass {
    match name {
        "csv" | "tab-separated-values" => ContentClass::Table,
        "x-log" => ContentClass::Log,
        "rtf" | "html" | "markdown" => ContentClass::Document,
        "css" | "javascript" | "ecmascript" => ContentClass::Source,
        source if source.starts_with("x-") => ContentClass::Source,
        _ => ContentClass::Text,
    }
}

fn application(name: &str) -> Option<ContentClass> {
    Some(match name {
        "pdf" | "rtf" | "msword" | "postscript" | "epub+zip" | "vnd.ms-powerpoint" => ContentClass::Document,
        "vnd.ms-excel" | "vnd.apache.parquet" | "x-parquet" | "x-ndjson" | "jsonl" => ContentClass::Table,
        "json" | "xml" | "yaml" | "x-yaml" | "toml" => ContentClass::Text,
        "javascript" | "x-sh" | "x-python" | "sql" => ContentClass::Source,
        "zip" | "gzip" | "x-gzip" | "x-tar" | "x-bzip2" | "x-xz" | "zstd" | "x-7z-compressed" | "vnd.rar"
        | "x-rar-compressed" | "java-archive" | "x-compressed-tar" | "x-rpm" => ContentClass::Archive,
        "x-iso9660-image" | "x-qemu-disk" | "x-raw-disk-image" | "x-apple-diskimage" => {
            ContentClass::DiskImage
        }
        "vnd.sqlite3" | "x-sqlite3" => ContentClass::Database,
        "x-executable"
        | "x-elf"
        | "x-sharedlib"
        | "vnd.microsoft.portable-executable"
        | "wasm"
        | "vnd.android.package-archive" => ContentClass::Executable,
        "x-hdf5" | "x-hdf" | "x-netcdf" | "dicom" => ContentClass::Data,
        "mp4" => ContentClass::Video,
        "ogg" => ContentClass::Audio,
        "font-woff" => ContentClass::Font,
        "vnd.debian.binary-package" => ContentClass::Archive,
        office if office.contains("spreadsheet") => ContentClass::Table,
        office if office.contains("opendocument") || office.contains("officedocument") => {
            ContentClass::Document
        }
        other if other.ends_with("+json") || other.ends_with("+xml") => ContentClass::Text,
        other if other.ends_with("+zip") => ContentClass::Archive,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_name_classes() {
        let sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        for (declares, class) in [
            ("video/mp4", Some(ContentClass::Video)),
            ("Image/JPEG", Some(ContentClass::Image)),
            ("text/plain; charset=utf-8", Some(ContentClass::Text)),
            ("text/csv;header=present", Some(ContentClass::Table)),
            ("text/x-rust", Some(ContentClass::Source)),
            (sheet, Some(ContentClass::Table)),
            ("application/vnd.oasis.opendocument.text", Some(ContentClass::Document)),
            ("application/gzip", Some(ContentClass::Archive)),
            ("application/ld+json", Some(ContentClass::Text)),
            ("application/octet-stream", None),
            ("binary/octet-stream", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(declared(declares), class, "{declares}");
        }
    }
}
