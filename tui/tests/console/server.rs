//! A server that does as it is told: answers well, refuses, lies, hangs, stops halfway, breaks the connection.
//! It takes a free port and ends with its test.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    Well,
    /// 401 to whoever shows a token.
    Unauthorized,
    /// 403 to the list of keys.
    Forbidden,
    /// 503 with a page of a gateway.
    Gateway,
    /// 200 with a page.
    Page,
    /// It takes the request and never answers.
    Hangs,
    /// It answers the head and half of the body, and stops.
    StopsHalfway,
    /// It answers a byte at a time, and would need minutes.
    Drips,
    /// All is well, and its metrics are long.
    #[allow(dead_code, reason = "only a bench measures it")]
    Counts,
    /// It breaks the connection.
    Resets,
    /// It tells at once what changes, and its stores are down by then.
    Tells,
    /// It makes a key and says nothing of it.
    LosesTheAnswer,
}

pub struct Server {
    pub url: String,
    does: Arc<Mutex<Does>>,
    over: Arc<AtomicBool>,
    /// Requests that change something.
    pub changes: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    /// The last token that was shown to it.
    shown: Arc<Mutex<Option<String>>>,
}

impl Server {
    pub fn that(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let does = Arc::new(Mutex::new(does));
        let (over, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (asked, shown) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let server = Self {
            url,
            does: does.clone(),
            over: over.clone(),
            changes: changes.clone(),
            asked: asked.clone(),
            shown: shown.clone(),
        };
        std::thread::spawn(move || {
            // Those who hang are kept, or the connection would close.
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let now = *does.lock().unwrap();
                if now == Does::Resets {
                    // What was sent and not read makes it a reset.
                    let mut byte = [0];
                    drop(stream.peek(&mut byte));
                    continue;
                }
                if now == Does::Drips {
                    let over = over.clone();
                    std::thread::spawn(move || drip(&mut stream, &over));
                    continue;
                }
                match answer(&mut stream, now, &changes, &asked, &shown) {
                    Ok(true) | Err(_) => {}
                    Ok(false) => kept.push(stream),
                }
            }
        });
        server
    }

    /// Waits until a path was asked for so many times.
    pub fn wait_until_asked(&self, path: &str, times: usize) {
        let begun = std::time::Instant::now();
        while self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count() < times {
            assert!(begun.elapsed() < crate::pty::PATIENCE, "{path} was not asked for {times} times");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }

    pub fn shown(&self) -> Option<String> {
        self.shown.lock().unwrap().clone()
    }

    pub fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes it up, to see that.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
    }
}

/// Answers one request; `false` where the connection has to stay as it is.
fn answer(
    stream: &mut TcpStream,
    does: Does,
    changes: &AtomicUsize,
    asked: &Mutex<Vec<String>>,
    shown: &Mutex<Option<String>>,
) -> std::io::Result<bool> {
    let request = read(stream)?;
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    asked.lock().unwrap().push(path.to_owned());
    let token = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let asked_with_token = token.is_some();
    if let Some(token) = token {
        *shown.lock().unwrap() = Some(token.to_owned());
    }
    if method != "GET" {
        changes.fetch_add(1, Ordering::SeqCst);
    }
    let problem = |status: u16, detail: &str| {
        let body = format!("{{\"status\":{status},\"title\":\"no\",\"detail\":\"{detail}\",\"request_id\":\"q1\"}}");
        (format!("{status} No"), "application/problem+json", body)
    };
    let (status, kind, body) = match does {
        Does::Hangs => return Ok(false),
        Does::Tells if path.ends_with("/events") => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let event = "id: r1:1\nevent: audit\ndata: {}\n\n: still here\n\n";
            stream.write_all(format!("{head}{event}").as_bytes())?;
            return Ok(false);
        }
        Does::LosesTheAnswer if method == "POST" => return Ok(true),
        Does::StopsHalfway => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"st")?;
            return Ok(false);
        }
        Does::Counts if path == "/metrics" => ("200 OK".into(), "text/plain", samples(COUNTED)),
        Does::Gateway => ("503 Service Unavailable".into(), "text/html", "<html>sorry</html>".into()),
        Does::Page => ("200 OK".into(), "text/html", "<!doctype html><p>welcome".into()),
        Does::Unauthorized if asked_with_token => problem(401, "the token expired"),
        Does::Forbidden if path.ends_with("/api-keys") => problem(403, "your role may not list keys"),
        _ => match body(path) {
            Some((kind, body)) => ("200 OK".into(), kind, body),
            None => problem(404, "there is no such path"),
        },
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())?;
    Ok(true)
}

/// At a look every two seconds, 10,000 samples a second.
const COUNTED: usize = 20_000;

/// Metrics of so many samples.
pub fn samples(count: usize) -> String {
    let line = |number| format!("jobs_total{{queue=\"q{number}\",state=\"done\"}} {number}\n");
    std::iter::once("# TYPE jobs_total counter\n".to_owned()).chain((0..count).map(line)).collect()
}

/// Writes a byte now and then, until whoever asked is gone.
fn drip(stream: &mut TcpStream, over: &AtomicBool) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n";
    for byte in head.iter().chain(&[b' '; 900]) {
        if over.load(Ordering::SeqCst) || stream.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(200));
    }
}

fn read(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&piece[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

fn body(path: &str) -> Option<(&'static str, String)> {
    let json = |text: &str| Some(("application/json", text.to_owned()));
    match path {
        "/health" => json(
            r#"{"status":"ok","version":"0.1.0","commit":null,"profile":"test","replica":"r1","role":"serve",
            "started_at":"2026-01-31T08:15:00.000Z","uptime_s":60,"generation":1,"ready":true,
            "config":{"hash":"ab12","disk_matches_running":true,"last_reload":null},
            "keys":{"store":"main","persistent":true,"count":1,"fresh":true,"age_ms":1},"stores":{"main":"up"},
            "workers":{"total":0,"running":0,"failing":0,"overdue":0,"paused":0},"findings":[]}"#,
        ),
        "/metrics" => Some(("text/plain", "# TYPE http_connections gauge\nhttp_connections 1\n".into())),
        "/api/admin/whoami" => {
            json(r#"{"sub":"alice","role":"operator","expires_at":"2027-01-31T08:15:00.000Z","replica":"r1"}"#)
        }
        "/api/admin/api-keys" => json(
            r#"{"items":[{"kid":"4fQm2xYz81Ab","name":"orders-ci","owner":null,"environment":"test","scopes":[],
            "state":"active","created_at":"2026-01-30T08:00:00.000Z","created_by":"ana","expires_at":null,
            "last_used_at":null,"disabled_at":null,"revoked_at":null,"revoke_reason":null,"rotated_to":null,
            "grace_until":null,"ip_allow":[],"rate_limit":null,"metadata":{},"version":1}],"next":null}"#,
        ),
        "/api/admin/stores" | "/api/admin/workers" => json(r#"{"items":[],"next":null}"#),
        _ => None,
    }
}
