//! An HTTP server of a test's own that remembers what it was sent and answers as the test wants, also not at all.
//! It knows just enough of HTTP/1.1 to be called by a real client.

use crate::harness::PATIENCE;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What is answered.
pub enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Nothing, until the client goes away.
    Nothing,
    /// Status and headers, a piece of the body, and then nothing until the client goes away.
    HalfABody,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    pub fn redirect(status: u16, location: String) -> Self {
        Self::Answer { status, headers: vec![("location", location)], body: Vec::new() }
    }
}

/// The server; it ends with this value.
pub struct Receiver {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    /// How many clients went away without an answer.
    left: Mutex<usize>,
    changed: Notify,
}

impl Receiver {
    pub async fn start(reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shared, reply) = (Arc::new(Shared::default()), Arc::new(reply));
        let sharing = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, reply) = (Arc::clone(&sharing), Arc::clone(&reply));
                tokio::spawn(async move { serve(stream, &shared, &*reply).await });
            }
        });
        Self { url, shared, task }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Waits until so many requests came.
    pub async fn hear(&self, count: usize) -> Vec<Heard> {
        self.wait(|shared| shared.heard.lock().unwrap().len() >= count).await;
        self.heard()
    }

    /// Waits until so many clients went away without an answer.
    pub async fn lose(&self, count: usize) {
        self.wait(|shared| *shared.left.lock().unwrap() >= count).await;
    }

    async fn wait(&self, wanted: impl Fn(&Shared) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if wanted(&self.shared) {
                    return;
                }
                changed.await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "it never came; what did: {:?}", self.heard());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, shared: &Shared, reply: &(dyn Fn(&Heard) -> Reply + Send + Sync)) {
    let mut stream = BufReader::new(stream);
    while let Some(heard) = read(&mut stream).await {
        let answer = reply(&heard);
        shared.heard.lock().unwrap().push(heard);
        shared.changed.notify_waiters();
        let begun = match answer {
            Reply::Answer { status, headers, body } => {
                let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{extra}\r\n", body.len());
                let sent = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                if sent.is_err() {
                    return;
                }
                continue;
            }
            Reply::HalfABody => "HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\nbegun",
            Reply::Nothing => "",
        };
        drop(stream.write_all(begun.as_bytes()).await);
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
        *shared.left.lock().unwrap() += 1;
        shared.changed.notify_waiters();
        return;
    }
}

/// The next request; `None` at the end.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Heard> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Heard { method, path, headers, body: String::from_utf8(body).unwrap() })
}
