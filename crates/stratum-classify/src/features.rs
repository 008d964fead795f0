//! A sample as the model's input: one number for each byte of both ends, without the white space around the whole.
//!
//! Source: Magika's `python/src/magika/magika.py`, `_extract_features_from_seekable`.

use crate::config::{EMPTY, ModelConfig, TEXT, UNKNOWN};
use stratum_tiering::content::Sample;

/// What a sample is made into.
#[derive(Debug, PartialEq)]
pub enum Features {
    /// The model's input.
    Ask(Vec<i32>),
    /// The sample is too short to ask the model: its label.
    Known(&'static str),
}

pub fn features(config: &ModelConfig, sample: &Sample) -> Features {
    let (head, tail) = (sample.head(), sample.tail());
    let head = head.get(..config.block_bytes()).unwrap_or(head);
    let tail = tail.get(tail.len().saturating_sub(config.block_bytes())..).unwrap_or(tail);
    if head.is_empty() {
        return Features::Known(EMPTY);
    }
    let (first, last) = (strip_start(head), strip_end(tail));
    if first.len() < config.least_bytes() {
        return Features::Known(if std::str::from_utf8(head).is_ok() { TEXT } else { UNKNOWN });
    }
    let padding = |bytes: usize| std::iter::repeat_n(config.padding(), bytes);
    let first = first.get(..config.head_bytes()).unwrap_or(first);
    let last = last.get(last.len().saturating_sub(config.tail_bytes())..).unwrap_or(last);
    let mut input: Vec<i32> = Vec::with_capacity(config.inputs());
    input.extend(first.iter().map(|byte| i32::from(*byte)));
    input.extend(padding(config.head_bytes() - first.len()));
    input.extend(padding(config.tail_bytes() - last.len()));
    input.extend(last.iter().map(|byte| i32::from(*byte)));
    Features::Ask(input)
}

/// White space as Python's `bytes.strip` has it, with which the model was trained: the vertical tab belongs to it.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn strip_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_white(*byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

fn strip_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !is_white(*byte)).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(body: &[u8]) -> Features {
        features(&ModelConfig::built_in().unwrap(), &Sample::of(body))
    }

    fn input(body: &[u8]) -> Vec<i32> {
        match of(body) {
            Features::Ask(input) => input,
            Features::Known(label) => panic!("{label}"),
        }
    }

    #[test]
    fn a_short_text_stands_at_both_edges() {
        let input = input(b" \n0123456789\x0b\t");
        let digits: Vec<i32> = (b'0'..=b'9').map(i32::from).collect();
        assert_eq!(input.len(), 2_048);
        assert_eq!((&input[..10], &input[10..12]), (&digits[..], &[0x0b, 0x09][..]));
        // Each end is stripped on its own side alone.
        assert_eq!((&input[2_038..], &input[2_036..2_038]), (&digits[..], &[0x20, 0x0a][..]));
        assert!(input[12..2_036].iter().all(|number| *number == 256));
    }

    #[test]
    fn of_a_long_body_each_end_is_a_kilobyte_without_the_white_space_around() {
        let mut body = vec![b' '; 100];
        body.extend((0..20_000u32).map(|at| b'a' + (at % 26) as u8));
        body.extend(vec![b'\n'; 50]);
        let input = input(&body);
        let first = body[100..1_124].iter().map(|byte| i32::from(*byte));
        let last = body[body.len() - 50 - 1_024..body.len() - 50].iter().map(|byte| i32::from(*byte));
        assert_eq!(input, first.chain(last).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_too_short_is_known_without_the_model() {
        assert_eq!(of(b""), Features::Known("empty"));
        assert_eq!(of(b"  seven77  "), Features::Ask(input(b"  seven77  ")));
        assert_eq!(of(b"    seven77"), Features::Known("txt"));
        assert_eq!(of(&[b' '; 9_000]), Features::Known("txt"));
        assert_eq!(of(b"\xff\xfe\xff"), Features::Known("unknown"));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_the_input_has_its_length(body in proptest::collection::vec(any::<u8>(), 0..9_000)) {
            if let Features::Ask(input) = of(&body) {
                prop_assert_eq!(input.len(), 2_048);
                prop_assert!(input.iter().all(|number| (0..=256).contains(number)));
            }
        }
    }
}
