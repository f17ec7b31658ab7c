//! One connection by hand: what a client library would hide is what is asked about here, such as when it is closed.
//! It speaks just enough HTTP/1.1 to ask this server, and waits within a limit.

use crate::harness::PATIENCE;
use serde_json::Value;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept.
pub struct Raw<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Whether the server says that it closes the connection after this answer.
    pub closes: bool,
    pub body: String,
}

impl Raw {
    pub async fn open(address: &str) -> io::Result<Self> {
        Ok(Self::over(within(TcpStream::connect(address)).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await?;
        self.reply().await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> io::Result<Reply> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.send(&(head + &body)).await?;
        self.reply().await
    }

    pub async fn send(&mut self, text: &str) -> io::Result<()> {
        within(self.stream.write_all(text.as_bytes())).await
    }

    /// Reads one answer whole.
    pub async fn reply(&mut self) -> io::Result<Reply> {
        let end = loop {
            match self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = header("content-length:").map_or(0, |length| length.parse().unwrap());
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let closes = header("connection:") == Some("close");
        while self.read.len() < end + length {
            self.more().await?;
        }
        let body = String::from_utf8_lossy(&self.read[end..end + length]).into_owned();
        self.read.drain(..end + length);
        Ok(Reply { status, closes, body })
    }

    /// Waits until the server closes the connection, without another byte.
    pub async fn closed(&mut self) -> io::Result<()> {
        match self.more().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::other(format!("more came: {}", String::from_utf8_lossy(&self.read)))),
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match within(self.stream.read_buf(&mut self.read)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn within<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
