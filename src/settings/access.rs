//! What a caller must satisfy beside holding a good key, by the name of a policy.
//! Judging a key is `crate::keys`; asking on behalf of a gateway is `crate::http`.

use super::compile::Compiler;
use crate::config::written;
use crate::name::PolicyName;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest scope.
pub const MAX_SCOPE: usize = 128;

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its name.
    pub name: PolicyName,
    /// Scopes that a key must have, all of them.
    pub scopes: Vec<String>,
    /// How often each key may be used under this policy; the key's own rate counts where it is lower.
    pub rate: Option<Rate>,
    /// Where a gateway's caller carries the key.
    pub carrier: Carrier,
}

/// The header that carries a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `X-Api-Key: <key>`
    ApiKey,
    /// `Authorization: Bearer <key>`
    Bearer,
}

/// The shortest time between two uses of a rate: those that are shared count microseconds.
const SHORTEST: Duration = Duration::from_micros(1);

/// So many uses in a length of time; as many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many; never zero.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

impl Rate {
    /// Reads a rate: a whole number and `/s`, `/m`, `/h` or `/d`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once('/')?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let count = number.parse::<u32>().ok().filter(|number| *number > 0 && digits)?;
        let rate = Self { count, per: Duration::from_secs(seconds) };
        (rate.interval() >= SHORTEST).then_some(rate)
    }

    /// The one that lets less through in the long run.
    #[must_use]
    pub fn lower(self, other: Self) -> Self {
        if self.interval() >= other.interval() { self } else { other }
    }

    /// What one of so many may allow by itself, so that all together allow about as much; never nothing.
    #[must_use]
    pub fn share_of(self, replicas: u32) -> Self {
        Self { count: (self.count / replicas.max(1)).max(1), ..self }
    }

    /// From one use to the next.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.per / self.count.max(1)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            3_600 => "h",
            _ => "d",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Whether a text can be a scope of a key or of a policy.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":._/*-".contains(&byte);
    (1..=MAX_SCOPE).contains(&text.len()) && text.bytes().all(allowed)
}

impl Compiler<'_> {
    pub(super) fn policies(
        &mut self,
        declared: &BTreeMap<String, written::Policy>,
    ) -> BTreeMap<PolicyName, Arc<Access>> {
        let mut policies = BTreeMap::new();
        for (text, written) in declared {
            let key = format!("policies.{text}");
            match PolicyName::parse(text) {
                Ok(name) => {
                    policies.insert(name.clone(), Arc::new(self.access(&key, name, written)));
                }
                Err(error) => self.error(&key, error.to_string()),
            }
        }
        policies
    }

    fn access(&mut self, key: &str, name: PolicyName, written: &written::Policy) -> Access {
        for (n, scope) in written.scopes.iter().enumerate().filter(|(_, scope)| !is_scope(scope)) {
            let message = format!("`{scope}` is not a scope: use letters, digits and :._/*- , at most {MAX_SCOPE}");
            self.error(&format!("{key}.scopes[{n}]"), message);
        }
        let rate = written.rate_limit.as_deref().and_then(|text| {
            let rate = Rate::parse(text);
            if rate.is_none() {
                let message = format!("must be a rate such as 100/s, 50/m, 10/h or 1000/d, found \"{text}\"");
                self.error(&format!("{key}.rate_limit"), message);
            }
            rate
        });
        let carrier = match written.header.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("x-api-key") => Carrier::ApiKey,
            Some("authorization") => Carrier::Bearer,
            Some(other) => {
                let message = format!("must be \"x-api-key\" or \"authorization\" (Bearer), found \"{other}\"");
                self.error(&format!("{key}.header"), message);
                Carrier::ApiKey
            }
        };
        Access { name, scopes: written.scopes.clone(), rate, carrier }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        let rate = |text| Rate::parse(text).map(|rate| (rate.count, rate.per.as_secs()));
        assert_eq!(rate("100/s"), Some((100, 1)));
        assert_eq!(rate("5/d"), Some((5, 86_400)));
        for bad in ["", "/s", "0/s", "+1/s", "1.5/s", "1/", "1/y", "99999999999/s", "1 /s"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_lower_rate_is_the_one_that_lets_less_through() {
        let of = |text| Rate::parse(text).unwrap();
        assert_eq!(of("100/s").lower(of("100/m")), of("100/m"));
        assert_eq!(of("1/s").lower(of("100/m")), of("1/s"));
        assert_eq!((of("100/s").share_of(3), of("100/s").share_of(0)), (of("33/s"), of("100/s")));
        assert_eq!(of("2/d").share_of(3), of("1/d"), "a share is never nothing");
    }
}
