//! Shows values that may hold secrets without the secrets: a URL keeps its shape, everything else is hidden.
//! What is not marked `writeOnly` in the schema never comes here.

/// What stands for a value that is not shown.
pub const MASK: &str = "[redacted]";

/// A text as it may be shown: references to secrets as they were typed, URLs without password and query.
#[must_use]
pub fn masked(text: &str) -> String {
    match text.split_once("://") {
        // Services put a token into the path of an address that is called, and call the address itself a secret.
        Some((scheme @ ("http" | "https"), rest)) => format!("{scheme}://{}", without_path(&without_password(rest))),
        Some((scheme, rest)) => format!("{scheme}://{}", without_password(rest)),
        None if text.starts_with("sqlite:") => text.to_owned(),
        None => only_references(text).unwrap_or_else(|| MASK.to_owned()),
    }
}

fn without_password(rest: &str) -> String {
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?..."));
    let shown = match rest.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, password)) => {
                let password = only_references(password).unwrap_or_else(|| "***".to_owned());
                format!("{user}:{password}@{host}")
            }
            None => format!("{login}@{host}"),
        },
        None => rest.to_owned(),
    };
    shown + query
}

fn without_path(rest: &str) -> String {
    match rest.split_once('/') {
        Some((host, path)) if !path.is_empty() => {
            format!("{host}/{}", only_references(path).unwrap_or_else(|| "...".to_owned()))
        }
        _ => rest.to_owned(),
    }
}

/// The text, where it is nothing but one reference such as `${secrets.x}`.
fn only_references(text: &str) -> Option<String> {
    let name = text.strip_prefix("${secrets.")?.strip_suffix('}')?;
    crate::name::is_name(name).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_and_references_are_shown() {
        for (text, shown) in [
            ("postgres://app:hunter2@db:5432/app", "postgres://app:***@db:5432/app"),
            ("postgres://app:${secrets.pg}@db/app", "postgres://app:${secrets.pg}@db/app"),
            ("postgres://app:p@ss:w@db/app?password=x", "postgres://app:***@db/app?..."),
            ("redis://cache:6379", "redis://cache:6379"),
            ("https://hooks.example.com/T0/hunter2", "https://hooks.example.com/..."),
            ("https://me:hunter2@example.com/hunter2?t=hunter2", "https://me:***@example.com/..."),
            ("https://ping.example.com/${secrets.ping}", "https://ping.example.com/${secrets.ping}"),
            ("http://example.com", "http://example.com"),
            ("sqlite:data/app.db", "sqlite:data/app.db"),
            ("hunter2", MASK),
            ("${secrets.x} and more", MASK),
            ("${secrets.x}", "${secrets.x}"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
