//! All keys of a SQLite at once, some hundred of them as one text: row by row a million take three times as long, and column by
//! column nine times, for the driver copies every value and wakes its reader for every row. It says nothing else than the
//! statement for a single row does.

use super::{Row, columns};
use crate::clock::Timestamp;
use crate::keys::hash::KeyHash;
use crate::keys::record::{Extras, Rare, Record};
use crate::keys::table::{readable, tell_of_unreadable};
use crate::name::Kid;
use serde::Deserialize;
use sqlx::{Row as _, SqliteConnection};
use std::borrow::Cow;
use std::sync::Arc;

/// How many rows come in one piece: some 100 KiB of text.
const PIECE: i64 = 500;

/// The rows behind a place, as what [`Columns`] reads, and the place of the last of them.
const NEXT: &str = "select json_group_array(json_array(kid, name, owner, environment, scopes, created_at, created_by, \
    expires_at, last_used_at, disabled_at, revoked_at, revoke_reason, rotated_to, grace_until, ip_allow, rate_limit, metadata, \
    version, hex(hash), hash_alg, pepper)), max(place) \
    from (select rowid as place, * from api_keys where rowid > $1 order by rowid limit $2)";

/// The columns in the order of [`NEXT`].
#[derive(Deserialize)]
struct Columns<'a> {
    #[serde(borrow)]
    kid: Text<'a>,
    name: Option<Text<'a>>,
    owner: Option<Text<'a>>,
    environment: Option<Text<'a>>,
    scopes: Option<Text<'a>>,
    created_at: Option<i64>,
    created_by: Option<Text<'a>>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    disabled_at: Option<i64>,
    revoked_at: Option<i64>,
    revoke_reason: Option<Text<'a>>,
    rotated_to: Option<Text<'a>>,
    grace_until: Option<i64>,
    ip_allow: Option<Text<'a>>,
    rate_limit: Option<Text<'a>>,
    metadata: Option<Text<'a>>,
    version: Option<i64>,
    /// In hexadecimal; empty where there is none.
    hash: Text<'a>,
    hash_alg: Option<Text<'a>>,
    pepper: Option<Text<'a>>,
}

/// A text that is only copied where it had to be unescaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The scopes of the row before, as text and as read: most rows have the same.
#[derive(Default)]
struct Before {
    text: String,
    scopes: Arc<[Box<str>]>,
}

/// Reads every row, in pieces.
pub(super) async fn each(c: &mut SqliteConnection, mut take: impl FnMut(Row)) -> Result<(), sqlx::Error> {
    let mut before = Before::default();
    let (mut place, mut unreadable) = (i64::MIN, 0);
    loop {
        let piece = sqlx::query(NEXT).bind(place).bind(PIECE).fetch_one(&mut *c).await?;
        let rows: Vec<Columns<'_>> =
            serde_json::from_str(piece.try_get(0)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        for columns in rows {
            let Some(record) = readable(columns.record(&mut before))? else {
                unreadable += 1;
                continue;
            };
            let fingerprint = record.fingerprint();
            take(Row { record, fingerprint });
        }
        match piece.try_get::<Option<i64>, _>(1)? {
            Some(last) => place = last,
            None => break,
        }
    }
    tell_of_unreadable(unreadable);
    Ok(())
}

impl Before {
    fn read(&mut self, text: Option<&str>) -> Arc<[Box<str>]> {
        let text = text.unwrap_or_default();
        if text != self.text {
            self.scopes = columns::list(Some(text)).into_iter().map(Into::into).collect();
            text.clone_into(&mut self.text);
        }
        Arc::clone(&self.scopes)
    }
}

impl Text<'_> {
    fn of(text: &Option<Self>) -> Option<&str> {
        text.as_ref().map(|text| &*text.0)
    }
}

impl Columns<'_> {
    fn record(self, before: &mut Before) -> Result<Record, sqlx::Error> {
        let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let text = Text::of;
        let hash = KeyHash::from_columns(bytes_of(&self.hash.0), text(&self.hash_alg), text(&self.pepper));
        Ok(Record {
            kid: columns::kid(&self.kid.0)?,
            name: text(&self.name).map(Into::into),
            owner: text(&self.owner).map(Into::into),
            environment: columns::environment(text(&self.environment)),
            scopes: before.read(text(&self.scopes)),
            created_at: time(self.created_at).unwrap_or(Timestamp::EPOCH),
            created_by: text(&self.created_by).map(Into::into),
            expires_at: time(self.expires_at),
            last_used_at: time(self.last_used_at),
            rare: Rare::of(Extras {
                disabled_at: time(self.disabled_at),
                revoked_at: time(self.revoked_at),
                revoke_reason: text(&self.revoke_reason).map(Into::into),
                rotated_to: text(&self.rotated_to).and_then(|kid| Kid::parse(kid).ok()),
                grace_until: time(self.grace_until),
                ip_allow: columns::networks(text(&self.ip_allow)),
                rate_limit: text(&self.rate_limit).map(Into::into),
                metadata: columns::map(text(&self.metadata)),
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
