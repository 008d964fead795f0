//! Fixes the batch size of an ONNX model to 1: tract must know all dimensions before it runs a model.
//!
//! Models are published with a name (such as `batch`) in place of that dimension in the shapes of their inputs and
//! outputs. ONNX files are Protocol Buffers; the few messages on the path to that name are copied with a 1 in its
//! place, everything else unchanged.
//!
//! Source: `onnx.proto` of ONNX 1.15; Protocol Buffers, "Encoding".

/// The number of a message's field.
type Field = u64;

/// `ModelProto.graph`, `GraphProto.input` or `output`, `ValueInfoProto.type`, `TypeProto.tensor_type`, `Tensor.shape`,
/// `TensorShapeProto.dim`.
const GRAPH: Field = 7;
const INPUT: Field = 11;
const OUTPUT: Field = 12;
const TO_DIMENSIONS: [Field; 4] = [2, 1, 2, 1];
/// `Dimension.dim_param`, the name, and `Dimension.dim_value = 1`.
const NAME: Field = 2;
const ONE: [u8; 2] = [1 << 3, 1];

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The model with a batch size of 1; `None` if the bytes are no model.
pub fn of_one(model: &[u8]) -> Option<Vec<u8>> {
    rewrite(model, &mut |field, graph| match field {
        GRAPH => Some(rewrite(graph, &mut |field, value| match field {
            INPUT | OUTPUT => Some(fix(value, &TO_DIMENSIONS)),
            _ => None,
        })),
        _ => None,
    })
}

/// Follows the path of fields to the dimensions, and replaces the one that has a name.
fn fix(message: &[u8], way: &[Field]) -> Option<Vec<u8>> {
    match way.split_first() {
        Some((next, rest)) => {
            rewrite(message, &mut |field, inner| (field == *next).then(|| fix(inner, rest)))
        }
        None => {
            let mut is_named = false;
            let copied = rewrite(message, &mut |field, _| {
                is_named |= field == NAME;
                None
            });
            if is_named { Some(ONE.to_vec()) } else { copied }
        }
    }
}

/// What becomes of a field that holds bytes: `None` if it is copied unchanged, `Some(None)` if it is malformed, else
/// its new bytes.
type Change<'a> = dyn FnMut(Field, &[u8]) -> Option<Option<Vec<u8>>> + 'a;

/// Copies a message, with `change` applied to each field that holds bytes; `None` if the message is malformed.
fn rewrite(message: &[u8], change: &mut Change<'_>) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::with_capacity(message.len()), message);
    while !rest.is_empty() {
        let start = rest;
        let tag = varint(&mut rest)?;
        let taken = match tag & 7 {
            VARINT => {
                varint(&mut rest)?;
                None
            }
            FIXED64 => skip(&mut rest, 8)?.first().and(None),
            FIXED32 => skip(&mut rest, 4)?.first().and(None),
            LENGTH => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                change(tag >> 3, skip(&mut rest, length)?)
            }
            _ => return None,
        };
        match taken {
            None => out.extend_from_slice(start.get(..start.len() - rest.len())?),
            Some(changed) => {
                let changed = changed?;
                put_varint(&mut out, tag);
                put_varint(&mut out, changed.len() as u64);
                out.extend(changed);
            }
        }
    }
    Some(out)
}

fn skip<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (skipped, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(skipped)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&[byte], behind) = rest.split_first_chunk::<1>()?;
        *rest = behind;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    const BUILT_IN: &[u8] = include_bytes!("../model/standard_v3_3.onnx");

    #[test]
    fn the_model_is_the_one_that_was_published() {
        let published = "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c";
        assert_eq!(hex::encode(Sha256::digest(BUILT_IN)), published);
    }

    #[test]
    fn the_number_of_files_is_one_and_all_else_is_as_it_was() {
        let fixed = of_one(BUILT_IN).unwrap();
        assert!(!fixed.windows(5).any(|window| window == b"unk__"));
        // Two names of ten bytes become two values of two. The lengths of the messages around them still fit into one
        // byte each.
        assert_eq!(fixed.len(), BUILT_IN.len() - 16);
        assert_eq!(of_one(&fixed), Some(fixed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(copied) = of_one(&bytes) {
                prop_assert!(copied.len() <= bytes.len() * 2 + 2);
            }
        }
    }
}
