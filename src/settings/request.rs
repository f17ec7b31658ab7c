//! An HTTP request of a worker, and the addresses it may go to: parsed, so that a run can only fail at the other end.
//! Nothing is sent here. An address may hold a token anywhere in it, so it shows nothing but its host.

use super::compile::{Compiler, Encoding};
use crate::config::schema::nearest;
use crate::secret::Secret;
use http::{HeaderName, HeaderValue, Method};
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

/// The methods that a worker may use.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
/// What is said about the run in the names that begin so.
pub const RUN_HEADERS: &str = "x-monolith-";
/// Headers that belong to the connection or to the run, not to whoever writes the file.
const RESERVED: [&str; 8] =
    ["connection", "content-length", "idempotency-key", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Where a request goes: an absolute URL of `http` or `https`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// A request, whole but for what it says about the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where to.
    pub address: Address,
    /// The headers of the file, each marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; `None`: there is none.
    pub body: Option<Secret>,
    /// Which answers are a success.
    pub expected: Expected,
    /// What must be masked in whatever is kept of an answer: the other end may repeat what it was told.
    pub hidden: Vec<Secret>,
}

/// Which answers are a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Every status of 200 to 299.
    Success,
    /// One of these.
    OneOf(Vec<u16>),
}

impl Address {
    /// The whole URL. Whoever calls this answers for where it goes.
    #[must_use]
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// Its host, which may be told.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The forms in which another program may repeat it.
    fn hidden(&self) -> [Secret; 2] {
        let path = self.0.as_str().get(self.0[..url::Position::BeforePath].len()..).unwrap_or_default();
        [Secret::new(self.0.as_str()), Secret::new(path)]
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/[redacted]", self.0.scheme(), self.host())
    }
}

impl Expected {
    /// Whether a status is one of them.
    #[must_use]
    pub fn includes(&self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::OneOf(codes) => codes.contains(&status),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("2xx"),
            Self::OneOf(codes) => {
                let codes: Vec<String> = codes.iter().map(u16::to_string).collect();
                f.write_str(&codes.join(" or "))
            }
        }
    }
}

/// A request as it was written.
pub(super) struct Written<'a> {
    pub(super) method: Option<&'a str>,
    pub(super) url: Option<&'a Secret>,
    pub(super) headers: &'a BTreeMap<String, Secret>,
    pub(super) body: Option<&'a Secret>,
    pub(super) expect_status: Option<&'a [u16]>,
}

impl Compiler<'_> {
    pub(super) fn request(&mut self, key: &str, written: &Written<'_>) -> Option<Request> {
        let method = self.method(&format!("{key}.method"), written.method);
        let address = written.url.and_then(|url| self.web_address(&format!("{key}.url"), url));
        let mut hidden: Vec<Secret> = address.iter().flat_map(Address::hidden).collect();
        hidden.extend(written.url.iter().flat_map(|url| self.secrets_in(url)));
        let headers = self.headers(&format!("{key}.headers"), written.headers, &mut hidden);
        let body = written.body.map(|body| {
            hidden.extend(self.secrets_in(body));
            self.with_secrets(&format!("{key}.body"), body, Encoding::Verbatim)
        });
        let expected = self.expected(&format!("{key}.expect_status"), written.expect_status);
        let method = method?;
        if body.is_some() && (method == Method::GET || method == Method::HEAD) {
            let message = format!("is sent with {method}, and most servers ignore the body of a {method}");
            self.warn_with_hint(&format!("{key}.body"), message, "set method = \"POST\"");
        }
        Some(Request { method, address: address?, headers, body, expected, hidden })
    }

    fn method(&mut self, key: &str, text: Option<&str>) -> Option<Method> {
        let Some(text) = text else { return Some(Method::GET) };
        let found = METHODS.into_iter().find(|method| method.as_str() == text);
        if found.is_none() {
            let words = METHODS.map(|method| method.to_string());
            let message = format!("must be one of {}, found \"{text}\"", words.join(", "));
            let near = nearest(text, words.iter().map(String::as_str));
            self.error_with_advice(key, message, near.map(|near| format!("did you mean \"{near}\"?")));
        }
        found
    }

    /// An absolute URL of `http` or `https`, secrets filled in. It is never repeated in a message.
    pub(super) fn web_address(&mut self, key: &str, text: &Secret) -> Option<Address> {
        let filled = self.with_secrets(key, text, Encoding::Url);
        if self.problems.concern(key) {
            return None;
        }
        const EXAMPLE: &str = "such as https://api.example.com/jobs";
        match filled.expose_text().map(Url::parse) {
            Some(Ok(url)) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(Address(url)),
            Some(Ok(url)) => {
                let message = format!("must begin with http:// or https://, found the scheme `{}`", url.scheme());
                self.error_with_hint(key, message, EXAMPLE);
                None
            }
            Some(Err(url::ParseError::RelativeUrlWithoutBase)) => {
                self.error_with_hint(key, "must be a whole URL, with its scheme and its host", EXAMPLE);
                None
            }
            Some(Err(error)) => {
                self.error_with_hint(key, format!("must be a whole URL: {error}"), EXAMPLE);
                None
            }
            None => {
                self.error_with_hint(key, "must be a whole URL: it is not text", EXAMPLE);
                None
            }
        }
    }

    pub(super) fn headers(
        &mut self,
        key: &str,
        written: &BTreeMap<String, Secret>,
        hidden: &mut Vec<Secret>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (text, value) in written {
            let key = format!("{key}.{text}");
            let name = self.header_name(&key, text);
            if name.as_ref().is_some_and(|name| headers.iter().any(|(known, _)| known == name)) {
                self.error(&key, "stands here twice: upper and lower case are the same in the name of a header");
            }
            let filled = self.with_secrets(&key, value, Encoding::Verbatim);
            let secrets = self.secrets_in(value);
            let is_sensitive = !secrets.is_empty() || name.as_ref().is_some_and(is_sensitive);
            hidden.extend(secrets);
            match HeaderValue::from_bytes(filled.expose()) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    if is_sensitive {
                        hidden.push(filled);
                    }
                    headers.extend(name.map(|name| (name, value)));
                }
                Err(_) => self.error(&key, "cannot be sent: it holds a line break or another control character"),
            }
        }
        headers
    }

    fn header_name(&mut self, key: &str, text: &str) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            let message = "is not the name of a header";
            self.error_with_hint(key, message, "use letters, digits and `-`, as in \"content-type\"");
            return None;
        };
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with(RUN_HEADERS) {
            self.error(key, "is set by the program itself");
            return None;
        }
        Some(name)
    }

    fn expected(&mut self, key: &str, codes: Option<&[u16]>) -> Expected {
        let Some(codes) = codes else { return Expected::Success };
        if codes.is_empty() {
            self.error_with_hint(
                key,
                "names no status, so that nothing would be a success",
                "leave it out for any 2xx",
            );
        }
        for (n, code) in codes.iter().enumerate().filter(|(_, code)| !(200..600).contains(*code)) {
            self.error(&format!("{key}[{n}]"), format!("must be a status from 200 to 599, found {code}"));
        }
        Expected::OneOf(codes.to_vec())
    }
}

/// Whether a header is there to prove something, whatever its value.
fn is_sensitive(name: &HeaderName) -> bool {
    ["auth", "cookie", "key", "secret", "signature", "token"].iter().any(|word| name.as_str().contains(word))
}
