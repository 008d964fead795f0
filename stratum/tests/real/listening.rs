//! Finds the address of a server that was started with [`ANY_PORT`]: the server prints it.
//!
//! If the test looked for a free port itself, another process could take that port before the server does.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Child;
use std::sync::mpsc;
use std::time::Duration;

/// The value of `--address` with which the system chooses a free port.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// How long a test waits for a server to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a server prints the address at which it serves; gives the address. The process's standard output must be
/// a pipe. What the server prints after that line is left in the pipe.
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
