//! An HTTP server on loopback that stands for a webhook or a collector: it keeps the requests that it gets, and can be
//! made to refuse them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request that was received: its head and its body.
pub type Told = (String, Vec<u8>);

pub struct Hook {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    refuses: Arc<AtomicBool>,
    forbidden: Arc<Mutex<Option<&'static str>>>,
}

impl Hook {
    pub fn start() -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, refuses) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let forbidden = Arc::new(Mutex::new(None));
        let (kept, refusing, forbidding) = (told.clone(), refuses.clone(), forbidden.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, refusing, forbidding) = (kept.clone(), refusing.clone(), forbidding.clone());
                thread::spawn(move || serve(stream, &kept, &refusing, &forbidding));
            }
        });
        Hook { address, told, refuses, forbidden }
    }

    pub fn url(&self) -> String {
        format!("{}/told?by=stratum", self.base())
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the hook answer `503` from now on, or accept requests again.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Makes the hook answer `403` to what has this text in its body, as a firewall before it would.
    pub fn forbid(&self, text: &'static str) {
        *self.forbidden.lock().unwrap() = Some(text);
    }

    /// Waits until the requests received are enough; gives all of them.
    pub fn wait(&self, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        for _ in 0..300 {
            let told = self.told.lock().unwrap().clone();
            if enough(&told) {
                return told;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let told = self.told.lock().unwrap();
        let told: Vec<_> = told.iter().map(|(head, body)| (head, String::from_utf8_lossy(body))).collect();
        panic!("it was told {told:?}");
    }
}

fn serve(
    stream: TcpStream,
    told: &Mutex<Vec<Told>>,
    refuses: &AtomicBool,
    forbidden: &Mutex<Option<&'static str>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let is_forbidden =
        forbidden.lock().unwrap().is_some_and(|text| String::from_utf8_lossy(&body).contains(text));
    let status = match refuses.load(Ordering::Relaxed) {
        true => "503 Service Unavailable",
        false if is_forbidden => "403 Forbidden",
        false => {
            told.lock().unwrap().push((head, body));
            "200 OK"
        }
    };
    write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()
}
