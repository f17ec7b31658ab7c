//! A refusal, as whoever calls over HTTP needs it: RFC 9457 with a stable `code`.
//! It is written out by `manners`, which knows the request's id; causes inside the server are logged there, not told.

use super::show;
use crate::problem::Problem;
use crate::runtime::report::Report;
use crate::store::StoreError;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use monolith_client::wire;
use std::sync::Arc;

/// The media type of a refusal.
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<wire::Problem>,
    outcome: Option<Box<wire::Outcome>>,
    /// What went wrong inside: for the log, never for the caller.
    pub(super) cause: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), outcome: None, cause: None }
    }

    /// Nobody is told which part of a login was wrong.
    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "a valid admin token is needed: Authorization: Bearer <token>",
        )
    }

    /// The token was signed here, and its bearer is told what it lacks.
    pub(super) fn token_lacks(what: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token_refused", what)
    }

    /// Whoever comes from there failed to prove who they are too often.
    pub(super) fn too_many_failures() -> Self {
        let detail = "too many failed authentications from this address; a valid token is still taken";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(super) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// A change whose record could not be written was not made either: both are one transaction.
    pub(super) fn not_recorded(error: StoreError) -> Self {
        if error.is_outage() || error.is_schema_behind() {
            return error.into();
        }
        let detail = "the change could not be recorded, so it was not made";
        let mut answer = Self::unavailable("not_recorded", detail);
        answer.cause = Some(error.to_string());
        answer
    }

    pub(super) fn internal(cause: impl Into<String>) -> Self {
        let mut error =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong inside; see the log");
        error.cause = Some(cause.into());
        error
    }

    /// What was sent does not fit, field by field.
    pub(super) fn invalid(errors: Vec<wire::Problem>) -> Self {
        let detail = errors.first().map_or_else(String::new, |error| {
            if error.key.is_empty() { error.message.clone() } else { format!("{}: {}", error.key, error.message) }
        });
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        error.errors = errors;
        error
    }

    /// A reload that came to nothing.
    pub(super) fn rejected(report: &Report) -> Self {
        let detail = format!("the configuration was rejected; generation {} keeps running", report.generation);
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "config_rejected", detail);
        error.errors = report.problems.iter().map(show::problem).collect();
        error.outcome = Some(Box::new(show::outcome(report)));
        error
    }

    /// Whether it is a failure of this side, after which something may have changed.
    pub(super) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The body, once the request's id is known.
    pub(super) fn body(self, request_id: &str) -> wire::ProblemBody {
        wire::ProblemBody {
            kind: "about:blank".into(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: Some(self.detail),
            request_id: Some(request_id.to_owned()),
            errors: self.errors,
            outcome: self.outcome,
        }
    }
}

impl IntoResponse for ApiError {
    /// An empty answer that carries the refusal, for `manners` to write out.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_outage() {
            let mut answer = Self::unavailable("store_unavailable", "the store behind this cannot be reached now");
            answer.cause = Some(error.to_string());
            answer
        } else if error.is_schema_behind() {
            let detail = "the tables behind this are not there yet: the server is just starting, or waits for `monolith migrate`";
            let mut answer = Self::unavailable("schema_behind", detail);
            answer.cause = Some(error.to_string());
            answer
        } else {
            Self::internal(error.to_string())
        }
    }
}

/// A mistake in one field.
pub(super) fn field(key: &str, message: impl Into<String>) -> wire::Problem {
    show::problem(&Problem::new(crate::problem::Place::Nowhere, key, message))
}
