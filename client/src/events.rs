//! `GET /api/admin/events`: the stream of what changes, read piece by piece as server-sent events.
//! It keeps no more than one event in memory and never reconnects by itself.

use reqwest::Response;

use crate::Error;
use crate::wire::EventData;

/// The largest event that is read: it carries one record.
const EVENT_LIMIT: usize = 1024 * 1024;

/// The stream. Its end, or an error, is the end of it: open another one and ask for everything anew.
#[derive(Debug)]
pub struct Events {
    response: Response,
    buffer: Vec<u8>,
}

/// One piece of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A sign of life.
    Comment,
    /// Something happened.
    Named {
        /// Its place in the stream, for `Last-Event-ID`.
        id: Option<String>,
        /// As in `key.revoked`, or [`crate::wire::events::RESET`].
        name: String,
        /// What it carries; `None` where it carries nothing that can be read.
        data: Option<Box<EventData>>,
    },
}

/// What an event is about, from its name: `key` of `key.revoked`.
#[must_use]
pub fn subject_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

impl Events {
    pub(crate) const fn new(response: Response) -> Self {
        Self { response, buffer: Vec::new() }
    }

    /// The next piece; `None` at the end of the stream. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where the stream breaks off or a piece of it is too large.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let unreadable = |why: &str| Error::Unreadable { what: "GET /api/admin/events".into(), why: why.into() };
        loop {
            if let Some(block) = self.block() {
                return Ok(Some(read(&block)));
            }
            if self.buffer.len() > EVENT_LIMIT {
                return Err(unreadable("an event is too large"));
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.buffer.extend(piece.iter().filter(|byte| **byte != b'\r')),
                Ok(None) => return Ok(None),
                Err(_) => return Err(unreadable("it broke off")),
            }
        }
    }

    /// A whole block of lines, off the front of what was read.
    fn block(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&block).into_owned())
    }
}

fn read(block: &str) -> Event {
    let (mut id, mut name, mut data) = (None, None, String::new());
    for line in block.lines().filter(|line| !line.starts_with(':')) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => id = Some(value.to_owned()),
            "event" => name = Some(value.to_owned()),
            "data" => data += value,
            _ => {}
        }
    }
    match name {
        Some(name) => Event::Named { id, name, data: serde_json::from_str(&data).ok() },
        None => Event::Comment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_with_its_place_and_its_data() {
        let block = "id: r1:7\nevent: key.revoked\ndata: {\"at\":\"2026-01-31T08:15:00.000Z\",\"replica\":\"r1\",\ndata: \"subject\":\"k1\",\"data\":null}\n\n";
        let Event::Named { id, name, data } = read(block) else { panic!("a comment") };
        assert_eq!((id.as_deref(), name.as_str(), data.unwrap().subject.as_str()), (Some("r1:7"), "key.revoked", "k1"));
        assert_eq!(subject_of("key.revoked"), "key");
    }

    #[test]
    fn a_comment_and_an_event_without_data_are_no_mistakes() {
        assert_eq!(read(": still here\n\n"), Event::Comment);
        let reset = Event::Named { id: None, name: "reset".into(), data: None };
        assert_eq!(read("event: reset\ndata: x\n\n"), reset);
    }
}
