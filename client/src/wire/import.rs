//! `POST /api/admin/api-keys/import`: keys that were issued elsewhere, by the hash of their whole text.
//! No key travels here.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Problem, Time};

/// The keys, at most 1000.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportKeys {
    /// One each.
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<ImportKey>,
    /// Only say what would be taken over. It has no default: nobody imports by leaving something out.
    pub dry_run: bool,
    /// Take over what fits where some do not; else nothing is.
    #[serde(default)]
    pub partial: bool,
}

/// One key; a line of the file that `monolith keys import` reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportKey {
    /// The id that it gets here.
    pub kid: String,
    /// The hash of its whole text: 32 bytes in hexadecimal or base64.
    pub hash: String,
    /// `sha256` or `hmac-sha256`.
    pub algorithm: String,
    /// With `hmac-sha256`: the secret that was mixed in, by its name in `keys.pepper`.
    #[serde(default)]
    pub pepper: Option<String>,
    /// What to call it.
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it may be used for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it was made; unset: now.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub created_at: Option<Time>,
    /// When it ends; unset: after `keys.default_ttl`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Time>,
    /// From where it may be used, as addresses and CIDRs; empty: from anywhere.
    #[serde(default)]
    pub ip_allow: Vec<String>,
    /// How often, as in `100/s`.
    #[serde(default)]
    pub rate_limit: Option<String>,
    /// What belongs to it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportedKeys {
    /// Whether nothing was changed because nothing should be.
    pub dry_run: bool,
    /// Keys that were taken over, or would be.
    pub imported: u64,
    /// Keys that do not fit.
    pub refused: Vec<ImportRefusal>,
}

/// A key that does not fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportRefusal {
    /// Its place in the list, from 0.
    pub n: u64,
    /// The id that it was given.
    pub kid: String,
    /// What is wrong with it.
    pub errors: Vec<Problem>,
}

/// Takes each as an object only: serde takes a list for the fields of a struct in their order, and nobody means that.
fn objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ImportKey>, D::Error> {
    let list = Vec::<Object<ImportKey>>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|Object(key)| key).collect())
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
