//! Where a server listens that was started with [`ANY_PORT`]: it says so itself.
//!
//! A port that a test looked for and let go again could be anybody's by the time the server takes it.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Child;
use std::sync::mpsc;
use std::time::Duration;

/// For `--address`: the system chooses a port that is free.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The address that this server says it serves at, once it does. Its standard output must be a pipe; what comes after
/// that line is left there.
pub fn address(process: &mut Child) -> SocketAddr {
    let mut output = process.stdout.take().expect("a pipe for its output");
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while output.read(&mut byte).is_ok_and(|read| read == 1) && byte != [b'\n'] {
            line.extend(byte);
        }
        let _ = said.send((line, output));
    });
    let Ok((line, output)) = heard.recv_timeout(PATIENCE) else {
        let _ = process.kill();
        panic!("the server does not serve within {} s", PATIENCE.as_secs());
    };
    process.stdout = Some(output);
    let line = String::from_utf8_lossy(&line);
    let address = line.split_once("://").and_then(|(_, address)| address.trim().parse().ok());
    address.unwrap_or_else(|| panic!("the server said {line:?} and ended with {:?}", process.wait()))
}
