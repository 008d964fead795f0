//! What a start refuses for the machine's or the store's sake, and the faults that a test asks for.

use crate::config::Config;
use crate::failure::Failure;
use stratum_metadata::record::Level;
#[cfg(feature = "faults")]
use {crate::ServerArgs, stratum_storage::drive::faulty};

/// Makes the drives fail as the plan says that the command line names.
#[cfg(feature = "faults")]
pub fn plan_faults(args: &ServerArgs) -> Result<(), Failure> {
    let Some(path) = &args.faults else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let plan: faulty::FaultPlan =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    tracing::warn!(faults = plan.faults.len(), "faults are injected into drives, as --faults asks");
    faulty::install(plan);
    Ok(())
}

/// Refuses a processor without the instructions that the erasure code and the checksums use (processors of 2013 and
/// later have them). The process would otherwise be killed by an illegal instruction in the middle of a write.
pub fn refuse_old_processors() -> Result<(), Failure> {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") || !std::arch::is_x86_feature_detected!("sse4.2") {
        return Err("this processor has no AVX2 or SSE4.2, which the erasure code needs".into());
    }
    Ok(())
}

/// Refuses a codec for the hot tier as long as the store is of level 1: an operator may still go back to an older
/// binary, which can't read coded bodies. The codecs of the other tiers needn't be checked, since bodies come to those
/// tiers by moves, which a store of level 1 refuses.
pub fn refuse_old_level(config: &Config, level: Level) -> Result<(), Failure> {
    if config.tiers.codecs().hot.is_none() || level >= Level::SECOND {
        return Ok(());
    }
    let problem = format!(
        "tiers.hot.codec takes a store of level {}, and this one is of level {level}: start the server without it, run \
         `stratum level raise`, and set it then",
        Level::SECOND
    );
    Err(problem.into())
}
