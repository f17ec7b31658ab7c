//! Lists of keys: filtered, sorted, in pages that stay right while keys are made. Pure, over records of the index.
//! The cursor is the sort value and the id of the last item, so that nothing shifts under a reader.

use super::record::{KeyState, Record};
use super::{FieldError, KeysError};
use crate::clock::Timestamp;
use std::sync::Arc;

/// Which keys.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<KeyState>,
    /// Of this owner.
    pub owner: Option<String>,
    /// With this scope.
    pub scope: Option<String>,
    /// With this text in id, name or owner, whatever its case.
    pub text: Option<String>,
    /// By which field, `created_at`, `name`, `owner`, `expires_at` or `last_used_at`, a `-` before it for the reverse;
    /// the newest first where nobody says.
    pub sort: Option<String>,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// The keys.
    pub items: Vec<Arc<Record>>,
    /// Where the next part begins; `None`: there is none.
    pub next: Option<String>,
}

impl Filter {
    /// Whether a key is among them.
    pub(super) fn lets_through(&self, record: &Record, now: Timestamp) -> bool {
        let contains = |text: &str, part: &str| text.to_lowercase().contains(part);
        self.state.is_none_or(|state| record.state(now) == state)
            && self.owner.as_deref().is_none_or(|owner| record.owner.as_deref() == Some(owner))
            && self.scope.as_deref().is_none_or(|scope| record.scopes.iter().any(|own| **own == *scope))
            && self.text.as_deref().is_none_or(|text| {
                let part = text.to_lowercase();
                contains(record.kid.as_str(), &part)
                    || [record.name.as_deref(), record.owner.as_deref()]
                        .iter()
                        .any(|field| field.is_some_and(|f| contains(f, &part)))
            })
    }

    fn order(&self) -> Result<(SortKey, bool), KeysError> {
        let wanted = self.sort.as_deref().unwrap_or("-created_at");
        let (field, reverse) = wanted.strip_prefix('-').map_or((wanted, false), |field| (field, true));
        let key: SortKey = match field {
            "created_at" => |record| instant(Some(record.created_at)),
            "expires_at" => |record| instant(record.expires_at),
            "last_used_at" => |record| instant(record.last_used_at),
            "name" => |record| record.name.as_deref().unwrap_or_default().to_lowercase(),
            "owner" => |record| record.owner.as_deref().unwrap_or_default().to_lowercase(),
            _ => {
                let message =
                    "must be created_at, name, owner, expires_at or last_used_at, with a - before it for the reverse";
                return Err(KeysError::Invalid(vec![FieldError { key: "sort".into(), message: message.into() }]));
            }
        };
        Ok((key, reverse))
    }
}

/// What a record is sorted by, as text that sorts the same way.
type SortKey = fn(&Record) -> String;

/// Twenty digits sort like the numbers they write; nothing sorts first.
fn instant(instant: Option<Timestamp>) -> String {
    instant.map_or_else(String::new, |instant| format!("{:020}", instant.millis()))
}

/// Sorts, and cuts the part after a cursor.
pub(super) fn page(
    mut records: Vec<Arc<Record>>,
    filter: &Filter,
    limit: usize,
    after: Option<&str>,
) -> Result<Page, KeysError> {
    let (key, reverse) = filter.order()?;
    let position = |record: &Record| (key(record), record.kid.as_str().to_owned());
    records.sort_by_cached_key(|record| position(record));
    if reverse {
        records.reverse();
    }
    if let Some(after) = after {
        let cursor = read_cursor(after)?;
        records.retain(|record| if reverse { position(record) < cursor } else { position(record) > cursor });
    }
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more).map(|record| write_cursor(&position(record)));
    Ok(Page { items: records, next })
}

fn write_cursor((key, kid): &(String, String)) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{kid}\n{key}"))
}

fn read_cursor(text: &str) -> Result<(String, String), KeysError> {
    use base64::Engine;
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once('\n')) {
        Some((kid, key)) => Ok((key.to_owned(), kid.to_owned())),
        None => {
            let message = "is not a cursor of this list: take it from `next`";
            Err(KeysError::Invalid(vec![FieldError { key: "after".into(), message: message.into() }]))
        }
    }
}
