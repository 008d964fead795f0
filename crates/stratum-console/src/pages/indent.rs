//! Lays out a JSON document as people edit it. Names, values and their order stay as they are.

use serde::de::IgnoredAny;

const INDENT: &str = "  ";

/// The document with each name and each value on a line of its own. One of several lines was laid out by somebody and
/// stays as it is, as does a text that isn't JSON.
pub fn indented(text: &str) -> String {
    let is_one_line = text.trim().lines().count() < 2;
    if !is_one_line || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut written = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut rest = text.trim();
    let new_line = |written: &mut String, depth: usize| {
        written.push('\n');
        written.push_str(&INDENT.repeat(depth));
    };
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' { string_length(rest) } else { first.len_utf8() };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after.trim_start();
        match first {
            '{' | '[' if rest.starts_with(['}', ']']) => written.push_str(token),
            '{' | '[' => {
                depth += 1;
                written.push_str(token);
                new_line(&mut written, depth);
            }
            '}' | ']' if written.ends_with(['{', '[']) => written.push_str(token),
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut written, depth);
                written.push_str(token);
            }
            ',' => {
                written.push_str(token);
                new_line(&mut written, depth);
            }
            ':' => written.push_str(": "),
            _ => written.push_str(token),
        }
    }
    written
}

/// The length of the string at the beginning of the text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, char)| {
        let ends = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_and_the_texts_stay() {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Sid":"a, \"b\": {c}\\","Effect":"Allow","Action":["s3:*"],"Condition":{}, "N":[], "X": -1.5e3}]}"#;
        let laid = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Sid\": \"a, \\\"b\\\": {c}\\\\\",\n      \"Effect\": \"Allow\",\n      \"Action\": [\n        \"s3:*\"\n      ],\n      \"Condition\": {},\n      \"N\": [],\n      \"X\": -1.5e3\n    }\n  ]\n}";
        assert_eq!(indented(text), laid);
        for stays in [laid, "{\"a\": }", "", "{\n\"a\":1}"] {
            assert_eq!(indented(stays), stays);
        }
        let before: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&indented(text)).unwrap(), before);
    }
}
