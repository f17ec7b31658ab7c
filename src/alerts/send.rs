//! One message to one receiver: signed, bounded in time, its answer judged by the status alone.
//! The address may hold a secret, as those of chat services do: it stands in no error and no log.

use super::incident::Message;
use crate::settings::alerts::{Alert, SIGNATURE};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use sha2::Sha256;
use std::error::Error;
use std::time::Duration;

/// The longest that a receiver may take, from the look-up of its name to its answer: it only has to take a note.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Sender(reqwest::Client);

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nobody is there, or the connection broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It took longer than the limit.
    #[error("did not answer within {}", crate::clock::write_duration(TIMEOUT))]
    TimedOut,
    /// It answered with something else than a success.
    #[error("answered {0}")]
    Refused(u16),
    /// The message cannot be made.
    #[error("cannot be asked: {0}")]
    Unusable(&'static str),
}

impl Sender {
    /// A client that follows no redirection: headers and signature are for the declared address alone.
    ///
    /// # Errors
    /// In words, where TLS cannot be set up.
    pub fn new() -> Result<Self, String> {
        let agent = concat!("monolith/", env!("CARGO_PKG_VERSION"));
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).user_agent(agent).build();
        client.map(Self).map_err(|error| error.without_url().to_string())
    }

    /// Posts a message; any status of 200 to 299 means that it was taken.
    ///
    /// # Errors
    /// [`SendError`]; what was sent may have arrived all the same.
    pub async fn send(&self, alert: &Alert, message: &Message) -> Result<(), SendError> {
        let body = serde_json::to_vec(message).map_err(|_| SendError::Unusable("the message is no JSON"))?;
        let headers = headers(alert, &body)?;
        let answer = self
            .0
            .post(alert.address.expose().clone())
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(|error| cause(&error))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(SendError::Refused(status.as_u16())) }
    }
}

fn headers(alert: &Alert, body: &[u8]) -> Result<HeaderMap, SendError> {
    let mut headers: HeaderMap = alert.headers.iter().cloned().collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(secret) = &alert.signing_secret {
        let value = HeaderValue::from_str(&signature(secret.expose(), body));
        let value = value.map_err(|_| SendError::Unusable("the signature cannot be sent"))?;
        headers.insert(HeaderName::from_static(SIGNATURE), value);
    }
    Ok(headers)
}

/// HMAC-SHA-256 (RFC 2104) of the body as it is sent, in 64 lower-case hexadecimal digits.
#[must_use]
pub fn signature(secret: &[u8], body: &[u8]) -> String {
    // A key of any length will do: longer ones are hashed first.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The innermost cause says most, and none of them says the address once the outermost has lost it.
fn cause(error: &reqwest::Error) -> SendError {
    if error.is_timeout() {
        return SendError::TimedOut;
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.is::<reqwest::Error>() {
        true => SendError::Unusable("the request could not be made"),
        false => SendError::Unreachable(innermost.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        let signed = signature(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
