//! Bodies as a whole: plaintext becomes stored bytes and comes back, or is refused.

mod damage;
mod fixture;
mod roundtrip;
mod sealed;
mod world;
