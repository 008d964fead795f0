//! The files of `~/.aws`: sections in brackets, `name = value`, and indented `name = value` under a name without one.

use std::collections::BTreeMap;

/// Sections by their names; a nested value is `outer.inner`.
#[derive(Debug, Default)]
pub struct Ini(BTreeMap<String, BTreeMap<String, String>>);

impl Ini {
    /// Reads a file. Lines that aren't understood are left out, as AWS's own tools do.
    pub fn parse(text: &str) -> Ini {
        let mut sections = Ini::default();
        let (mut section, mut outer): (Option<String>, Option<String>) = (None, None);
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let words: Vec<&str> = name.0.split_whitespace().collect();
                (section, outer) = (Some(words.join(" ").replace('"', "")), None);
                continue;
            }
            let (Some(section), Some((name, value))) = (&section, trimmed.split_once('=')) else { continue };
            let (name, value) =
                (name.trim().to_ascii_lowercase(), value.split(" #").next().unwrap_or("").trim());
            let is_nested = line.starts_with([' ', '\t']);
            let name = match (&outer, is_nested) {
                (Some(outer), true) => format!("{outer}.{name}"),
                _ => {
                    outer = value.is_empty().then(|| name.clone());
                    name
                }
            };
            sections.0.entry(section.clone()).or_default().insert(name, value.to_owned());
        }
        sections
    }

    /// Whether there is such a section.
    pub fn has(&self, section: &str) -> bool {
        self.0.contains_key(section)
    }

    /// A value that isn't empty.
    pub fn get(&self, section: &str, name: &str) -> Option<&str> {
        self.0.get(section)?.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_names_and_nested_names_are_read() {
        let text = "stray = 1\n[default]\naws_access_key_id=A\n# no = thing\n[profile  ops]\nREGION = r1 # mine\n\
            s3 =\n  endpoint_url = http://nested=1\nendpoint_url = http://plain\n[services \"x\"]\nnonsense\n";
        let ini = Ini::parse(text);
        assert_eq!(ini.get("default", "aws_access_key_id"), Some("A"));
        assert_eq!(ini.get("profile ops", "region"), Some("r1"));
        assert_eq!(ini.get("profile ops", "s3.endpoint_url"), Some("http://nested=1"));
        assert_eq!(ini.get("profile ops", "endpoint_url"), Some("http://plain"));
        assert_eq!((ini.get("default", "stray"), ini.get("profile ops", "s3")), (None, None));
        assert!(!ini.has("services x"), "a section without values says nothing");
    }
}
