//! The text of an API key: `mono_<test|live>_<kid:12>_<secret:32><crc:6>`, base62. Pure, but for drawing randomness.
//! The check digits cover everything before them, so that a mistyped or swapped key is refused without any look-up.

use crate::settings::keys::Environment;
use std::fmt;
use zeroize::Zeroizing;

/// The digits, in the order of their values.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How every key of ours begins.
pub const BEGINNING: &str = "mono_";
/// Characters of the public id: 71 bits.
pub const KID_LENGTH: usize = 12;
/// Characters of the secret: 190 bits.
pub const SECRET_LENGTH: usize = 32;
/// Characters of the check digits: 62^6 is the first power above 2^32.
const CRC_LENGTH: usize = 6;
/// `mono_test_` and `mono_live_` have the same length.
const PREFIX_LENGTH: usize = 10;
/// Characters of a whole key.
pub const KEY_LENGTH: usize = PREFIX_LENGTH + KID_LENGTH + 1 + SECRET_LENGTH + CRC_LENGTH;

/// A whole key, as its owner gets it once. It does not show itself and is wiped when dropped.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// The key. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The parts of a text that has the form of a key.
#[derive(Clone, Copy)]
pub struct Parsed<'a> {
    /// Whose environment it is.
    pub environment: Environment,
    /// The public id.
    pub kid: &'a str,
    /// The secret part.
    pub secret: &'a str,
}

/// The text does not have the form of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Draws a new key from the operating system's randomness.
///
/// # Errors
/// When the system has none to give.
pub fn generate(environment: Environment) -> Result<KeyText, getrandom::Error> {
    let mut text = Zeroizing::new(String::with_capacity(KEY_LENGTH));
    text.push_str(prefix(environment));
    draw(&mut text, KID_LENGTH)?;
    text.push('_');
    draw(&mut text, SECRET_LENGTH)?;
    let digits = check_digits(text.as_bytes());
    text.extend(digits.iter().map(|digit| char::from(*digit)));
    Ok(KeyText(text))
}

/// Takes a text apart, allocating nothing.
///
/// # Errors
/// [`Malformed`] where the length, an underscore, a character or the check digits are wrong.
pub fn parse(text: &str) -> Result<Parsed<'_>, Malformed> {
    if text.len() != KEY_LENGTH || !text.is_ascii() {
        return Err(Malformed);
    }
    let (covered, digits) = text.split_at_checked(KEY_LENGTH - CRC_LENGTH).ok_or(Malformed)?;
    let (prefix_text, rest) = covered.split_at_checked(PREFIX_LENGTH).ok_or(Malformed)?;
    let environment = match prefix_text {
        "mono_test_" => Environment::Test,
        "mono_live_" => Environment::Live,
        _ => return Err(Malformed),
    };
    let (kid, rest) = rest.split_at_checked(KID_LENGTH).ok_or(Malformed)?;
    let secret = rest.strip_prefix('_').ok_or(Malformed)?;
    let is_base62 = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_base62(kid) || !is_base62(secret) || digits.as_bytes() != check_digits(covered.as_bytes()) {
        return Err(Malformed);
    }
    Ok(Parsed { environment, kid, secret })
}

const fn prefix(environment: Environment) -> &'static str {
    match environment {
        Environment::Test => "mono_test_",
        Environment::Live => "mono_live_",
    }
}

/// CRC-32/ISO-HDLC as six base62 digits.
fn check_digits(covered: &[u8]) -> [u8; CRC_LENGTH] {
    let mut rest = crc32fast::hash(covered) as usize;
    let mut digits = [b'0'; CRC_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get(rest % 62).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// Appends digits, each equally likely: a byte from 248 up is drawn again, for 256 is no multiple of 62.
fn draw(text: &mut String, count: usize) -> Result<(), getrandom::Error> {
    const FAIR: u8 = 248;
    let mut missing = count;
    let mut bytes = Zeroizing::new([0u8; 64]);
    while missing > 0 {
        getrandom::fill(bytes.as_mut_slice())?;
        for byte in bytes.iter().filter(|byte| **byte < FAIR).take(missing) {
            text.push(char::from(BASE62.get(usize::from(byte % 62)).copied().unwrap_or(b'0')));
            missing -= 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_key_has_the_form_that_scanners_look_for() {
        let key = generate(Environment::Live).unwrap();
        assert_eq!(key.expose().len(), 61);
        assert!(key.expose().starts_with("mono_live_"));
        assert_eq!(format!("{key:?}"), "[redacted]");
        let parsed = parse(key.expose()).unwrap_or_else(|_| panic!("a new key must parse"));
        assert_eq!((parsed.environment, parsed.kid.len(), parsed.secret.len()), (Environment::Live, 12, 32));
    }

    #[test]
    fn check_digits_are_those_of_the_standard() {
        // CRC-32/ISO-HDLC of "123456789" is cbf43926: 3421780262.
        assert_eq!(&check_digits(b"123456789"), b"3jZRME");
    }

    #[test]
    fn what_is_not_a_key_is_malformed() {
        let key = generate(Environment::Test).unwrap();
        let key = key.expose();
        for bad in [
            String::new(),
            " ".repeat(61),
            key.replace("mono_test_", "mono_live_"),
            key.replace("mono_test_", "MONO_TEST_"),
            key.to_lowercase() + "x",
            format!(" {key}"),
            format!("{key}\n"),
            "é".repeat(30) + "a",
            "mono_test_".repeat(1000),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(position in 0usize..61, replacement in "[0-9A-Za-z_]") {
            let key = generate(Environment::Test).unwrap();
            let mut text = key.expose().to_owned();
            prop_assume!(text.get(position..=position) != Some(replacement.as_str()));
            text.replace_range(position..=position, &replacement);
            prop_assert!(parse(&text).is_err());
        }

        #[test]
        fn two_swapped_neighbours_are_noticed(position in 0usize..60) {
            let key = generate(Environment::Test).unwrap();
            let mut bytes = key.expose().as_bytes().to_vec();
            prop_assume!(bytes[position] != bytes[position + 1]);
            bytes.swap(position, position + 1);
            prop_assert!(parse(std::str::from_utf8(&bytes).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            prop_assert!(parse(&text).is_err());
        }
    }
}
