//! All keys of a SQLite at once, each row as one text: column by column a million of them take three times as long, for the
//! driver copies every value, the missing ones too. It says nothing else than the statement for a single row does.

use super::{Row, columns};
use crate::clock::Timestamp;
use crate::keys::hash::KeyHash;
use crate::keys::record::{Extras, Rare, Record};
use crate::name::Kid;
use serde::Deserialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// Every row, as what [`Columns`] reads.
pub(super) const ALL: &str = "select json_array(kid, name, owner, environment, scopes, created_at, created_by, expires_at, \
    last_used_at, disabled_at, revoked_at, revoke_reason, rotated_to, grace_until, ip_allow, rate_limit, metadata, version, \
    hex(hash), hash_alg, pepper) from api_keys";

/// The columns in the order of [`ALL`].
#[derive(Deserialize)]
struct Columns {
    kid: String,
    name: Option<String>,
    owner: Option<String>,
    environment: Option<String>,
    scopes: Option<String>,
    created_at: Option<i64>,
    created_by: Option<String>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    disabled_at: Option<i64>,
    revoked_at: Option<i64>,
    revoke_reason: Option<String>,
    rotated_to: Option<String>,
    grace_until: Option<i64>,
    ip_allow: Option<String>,
    rate_limit: Option<String>,
    metadata: Option<String>,
    version: Option<i64>,
    /// In hexadecimal; empty where there is none.
    hash: String,
    hash_alg: Option<String>,
    pepper: Option<String>,
}

/// Reads one row.
pub(super) fn row_of(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let columns: Columns =
        serde_json::from_str(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let record = columns.record()?;
    let fingerprint = record.fingerprint();
    Ok(Row { record, fingerprint })
}

impl Columns {
    fn record(self) -> Result<Record, sqlx::Error> {
        let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let hash = KeyHash::from_columns(bytes_of(&self.hash), self.hash_alg.as_deref(), self.pepper.as_deref());
        Ok(Record {
            kid: columns::kid(&self.kid)?,
            name: self.name.map(Into::into),
            owner: self.owner.map(Into::into),
            environment: columns::environment(self.environment.as_deref()),
            scopes: columns::list(self.scopes.as_deref()).into_iter().map(Into::into).collect(),
            created_at: time(self.created_at).unwrap_or(Timestamp::EPOCH),
            created_by: self.created_by.map(Into::into),
            expires_at: time(self.expires_at),
            last_used_at: time(self.last_used_at),
            rare: Rare::of(Extras {
                disabled_at: time(self.disabled_at),
                revoked_at: time(self.revoked_at),
                revoke_reason: self.revoke_reason.map(Into::into),
                rotated_to: self.rotated_to.and_then(|kid| Kid::parse(&kid).ok()),
                grace_until: time(self.grace_until),
                ip_allow: columns::networks(self.ip_allow.as_deref()),
                rate_limit: self.rate_limit.map(Into::into),
                metadata: columns::map(self.metadata.as_deref()),
            }),
            version: self.version.unwrap_or(1),
            hash,
        })
    }
}

/// Bytes from their hexadecimal digits, as SQLite writes them.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    (!digits.is_empty()).then(|| digits.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>()).flatten()
}
