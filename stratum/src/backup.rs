//! `stratum backup`: writes the metadata of a running store into one file.
//!
//! A backup holds the metadata and the small bodies that aren't in volumes yet; the volumes' bytes stay on the drives.
//! Its files are those that a hot drive holds, so `stratum rescue --backup` reads a backup as one more drive: what the
//! drives have newer comes from the drives, and what they have lost comes from the backup.

pub mod archive;
pub mod configuration;
mod location;
pub mod made;
pub mod produce;

pub use location::Location;

use crate::client::s3::{Remote, S3Args, S3Error};
use crate::client::{CallError, Operator, ServerArg};
use crate::output;
use crate::private::Replacement;
use clap::Args;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum backup`.
#[derive(Args)]
pub struct BackupArgs {
    #[command(flatten)]
    server: ServerArg,
    /// The file to write, or s3://BUCKET/KEY. An older backup there is replaced once the new one is complete.
    #[arg(long)]
    to: Location,
    #[command(flatten)]
    s3: S3Args,
    /// Put secrets into the backup: root's credentials, the master key that the server made, and the secrets of the
    /// configuration. Keep such a backup as safe as these.
    #[arg(long)]
    with_credentials: bool,
}

/// Why a backup could not be made.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{path}: {error}")]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error(transparent)]
    Remote(#[from] S3Error),
    #[error("the backup that came can't be used: {0}; run it again")]
    Archive(#[from] archive::ArchiveError),
}

/// Makes a backup. Ends with 0 once the backup was read back whole, and synced where it is a file; else with 2.
pub fn run(args: &BackupArgs) -> ExitCode {
    match backup(args) {
        Ok((files, bytes)) => {
            output::line(format_args!("{}: {files} files, {bytes} bytes, verified", args.to));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Makes a backup at `--to`; gives the number of files in it and its length in bytes.
fn backup(args: &BackupArgs) -> Result<(u64, u64), BackupError> {
    // The variables that name an endpoint name that of `--to s3://...`.
    let operator = Operator::new(&args.server.whatever_the_environment_says())?;
    let save = |to: &mut (dyn Write + Send)| {
        let credentials = if args.with_credentials { "true" } else { "false" };
        operator.save("backup", &[("credentials", credentials)], to)
    };
    match &args.to {
        Location::Object { bucket, key } => upload(save, &Remote::new(&args.s3, bucket, key)?),
        Location::File(to) => write(save, to),
    }
}

/// Uploads a backup, and reads it back to verify it. The object appears only once all of the backup was received; a
/// backup that was cut off leaves no object.
fn upload(
    save: impl Fn(&mut (dyn Write + Send)) -> Result<(), CallError>,
    to: &Remote,
) -> Result<(u64, u64), BackupError> {
    let mut upload = to.upload();
    if let Err(error) = save(&mut upload) {
        return Err(upload.give_up().map_or(BackupError::Call(error), BackupError::Remote));
    }
    let bytes = upload.finish()?;
    let files = archive::read(io::BufReader::new(to.download().map_err(S3Error::Io)?), |_| Ok(io::sink()))?;
    Ok((files, bytes))
}

/// Refuses a place at which something else than a file is, such as a device: the backup would take its name.
fn refuse_what_is_no_file(to: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(to) {
        Ok(there) if there.is_file() => Ok(()),
        Ok(there) if there.is_symlink() => Err(io::Error::other(
            "it is a link, which the backup would replace: name the file that it leads to",
        )),
        Ok(_) => Err(io::Error::other("it is no file: name one, which needn't be there yet")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a backup beside `to`, reads it back to verify it, and only then has it replace what is at `to`.
fn write(
    save: impl Fn(&mut (dyn Write + Send)) -> Result<(), CallError>,
    to: &Path,
) -> Result<(u64, u64), BackupError> {
    let at = |error| BackupError::File { path: to.to_owned(), error };
    refuse_what_is_no_file(to).map_err(at)?;
    let replacement = Replacement::in_any_folder(to).map_err(at)?;
    let mut writer = BufWriter::new(replacement.file());
    save(&mut writer)?;
    let mut file = writer.into_inner().map_err(|error| at(error.into_error()))?;
    file.sync_all().map_err(at)?;
    file.rewind().map_err(at)?;
    let files = archive::read(io::BufReader::new(file), |_| Ok(io::sink()))?;
    let bytes = file.metadata().map_err(at)?.len();
    replacement.finish().map_err(at)?;
    Ok((files, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_takes_the_place_of_a_file_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "old").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert!(refuse_what_is_no_file(&at("file")).is_ok() && refuse_what_is_no_file(&at("absent")).is_ok());
        for name in ["link", "dangling", "socket", "."] {
            let written = write(|_| Ok(()), &at(name));
            assert!(matches!(written, Err(BackupError::File { .. })), "{name}");
        }
        assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "old");
    }
}
