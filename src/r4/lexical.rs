//! The lexical forms of primitive values, as the definitions of FHIR R4 give them.
//!
//! One restriction is ours: decimals have at most 100 characters and three digits of exponent,
//! so that nothing behind the parsers ever expands a number to gigabytes.

use super::datetime::{DateTime, Precision, parse_time};
use super::reference::is_id;
use super::table::Primitive;

/// Whether a value has the form of its type; otherwise the form that is expected.
pub(super) fn check(primitive: Primitive, value: &str) -> Result<(), &'static str> {
    let (is_valid, expected) = match primitive {
        Primitive::String | Primitive::Markdown => (
            is_text(value),
            "a text that is not empty, without control characters",
        ),
        Primitive::Code => (
            is_code(value),
            "a code without surrounding or double blanks",
        ),
        Primitive::Id => (
            is_id(value),
            "an id of 1 to 64 letters, digits, '-' and '.'",
        ),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => {
            (is_uri(value), "a URI without blanks")
        }
        Primitive::Oid => (is_oid(value), "an OID such as urn:oid:1.2.3"),
        Primitive::Uuid => (is_uuid(value), "a UUID such as urn:uuid:c757873d-…"),
        Primitive::Boolean => (matches!(value, "true" | "false"), "true or false"),
        Primitive::Integer => (is_integer(value, i32::MIN), "an integer of 32 bits"),
        Primitive::UnsignedInt => (is_integer(value, 0), "an integer from 0 to 2147483647"),
        Primitive::PositiveInt => (is_integer(value, 1), "an integer from 1 to 2147483647"),
        Primitive::Decimal => (
            is_decimal(value),
            "a decimal number of at most 100 characters",
        ),
        Primitive::Base64Binary => (is_base64(value), "base64"),
        Primitive::Date => (is_date(value), "a date: yyyy, yyyy-MM or yyyy-MM-dd"),
        Primitive::DateTime => (
            is_date_time(value),
            "a date, or a time as yyyy-MM-ddThh:mm:ss with Z or ±hh:mm",
        ),
        Primitive::Instant => (
            is_instant(value),
            "an instant: yyyy-MM-ddThh:mm:ss with Z or ±hh:mm",
        ),
        Primitive::Time => (is_time(value), "a time: hh:mm:ss"),
    };
    if is_valid { Ok(()) } else { Err(expected) }
}

/// Whether XML and FHIR both allow these characters, and there is one.
fn is_text(value: &str) -> bool {
    let is_control = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    !value.is_empty()
        && !value.bytes().any(is_control)
        && (value.is_ascii() || !value.contains(['\u{fffe}', '\u{ffff}']))
}

fn is_code(value: &str) -> bool {
    is_text(value)
        && value
            .split([' ', '\t', '\n', '\r'])
            .all(|word| !word.is_empty())
}

fn is_uri(value: &str) -> bool {
    is_text(value) && !value.contains(char::is_whitespace)
}

fn is_oid(value: &str) -> bool {
    let is_arc = |arc: &str| {
        arc.bytes().all(|b| b.is_ascii_digit())
            && !arc.is_empty()
            && (arc == "0" || !arc.starts_with('0'))
    };
    let arcs = value
        .strip_prefix("urn:oid:")
        .and_then(|oid| oid.split_once('.'));
    arcs.is_some_and(|(root, rest)| matches!(root, "0" | "1" | "2") && rest.split('.').all(is_arc))
}

fn is_uuid(value: &str) -> bool {
    value
        .strip_prefix("urn:uuid:")
        .is_some_and(|uuid| uuid.len() == 36 && uuid::Uuid::try_parse(uuid).is_ok())
}

fn is_integer(value: &str, at_least: i32) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let is_canonical = value == "0" || (!digits.is_empty() && !digits.starts_with('0'));
    is_canonical && value.parse::<i32>().is_ok_and(|number| number >= at_least)
}

fn is_decimal(value: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match value.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (value, None),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        is_digits(digits) && digits.len() <= 3
    };
    value.len() <= 100
        && is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(is_exponent)
}

/// Groups of four; blanks between characters do not count.
fn is_base64(value: &str) -> bool {
    let (mut characters, mut padding) = (0_usize, 0_usize);
    for byte in value.bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'=' => padding += 1,
            b'+' | b'/' if padding == 0 => {}
            _ if padding == 0 && byte.is_ascii_alphanumeric() => {}
            _ => return false,
        }
        characters += 1;
    }
    characters > 0 && characters % 4 == 0 && padding <= 2
}

fn is_date(value: &str) -> bool {
    DateTime::parse(value).is_some_and(|date| date.precision <= Precision::Day)
}

fn is_date_time(value: &str) -> bool {
    is_date(value) || is_instant(value)
}

fn is_instant(value: &str) -> bool {
    let is_precise = |at: DateTime| at.precision >= Precision::Second && at.has_zone();
    DateTime::parse(value).is_some_and(is_precise)
}

fn is_time(value: &str) -> bool {
    parse_time(value).is_some_and(|(_, precision)| precision >= Precision::Second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_to_the_form_of_their_type() {
        let cases: [(Primitive, &[&str], &[&str]); 11] = [
            (Primitive::String, &[" a\tü", " "], &["", "a\u{0}", "\u{b}"]),
            (
                Primitive::Code,
                &["in-progress", "a b"],
                &["", " a", "a  b", "a "],
            ),
            (Primitive::Id, &["a-B.9"], &["", "a_b", "ä"]),
            (Primitive::Uri, &["urn:x", "#a"], &["", "a b"]),
            (
                Primitive::Oid,
                &["urn:oid:1.2.0.30"],
                &["1.2.3", "urn:oid:3.1", "urn:oid:1.02"],
            ),
            (
                Primitive::Integer,
                &["0", "-7"],
                &["-0", "01", "2147483648", "1.0", ""],
            ),
            (Primitive::PositiveInt, &["1"], &["0", "-1"]),
            (
                Primitive::Decimal,
                &["0", "-0.0", "1.00", "1E-7"],
                &[".5", "00.5", "5.", "+1", "1e1000000", "NaN"],
            ),
            (
                Primitive::Base64Binary,
                &["AAA=", "AAAA\n AA=="],
                &["", "AAA", "A===", "AA=A"],
            ),
            (
                Primitive::DateTime,
                &["2020", "2020-02-29T23:59:60.5Z"],
                &[
                    "2020-02-30",
                    "2020-01-01T10:00:00",
                    "2020-01-01T10:00Z",
                    "2020T10:00:00Z",
                ],
            ),
            (
                Primitive::Instant,
                &["2020-01-01T00:00:00+14:00"],
                &["2020-01-01", "now"],
            ),
        ];
        for (primitive, valid, invalid) in cases {
            for value in valid {
                assert_eq!(check(primitive, value), Ok(()), "{primitive:?} {value:?}");
            }
            for value in invalid {
                assert!(check(primitive, value).is_err(), "{primitive:?} {value:?}");
            }
        }
    }
}
