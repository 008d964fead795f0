//! Keys as names of files. A key may be any text. One that can't be a file's name below the target is refused: no
//! other name is invented for it.

use std::path::PathBuf;

/// The longest name of a file that the usual file systems take.
const MAX_NAME_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 4000;

/// The path below a folder that a key stands for. A slash at the key's end is left out.
///
/// # Errors
/// Why no file can have that name, in words.
pub fn relative_path(key: &str) -> Result<PathBuf, String> {
    let name = key.strip_suffix('/').unwrap_or(key);
    if name.len() > MAX_PATH_BYTES {
        return Err("its name is too long for a path".into());
    }
    if name.contains('\0') {
        return Err("its name holds a NUL, which no file's name may".into());
    }
    for part in name.split('/') {
        match part {
            "" => {
                return Err(
                    "its name has an empty part before, between or after slashes, which no path can have"
                        .into(),
                );
            }
            "." | ".." => {
                return Err(format!("its name has the part \"{part}\", which can't be the name of a file"));
            }
            part if part.len() > MAX_NAME_BYTES => {
                return Err(format!("a part of its name is longer than {MAX_NAME_BYTES} bytes"));
            }
            _ => {}
        }
    }
    Ok(PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_paths_below_the_folder_or_are_refused() {
        for (key, path) in [("a", "a"), ("a/b c/ü", "a/b c/ü"), ("a/", "a"), ("...", "..."), ("a\nb", "a\nb")]
        {
            assert_eq!(relative_path(key), Ok(PathBuf::from(path)), "{key}");
        }
        let long = "x".repeat(256);
        for key in
            ["", "/", "/etc/passwd", "a//b", "../a", "a/../b", "a/..", ".", "./a", "a\0b", "a//", &long]
        {
            assert!(relative_path(key).is_err(), "{key}");
        }
        assert!(relative_path(&"x/".repeat(3000)).is_err());
    }
}
