//! How fast bodies are sealed and opened, beside what else each body of a PUT goes through: `cargo run --release -p
//! stratum-frames --example seal`.

use bytes::Bytes;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use stratum_cipher::{DataKey, Salt};
use stratum_frames::{Cipher, Coding, Decoder, Encoder, Seal, Table};

/// Bytes that are sealed and opened in each round.
const BODY_BYTES: usize = 1 << 20;
const ROUNDS: u32 = 2_000;

fn main() {
    let plain: Vec<u8> = (0..BODY_BYTES).map(|at| (at * 7 + at / 251) as u8).collect();
    let key = DataKey::new([7; 32]);
    let sealed = encode(&key, &plain);
    told("sealed", || drop(black_box(encode(&key, &plain))));
    told("opened", || _ = black_box(decode(&key, &sealed)));
    told("crc32c alone", || _ = black_box(crc32c::crc32c(&plain)));
    told("copied alone", || drop(black_box(plain.clone())));
}

fn encode(key: &DataKey, plain: &[u8]) -> Bytes {
    let seal = Some(Seal::new(key, Salt([9; 32])));
    let mut encoder = Encoder::new(Coding { compression: None, seal }).expect("memory");
    let mut stored = Vec::new();
    encoder.push(plain, &mut stored).expect("not too long");
    encoder.finish(&mut stored).expect("it can be sealed");
    stored.concat().into()
}

fn decode(key: &DataKey, stored: &Bytes) -> usize {
    let (length, cipher) = (BODY_BYTES as u64, Cipher::Aes256Gcm);
    let place = Table::place(length, stored.len() as u64, cipher).expect("a table");
    let table = stored.slice(place.start as usize..place.end as usize);
    let table = Table::decode(&table, length, stored.len() as u64, cipher).expect("a table");
    let mut decoder = Decoder::new(Arc::new(table), 0..length, Some(key)).expect("a range");
    let frames = decoder.stored();
    decoder.push(stored.slice(frames.start as usize..frames.end as usize));
    let mut read = 0;
    while let Some(piece) = decoder.next_plaintext().expect("what was sealed") {
        read += piece.len();
    }
    read
}

#[allow(clippy::disallowed_methods)] // it measures
fn told(what: &str, mut work: impl FnMut()) {
    let began = Instant::now();
    (0..ROUNDS).for_each(|_| work());
    let each = began.elapsed() / ROUNDS;
    let speed = BODY_BYTES as f64 / each.as_secs_f64() / 1e9;
    println!("{what:>14}: {each:>10.1?} a MiB, {speed:.2} GB/s");
}
