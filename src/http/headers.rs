//! What every answer carries: the manners of a browser-safe API, written once.
//! Nothing is allowed to frame, sniff, cache or script it; the web UI will relax just what it needs.

use http::{HeaderMap, HeaderName, HeaderValue, header};

const COUNT: usize = 5;

/// Header and value pairs that do not depend on the request.
const EVERYWHERE: [(HeaderName, HeaderValue); COUNT] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// How many lines `manners` adds to an answer at most; room for them is made once.
pub(super) const MOST: usize = COUNT + 3;

/// The id of the request, as the client gave it or as we made it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The name of the replica that answered.
pub(super) const REPLICA: HeaderName = HeaderName::from_static("x-monolith-replica");

/// For a year, a browser asks this host over TLS only.
pub(super) const ONLY_SECURE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// A header that is set and says nothing.
pub(super) const EMPTY: HeaderValue = HeaderValue::from_static("");

/// Adds what is not there yet.
pub(super) fn add(headers: &mut HeaderMap) {
    for (name, value) in EVERYWHERE {
        headers.entry(name).or_insert(value);
    }
}
