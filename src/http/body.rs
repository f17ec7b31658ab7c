//! What a request carries, taken within limits: JSON bodies, queries, key ids in paths.
//! Malformed is 400, too large is 413, another media type is 415, what does not fit is 422 with the field's name.

use super::answer::{ApiError, field};
use crate::runtime::App;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The most of a body that is read only to be thrown away.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limit = app.snapshot().settings.server.body_limit;
        let (parts, body) = request.into_parts();
        json(&parts.headers, body, limit).await.map(Json)
    }
}

/// A JSON body of which every part can be left out, and so can all of it.
pub(super) struct Optional<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for Optional<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        if request.body().is_end_stream() && !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, app).await.map(|Json(body)| Self(body))
    }
}

/// Reads a JSON body, within a limit.
pub(super) async fn json<T, B>(headers: &HeaderMap, body: B, limit: usize) -> Result<T, ApiError>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes> + Unpin,
{
    if !is_json(headers) {
        let detail = "the body must be JSON: Content-Type: application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let expects = headers.contains_key(header::EXPECT);
    parse(&whole(body, limit, expects).await?)
}

/// Reads JSON. Which field does not fit is looked for only once something does not: most bodies are right.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde takes a list for the fields of a struct in their order, and nobody means that.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
        return Err(ApiError::invalid(vec![field("", "must be an object")]));
    }
    serde_json::from_slice(bytes).or_else(|_| explained(bytes))
}

fn explained<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize::<_, T>(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let key = if path == "." { String::new() } else { path };
        if inner.is_data() {
            ApiError::invalid(vec![field(&key, without_position(&inner))])
        } else if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
            // serde_json finds the syntax wrong where a word is wanted and something else is there, as in `state: null`.
            ApiError::invalid(vec![field(&key, "must be one of the words that are allowed here")])
        } else {
            malformed(&inner)
        }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not JSON: {error}"))
}

/// serde's words without " at line 1 column 7": bodies are rarely read by line.
fn without_position(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rsplit_once(" at line ").map_or(words.clone(), |(words, _)| words.to_owned())
}

/// Reads a body whole. Of one that is too large the rest is read and thrown away, within bounds: a client that is cut
/// off while it sends never sees why.
async fn whole<B>(mut body: B, limit: usize, expects: bool) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = || {
        let detail = format!("the body is larger than {limit} bytes (server.body_limit)");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit && (expects || announced > limit.saturating_add(MAX_DISCARDED)) {
        return Err(too_large());
    }
    let broken = |_| ApiError::new(StatusCode::BAD_REQUEST, "body_broken", "the body broke off");
    // Most bodies come in one piece, which is taken as it is.
    let first = match body.frame().await {
        Some(frame) => frame.map_err(broken)?.into_data().unwrap_or_default(),
        None => Bytes::new(),
    };
    if body.is_end_stream() && first.len() <= limit {
        return Ok(first);
    }
    let (mut read, mut discarded) = (BytesMut::new(), 0);
    if first.len() > limit {
        discarded = first.len()
    } else {
        read.extend_from_slice(&first)
    }
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if read.len() + data.len() > limit || discarded > 0 {
            discarded += data.len();
            if discarded > MAX_DISCARDED {
                break;
            }
        } else {
            read.extend_from_slice(&data);
        }
    }
    if discarded > 0 { Err(too_large()) } else { Ok(read.freeze()) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(ApiError::invalid(vec![field("", error.body_text())])),
        }
    }
}

/// The one variable part of a path.
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<Arc<App>> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        path.map(|Path(segment)| Self(segment)).map_err(|_| ApiError::not_found("path"))
    }
}
