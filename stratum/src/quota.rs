//! `stratum quota`: shows and changes how much a bucket, or all buckets of a user, may hold.

use crate::client::{CallError, Operator, ServerArg};
use crate::control::ended;
use crate::operator::quotas::{QuotaList, QuotaStatus};
use crate::{output, quantity};
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The arguments of `stratum quota`.
#[derive(Args)]
pub struct QuotaArgs {
    #[command(subcommand)]
    action: QuotaAction,
}

#[derive(Subcommand)]
enum QuotaAction {
    /// Set the quota of a bucket, or of all buckets of a user together. It replaces the whole quota that was set
    /// before.
    Set(SetArgs),
    /// Show all quotas, and how much of each is used.
    Show(ServerArg),
    /// Remove a quota.
    Unset(UnsetArgs),
}

#[derive(Args)]
#[group(id = "whose", required = true, multiple = false)]
struct Whose {
    /// The name of the bucket.
    #[arg(long, group = "whose")]
    bucket: Option<String>,
    /// The canonical id of the user who owns the buckets.
    #[arg(long, group = "whose")]
    user: Option<String>,
}

#[derive(Args)]
struct SetArgs {
    #[command(flatten)]
    whose: Whose,
    /// The most bytes, such as 500GiB. All versions of objects count with the size that clients see, and so do the
    /// parts of uploads.
    #[arg(long, value_parser = quantity::bytes, required_unless_present = "objects")]
    bytes: Option<u64>,
    /// The most objects. Each version counts as one.
    #[arg(long)]
    objects: Option<u64>,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct UnsetArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    server: ServerArg,
}

/// Runs the command. `show` ends with 1 if a quota is used up.
pub fn run(args: &QuotaArgs) -> ExitCode {
    match &args.action {
        QuotaAction::Set(args) => ended(|| {
            let bytes = args.bytes.map(|bytes| bytes.to_string());
            let objects = args.objects.map(|objects| objects.to_string());
            let mut query = args.whose.query();
            query.extend(bytes.as_deref().map(|bytes| ("bytes", bytes)));
            query.extend(objects.as_deref().map(|objects| ("objects", objects)));
            change(&args.server, "quotas/set", &query)
        }),
        QuotaAction::Unset(args) => ended(|| change(&args.server, "quotas/unset", &args.whose.query())),
        QuotaAction::Show(server) => ended(|| {
            let QuotaList { buckets, users } = Operator::new(server)?.get("quotas")?;
            if buckets.is_empty() && users.is_empty() {
                output::line("There are no quotas.");
            }
            buckets.iter().for_each(|quota| output::line(to_text("bucket", quota)));
            users.iter().for_each(|quota| output::line(to_text("user", quota)));
            Ok(!buckets.iter().chain(&users).any(is_used_up))
        }),
    }
}

impl Whose {
    fn query(&self) -> Vec<(&str, &str)> {
        let bucket = self.bucket.as_deref().map(|bucket| ("bucket", bucket));
        bucket.into_iter().chain(self.user.as_deref().map(|user| ("user", user))).collect()
    }
}

fn change(server: &ServerArg, path: &str, query: &[(&str, &str)]) -> Result<bool, CallError> {
    let said: String = Operator::new(server)?.post(path, query)?;
    output::line(said);
    Ok(true)
}

fn is_used_up(quota: &QuotaStatus) -> bool {
    quota.bytes.is_some_and(|most| quota.used_bytes >= most)
        || quota.objects.is_some_and(|most| quota.used_objects >= most)
}

fn to_text(kind: &str, quota: &QuotaStatus) -> String {
    let QuotaStatus { of, bytes, objects, used_bytes, used_objects, counting } = quota;
    let mut parts = Vec::new();
    parts.extend(
        bytes.map(|most| format!("{} of {}", quantity::show_size(*used_bytes), quantity::show_size(most))),
    );
    parts.extend(objects.map(|most| format!("{used_objects} of {most} objects")));
    let note = match (is_used_up(quota), counting) {
        (true, _) => "; it is used up",
        (false, true) => ", at least: what was there before is still being counted",
        (false, false) => "",
    };
    format!("{kind} {of}: {}{note}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_told_with_what_is_used_of_it() {
        let quota = QuotaStatus {
            of: "photos".into(),
            bytes: Some(1 << 40),
            objects: Some(5),
            used_bytes: 4096,
            used_objects: 3,
            counting: false,
        };
        assert_eq!(to_text("bucket", &quota), "bucket photos: 4 KiB of 1 TiB, 3 of 5 objects");
        let full = QuotaStatus { used_objects: 5, bytes: None, ..quota.clone() };
        assert_eq!(to_text("user", &full), "user photos: 5 of 5 objects; it is used up");
        let counting = QuotaStatus { counting: true, objects: None, ..quota };
        assert!(to_text("bucket", &counting).ends_with("still being counted"));
    }
}
