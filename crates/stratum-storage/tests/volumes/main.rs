//! Volumes on simulated and real drives: what was acknowledged comes back, whatever happens to the drives.

mod balance;
mod crash;
mod damage;
mod fixture;
mod full;
mod heal;
mod hedged;
mod leaving;
mod quarantine;
mod real;
mod reclaim;
mod roundtrip;
mod scrub;
mod unfinished;
mod upload;
mod world;
mod writing;
