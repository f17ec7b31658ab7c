//! What was probably meant by a value that is wrong: pure, from the text alone.
//! Advice is given only where it would be right, and never about a text that may hold a secret.

use super::compile::parse_size;
use crate::clock::parse_duration;
use crate::config::schema::nearest;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// `30` for `30s`, `10 seconds` for `10s`.
pub(super) fn duration(text: &str) -> Option<String> {
    const UNITS: [(&str, &str); 6] =
        [("milli", "ms"), ("sec", "s"), ("min", "m"), ("hour", "h"), ("hr", "h"), ("day", "d")];
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    let unit = text.trim().strip_prefix(digits.as_str())?.trim().to_lowercase();
    if digits.is_empty() {
        return None;
    }
    if unit.is_empty() {
        return Some(format!("did you mean \"{digits}s\"?"));
    }
    let short = UNITS.iter().find(|(word, _)| unit.starts_with(word)).map_or(unit.as_str(), |(_, short)| short);
    let meant = format!("{digits}{short}");
    match parse_duration(&meant) {
        Some(_) => Some(format!("did you mean \"{meant}\"?")),
        None if matches!(short, "w" | "week" | "weeks" | "M" | "month" | "months" | "y") => {
            Some("the largest unit is a day: d".to_owned())
        }
        None => None,
    }
}

/// `1MB` for `1MiB`.
pub(super) fn size(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    let unit = text.trim().strip_prefix(digits.as_str())?.trim().to_lowercase();
    let unit = match unit.chars().next() {
        None | Some('b') => "B",
        Some('k') => "KiB",
        Some('m') => "MiB",
        Some('g') => "GiB",
        Some(_) => return None,
    };
    let meant = format!("{digits}{unit}");
    parse_size(&meant).map(|_| format!("did you mean \"{meant}\"?"))
}

/// `localhost:8000` for `127.0.0.1:8000`, an address without a port, a URL.
pub(super) fn address(text: &str) -> Option<String> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse::<u16>().ok()),
        _ => (bare, Some(8000)),
    };
    let Some(port) = port else { return Some("a port is a number from 0 to 65535".to_owned()) };
    let host = match host {
        "localhost" => "127.0.0.1",
        "" | "*" => "0.0.0.0",
        other => other,
    };
    let meant = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => SocketAddr::from((address, port)),
        Err(_) => return Some("names are not looked up here: write the address itself".to_owned()),
    };
    Some(format!("did you mean \"{meant}\"?"))
}

/// An address for the network of it alone.
pub(super) fn network(text: &str) -> Option<String> {
    let address: IpAddr = text.parse().ok()?;
    Some(format!("did you mean \"{}\"?", IpNet::from(address)))
}

/// A city without its continent, or a misspelt zone.
pub(super) fn timezone(text: &str) -> Option<String> {
    let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    let city = |zone: &&String| {
        zone.rsplit_once('/').is_some_and(|(_, city)| city.eq_ignore_ascii_case(&text.replace(' ', "_")))
    };
    let known_as = known.iter().find(city).map(String::as_str);
    let near = known_as.or_else(|| nearest(text, known.iter().map(String::as_str)))?;
    Some(format!("did you mean \"{near}\"?"))
}

/// A period where a cron expression belongs, or a misspelt nickname.
pub(super) fn cron(text: &str) -> Option<String> {
    const NICKNAMES: [&str; 5] = ["@yearly", "@monthly", "@weekly", "@daily", "@hourly"];
    let period = text.trim().strip_prefix("@every ").unwrap_or(text).trim();
    if parse_duration(period).is_some() {
        return Some(format!("a period is written every = \"{period}\""));
    }
    let near = text.starts_with('@').then(|| nearest(text, NICKNAMES.into_iter()))??;
    Some(format!("did you mean \"{near}\"?"))
}

/// A cron expression where a period belongs.
pub(super) fn every(text: &str) -> Option<String> {
    let cron = text.starts_with('@') || matches!(text.split_whitespace().count(), 5 | 6);
    cron.then(|| format!("a cron expression is written schedule = \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(advice: Option<String>) -> String {
        advice.unwrap_or_default().split('"').nth(1).unwrap_or_default().to_owned()
    }

    #[test]
    fn lengths_and_sizes_are_guessed_from_what_people_write() {
        for (text, right) in
            [("30", "30s"), ("10 seconds", "10s"), ("5min", "5m"), ("2 hours", "2h"), ("x", ""), ("", "")]
        {
            assert_eq!(meant(duration(text)), right, "{text}");
        }
        for (text, right) in [("1MB", "1MiB"), ("64kb", "64KiB"), ("512", "512B"), ("1.5MiB", ""), ("1TB", "")] {
            assert_eq!(meant(size(text)), right, "{text}");
        }
    }

    #[test]
    fn addresses_are_guessed_only_where_the_guess_is_an_address() {
        for (text, right) in [
            ("localhost:8000", "127.0.0.1:8000"),
            ("0.0.0.0", "0.0.0.0:8000"),
            (":9000", "0.0.0.0:9000"),
            ("http://127.0.0.1:80/", "127.0.0.1:80"),
            ("::1", "[::1]:8000"),
            ("db:8000", ""),
            ("127.0.0.1:80000", ""),
        ] {
            assert_eq!(meant(address(text)), right, "{text}");
        }
        assert_eq!(meant(network("10.0.0.1")), "10.0.0.1/32");
    }

    #[test]
    fn a_zone_is_found_by_its_city_or_its_neighbour() {
        for (text, right) in
            [("Berlin", "Europe/Berlin"), ("new york", "America/New_York"), ("Europe/Berln", "Europe/Berlin")]
        {
            assert_eq!(meant(timezone(text)), right, "{text}");
        }
    }

    #[test]
    fn schedule_and_every_are_told_apart() {
        assert_eq!(meant(cron("@every 5m")), "5m");
        assert_eq!(meant(cron("@dayly")), "@daily");
        assert_eq!(meant(every("*/5 * * * *")), "*/5 * * * *");
        assert_eq!(cron("61 * * * *"), None);
    }
}
