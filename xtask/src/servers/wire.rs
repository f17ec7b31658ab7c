//! The few messages of each protocol that tell whether a server answers, and which version it is.
//! It is not a driver: one connection, one exchange, no TLS.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A server on this machine that is well answers in a millisecond; one far away still within this.
const IO_LIMIT: Duration = Duration::from_secs(5);

/// No answer that is read here comes near this; a larger length means that something else listens.
const ANSWER_LIMIT: usize = 1 << 20;

/// What a server said of itself, where it said something.
pub(super) type Version = Option<String>;

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    for socket in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, IO_LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(IO_LIMIT))?;
                stream.set_write_timeout(Some(IO_LIMIT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a Redis answers. One that wants a password answers too.
pub(super) fn redis(address: &str) -> io::Result<Version> {
    let mut stream = connect(address)?;
    // INFO is answered while the data are still being read, PING is not.
    stream.write_all(b"PING\r\nINFO server\r\n")?;
    let mut lines = BufReader::new(stream.take(ANSWER_LIMIT as u64)).lines();
    match lines.next().transpose()?.unwrap_or_default() {
        refused if refused.starts_with("-NOAUTH") => Ok(None),
        pong if pong == "+PONG" => {
            Ok(lines.map_while(Result::ok).find_map(|line| line.strip_prefix("redis_version:").map(str::to_owned)))
        }
        other => Err(io::Error::other(format!("not ready: {other}"))),
    }
}

/// Whether a MongoDB answers.
pub(super) fn mongo(address: &str) -> io::Result<Version> {
    let mut stream = connect(address)?;
    stream.write_all(&op_msg_build_info())?;
    let length = i32::from_le_bytes(read_array(&mut stream)?);
    let body = read_body(&mut stream, length)?;
    Ok(string_field(&body, "version"))
}

/// `{ buildInfo: 1, $db: "admin" }` as an `OP_MSG` (MongoDB Wire Protocol, "`OP_MSG`"); it needs no login.
fn op_msg_build_info() -> Vec<u8> {
    const OP_MSG: i32 = 2013;
    let mut fields = Vec::new();
    fields.extend(b"\x10buildInfo\0");
    fields.extend(1_i32.to_le_bytes());
    fields.extend(b"\x02$db\0");
    fields.extend(6_i32.to_le_bytes());
    fields.extend(b"admin\0\0");
    let document = (fields.len() + 4) as i32;
    let header = 16 + 4 + 1;
    let mut message = Vec::new();
    for number in [header + document, 1, 0, OP_MSG, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0); // a section with one document
    message.extend(document.to_le_bytes());
    message.extend(fields);
    message
}

/// A string field of a BSON document, found without parsing the rest.
fn string_field(document: &[u8], name: &str) -> Option<String> {
    let key = [b"\x02", name.as_bytes(), b"\0"].concat();
    let at = document.windows(key.len()).position(|window| window == key)? + key.len();
    let length = i32::from_le_bytes(document.get(at..at + 4)?.try_into().ok()?);
    let text = document.get(at + 4..at + 4 + usize::try_from(length).ok()?.checked_sub(1)?)?;
    String::from_utf8(text.to_vec()).ok()
}

/// A connection to a PostgreSQL as far as its first answer.
pub(super) struct Postgres {
    stream: TcpStream,
    pub(super) version: Version,
    /// Whether it let us in without a password.
    ready: bool,
}

impl Postgres {
    /// Logs in without a password; being asked for one is an answer too (PostgreSQL, "Frontend/Backend Protocol").
    pub(super) fn connect(address: &str, user: &str, database: &str) -> io::Result<Self> {
        const PROTOCOL_3: i32 = 196_608;
        let mut stream = connect(address)?;
        let mut start = PROTOCOL_3.to_be_bytes().to_vec();
        for word in ["user", user, "database", database, ""] {
            start.extend(word.as_bytes());
            start.push(0);
        }
        stream.write_all(&((start.len() + 4) as i32).to_be_bytes())?;
        stream.write_all(&start)?;
        let mut connection = Self { stream, version: None, ready: false };
        connection.read_until_ready()?;
        Ok(connection)
    }

    /// Runs statements and forgets their rows.
    pub(super) fn run(&mut self, statements: &str) -> io::Result<()> {
        if !self.ready {
            return Err(io::Error::other("the server wants a password"));
        }
        self.stream.write_all(b"Q")?;
        self.stream.write_all(&((statements.len() + 5) as i32).to_be_bytes())?;
        self.stream.write_all(statements.as_bytes())?;
        self.stream.write_all(b"\0")?;
        self.read_until_ready()
    }

    fn read_until_ready(&mut self) -> io::Result<()> {
        let mut failure = None;
        loop {
            let [kind] = read_array(&mut self.stream)?;
            let length = i32::from_be_bytes(read_array(&mut self.stream)?);
            let body = read_body(&mut self.stream, length)?;
            match kind {
                b'R' if body != [0; 4] => return Ok(()), // wants a password: it is alive
                b'S' => self.version = self.version.take().or_else(|| server_version(&body)),
                b'E' if self.ready => failure = Some(message(&body)),
                b'E' => return Err(io::Error::other(message(&body))),
                b'Z' => {
                    self.ready = true;
                    return failure.map_or(Ok(()), |failure| Err(io::Error::other(failure)));
                }
                _ => {}
            }
        }
    }
}

/// From a parameter status: name and value, each ended by a zero.
fn server_version(status: &[u8]) -> Version {
    let text = String::from_utf8_lossy(status);
    let value = text.strip_prefix("server_version\0")?;
    Some(value.split(['\0', ' ']).next().unwrap_or_default().to_owned())
}

/// The message of an error: fields that begin with a letter and end with a zero; `M` is the text.
fn message(error: &[u8]) -> String {
    let text = error.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(text.unwrap_or(b"an error without a text")).into_owned()
}

fn read_array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The rest of a message whose length field counts itself.
fn read_body(stream: &mut impl Read, length: i32) -> io::Result<Vec<u8>> {
    let rest =
        usize::try_from(length).ok().and_then(|length| length.checked_sub(4)).filter(|rest| *rest <= ANSWER_LIMIT);
    let mut body = vec![0; rest.ok_or_else(|| io::Error::other("not the expected protocol"))?];
    stream.read_exact(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_found_in_a_document_and_nothing_in_its_torso() {
        let document = b"\x10ok\0\x01\0\0\0\x02version\0\x06\0\0\x007.0.5\0";
        assert_eq!(string_field(document, "version").as_deref(), Some("7.0.5"));
        assert_eq!(string_field(&document[..16], "version"), None);
    }
}
