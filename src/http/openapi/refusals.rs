//! What the description of a route cannot say by itself: the refusals that come of what it takes rather than of what it
//! does, their media type, and a path as OpenAPI writes it. Nothing here refuses anything.

use super::super::answer::PROBLEM_JSON;
use http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema};

/// The schema of every refusal.
const PROBLEM: &str = "#/components/schemas/ProblemBody";

/// Completes a description.
pub(super) fn complete(openapi: &mut OpenApi) {
    let paths = std::mem::take(&mut openapi.paths.paths);
    // axum's mark for "and everything behind it" is no part of a name in OpenAPI.
    openapi.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    openapi.paths.paths.values_mut().flat_map(operations).for_each(complete_one);
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

fn complete_one(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            as_problem(response);
        }
    }
    for status in refusals(operation) {
        let code = status.as_str().to_owned();
        operation.responses.responses.entry(code).or_insert_with(|| RefOr::T(refusal(status)));
    }
}

/// What comes of what it takes: a body, parameters, a token; and of taking too long.
fn refusals(operation: &Operation) -> Vec<StatusCode> {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let is_asked = parameters.iter().any(|one| matches!(one, RefOr::T(one) if one.parameter_in == ParameterIn::Query));
    let mut statuses = vec![StatusCode::SERVICE_UNAVAILABLE];
    if operation.request_body.is_some() {
        statuses.extend([
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ]);
    }
    if is_asked {
        statuses.push(StatusCode::UNPROCESSABLE_ENTITY);
    }
    if operation.security.as_ref().is_some_and(|ways| !ways.is_empty()) {
        statuses.extend([StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS]);
    }
    statuses
}

fn refusal(status: StatusCode) -> Response {
    let content = ContentBuilder::new().schema(Some(RefOr::<Schema>::Ref(Ref::new(PROBLEM)))).build();
    ResponseBuilder::new()
        .description(status.canonical_reason().unwrap_or_default())
        .content(media_type(), content)
        .build()
}

/// A problem is not just any JSON.
fn as_problem(response: &mut Response) {
    let is_problem = |content: &RefOr<Content>| {
        let RefOr::T(content) = content else { return false };
        matches!(&content.schema, Some(RefOr::Ref(to)) if to.ref_location == PROBLEM)
    };
    let contents = std::mem::take(&mut response.content).into_iter();
    response.content = contents
        .map(|(kind, content)| if is_problem(&content) { (media_type(), content) } else { (kind, content) })
        .collect();
}

fn media_type() -> String {
    PROBLEM_JSON.to_str().unwrap_or_default().to_owned()
}
